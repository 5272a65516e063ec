// What the connect page does better with a script; without it everything works, too.
"use strict";
for (const button of document.querySelectorAll("[data-reveal]")) {
  const field = document.getElementById(button.dataset.reveal), show = button.textContent;
  button.hidden = false;
  button.addEventListener("click", () => {
    const hidden = field.type === "password";
    field.type = hidden ? "text" : "password";
    button.textContent = hidden ? button.dataset.hide : show;
  });
}
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const text = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = text; }, 2000);
    } catch { button.hidden = true; }
  });
}
// Says at once that a value has another form than the provider's; the server decides.  Not while a button is pressed, which would move away.
let pressed = false;
addEventListener("pointerdown", () => { pressed = true; }, true);
for (const type of ["pointerup", "pointercancel"]) addEventListener(type, () => { pressed = false; }, true);
for (const field of document.querySelectorAll("[data-patterns]")) {
  let forms;
  try { forms = JSON.parse(field.dataset.patterns).map((each) => new RegExp(`^(?:${each})$`)); } catch { continue; }
  const told = document.getElementById(`${field.id}-unlike`);
  const look = () => {
    if (pressed) return addEventListener("pointerup", () => setTimeout(look), {once: true});
    const text = field.value.trim(), read = [text, text.toLowerCase(), text.toUpperCase()];
    told.textContent = !text || forms.some((form) => read.some((each) => form.test(each))) ? "" : field.dataset.unlike;
  };
  field.addEventListener("change", look);
  field.addEventListener("paste", () => setTimeout(look));
  field.addEventListener("input", () => { if (told.textContent) look(); });
}
for (const chooser of document.querySelectorAll("input[type=file][data-into]")) {
  chooser.closest("p").hidden = false;
  chooser.addEventListener("change", async () => {
    const file = chooser.files[0], area = document.getElementById(chooser.dataset.into);
    chooser.value = "";
    if (file && file.size <= area.maxLength) area.value = await file.text();
  });
}
for (const form of document.querySelectorAll("form[method=post]"))
  form.addEventListener("submit", (event) => {
    // A second click sends nothing again.
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    const button = event.submitter || form.querySelector("button:not([type])");
    if (form.dataset.busy) button.textContent = form.dataset.busy;
    button.setAttribute("aria-busy", "true");
  });
// The page is shown again by Back: its forms can be sent again.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
const filter = document.querySelector("[data-filter]"), cards = document.getElementById("cards");
if (filter && cards && !filter.value) {
  const told = document.querySelector("[data-count]");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards.children) {
      card.hidden = !words.every((word) => card.dataset.words.includes(word));
      if (!card.hidden) shown += 1;
    }
    told.textContent = `${told.dataset.count} ${shown}`;
  });
}
document.getElementById("failure")?.focus();
// Shown in a frame or a window of another site: it is told what happens, if it is the one that the session names.
const closer = document.querySelector("[data-close]");
if (closer) {
  const {host, session} = closer.dataset, shows = parent === window ? opener : parent;
  const tell = (type, about) => { if (host && shows) shows.postMessage({type: `cloud-integrations:${type}`, session, ...about}, host); };
  const told = document.querySelector("[data-tell]"), opens = document.querySelector("[data-open]");
  closer.hidden = Boolean(host) && !shows;
  closer.addEventListener("click", () => { tell("closed"); if (parent === window) close(); });
  // Not when the page is reloaded or gone back to: nothing new has happened.
  if (told && performance.getEntriesByType("navigation")[0]?.type === "navigate") {
    const {tell: type, ...about} = told.dataset;
    tell(type, about);
    if (!host && type === "connected") setTimeout(close, 1500);
  }
  if (opens) {
    addEventListener("message", (event) => {
      if (event.source === shows && event.origin === host && event.data?.type === "cloud-integrations:open") opens.requestSubmit();
    });
    tell("ready");
  }
}
for (const form of document.querySelectorAll("form[data-then]"))
  form.addEventListener("submit", () => setTimeout(() => { location = form.dataset.then; }));
if (document.querySelector("[data-waits]"))
  setInterval(async () => {
    try {
      const answer = await fetch(location, {cache: "no-store"});
      if (answer.redirected || !answer.ok) location.replace(answer.url);
    } catch { /* no network: asked again */ }
  }, 2000);
