"""Requests, answers and outcomes as text that people read."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from urllib.parse import unquote_plus, urlsplit
from xml.sax.saxutils import escape

from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpRequest, HttpResponse

from .fake_values import NOW

_JWT = re.compile(r"\b(eyJ[\w-]+)\.(eyJ[\w-]+)\.([\w-]+)")
_LONG = re.compile(r'"([A-Za-z0-9+/=]{400,})"')
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL)


def show_request(request: HttpRequest, /) -> list[str]:
    """Return *request* as lines: method and URL, each parameter of the query, headers, body."""
    lines = [*show_url(request.url, before=f"{request.method} ")]
    lines += [f"{name}: {_readable(value)}" for name, value in sorted(request.headers.items(), key=lambda header: header[0].lower())]
    for what, pem in (("TLS client certificate", request.certificate), ("TLS authorities", request.trust)):
        lines += [f"{what}: {_readable(pem.reveal())}"] if pem is not None else []
    if request.body:
        lines += ["", *_body(request)]
    return lines


def show_url(url: str, /, *, before: str = "") -> list[str]:
    """Return *url* as a line for its address and one for each parameter of its query."""
    parts = urlsplit(url)
    pairs = [pair.partition("=") for pair in parts.query.split("&") if pair]
    return [
        f"{before}{parts.scheme}://{parts.netloc}{parts.path}",
        *(f"  ? {name} = {_readable(unquote_plus(text))}" for name, _, text in pairs),
    ]


def _body(request: HttpRequest) -> Iterator[str]:
    kind = next((value for name, value in request.headers.items() if name.lower() == "content-type"), "")
    text = request.body.decode()
    if kind.startswith("application/x-www-form-urlencoded"):
        pairs = (pair.partition("=") for pair in text.split("&"))
        yield from (f"{unquote_plus(name)} = {_readable(unquote_plus(value))}" for name, _, value in pairs)
    elif text.startswith(("{", "[")):
        yield from _readable(json.dumps(json.loads(text), indent=2)).splitlines()
    else:
        yield from _readable(text).splitlines()


def _readable(text: str) -> str:
    """Return *text* with what is encoded in it opened: HTTP Basic, the claims of a JWT; keys and certificates are named only."""
    text = _PEM.sub(lambda found: f"<{found[1].lower()}>", text.replace("\\n", "\n") if "-----BEGIN" in text else text).replace("\n<", " <")
    # The length of the signature shows what is written behind it.
    text = _JWT.sub(lambda found: f"<jwt {_decoded(found[1])} {_decoded(found[2])} signed with {len(found[3])} characters>", text)
    text = _LONG.sub(lambda found: f'"<base64 of {len(found[1])} characters>"', text)
    if text.startswith("Basic "):
        return f"Basic <base64 of {base64.b64decode(text[6:]).decode()}>"
    return text


def _decoded(part: str) -> str:
    return json.dumps(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))), sort_keys=True)


def answer(status: int, body: Any = None, /, *, headers: Mapping[str, str] | None = None, xml: bool = False) -> HttpResponse:
    """Return an answer with *body*: text as it is, anything else in JSON or XML."""
    kind = "text/html" if isinstance(body, str) else "application/xml" if xml else "application/json"
    named = {"content-type": kind, **{name.lower(): value for name, value in (headers or {}).items()}}
    content = body if isinstance(body, str) else "" if body is None else "".join(_xml(body)) if xml else json.dumps(body)
    return HttpResponse(status=status, headers=named, body=content.encode(), sent_at=NOW)


def _xml(value: Any) -> Iterator[str]:
    for name, inner in value.items():
        for each in inner if isinstance(inner, list) else [inner]:
            yield f"<{name}>{''.join(_xml(each)) if isinstance(each, dict) else escape(str(each))}</{name}>"


def show_answer(response: HttpResponse, body: Any = None, /) -> str:
    """Return an answer in one line: its status, its headers, and *body* as JSON."""
    headers = "".join(f" {name}={value}" for name, value in sorted(response.headers.items()) if name != "content-type")
    shown = "" if body is None else f" {body if isinstance(body, str) else _readable(json.dumps(body))}"
    return f"{response.status}{headers}{shown}"


def words(value: Any, /) -> str:
    """Return an outcome as text: its name, and everything that it says."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {words(inner)}' for name, inner in value.items())}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(words, value))}]"
    return _members(value) if is_dataclass(value) and not isinstance(value, Secret) else _word(value)


def _word(value: Any) -> str:
    match value:
        case Secret():
            return _readable(value.reveal())
        case timedelta():
            return f"{value.total_seconds():g} s"
        case datetime():
            return value.isoformat()
        case Enum():
            return str(value.value)
        case _:
            return value if isinstance(value, str) else json.dumps(value)


def _members(value: Any) -> str:
    told = ((given, getattr(value, given.name)) for given in fields(value))
    shown = ((given.name, words(inner)) for given, inner in told if inner not in (None, (), {}, "") and inner != given.default)
    return f"{type(value).__name__}({', '.join(f'{name}: {text}' for name, text in shown if not text.endswith('()'))})"
