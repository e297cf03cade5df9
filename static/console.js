/* Additions for the console: the key "/" goes to the search; a key in data-key presses its button. */
(() => {
  "use strict";
  const isTyping = (element) => element.matches("input, textarea, select, [contenteditable]");
  /* The button of this key in the row of the focus; outside of tables the only one of the page. */
  const buttonOf = (key) => {
    const row = document.activeElement.closest("tr");
    if (row) return row.querySelector(`button[data-key="${CSS.escape(key)}"]`);
    const found = document.querySelectorAll(`button[data-key="${CSS.escape(key)}"]`);
    return found.length === 1 ? found[0] : null;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) return;
    const search = document.getElementById("search");
    if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
      search.select();
      return;
    }
    const button = buttonOf(event.key);
    if (!button) return;
    event.preventDefault();
    button.click();
  });
})();
