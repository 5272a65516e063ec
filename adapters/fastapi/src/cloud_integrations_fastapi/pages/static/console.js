// What the console does better with a script; without it everything works, too.
"use strict";
for (const form of document.querySelectorAll("form[method=post]"))
  form.addEventListener("submit", (event) => {
    // A second click sends nothing again.
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    const button = event.submitter || form.querySelector("button");
    if (form.dataset.busy) button.textContent = form.dataset.busy;
    button.setAttribute("aria-busy", "true");
  });
// The page is shown again by Back: its forms can be sent again.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
const all = document.querySelector("[data-all]");
if (all) {
  const boxes = [...document.querySelectorAll("td.pick input")];
  all.hidden = false;
  all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; });
}
// A revocation goes on by itself, and stops where somebody leaves the page.
const next = document.querySelector("form[data-continue]");
if (next) setTimeout(() => next.requestSubmit(), 1000);
