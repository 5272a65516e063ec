"""The headers that tell a browser's request, and the cookie that ties an authorization to its browser (RFC 9700 §4.7)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Request, Response

from cloud_integrations import Actor, Authorization, Integration, Secret
from cloud_integrations.errors import ValidationFailedError

NEVER = "never"
"""`Flow.granted` where there was no integration yet."""

_LIFETIME = 1800
_MOST = 20
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_OUR_CALLBACK = re.compile(r"/oauth/callback/[0-9a-f-]{36}\Z")
_NAME = re.compile(r"(?:__Host-)?ci_[0-9a-f]{16}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What a browser's cookie holds about an authorization that it began."""

    tenant_id: str
    provider_id: UUID
    granted: str
    """The tenant's consent before this flow (`granted_mark`), so that a newer consent can be told from it."""
    slot: str = ""
    """The slot of the integration that this flow connects; empty: the default slot."""
    token: Secret | None = None
    """The browser token that the callback needs; None once the flow has ended."""


def granted_mark(integration: Integration | None, /) -> str:
    """Return the time of a tenant's consent, as a text that changes with each consent; `NEVER` without an integration."""
    if integration is None:
        return NEVER
    return "0" if integration.granted_at is None else str(round(integration.granted_at.timestamp() * 1_000_000))


def flow_of(integration: Integration, /) -> Flow:
    """Return the flow that renews the consent of *integration*."""
    return Flow(
        tenant_id=integration.tenant_id,
        provider_id=integration.provider_id,
        slot=integration.slot,
        granted=granted_mark(integration),
    )


class BrowserCookies:
    """Keeps each open authorization in a cookie of its own, so that several can be under way in one browser.

    A cookie outlives its authorization, so that a browser that comes late or twice gets the right answer.  A cookie grants nothing: what
    it names is shown only to an actor who may see it.  With *loopback* (for development only), a request over plain http to this
    machine gets a cookie without `Secure`.
    """

    def __init__(self, *, loopback: bool) -> None:
        self._loopback = loopback

    def keep(self, request: Request, response: Response, authorization: Authorization, flow: Flow, /, *, actor: Actor) -> None:
        """Set the cookie of *flow* in *response*, and delete the oldest of too many, so that no header grows without end."""
        ours = [name for name in request.cookies if _NAME.match(name)]
        ours.sort(key=lambda name: not request.cookies[name].startswith("."))  # those that have ended go first
        for name in ours[: 1 - _MOST]:
            response.set_cookie(name, "", max_age=0, path="/", secure=name.startswith("__Host-"), httponly=True, samesite="lax")
        self._set(request, response, authorization.state, _written(flow, authorization.browser_token.reveal(), actor))

    def find(self, request: Request, state: Secret, /, *, actor: Actor) -> Flow | None:
        """Return the flow with *state* that *actor* began in this browser, or None."""
        return _read(request.cookies.get(self._name(request, state), ""), actor)

    def end(self, request: Request, response: Response, state: Secret, flow: Flow, /, *, actor: Actor) -> None:
        """Remove the browser token from the cookie; the rest still says which flow it was."""
        self._set(request, response, state, _written(flow, "", actor))

    def _set(self, request: Request, response: Response, state: Secret, value: str) -> None:
        secure = not self.is_plain(request)
        response.set_cookie(self._name(request, state), value, max_age=_LIFETIME, path="/", secure=secure, httponly=True, samesite="lax")

    def _name(self, request: Request, state: Secret) -> str:
        short = hashlib.sha256(state.reveal().encode()).hexdigest()[:16]
        return f"ci_{short}" if self.is_plain(request) else f"__Host-ci_{short}"

    def is_plain(self, request: Request, /) -> bool:
        """Say whether the request came over plain http from this machine, where that is allowed: its cookies are then not `Secure`."""
        return self._loopback and request.url.scheme == "http" and request.url.hostname in _LOOPBACK


def set_partitioned(response: Response, /) -> None:
    """Have the cookie that was set last kept apart for the site that shows the page in a frame (CHIPS)."""
    name, value = response.raw_headers[-1]
    response.raw_headers[-1] = (name, value + b"; Partitioned")


def is_navigation(request: Request, /) -> bool:
    """Say whether a browser shows the answer in its window (Fetch Metadata §2.3; older browsers send the second header instead)."""
    return request.headers.get("sec-fetch-mode") == "navigate" or request.headers.get("upgrade-insecure-requests") == "1"


def is_framed(request: Request, /) -> bool:
    """Say whether a browser shows the answer in a frame (Fetch Metadata §2.1); who keeps cookies apart for frames sends this."""
    return request.headers.get("sec-fetch-dest") in {"iframe", "frame"}


def prefers_html(request: Request, /) -> bool:
    """Say whether `Accept` asks for HTML before JSON (RFC 9110 §12.5.1), as browsers do and API clients do not."""
    wanted = {"text/html": 0.0, "application/json": 0.0}
    for item in request.headers.get("accept", "").lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name in wanted:
            wanted[name] = _quality(parameters)
    return wanted["text/html"] > wanted["application/json"]


def check_host(request: Request, redirect_uri: str | None, /) -> None:
    """Refuse to begin a flow where the browser uses another host name than the callback: it would not send the flow's cookie back.

    A proxy may change `Host`, so the `Origin` that the browser sends counts as well, and a doubtful case is allowed.
    Raises `ValidationFailedError`.
    """
    target = urlsplit(redirect_uri or "")
    if not _OUR_CALLBACK.search(target.path):
        return  # no redirect URI, or one of a front end, which posts the code and needs no cookie
    asked, page = _host(request.headers.get("host", "")), _host(request.headers.get("origin", "").rpartition("//")[2])
    if target.hostname in {asked, page, _host(request.headers.get("x-forwarded-host", "").partition(",")[0].strip())}:
        return
    own_page = page is not None and request.headers.get("sec-fetch-site") == "same-origin"
    if own_page or (asked in _LOOPBACK and target.hostname in _LOOPBACK):
        site = f"{target.scheme}://{target.netloc}"
        problem = (
            f"must be {target.hostname}, where providers send the browser back: open this site as {site}, else the flow's cookie is lost"
        )
        raise ValidationFailedError(field="Host", problem=problem)


def _host(netloc: str) -> str | None:
    try:
        return urlsplit(f"//{netloc}").hostname
    except ValueError:
        return None


def _written(flow: Flow, token: str, actor: Actor) -> str:
    tenant = base64.urlsafe_b64encode(flow.tenant_id.encode()).rstrip(b"=").decode()
    return ".".join((token, _mark(actor), flow.granted, flow.provider_id.hex, tenant, flow.slot))  # a slot may have dots


def _read(value: str, actor: Actor) -> Flow | None:
    try:
        token, began, granted, provider, tenant, slot = value.split(".", 5)
        tenant_id = base64.urlsafe_b64decode(tenant + "=" * (-len(tenant) % 4)).decode()
        provider_id = UUID(hex=provider)
    except (ValueError, binascii.Error):
        return None
    if began != _mark(actor):
        return None
    return Flow(tenant_id=tenant_id, provider_id=provider_id, granted=granted, slot=slot, token=Secret(token) if token else None)


def _mark(actor: Actor) -> str:
    return hashlib.sha256(f"{actor.type}\0{actor.id}".encode()).hexdigest()[:16]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
