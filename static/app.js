/* Additions to htmx: reconnecting the event stream, local times and countdowns, and a fallback for forms. */
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const language = document.documentElement.lang || "en";

  // Times: the server writes UTC, the page shows the time zone of the browser.
  const clockText = new Intl.DateTimeFormat(language, { timeStyle: "short" });
  const dayText = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const fullText = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" });
  function localTimes() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      const near = Math.abs(Date.now() - at) < 12 * 3600e3;
      const text = (time.dataset.full !== undefined ? fullText : near ? clockText : dayText).format(at);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // Countdowns contain the seconds left when the server rendered them, so a wrong browser clock does not matter.
  const marks = new WeakMap();
  function tick() {
    for (const span of document.querySelectorAll("[data-left], [data-gone]")) {
      const seconds = span.dataset.left ?? span.dataset.gone;
      let mark = marks.get(span);
      if (!mark || mark.seconds !== seconds) marks.set(span, (mark = { seconds, at: Date.now() }));
      const passed = (Date.now() - mark.at) / 1000;
      const rest = Math.max(0, Math.round(span.dataset.left !== undefined ? seconds - passed : +seconds + passed));
      const text = `${Math.floor(rest / 60)}:${String(rest % 60).padStart(2, "0")}`;
      if (span.textContent !== text) span.textContent = text;
    }
  }

  // The language switch keeps what was typed: the page in the other language gets it back. Passwords are not kept.
  const typed = () => [...document.querySelectorAll("main :is([type=text], [type=email], [type=tel], [type=search], [type=number], select)[name]")];
  try {
    const [path, names, values] = JSON.parse(sessionStorage.typed || "[]");
    const named = () => typed().map((field) => field.name).join();
    sessionStorage.removeItem("typed");
    if (path === location.pathname && names === named()) typed().forEach((field, at) => { field.value = values[at] ?? field.value; });
    byId("languages")?.addEventListener("click", () => { sessionStorage.typed = JSON.stringify([location.pathname, named(), typed().map((field) => field.value)]); });
  } catch { /* without storage the page starts empty */ }

  // The event stream. The first connection is retried here, later ones by hx-sse.
  const stream = byId("stream");
  const lost = byId("reconnecting");
  let notice = 0, wait = 1000, retry = 0;
  function noteDisconnected() {
    if (!notice && lost) notice = setTimeout(() => { lost.hidden = false; }, 10000);
  }
  function markUpToDate() {
    if (!lost) return;
    lost.hidden = true;
    lost.querySelector("time").dateTime = new Date().toISOString();
  }
  function connected() {
    clearTimeout(notice);
    notice = 0;
    wait = 1000;
    markUpToDate();
    localTimes();
    tick();
  }
  function connectAgain() {
    clearTimeout(retry);
    retry = setTimeout(() => {
      wait = Math.min(wait * 2, 15000);
      if (!stream._htmx?.sse) htmx.process(stream, true);
    }, wait);
  }
  if (stream) {
    for (const name of ["htmx:error", "htmx:response:error"]) {
      stream.addEventListener(name, (event) => {
        if (event.target !== stream || stream._htmx?.sse) return;
        noteDisconnected();
        connectAgain();
      });
    }
    stream.addEventListener("htmx:sse:error", noteDisconnected);
    stream.addEventListener("htmx:sse:before:connection", (event) => { if (event.detail.connection.attempt) noteDisconnected(); });
    stream.addEventListener("htmx:sse:after:connection", connected);
    byId("refresh")?.addEventListener("htmx:after:swap", () => {
      // The page is up to date, even if the stream is not connected yet.
      clearTimeout(notice);
      notice = 0;
      markUpToDate();
      // The status is not final although the stream was closed: the order has changed, so connect again.
      if (byId("order-status").dataset.final === "false" && !document.hidden && !stream._htmx?.sse && !retry) connectAgain();
    });
    stream.addEventListener("htmx:sse:after:connection", () => { clearTimeout(retry); retry = 0; });
  }

  // Without htmx (blocked or not loaded) the page is reloaded while the status can still change.
  if (stream && !window.htmx && byId("order-status")?.dataset.final === "false") {
    setTimeout(() => location.reload(), 5000);
  }

  // A signed-in page that the browser restores from its back/forward cache is reloaded: the session may have ended.
  addEventListener("pageshow", (event) => {
    if (event.persisted && document.body.dataset.signedIn !== undefined) location.reload();
  });

  // A button shows that its form was sent, and a second press sends nothing. A page from the back/forward cache, or one
  // that has not left after 20 s, can send it again.
  const busy = new Set();
  const setBusy = (button) => { button.setAttribute("aria-busy", "true"); busy.add(button); };
  const setIdle = (button) => { button.removeAttribute("aria-busy"); busy.delete(button); };
  const isSending = (form) => [...busy].some((button) => button.form === form);
  addEventListener("pageshow", () => { busy.forEach(setIdle); next = ""; });
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.defaultPrevented || (button?.formTarget || event.target.target) === "_blank") return;
    if (isOffline(event) || !button) return;
    if (isSending(event.target)) return event.preventDefault();
    // The Enter key presses the hidden first button of a form.
    const shown = (button.ariaHidden && event.target.querySelector(".button.big")) || button;
    setBusy(shown);
    setTimeout(setIdle, 20000, shown);
  });

  // The suggested e-mail address is filled in here; without this script its button sends the form.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-fills]");
    if (!button) return;
    event.preventDefault();
    const field = byId(button.dataset.fills);
    field.value = button.value;
    field.focus();
    field.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // A link waits for a change that is under way: the cart would not contain it, and a first cookie would be lost.
  const sending = new Set();
  let next = "";
  const isChange = (event) => event.detail.ctx?.sourceElement?.matches?.("form[method=post]");
  document.addEventListener("htmx:before:request", (event) => {
    if (!isChange(event)) return;
    sending.add(event.detail.ctx);
    event.detail.ctx.sourceElement.querySelectorAll("button[type=submit]").forEach(setBusy);
  });
  const arrived = (event) => {
    if (!sending.delete(event.detail.ctx)) return;
    event.detail.ctx.sourceElement.querySelectorAll("button[type=submit]").forEach(setIdle);
    if (next && !sending.size) location.assign(next);
  };
  document.addEventListener("htmx:after:request", arrived);  // the swap may remove the form, which then reports nothing
  document.addEventListener("htmx:finally:request", arrived);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.target || link.origin !== location.origin || link.getAttribute("href")[0] === "#") return;
    if (isOffline(event) || !sending.size) return;
    event.preventDefault();
    next = link.href;
    setTimeout(() => { if (next) location.assign(next); }, 10000);
  });

  // Without a network the page stays, with a message.
  const offline = byId("offline");
  function showOffline() { offline.hidden = false; }
  function isOffline(event) {
    if (navigator.onLine) return false;
    event.preventDefault();
    showOffline();
    return true;
  }
  addEventListener("online", () => { offline.hidden = true; });
  document.addEventListener("htmx:after:request", () => { offline.hidden = true; });

  // A form that htmx could not send is submitted without htmx, so that the customer sees the error page.
  // 409 and 422 are shown in the fragment; an aborted request is not a failure.
  document.addEventListener("htmx:response:error", (event) => {
    if (![409, 422].includes(event.detail.ctx.response.status)) sendPlainly(event.detail.ctx.sourceElement);
  });
  document.addEventListener("htmx:error", (event) => { if (isChange(event)) showOffline(); });
  function sendPlainly(form) {
    if (form?.matches?.("form[method=post]")) form.submit();
  }

  // If a swap removes the focused button, the new heading gets the focus instead of the top of the page.
  let within = false;
  document.addEventListener("htmx:before:swap", (event) => {
    // Ignore the response of a refresh that is older than the state from the stream.
    const seq = /data-seq="(\d+)"/.exec(event.detail.ctx.text);
    if (seq && +seq[1] < +byId("order-status")?.dataset.seq) event.preventDefault();
  });
  document.addEventListener("htmx:before:swap", () => { within = !!byId("order-status")?.contains(document.activeElement); });
  document.addEventListener("htmx:after:swap", () => {
    localTimes();
    tick();
    if (within && document.activeElement === document.body) byId("status-title")?.focus({ preventScroll: true });
  });
  localTimes();
  tick();
  setInterval(tick, 1000);

  // A page whose only form leads to the acquirer submits it at once; its button is for browsers without JavaScript.
  byId("post-on")?.requestSubmit();
})();
