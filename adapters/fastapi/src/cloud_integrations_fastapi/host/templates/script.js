const alertBox = document.querySelector("[role=alert]");
async function call(method, path, body) {
  const answer = await fetch(path, { method, credentials: "same-origin",
    headers: body ? { "Content-Type": "application/json" } : {}, body: body ? JSON.stringify(body) : undefined });
  const document_ = await answer.json();
  if (!answer.ok) throw new Error(document_.error ? document_.error.message : "it did not work");
  return document_;
}
document.addEventListener("submit", async (event) => {
  const form = event.target, what = form.dataset.call;
  if (!what) return;
  event.preventDefault();
  if (form.dataset.ask && !confirm(form.dataset.ask)) return;
  const button = form.querySelector("button"), fields = new FormData(form);
  button.disabled = true;
  alertBox.textContent = "";
  try {
    if (what === "authorize" || what === "reconnect") {
      const body = what === "authorize" ? { providerId: form.dataset.provider, name: fields.get("name") } : {};
      body.returnTo = form.dataset.back;
      location.assign((await call("POST", form.action, body)).data.authorizationUrl);
      return;
    }
    if (what === "key") {
      const credentials = { apiKey: fields.get("api_key") };
      if (fields.get("secret_key")) credentials.secretKey = fields.get("secret_key");
      await call("POST", form.action, { providerId: form.dataset.provider, name: fields.get("name"), credentials });
    } else {
      await call(what, form.action);
    }
    location.reload();
  } catch (error) {
    alertBox.textContent = error.message.charAt(0).toUpperCase() + error.message.slice(1) + ".";
    button.disabled = false;
  }
});
