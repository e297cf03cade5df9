/* Live tail of a list: it asks for newer rows every two seconds while its switch is on and the page is visible. */
(() => {
  "use strict";
  const MOST = 200;
  const live = document.getElementById("live");
  if (!live) return;
  live.closest("[data-live]").hidden = false;
  setInterval(() => {
    const tail = document.getElementById("tail");
    if (!live.checked || document.hidden || !tail) return;
    for (const row of [...document.querySelectorAll("tbody.live > tr")].slice(MOST)) row.remove();
    htmx.trigger(tail, "tail");
  }, 2000);
})();
