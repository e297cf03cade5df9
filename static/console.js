/* Keys of the console. They never act while someone types in a field. Without this file all pages work by pointer. */
(() => {
  "use strict";
  const isTyping = (element) => element.matches("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
  const help = document.getElementById("keys");

  function search() {
    const field = document.getElementById("search");
    if (!field) return false;
    field.focus();
    field.select();
    return true;
  }

  // A row of a list is the link in its first heading cell, so that Enter opens it.
  const links = () => [...document.querySelectorAll("main table tbody th[scope=row] a[href]")];
  function move(by) {
    const rows = links();
    if (!rows.length) return false;
    const row = document.activeElement.closest("tbody tr");
    const at = row ? rows.findIndex((link) => row.contains(link)) : -1;
    const next = at < 0 ? rows[by > 0 ? 0 : rows.length - 1] : rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
    next.focus();
    next.closest("tr").scrollIntoView({ block: "nearest" });
    return true;
  }

  function select() {
    const box = document.activeElement.closest("tbody tr")?.querySelector("input[type=checkbox]");
    box?.click();
    return !!box;
  }

  function toggleHelp() {
    if (!help) return false;
    if (help.open) help.close(); else help.showModal();
    return true;
  }

  // A page names its own keys: data-key on a link or button, which is pressed, or on a field, which gets the focus.
  // In a table the key is that of the row with the focus.
  function act(key) {
    const found = [...document.querySelectorAll("main [data-key]")].filter((one) => one.dataset.key === key);
    const row = document.activeElement.closest("tbody tr");
    const element = found.find((one) => row?.contains(one)) || found.find((one) => !one.closest("tbody tr"));
    if (!element) return false;
    if (isTyping(element)) element.focus(); else element.click();
    return true;
  }

  // A link that is shown as a button is pressed by the space bar too, like any button.
  function press() {
    const button = document.activeElement.closest("a[role=button]");
    button?.click();
    return !!button;
  }

  // On a small screen the menu is one line; it is scrolled to the section of the page.
  const menu = document.querySelector(".menu");
  const here = menu?.querySelector("[aria-current]");
  if (here) menu.scrollLeft = here.offsetLeft - (menu.clientWidth - here.offsetWidth) / 2;

  const KEYS = { " ": press, "/": search, "j": () => move(1), "k": () => move(-1), "x": select, "?": toggleHelp };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
    if (event.repeat && !"jk".includes(event.key)) return;
    if (help?.open && event.key !== "?") return;
    const done = Object.hasOwn(KEYS, event.key) ? KEYS[event.key]() : act(event.key);
    if (done) event.preventDefault();
  });

  // A form for the selected rows of a table gets one checkbox for all of them, in the head of the table.
  function selectAll(form) {
    const boxes = [...document.querySelectorAll(`tbody input[type=checkbox][form="${form.id}"]`)];
    const head = boxes[0]?.closest("table").querySelector("thead th");
    if (!head) return;
    const all = Object.assign(document.createElement("input"), { type: "checkbox", ariaLabel: form.dataset.selectAll });
    const show = () => {
      const number = boxes.filter((box) => box.checked).length;
      all.checked = number === boxes.length;
      all.indeterminate = number > 0 && !all.checked;
    };
    all.addEventListener("change", () => boxes.forEach((box) => { box.checked = all.checked; }));
    boxes.forEach((box) => box.addEventListener("change", show));
    // A page that the browser has kept shows the state before what was done since.
    window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); else show(); });
    const words = Object.assign(document.createElement("span"), { className: "seen-by-readers" });
    words.append(...head.childNodes);
    head.append(words, all);
    show();
  }
  document.querySelectorAll("form[data-select-all]").forEach(selectAll);

  for (const button of document.querySelectorAll("[data-opens=keys]")) {
    button.hidden = false;
    button.addEventListener("click", toggleHelp);
  }
})();
