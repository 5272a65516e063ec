"""The cookie that ties an authorization to the browser it began in (OAuth 2.0 security topics, session fixation)."""

from __future__ import annotations

import hashlib

from fastapi import Request, Response

from cloud_integrations import Authorization, Secret

_LIFETIME = 600
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class BrowserCookies:
    """Keeps each open authorization in a cookie of its own, so that several can be under way in one browser.

    With *loopback*, a request over plain http to this machine gets a cookie without `Secure`: development only.
    """

    def __init__(self, *, loopback: bool) -> None:
        self._loopback = loopback

    def keep(self, request: Request, response: Response, authorization: Authorization, /) -> None:
        """Put the browser's value into *response*."""
        self._set(request, response, authorization.state, authorization.browser_token.reveal(), lifetime=_LIFETIME)

    def find(self, request: Request, state: Secret, /) -> Secret | None:
        """Return the value that this browser keeps for *state*."""
        value = request.cookies.get(self._name(request, state))
        return None if value is None else Secret(value)

    def forget(self, request: Request, response: Response, state: Secret, /) -> None:
        """Delete the cookie."""
        self._set(request, response, state, "", lifetime=0)

    def _set(self, request: Request, response: Response, state: Secret, value: str, *, lifetime: int) -> None:
        secure = not self._is_plain(request)
        response.set_cookie(self._name(request, state), value, max_age=lifetime, path="/", secure=secure, httponly=True, samesite="lax")

    def _name(self, request: Request, state: Secret) -> str:
        short = hashlib.sha256(state.reveal().encode()).hexdigest()[:16]
        return f"ci_{short}" if self._is_plain(request) else f"__Host-ci_{short}"

    def _is_plain(self, request: Request) -> bool:
        return self._loopback and request.url.scheme == "http" and request.url.hostname in _LOOPBACK
