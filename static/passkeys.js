/* Passkeys (WebAuthn). A form with data-passkey ("create" or "get") fetches options from data-options, gives them to the
   browser, and sends its answer in the field data-field. Its errors are paragraphs with data-error, which begin hidden. */
(() => {
  "use strict";
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
  const text = (buffer) => base64(buffer).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const decoded = (options) => {
    options.challenge = bytes(options.challenge);
    if (options.user) options.user.id = bytes(options.user.id);
    for (const one of [...(options.excludeCredentials ?? []), ...(options.allowCredentials ?? [])]) one.id = bytes(one.id);
    return options;
  };

  const encoded = (credential) => {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[name]) response[name] = text(credential.response[name]);
    }
    return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response });
  };

  async function optionsFor(form) {
    const body = new URLSearchParams({ csrf_token: form.querySelector("[name=csrf_token]").value });
    const answer = await fetch(form.dataset.options, { method: "POST", body, headers: { Accept: "application/json" } });
    const found = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(found.detail), { name: "refused" });
    return decoded(found);
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const errors = [...form.querySelectorAll("[data-error]")];
    const button = form.querySelector("button");
    const show = (name, message) => {
      const shown = errors.find((one) => one.dataset.error === name) ?? errors.find((one) => one.dataset.error === "other");
      for (const one of errors) one.hidden = one !== shown || !name;
      if (message && name) shown.textContent = message;
    };
    form.hidden = false;
    if (!window.PublicKeyCredential) {
      button.disabled = true;
      show("unsupported");
      continue;
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      button.disabled = true;
      show("");
      try {
        const publicKey = await optionsFor(form);
        const credential = await navigator.credentials[form.dataset.passkey]({ publicKey });
        form.querySelector(`[name=${form.dataset.field}]`).value = encoded(credential);
        HTMLFormElement.prototype.submit.call(form);
      } catch (error) {
        show(error.name, error.name === "refused" ? error.message : "");
        button.disabled = false;
      }
    });
  }
})();
