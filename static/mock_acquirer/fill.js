// A click on a test card fills in the form. Without JavaScript the numbers are text, and the hint stays hidden.
for (const hint of document.querySelectorAll("[data-fills]")) hint.hidden = false;
document.querySelector(".cards")?.addEventListener("click", (event) => {
  const number = event.target.closest("[data-card]")?.dataset.card;
  if (!number) return;
  const values = { number, expiry: "12/34", cvc: number.startsWith("37") ? "1234" : "123", name: "Test Customer" };
  for (const [name, value] of Object.entries(values)) document.getElementById(name).value = value;
  const field = document.getElementById("number");
  field.scrollIntoView({ block: "center" });
  field.focus();
});
