"""The page of `serve`: who is signed in, what a tenant has, and a way to connect more.  Nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from urllib.parse import quote

from cloud_integrations import AuthType, Integration, ProviderSummary

from .sessions import Session

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#dfe3ea, #2d3542); --soft: light-dark(#5b6675, #9aa5b4) }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: light-dark(#f5f6f8, #14181f); color: light-dark(#1c2430, #e6e9ee) }
header, main { max-width: 56rem; margin: 0 auto; padding: 1rem 1.25rem }
header { display: flex; gap: 1rem; align-items: center; justify-content: space-between; flex-wrap: wrap }
header strong { font-size: 1.1rem }
section { background: light-dark(#fff, #1c222c); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem; margin: 0 0 1.25rem }
h1 { font-size: 1.3rem; margin: 0 0 .75rem }
h2 { font-size: 1.05rem; margin: 0 0 .75rem }
p { margin: .4rem 0 }
.soft { color: var(--soft) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .5rem .75rem .5rem 0; border-top: 1px solid var(--line); vertical-align: middle }
th { border-top: 0; font-weight: 600; color: var(--soft); font-size: .9rem }
form { display: flex; gap: .6rem; flex-wrap: wrap; align-items: end; margin: 0 }
label { display: grid; gap: .2rem; font-size: .9rem; flex: 1 1 12rem }
input { font: inherit; padding: .5rem .6rem; border: 1px solid light-dark(#8a94a3, #5b6675); border-radius: 8px; background: transparent;
  color: inherit; width: 100% }
button { font: inherit; font-weight: 600; padding: .5rem .9rem; border-radius: 8px; border: 1px solid light-dark(#8a94a3, #5b6675);
  background: transparent; color: inherit; cursor: pointer }
button.main { background: #1c63d5; border-color: #1c63d5; color: #fff }
button:disabled { opacity: .6; cursor: default }
:focus-visible { outline: 3px solid #7db0ff; outline-offset: 2px }
nav { display: flex; gap: .75rem; flex-wrap: wrap }
a { color: light-dark(#1455bd, #8ab8ff) }
[role=alert] { border-left: 4px solid #c9362b; padding: .5rem .75rem; margin: 0 0 1rem; background: light-dark(#fdeeed, #3a2020) }
[role=alert]:empty { display: none }
.offer { padding: .6rem 0; border-top: 1px solid var(--line) }
button, input, nav a { min-height: 2.75rem }
nav { align-items: center }
nav a { display: inline-flex; align-items: center }
@media (max-width: 40rem) {
  table, tbody, tr, td { display: block }
  tr.head { display: none }
  tr { border-top: 1px solid var(--line); padding: .6rem 0 }
  td { border: 0; padding: .15rem 0; overflow-wrap: anywhere }
  td[data-label]::before { content: attr(data-label) ": "; color: var(--soft) }
  .offer button, td nav form, td nav button { flex: 1 1 100%; width: 100% }
}
.ok { color: light-dark(#17703a, #6fd596) }
.bad { color: light-dark(#a8281f, #ff9a92) }
"""
_SCRIPT = """
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
      const credentials = { apiKey: fields.get("key") };
      if (fields.get("secret")) credentials.secretKey = fields.get("secret");
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
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser posts our own forms with `Origin: null`
    "X-Content-Type-Options": "nosniff",
}


def sign_in_page(*, form_token: str, refused: bool = False) -> str:
    """Return the page that asks for a bearer token."""
    alert = "This token is not known here." if refused else ""
    return _page(
        "Sign in",
        f"<main><section><h1>Sign in</h1>{_alert(alert)}"
        '<form method="post" action="/session"><input type="hidden" name="form_token" value="' + escape(form_token) + '">'
        '<label>Bearer token<input type="password" name="token" autocomplete="off" required autofocus></label>'
        '<button class="main">Sign in</button></form>'
        '<p class="soft">An operator makes one with <code>cloud-integrations tokens generate</code>.</p></section></main>',
    )


def tenants_page(session: Session, /) -> str:
    """Return the page where a tenant is chosen."""
    tenants = session.access.tenants
    if tenants is None:
        choice = (
            '<form method="get" action="/"><label>Tenant<input name="tenant" required maxlength="255"></label>'
            '<button class="main">Show</button></form>'
        )
    else:
        choice = "<nav>" + "".join(_tenant_link(tenant) for tenant in sorted(tenants)) + "</nav>"
    return _page("Tenants", f"{_header(session)}<main><section><h1>Choose a tenant</h1>{choice}</section></main>")


def tenant_page(
    session: Session,
    /,
    *,
    tenant: str,
    api: str,
    integrations: Sequence[Integration],
    providers: Sequence[ProviderSummary],
    back: str,
    problem: str = "",
) -> str:
    """Return the page of one tenant; *problem* is why a connection was not made."""
    names = {provider.id: provider.name for provider in providers}
    connected = {integration.provider_id for integration in integrations}
    free = [provider for provider in providers if provider.active and provider.auth_types and provider.id not in connected]
    rows = "".join(_row(each, names.get(each.provider_id, ""), api=api, back=back) for each in integrations)
    held = (
        '<div class="wide"><table><tr class="head"><th>Provider</th><th>Name</th><th>Account</th><th>Health</th><th></th></tr>'
        f"{rows}</table></div>"
        if rows
        else '<p class="soft">Nothing is connected yet.</p>'
    )
    offers = "".join(_offer(provider, api=api, back=back) for provider in free) or '<p class="soft">Everything is connected.</p>'
    return _page(
        f"Integrations of {tenant}",
        f"{_header(session)}<main>{_alert(problem)}<section><h1>Integrations of {escape(tenant)}</h1>{held}</section>"
        f"<section><h2>Connect</h2>{offers}</section></main>",
    )


def problem_page(session: Session | None, /, *, title: str, text: str) -> str:
    """Return a page that says why there is nothing to see."""
    head = _header(session) if session is not None else ""
    return _page(title, f'{head}<main><section><h1>{escape(title)}</h1><p>{escape(text)}</p><p><a href="/">Back</a></p></section></main>')


def _row(integration: Integration, provider: str, *, api: str, back: str) -> str:
    health = integration.health.value.replace("_", " ")
    tone = "bad" if integration.status.value != "active" or health == "application refused" else "ok"
    where = f"{api}/integrations/{integration.id}"
    again = ""
    if integration.auth_type is AuthType.OAUTH2:
        again = f'<form data-call="reconnect" action="{where}/reconnect" data-back="{escape(back)}"><button>Reconnect</button></form>'
    by_key = integration.auth_type is AuthType.API_KEY
    then = "? Its key goes on working until it is withdrawn at the provider." if by_key else " and revoke its access?"
    delete = f'<form data-call="DELETE" action="{where}" data-ask="Delete {escape(integration.name)}{then}"><button>Delete</button></form>'
    account = integration.account.label or integration.account.account_id or "–"
    return (
        f'<tr><td data-label="Provider">{escape(provider)}</td><td data-label="Name">{escape(integration.name)}</td>'
        f'<td data-label="Account">{escape(account)}</td><td data-label="Health" class="{tone}">{escape(health)}</td>'
        f"<td><nav>{again}{delete}</nav></td></tr>"
    )


def _offer(provider: ProviderSummary, *, api: str, back: str) -> str:
    name = (
        f'<label>{escape(provider.name)}<input name="name" value="{escape(provider.name)}" minlength="3" maxlength="50" required></label>'
    )
    which = f'data-provider="{provider.id}" data-back="{escape(back)}"'
    forms = []
    if AuthType.OAUTH2 in provider.auth_types:
        begin = '<button class="main">Connect by sign-in</button>'
        forms.append(f'<form data-call="authorize" action="{api}/authorizations" {which}>{name}{begin}</form>')
    if AuthType.API_KEY in provider.auth_types:
        inputs = "".join(_secret_fields(provider))
        forms.append(f'<form data-call="key" action="{api}/integrations" {which}>{name}{inputs}<button>Connect by key</button></form>')
    return "".join(f'<div class="offer">{form}</div>' for form in forms)


def _secret_fields(provider: ProviderSummary) -> Iterator[str]:
    """Make a field for the key, and one for a second half where the provider's first way by key takes one."""
    fields = {"api_key": "key", "secret_key": "secret"}
    method = next(method for method in provider.methods if method.auth_type is AuthType.API_KEY)
    for given in method.inputs:
        if given.argument is not None:
            needed = " required" if given.required else ""
            named = f'name="{fields[given.argument]}" type="password" autocomplete="off"{needed}'
            yield f"<label>{escape(given.label)}<input {named}></label>"


def _tenant_link(tenant: str) -> str:
    return f'<a href="/?tenant={quote(tenant, safe="")}">{escape(tenant)}</a>'


def _header(session: Session) -> str:
    return (
        '<header><strong>Cloud integrations</strong><nav><span class="soft">signed in as '
        f'{escape(str(session.access.actor))}</span> <a href="/">Tenants</a>'
        f'<form method="post" action="/sign-out"><input type="hidden" name="form_token" value="{escape(session.form_token)}">'
        "<button>Sign out</button></form></nav></header>"
    )


def _alert(text: str) -> str:
    return f'<div role="alert">{escape(text)}</div>'


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}<script>{_SCRIPT}</script></body></html>\n"
    )
