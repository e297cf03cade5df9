/* Additions for the console: the key "/" goes to the search, and the switch "Live" keeps a list up to date. */
(() => {
  "use strict";
  const isTyping = (element) => element.matches("input, textarea, select, [contenteditable]");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const search = document.getElementById("search");
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  /* The list asks for newer rows every two seconds while its switch is on and the page is visible. It does not grow. */
  const live = document.getElementById("live");
  if (live) {
    live.closest("[data-live]").hidden = false;
    setInterval(() => {
      const tail = document.getElementById("tail");
      if (!live.checked || document.hidden || !tail) return;
      for (const row of [...document.querySelectorAll("tbody.live > tr")].slice(200)) row.remove();
      htmx.trigger(tail, "tail");
    }, 2000);
  }
})();
