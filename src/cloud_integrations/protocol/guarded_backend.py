"""Guard the flows against an OAuth backend that anybody may have written: check its values, and catch its errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import PurePath
from traceback import walk_tb
from typing import Literal, TypeVar

from cloud_integrations.domain.outcome import TokenOutcome, Unknown
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import CloudIntegrationsError, GrantRefusedError, OAuthBackendError, ValidationFailedError

from .backend_values import WrongValueError, checked_callback, checked_outcome, checked_request, checked_revocation, checked_url
from .client import CallbackAnswer, Client, OAuthBackend
from .error_text import shows_secret
from .http import HttpRequest, HttpResponse

T = TypeVar("T")

_WORD = re.compile(r"[a-z0-9_]{1,64}\Z")


class GuardedBackend:
    """An `OAuthBackend` that calls another one and handles its mistakes.

    If that backend cannot build a request, or the request may not be sent, the error is `OAuthBackendError`.  If it cannot read a token
    answer, the outcome is `Unknown`, with the tokens that it did return.  No text repeats the backend's own error.
    """

    def __init__(self, name: str, backend: OAuthBackend, /) -> None:
        self._name = name
        self._backend = backend

    def build_authorize(
        self, client: Client, /, *, state: Secret, redirect_uri: str, scopes: Sequence[str], verifier: Secret | None
    ) -> str:
        """See `OAuthBackend.build_authorize`."""
        hidden = (verifier, *client.application.client_secrets)
        url = self._ask(
            client,
            "build_authorize",
            lambda: self._backend.build_authorize(client, state=state, redirect_uri=redirect_uri, scopes=scopes, verifier=verifier),
            allowed=ValidationFailedError,
            hidden=(state, *hidden),
        )
        return self._ask(client, "build_authorize", lambda: checked_url(client, url, state=state, hidden=hidden))

    def read_callback(self, client: Client, params: Iterable[tuple[str, str]], /, *, issuer: str | None) -> CallbackAnswer:
        """See `OAuthBackend.read_callback`."""
        pairs = tuple(params)
        try:
            return self._ask(
                client,
                "read_callback",
                lambda: checked_callback(self._backend.read_callback(client, pairs, issuer=issuer)),
                allowed=GrantRefusedError,
            )
        except GrantRefusedError as refusal:
            reason = str(refusal.reason)
        # The reason is written to the audit log, so it must be a word and must not repeat what the browser sent.
        is_word = _WORD.match(reason) and not shows_secret(reason, [Secret(value) for _, value in pairs])
        raise GrantRefusedError(reason=reason if is_word else "other")

    def build_exchange(self, client: Client, /, *, code: Secret, redirect_uri: str, verifier: Secret | None) -> HttpRequest:
        """See `OAuthBackend.build_exchange`."""
        return self._request(
            client,
            "build_exchange",
            lambda: self._backend.build_exchange(client, code=code, redirect_uri=redirect_uri, verifier=verifier),
            allowed=ValidationFailedError,
            hidden=(code, verifier),
        )

    def read_grant(self, client: Client, response: HttpResponse, /, *, requested_scopes: Sequence[str], now: datetime) -> TokenOutcome:
        """See `OAuthBackend.read_grant`."""
        return self._outcome(
            client,
            "read_grant",
            lambda: self._backend.read_grant(client, response, requested_scopes=requested_scopes, now=now),
            since=response.sent_at or now,
        )

    def build_refresh(
        self, client: Client, /, *, refresh_token: Secret, scopes: Sequence[str] = (), redirect_uri: str | None = None
    ) -> HttpRequest:
        """See `OAuthBackend.build_refresh`."""
        return self._request(
            client,
            "build_refresh",
            lambda: self._backend.build_refresh(client, refresh_token=refresh_token, scopes=scopes, redirect_uri=redirect_uri),
            hidden=(refresh_token,),
        )

    def read_renewal(self, client: Client, response: HttpResponse, /, *, now: datetime) -> TokenOutcome:
        """See `OAuthBackend.read_renewal`."""
        return self._outcome(
            client, "read_renewal", lambda: self._backend.read_renewal(client, response, now=now), since=response.sent_at or now
        )

    def build_revoke(self, client: Client, /, *, token: Secret, kind: Literal["refresh", "access"]) -> HttpRequest | None:
        """See `OAuthBackend.build_revoke`."""
        hidden = (token, *client.application.client_secrets)
        request = self._ask(client, "build_revoke", lambda: self._backend.build_revoke(client, token=token, kind=kind))
        return None if request is None else self._ask(client, "build_revoke", lambda: checked_request(client, request, hidden=hidden))

    def read_revocation(self, client: Client, response: HttpResponse, /) -> Literal["revoked", "failed"]:
        """See `OAuthBackend.read_revocation`.  After an `OAuthBackendError`, treat the token as alive."""
        return self._ask(client, "read_revocation", lambda: checked_revocation(self._backend.read_revocation(client, response)))

    def _request(
        self,
        client: Client,
        method: str,
        build: Callable[[], HttpRequest],
        /,
        *,
        hidden: tuple[Secret | None, ...],
        allowed: type[CloudIntegrationsError] | tuple[()] = (),
    ) -> HttpRequest:
        hidden = (*hidden, *client.application.client_secrets)
        request = self._ask(client, method, build, allowed=allowed, hidden=hidden)
        return self._ask(client, method, lambda: checked_request(client, request, hidden=hidden))

    def _outcome(self, client: Client, method: str, read: Callable[[], TokenOutcome], /, *, since: datetime) -> TokenOutcome:
        def failed(problem: str) -> Unknown:
            error = self._error(client, f"{method} {problem}")
            return Unknown("backend_failed", said=Secret(error.error_description or ""))

        try:
            return checked_outcome(client, read(), since=since, failed=failed)
        except Exception as error:  # noqa: BLE001  # a backend may raise anything, and the request has been sent
            return failed(_described(error))

    def _ask(
        self,
        client: Client,
        method: str,
        call: Callable[[], T],
        /,
        *,
        allowed: type[CloudIntegrationsError] | tuple[()] = (),
        hidden: tuple[Secret | None, ...] = (),
    ) -> T:
        try:
            return call()
        except Exception as error:
            if isinstance(error, allowed) and not shows_secret(str(error), hidden):
                raise
            problem = _described(error)
        # Raised outside the `except` block, so that the backend's traceback, whose variables hold tokens, is not attached.
        raise self._error(client, f"{method} {problem}")

    def _error(self, client: Client, problem: str) -> OAuthBackendError:
        return OAuthBackendError(provider_id=str(client.provider.provider_id), backend=self._name, problem=problem)


def _described(error: Exception) -> str:
    """Return the class and the place of an error, without its text."""
    if isinstance(error, WrongValueError):
        return str(error)
    *_, (frame, line) = walk_tb(error.__traceback__)
    return f"raised {type(error).__name__} at {PurePath(frame.f_code.co_filename).name}:{line}"
