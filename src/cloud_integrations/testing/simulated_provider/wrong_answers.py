"""Answers that refuse a request, and good answers that a misbehaviour spoils."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from cloud_integrations.protocol.http import MAX_TOKEN_BODY, HttpResponse

from .consent_page import complaint_page, page_headers
from .misbehaviour import Misbehaviour, Planned


def json_answer(status: int, body: Mapping[str, Any] | Sequence[Any], /) -> HttpResponse:
    """Return an answer with *body* as JSON and the headers of the token endpoint (RFC 6749 §5.1)."""
    return HttpResponse(
        status=status,
        headers={"content-type": "application/json", "cache-control": "no-store", "pragma": "no-cache"},
        body=json.dumps(body).encode(),
    )


def refuse(planned: Planned, /) -> tuple[str, HttpResponse] | None:
    """Return outcome and answer if the plan refuses the request before it is processed, else None."""
    if planned.what not in _REFUSALS:
        return None
    outcome, status, body = _REFUSALS[planned.what]
    response = json_answer(status, body)
    if planned.what is Misbehaviour.REDIRECT:
        response = replace(response, headers={"location": "https://elsewhere.example/token"})
    elif status in {429, 503}:
        response = replace(response, headers={**response.headers, "retry-after": str(int(planned.retry_after.total_seconds()))})
    return outcome, response


def spoil(what: Misbehaviour, response: HttpResponse, /) -> HttpResponse:
    """Return the answer that *what* makes of a good *response*."""
    return _SPOILED[what](response) if what in _SPOILED else response


def _spoil_duplicate(response: HttpResponse, /) -> HttpResponse:
    return replace(response, body=response.body[:-1] + b', "access_token": "fake-access-of-somebody-else"}')


def _spoil_error(_: HttpResponse, /) -> HttpResponse:
    return json_answer(500, {"message": "internal error"})


def _spoil_empty(response: HttpResponse, /) -> HttpResponse:
    return replace(response, body=b"")


def _spoil_garbage(response: HttpResponse, /) -> HttpResponse:
    return replace(response, body=b'{"access_token": ')


def _spoil_html(_: HttpResponse, /) -> HttpResponse:
    return HttpResponse(status=200, headers=page_headers(), body=complaint_page(problem="Please accept the terms of this network."))


def _add(raw: bytes, /) -> Callable[[HttpResponse], HttpResponse]:
    return lambda response: replace(response, body=response.body[:-1] + b", " + raw + b"}")


def _set_header(name: str, value: str | None, /) -> Callable[[HttpResponse], HttpResponse]:
    def change(response: HttpResponse, /) -> HttpResponse:
        others = {known: text for known, text in response.headers.items() if known != name}
        return replace(response, headers=others if value is None else {**others, name: value})

    return change


def _spoil_form(response: HttpResponse, /) -> HttpResponse:
    return _set_header("content-type", "application/x-www-form-urlencoded")(
        replace(response, body=urlencode(json.loads(response.body)).encode())
    )


def _spoil_huge(response: HttpResponse, /) -> HttpResponse:
    return replace(response, body=response.body[:-1] + b', "padding": "' + b"x" * MAX_TOKEN_BODY + b'"}')


_REFUSALS: Mapping[Misbehaviour, tuple[str, int, Mapping[str, Any]]] = {
    Misbehaviour.TIMEOUT_BEFORE: ("swallowed", 503, {}),
    Misbehaviour.ERROR_BEFORE: ("error", 500, {"message": "internal error"}),
    Misbehaviour.UNAVAILABLE: ("error", 503, {"message": "unavailable"}),
    Misbehaviour.TEMPORARILY_UNAVAILABLE: ("temporarily_unavailable", 503, {"error": "temporarily_unavailable"}),
    Misbehaviour.RATE_LIMITED: ("rate_limited", 429, {"message": "too many requests"}),
    Misbehaviour.INVALID_CLIENT: ("invalid_client", 401, {"error": "invalid_client"}),
    Misbehaviour.INVALID_GRANT: ("invalid_grant", 400, {"error": "invalid_grant"}),
    Misbehaviour.ERROR_IN_200: ("invalid_grant", 200, {"error": "invalid_grant"}),
    Misbehaviour.REDIRECT: ("redirect", 302, {}),
    Misbehaviour.FORBIDDEN: ("forbidden", 403, {"error": "insufficient_scope"}),
    Misbehaviour.UNSUPPORTED: ("unsupported_token_type", 400, {"error": "unsupported_token_type"}),
}
_SPOILED: Mapping[Misbehaviour, Callable[[HttpResponse], HttpResponse]] = {
    Misbehaviour.ERROR_AFTER: _spoil_error,
    Misbehaviour.HTML_PAGE: _spoil_html,
    Misbehaviour.EMPTY_BODY: _spoil_empty,
    Misbehaviour.GARBAGE_JSON: _spoil_garbage,
    Misbehaviour.DUPLICATE_KEYS: _spoil_duplicate,
    Misbehaviour.HUGE_BODY: _spoil_huge,
    Misbehaviour.CONTENT_TYPE_MISSING: _set_header("content-type", None),
    Misbehaviour.CONTENT_TYPE_HTML: _set_header("content-type", "text/html; charset=utf-8"),
    Misbehaviour.BYTE_ORDER_MARK: lambda response: replace(response, body=b"\xef\xbb\xbf" + response.body),
    Misbehaviour.FORM_BODY: _spoil_form,
    Misbehaviour.STATUS_CREATED: lambda response: replace(response, status=201),
    Misbehaviour.CONTENT_ENCODING_UNKNOWN: _set_header("content-encoding", "none"),
    Misbehaviour.LONG_HEADERS: _set_header("x-long", "x" * 18_000),
    Misbehaviour.LONG_BODY: _add(b'"id_token": "' + b"x" * 70_000 + b'"'),
    Misbehaviour.FOREIGN_MEMBER_TWICE: _add(b'"site": "a", "site": "b"'),
    Misbehaviour.FOREIGN_NAN: _add(b'"score": NaN'),
}
STRAYS: Mapping[Misbehaviour, tuple[str, Any]] = {
    Misbehaviour.EXPIRES_IN_MISSING: ("expires_in", ...),
    Misbehaviour.EXPIRES_IN_ABSURD: ("expires_in", 100_000 * 365 * 86_400),
    Misbehaviour.EXPIRES_IN_NEGATIVE: ("expires_in", -1),
    Misbehaviour.EXPIRES_IN_EMPTY: ("expires_in", ""),
    Misbehaviour.REFRESH_TOKEN_EMPTY: ("refresh_token", ""),
    Misbehaviour.REFRESH_TOKEN_NULL: ("refresh_token", None),
    Misbehaviour.TOKEN_TYPE_MAC: ("token_type", "mac"),
    Misbehaviour.TOKEN_TYPE_MISSING: ("token_type", ...),
    Misbehaviour.ACCESS_TOKEN_MISSING: ("access_token", ...),
    Misbehaviour.SCOPES_UNSAID: ("scope", ...),
    Misbehaviour.SCOPES_UNREADABLE: ("scope", [{"name": "read"}, {"name": "write"}]),
}
"""The member of a good answer that has another value, or (`...`) is missing."""
