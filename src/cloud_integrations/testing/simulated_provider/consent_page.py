"""The page on which the simulated provider asks a person for consent."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: light-dark(#eef1f5, #15181c); color: light-dark(#1d232b, #e8ebef) }
main { box-sizing: border-box; width: min(26rem, 92vw); padding: 2rem; border-radius: 14px;
  background: light-dark(#fff, #20252b); box-shadow: 0 8px 30px rgb(0 0 0 / .12) }
h1 { font-size: 1.25rem; margin: 0 0 .25rem }
p { margin: .5rem 0 }
ul { padding-left: 1.25rem }
code { font-size: .9em; overflow-wrap: anywhere }
form { display: flex; gap: .75rem; margin-top: 1.5rem }
button { flex: 1; padding: .65rem; font: inherit; font-weight: 600; border-radius: 8px; cursor: pointer;
  border: 1px solid #8a94a3; background: transparent; color: inherit }
button[value=approve] { background: #1c63d5; border-color: #1c63d5; color: #fff }
button:focus-visible { outline: 3px solid #7db0ff; outline-offset: 2px }
small { display: block; margin-top: 1.25rem; opacity: .75 }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def page_headers(*, form_target: str = "") -> dict[str, str]:
    """Return the headers of a page that loads nothing, cannot be framed, and posts only to itself and *form_target* (an origin)."""
    # Browsers apply form-action to the redirect that answers the form, so the callback's origin is named too.
    form_action = f"'self' {form_target}".strip()
    return {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
        ),
    }


def consent_page(*, provider: str, client_id: str, account: str, scopes: Sequence[str], request_id: str) -> bytes:
    """Return the page that signs *account* in and asks whether *client_id* may have *scopes*."""
    asked = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes) or "<li>your account's name</li>"
    return _page(
        f"Sign in to {escape(provider)}",
        f"<p>You are signed in as <strong>{escape(account)}</strong>.</p>"
        f"<p><code>{escape(client_id)}</code> asks for:</p><ul>{asked}</ul>"
        '<form method="post" action="/consent">'
        f'<input type="hidden" name="request" value="{escape(request_id)}">'
        '<button name="decision" value="deny">Deny</button>'
        '<button name="decision" value="approve">Approve</button></form>'
        "<small>This is a simulated provider for tests and demonstrations. It knows no real accounts.</small>",
    )


def complaint_page(*, problem: str) -> bytes:
    """Return the error page for a request that must not be redirected to the application (RFC 6749 §4.1.2.1)."""
    return _page("This request cannot be answered", f"<p>{escape(problem)}</p>")


def _page(title: str, content: str) -> bytes:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>{content}</main></body></html>\n"
    ).encode()
