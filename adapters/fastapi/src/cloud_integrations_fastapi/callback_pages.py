"""The pages that a browser shows when it comes back from a provider: they load nothing, and only one has a script, of one line."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from html import escape
from typing import Protocol

from fastapi import Request, Response

from .results import ConnectionResult

_STYLE = (
    "*{box-sizing:border-box}"
    "body{font:16px/1.5 system-ui,sans-serif;color:#1c2430;background:#f5f6f8;margin:0;padding:1rem;overflow-wrap:anywhere}"
    "main{max-width:32rem;margin:8vh auto 0;padding:1.5rem;background:#fff;border:1px solid #dfe3ea;"
    "border-top:4px solid #b3261e;border-radius:12px}"
    "main.connected,main.already_connected{border-top-color:#17703a}main.relay{border-top-color:#1c63d5}"
    "h1{font-size:1.4rem;line-height:1.3;margin:0 0 .5rem}p{margin:.5rem 0}small{color:#5b6675}nav{margin:1.25rem 0 .75rem}"
    "nav a,button{display:inline-block;min-height:2.75rem;padding:.625rem 1.25rem;font:inherit;font-weight:600;line-height:1.5;"
    "border:0;border-radius:8px;background:#1c63d5;color:#fff;text-decoration:none;cursor:pointer}"
    ":focus-visible{outline:3px solid #7db0ff;outline-offset:2px}"
    "@media(max-width:30rem){nav a,button{display:block;width:100%;text-align:center}}"
    "@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#14181f}"
    "main{background:#1c222c;border-color:#e5534b #2d3542 #2d3542}small{color:#9aa5b4}}"
)
# Not `form.submit()`: a field named `submit` would hide the function.
_SUBMIT = "HTMLFormElement.prototype.submit.call(document.forms[0])"


class Pages(Protocol):
    """The pages for browsers.  A host gives `create_router` its own, or a `StandardPages` with its own style.

    Both methods return a complete response.  The router adds `Cache-Control: no-store`, `Referrer-Policy: no-referrer` and
    `X-Content-Type-Options`.
    """

    def result(self, request: Request, result: ConnectionResult, /) -> Response:
        """Return the page for *result*, with `result.status`.  Escape every text: names and accounts come from people."""
        ...

    def relay(self, request: Request, fields: Sequence[tuple[str, str]], /, *, action: str) -> Response:
        """Return a page that posts *fields* to *action* once more, from this site, so that the browser sends its cookies (form_post).

        The page must load nothing from elsewhere: *fields* hold the code.
        """
        ...


class StandardPages:
    """Pages in English.  *home* is the target of the link back, *back* its text; *style* is CSS that follows the built-in style.

    Raises `ValueError` where *style* contains `</`.
    """

    def __init__(self, *, home: str = "/", back: str = "Back to the application", style: str = "") -> None:
        if "</" in style:
            raise ValueError("style is CSS, and holds no HTML")
        self._back = f'<nav><a href="{escape(home)}">{escape(back)}</a></nav>'
        self._style = _STYLE + style
        self._policy = f"default-src 'none'; style-src {_hash(self._style)}; base-uri 'none'; frame-ancestors 'none'; "

    def result(self, _request: Request, result: ConnectionResult, /) -> Response:
        """See `Pages.result`."""
        lines = "".join(f"<p>{escape(text)}</p>" for text in result.paragraphs)
        small = f"<p><small>{escape(result.code)}, request {escape(result.request_id)}</small></p>" if result.integration is None else ""
        body = f'<main class="{escape(result.code)}"><h1>{escape(result.title)}</h1>{lines}{self._back}{small}</main>'
        headers = {"Content-Security-Policy": self._policy + "form-action 'none'"}
        if result.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(result.retry_after.total_seconds())))
        return Response(self._html(result.title, body), result.status, headers, "text/html")

    def relay(self, _request: Request, fields: Sequence[tuple[str, str]], /, *, action: str) -> Response:
        """See `Pages.relay`."""
        inputs = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields)
        body = (
            f'<form method="post" action="{escape(action)}">{inputs}<noscript><main class="relay"><h1>Connecting</h1>'
            "<p>One more step, since your browser runs no scripts here.</p><p><button>Continue</button></p>"
            f"{self._back}</main></noscript></form>"
            f"<script>{_SUBMIT}</script>"
        )
        policy = f"{self._policy}form-action 'self'; script-src {_hash(_SUBMIT)}"
        return Response(self._html("Connecting", body), 200, {"Content-Security-Policy": policy}, "text/html")

    def _html(self, title: str, body: str) -> str:
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{escape(title)}</title><style>{self._style}</style></head><body>{body}</body></html>"
        )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
