"""The pages that a browser shows when it comes back from a provider: self-contained, and without scripts but for one line."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from starlette.responses import Response

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#1c2430;background:#f5f6f8;margin:0}"
    "main{max-width:32rem;margin:12vh auto;padding:2rem;background:#fff;border-radius:12px;border:1px solid #dfe3ea}"
    "h1{font-size:1.4rem;margin:0 0 .5rem}p{margin:.5rem 0}small{color:#5b6675}"
    "@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#14181f}main{background:#1c222c;border-color:#2d3542}small{color:#9aa5b4}}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


# A field may have the name of the form's own function.
_SUBMIT = "HTMLFormElement.prototype.submit.call(document.forms[0])"
_SUBMIT_HASH = base64.b64encode(hashlib.sha256(_SUBMIT.encode()).digest()).decode()
_RELAY_POLICY = f"default-src 'none'; script-src 'sha256-{_SUBMIT_HASH}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def relay(fields: list[tuple[str, str]], /, *, action: str) -> Response:
    """Return a page that posts *fields* once more, now from this site, so that the browser's cookies come along."""
    inputs = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields)
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Connecting</title></head><body>'
        f'<form method="post" action="{escape(action)}">{inputs}<noscript><button>Continue</button></noscript></form>'
        f"<script>{_SUBMIT}</script></body></html>"
    )
    return Response(html, 200, {"Content-Security-Policy": _RELAY_POLICY}, "text/html")


def page(*, status: int, title: str, paragraphs: tuple[str, ...], small: str = "", headers: dict[str, str] | None = None) -> Response:
    """Return an HTML page; every text is escaped."""
    lines = "".join(f"<p>{escape(text)}</p>" for text in paragraphs if text)
    foot = f"<p><small>{escape(small)}</small></p>" if small else ""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{lines}{foot}</main></body></html>"
    )
    return Response(html, status, {"Content-Security-Policy": _POLICY, **(headers or {})}, "text/html")


def prefers_html(accept: str, /) -> bool:
    """Say whether an `Accept` header asks for HTML before JSON (RFC 9110 §12.5.1), as browsers do and API clients do not."""
    wanted = {"text/html": 0.0, "application/json": 0.0}
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name in wanted:
            wanted[name] = _quality(parameters)
    return wanted["text/html"] > wanted["application/json"]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
