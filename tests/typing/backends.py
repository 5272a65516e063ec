"""What a type checker tells whoever writes an OAuth backend; read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_type

from cloud_integrations import Catalogue, Secret
from cloud_integrations.oauth import (
    Client,
    Granted,
    HttpRequest,
    HttpResponse,
    OAuthBackend,
    StandardOAuthBackend,
    TokenOutcome,
    Unknown,
    find_json_object,
)


class Short(StandardOAuthBackend):
    """Hands its arguments on as they are."""

    def build_refresh(self, client: Client, /, **asked: Any) -> HttpRequest:
        """Ask as the standard does."""
        return super().build_refresh(client, **asked)


class Exact(StandardOAuthBackend):
    """Names its arguments."""

    def build_authorize(
        self, client: Client, /, *, state: Secret, redirect_uri: str, scopes: Sequence[str], verifier: Secret | None
    ) -> str:
        """Ask as the standard does."""
        return super().build_authorize(client, state=state, redirect_uri=redirect_uri, scopes=scopes, verifier=verifier)

    def read_renewal(self, client: Client, response: HttpResponse, /, *, now: datetime) -> TokenOutcome:
        """Read as the standard does."""
        assert_type(find_json_object(response.body), dict[str, Any] | None)
        outcome = super().read_renewal(client, response, now=now)
        return outcome if isinstance(outcome, Granted) else Unknown("unusable_body")


backends: dict[str, OAuthBackend] = {"short": Short(), "exact": Exact()}
assert_type(Catalogue.builtin(backends=backends), Catalogue)
