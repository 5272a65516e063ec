"""The device authorization grant (RFC 8628): both requests, and how their answers are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_token_request

from cloud_integrations.domain.application import ClientAuth
from cloud_integrations.domain.device import DEFAULT_INTERVAL, LONGEST_INTERVAL
from cloud_integrations.domain.outcome import TokenFailure, Unknown
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .client import Client, check_endpoint
from .client_auth import build_request
from .http import MAX_TOKEN_BODY, HttpRequest, HttpResponse, find_path
from .scopes import join_scopes
from .token_answer import read_members, read_number, read_token
from .token_failure import read_failure
from .token_request import extra_params

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:device_code"
MAX_USER_CODE: Final = 64
LONGEST_LIFE: Final = timedelta(days=1)
"""The longest time that a device code is polled."""
UNKNOWN_LIFE: Final = timedelta(minutes=5)
"""How long it is polled if the answer does not say it in a form that can be read."""

_USER_CODE = re.compile(r"[!-~](?:[ -~]*[!-~])?\Z")
_ENDS: Mapping[str, Literal["access_denied", "expired_token"]] = {
    "access_denied": "access_denied",
    # Microsoft's word for it.
    "authorization_declined": "access_denied",
    "expired_token": "expired_token",
    # As GitHub's documentation has it.
    "token_expired": "expired_token",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """The answer to a device authorization request (RFC 8628 §3.2), checked."""

    device_code: Secret
    user_code: Secret
    verification_uri: str = field(repr=False)
    verification_uri_complete: str | None = field(default=None, repr=False)
    expires_at: datetime
    interval: timedelta


@dataclass(frozen=True, slots=True)
class Waiting:
    """The person has not decided yet (RFC 8628 §3.5)."""

    slow_down: bool = False
    interval: timedelta | None = None
    """The time between two polls that the answer names, if any."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The person refused, or the code has ended (RFC 8628 §3.5)."""

    reason: Literal["access_denied", "expired_token"]


def build_device_request(client: Client, /, *, scopes: Sequence[str]) -> HttpRequest:
    """Return the device authorization request (RFC 8628 §3.1).

    The scopes that make a provider issue a refresh token are added.  Raises `ValidationFailedError` for a scope that cannot be used,
    and for a method without a device authorization endpoint.
    """
    if client.device_url is None:
        raise ValidationFailedError(field="method", problem="does not work by device code")
    asked = join_scopes(client, (*scopes, *client.method.scopes.always, *client.method.scopes.offline))
    extras = {name: client.method.scopes.separator.join(listed) for name, listed in client.method.scopes.extra_lists.items() if listed}
    return _build(client, client.device_url, urlencode({**extras, **({"scope": asked} if asked else {})}))


def read_device_code(client: Client, response: HttpResponse, /, *, now: datetime) -> DeviceCode | TokenFailure:
    """Read the answer to a device authorization request; never raises, whatever a server sends.

    Lifetimes count from `response.sent_at`, or from *now* if that is None.  An address that is not https is no usable answer.
    """
    body = read_members(client, response)
    if body is not None and response.status // 100 == 2 and not body.get("error"):
        found = _read_code(client, body, since=response.sent_at or now)
        return found or Unknown("unusable_body")
    return read_failure(client.provider, response, body, at="token", method_id=client.method.id, tokens=(), now=now, renewal=True)


def build_poll(client: Client, /, *, device_code: Secret) -> HttpRequest:
    """Return the request that asks for the tokens (RFC 8628 §3.4)."""
    form = prepare_token_request(GRANT_TYPE, extra_params(client, client.method.token_params), device_code=device_code.reveal())
    return _build(client, client.token_url, form)


def read_wait(client: Client, response: HttpResponse, /) -> Waiting | Ended | None:
    """Return what an answer says that belongs to this flow alone (RFC 8628 §3.5); None: it is any other answer of a token endpoint.

    The status does not matter, because some servers send 200.  An answer with something like a token is never one of these.
    """
    body = read_members(client, response)
    error = None if body is None else body.get("error")
    if body is None or not isinstance(error, str):
        return None
    names = client.method.reply.map
    if any(find_path(body, names.get(name, name)) for name in ("access_token", "refresh_token")):
        return None
    if error in _ENDS:
        return Ended(_ENDS[error])
    if error in {"authorization_pending", "slow_down"}:
        return Waiting(slow_down=error == "slow_down", interval=_read_seconds(body.get("interval"), most=LONGEST_INTERVAL))
    return None


def _build(client: Client, url: str, form: str) -> HttpRequest:
    device = client.method.device
    auth: ClientAuth = "none" if device is not None and device.client_auth == "none" else client.client_auth
    return build_request(
        client,
        url=url,
        form=form,
        auth=auth,
        body=client.method.body,
        headers={name: client.fill(value) for name, value in client.method.headers.get("token", {}).items()},
        max_body=MAX_TOKEN_BODY,
    )


def _read_code(client: Client, body: Mapping[str, Any], *, since: datetime) -> DeviceCode | None:
    device_code = read_token(body.get("device_code"))
    user_code = body.get("user_code")
    # Google's older name for the address is accepted too.
    page = _read_page(client, body.get("verification_uri", body.get("verification_url")))
    life = body.get("expires_in")
    lives = UNKNOWN_LIFE if life is None else _read_seconds(life, most=LONGEST_LIFE)
    if device_code is None or page is None or lives == timedelta():
        return None
    if not isinstance(user_code, str) or len(user_code) > MAX_USER_CODE or not _USER_CODE.match(user_code):
        return None
    complete = _read_page(client, body.get("verification_uri_complete"))
    return DeviceCode(
        device_code=device_code,
        user_code=Secret(user_code),
        verification_uri=page,
        # A link with the code in it leads to the page that the person is shown, or is not shown at all.
        verification_uri_complete=complete if complete is not None and _host(complete) == _host(page) else None,
        expires_at=since + (lives or UNKNOWN_LIFE),
        interval=_interval(body.get("interval")),
    )


def _interval(value: Any) -> timedelta:
    read = _read_seconds(value, most=LONGEST_INTERVAL)
    return DEFAULT_INTERVAL if read is None else max(read, timedelta(seconds=1))


def _read_page(client: Client, value: Any) -> str | None:
    """Return *value* if it is the address of a page to open in a browser: https, without user name and fragment."""
    if not isinstance(value, str) or len(value) > 2048:
        return None
    try:
        return check_endpoint(value, loopback=client.provider.loopback)
    except ValidationFailedError:
        return None


def _host(url: str) -> str:
    return urlsplit(url).netloc.lower()


def _read_seconds(value: Any, *, most: timedelta) -> timedelta | None:
    """Return *value*, a number of seconds, as a time of at most *most*; None: it cannot be read, or is negative."""
    try:
        number = read_number(value)
    except (TypeError, OverflowError):
        return None
    return None if number < 0 else timedelta(seconds=min(number, most.total_seconds()))
