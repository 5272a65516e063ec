"""How a provider speaks OAuth2, as a protocol: what a backend is asked for, and what it promises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from cloud_integrations.domain.outcome import TokenOutcome
    from cloud_integrations.domain.secret import Secret

    from .authorize import CallbackAnswer
    from .client import Client
    from .http import HttpRequest, HttpResponse


class OAuthBackend(Protocol):
    """Builds a provider's requests and reads its answers; sends nothing, and keeps nothing from one call to the next.

    Both managers call the same methods, in several threads at once; none is a coroutine function.  A request goes to a host of
    the client's own addresses, by https, and its URL holds no secret.  Where a method is asked for what the provider's data and
    its caller do not make possible, it raises `ValidationFailedError`; whatever else it raises is a mistake, and becomes an
    `OAuthBackendError` or, of a token answer, `Unknown`.
    """

    def build_authorize(
        self, client: Client, /, *, state: Secret, redirect_uri: str, scopes: Sequence[str], verifier: Secret | None
    ) -> str:
        """Return the URL to open in the browser: https, with *state* in it, and neither *verifier* nor the client's secret.

        *verifier* is the one whose challenge goes along (RFC 7636 §4.3); None without PKCE.
        """
        ...

    def read_callback(self, client: Client, params: Iterable[tuple[str, str]], /, *, issuer: str | None) -> CallbackAnswer:
        """Read what came to the redirect URI: a code or an error, never both.

        *issuer* is the one fixed at the start; an answer of another is refused.  Raises `GrantRefusedError`, with a word for what
        is wrong, and nothing else for anything that a browser can bring.
        """
        ...

    def build_exchange(self, client: Client, /, *, code: Secret, redirect_uri: str, verifier: Secret | None) -> HttpRequest:
        """Build the request that spends a code, which is not in its URL."""
        ...

    def read_grant(self, client: Client, response: HttpResponse, /, *, requested_scopes: Sequence[str], now: datetime) -> TokenOutcome:
        """Read its answer; never raises for anything a server can send.

        Times are aware.  Where the answer says nothing of the scopes, they are those requested.
        """
        ...

    def build_refresh(
        self, client: Client, /, *, refresh_token: Secret, scopes: Sequence[str] = (), redirect_uri: str | None = None
    ) -> HttpRequest:
        """Build the request that spends a refresh token, which is not in its URL."""
        ...

    def read_renewal(self, client: Client, response: HttpResponse, /, *, now: datetime) -> TokenOutcome:
        """Read its answer; never raises for anything a server can send.

        `Refused` where the provider itself says that the refresh token is dead, and nowhere else: the tenant must reconnect then.
        """
        ...

    def build_revoke(self, client: Client, /, *, token: Secret, kind: Literal["refresh", "access"]) -> HttpRequest | None:
        """Build the request that ends a token, which is not in its URL; None where there is none for this kind."""
        ...

    def read_revocation(self, client: Client, response: HttpResponse, /) -> Literal["revoked", "failed"]:
        """Say whether the token is surely dead: `failed` after a 5xx; never raises for anything a server can send."""
        ...
