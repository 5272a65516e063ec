const alertBox = document.querySelector("[role=alert]");
const LONGEST = 16384;
class Refused extends Error {}
async function call(method, path, body) {
  const answer = await fetch(path, { method, credentials: "same-origin",
    headers: body ? { "Content-Type": "application/json" } : {}, body: body ? JSON.stringify(body) : undefined });
  const error = answer.ok ? null : (await answer.json()).error;
  if (!answer.ok) throw Object.assign(new Refused(error ? error.message : "it did not work"), { fields: error?.details?.fields || [] });
  return answer.json();
}
function tell(text) {
  alertBox.textContent = text && text.charAt(0).toUpperCase() + text.slice(1) + ".";
}
function explain(form, error) {
  const known = (error.fields || []).map((each) => [form.querySelector(`[data-field="${CSS.escape(each.field)}"]:enabled`), each]);
  const named = known.filter(([field]) => field);
  named[0]?.[0].focus();
  return named.length
    ? named.map(([field, each]) => `${field.closest("label").querySelector("span").firstChild.textContent.trim()} ${each.problem}`).join("; ")
    : error.message;
}
function read(form, kind) {
  const found = {};
  for (const each of form.querySelectorAll(`[data-${kind}]:enabled`)) if (each.value) found[each.dataset[kind]] = each.value;
  return found;
}
function wanted(form) {
  const body = { providerId: form.dataset.provider, method: form.dataset.method, name: form.elements.name.value };
  if (form.elements.slot?.value) body.slot = form.elements.slot.value;
  const variables = read(form, "variable");
  if (Object.keys(variables).length) body.variables = variables;
  return body;
}
async function send(form, what) {
  if (what === "authorize" || what === "reconnect") {
    const body = what === "authorize" ? wanted(form) : {};
    body.returnTo = form.dataset.back;
    location.assign((await call("POST", form.action, body)).data.authorizationUrl);
    return;
  }
  const later = form.querySelector("[data-later]");
  if (what === "setup" && later.disabled) {
    showSetup(form, (await call("POST", form.action, wanted(form))).data);
    later.hidden = later.disabled = false;
    // What was begun is for this slot.
    if (form.elements.slot) form.elements.slot.readOnly = true;
    return;
  }
  if (what === "setup") await call("POST", form.dataset.then, { ...wanted(form), credentials: { inputs: read(form, "input") } });
  else if (what === "connect") await call("POST", form.action, { ...wanted(form), credentials: { inputs: read(form, "input") } });
  else await call(what, form.action);
  form.reset();
  location.reload();
}
document.addEventListener("submit", async (event) => {
  const form = event.target, what = form.dataset.call;
  if (!what) return;
  event.preventDefault();
  if (form.dataset.ask && !confirm(form.dataset.ask)) return;
  await busy(event.submitter || form.querySelector("button"), form, () => send(form, what));
});
async function busy(button, form, work) {
  button.disabled = true;
  tell("");
  try {
    await work();
  } catch (error) {
    tell(error instanceof Refused ? explain(form, error) : "the server cannot be reached");
    button.disabled = false;
  }
}
function made(name, text, ...inside) {
  const found = document.createElement(name);
  if (text) found.textContent = text;
  found.append(...inside);
  return found;
}
function show(form, parts) {
  const place = form.querySelector("[data-guide]");
  place.replaceChildren(...parts);
  place.hidden = false;
  place.focus();
}
function showSetup(form, setup) {
  const facts = Object.entries({ ...setup.made, ...(setup.principal && { principal: setup.principal }) });
  const listed = facts.flatMap(([name, value]) => [made("dt", name.replace(/_/g, " ")), made("dd", value)]);
  const without = made("p", "There is no guide for this here: set it up so that it trusts the principal, and only with the external id.");
  show(form, [made("dl", "", ...listed), ...(setup.guide ? guided(setup.guide) : [without])]);
}
function guided(guide) {
  const links = guide.links.filter((each) => new URL(each.url).protocol === "https:").map((each) => {
    const link = made("a", each.title);
    Object.assign(link, { href: each.url, rel: "noreferrer", target: "_blank" });
    return made("p", "", link);
  });
  const documents = guide.documents.map((each) => made("details", "", made("summary", `${each.name}: ${each.title}`), made("pre", each.text)));
  const missing = guide.missing.length ? [made("p", `Not known here, to be filled in where <…> stands: ${guide.missing.join(", ")}`)] : [];
  const steps = made("ol", "", ...guide.steps.map((each) => made("li", each)));
  const undo = made("ul", "", ...guide.undo.map((each) => made("li", each)));
  return [made("strong", guide.title), steps, ...links, ...documents, ...missing, made("strong", "To undo it later"), undo];
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-show]");
  if (button) busy(button, button.form, async () => show(button.form, guided((await call("GET", button.dataset.show)).data)));
});
async function take(chooser) {
  const file = chooser.files[0], area = chooser.closest(".document").querySelector("textarea");
  chooser.value = "";
  if (!file) return;
  area.value = file.size > LONGEST ? "" : await file.text();
  tell(file.size > LONGEST ? "this file is too long: at most 16 KiB" : "");
}
document.addEventListener("change", (event) => {
  const changed = event.target;
  if (changed.matches("[data-how]"))
    for (const form of changed.closest("details").querySelectorAll("form")) form.hidden = form.dataset.method !== changed.value;
  if (changed.matches("[data-pick]"))
    for (const each of changed.closest("fieldset").querySelectorAll("[data-picked]"))
      each.hidden = each.disabled = each.dataset.picked !== changed.value;
  if (changed.matches("[data-file]")) take(changed);
});
document.addEventListener("input", (event) => {
  if (event.target.matches("[data-find]"))
    for (const each of document.querySelectorAll("details.offer"))
      each.hidden = !each.dataset.name.includes(event.target.value.trim().toLowerCase());
});
