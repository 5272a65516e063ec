"""One authorization server as configured, and how it is spoken with: what an OAuth backend is asked for, and what it promises.

A provider's data, the operator's application and a tenant's variables together make a `Client`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import quote, urlsplit

from cloud_integrations.domain.application import ClientAuth, OAuthApplication
from cloud_integrations.domain.identifiers import ContextId, context_id
from cloud_integrations.domain.provider import Method, Provider, fill
from cloud_integrations.errors import ConfigurationError, ProviderInactiveError, ValidationFailedError

from .egress import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from datetime import datetime

    from cloud_integrations.domain.outcome import TokenOutcome
    from cloud_integrations.domain.secret import Secret

    from .http import HttpRequest, HttpResponse

_VISIBLE = re.compile(r"[!-~]+\Z")

_SUPPORTED: Mapping[str, ClientAuth] = {"basic": "basic", "basic_raw": "basic_raw", "post": "post", "none": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAnswer:
    """What the provider brought back: either a code or an error, never both."""

    state: Secret
    code: Secret | None = None
    error: str | None = None
    """One of `KNOWN_ERRORS`, or `other`."""
    site: str | None = field(default=None, repr=False)
    """The site of the provider that the callback names; not looked up yet, so it may be anything that somebody wrote."""
    issuer: str | None = None
    """The issuer that was named and compared; None where none was named or expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One configured authorization server and how we are known there.

    Made by `resolve_client`; every URL in it is filled in and checked.
    """

    provider: Provider
    method: Method
    application: OAuthApplication
    variables: Mapping[str, str]
    """The operator's and the tenant's together, checked."""
    authorize_url: str
    token_url: str
    refresh_url: str
    revoke_url: str | None
    """None: the provider has no revocation request, or a variable that it needs is not known yet."""
    client_auth: ClientAuth
    issuer: str | None
    context_id: ContextId
    backend: OAuthBackend = field(repr=False, compare=False)
    """Builds this client's requests and reads the answers to them."""

    @property
    def uses_pkce(self) -> bool:
        """Whether authorizations carry a code challenge (RFC 7636)."""
        return self.method.pkce != "off"

    @property
    def tenant_variables(self) -> dict[str, str]:
        """The variables to keep with an integration: all but those that are the operator's alone."""
        return self.provider.tenant_variables(self.variables)

    @property
    def private_host(self) -> bool:
        """Whether the operator named this server's host, so that a private address is meant."""
        return self.provider.on_private_host(self.variables)

    def fill(self, template: str, /) -> str:
        """Fill a template of the provider's data; raises `ValidationFailedError` naming a variable without a value."""
        return _fill(template, {**self.variables, "client_id": self.application.client_id})


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


def resolve_client(
    provider: Provider, method: Method, application: OAuthApplication, variables: Mapping[str, str], *, backend: OAuthBackend
) -> Client:
    """Put a provider's data, the operator's *application* and a tenant's *variables* together; *backend* speaks for them.

    Raises `ValidationFailedError` for a variable that is missing, unknown, malformed or the
    operator's alone, and when the URLs made from them are not plain https; `ConfigurationError` for
    an application without a usable client authentication or issuer; `ProviderInactiveError` for a
    method that does not work by code.
    """
    if method.authorize_url is None or method.token_url is None:
        raise ProviderInactiveError(provider_id=str(provider.provider_id), problem="has no authorization code method of this name")
    filled = provider.fill_variables(_without_echoes(provider, application, variables), operator=application.variables)
    places = {**filled, "client_id": quote(application.client_id, safe="")}
    authorize_url = check_endpoint(_fill(method.authorize_url, places), loopback=provider.loopback)
    token_url = check_endpoint(_fill(method.token_url, places), loopback=provider.loopback)
    refresh_url = check_endpoint(_fill(method.refresh_url, places), loopback=provider.loopback) if method.refresh_url else token_url
    return Client(
        provider=provider,
        method=method,
        application=application,
        variables=filled,
        authorize_url=authorize_url,
        token_url=token_url,
        refresh_url=refresh_url,
        revoke_url=_revoke_url(provider, method, places),
        client_auth=client_auth_of(method, application),
        issuer=_issuer(method, application, places),
        context_id=context_id(
            provider.provider_id, authorize_url=authorize_url, token_url=token_url, client_id=application.client_id
        ),
        backend=backend,
    )  # fmt: skip


def check_endpoint(url: str, /, *, loopback: bool) -> str:
    """Return *url* if requests may go there: https, a host, no user name, no fragment (RFC 6749 §3.1, §3.2).

    With *loopback*, plain http to a loopback address passes too.  Raises `ValidationFailedError`,
    which never repeats the URL.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValidationFailedError(field="variables", problem="do not make a usable address") from None
    if not host or not _VISIBLE.match(url) or "\\" in url or "#" in url or "@" in parts.netloc:
        raise ValidationFailedError(field="variables", problem="do not make a usable address")
    if parts.scheme != "https" and not (loopback and parts.scheme == "http" and host in LOOPBACK_HOSTS):
        raise ValidationFailedError(field="variables", problem="make an address that is not https")
    return url


def _without_echoes(provider: Provider, application: OAuthApplication, variables: Mapping[str, str]) -> dict[str, str]:
    # An integration's kept variables may repeat what the operator configured; a tenant's other wish is refused further on.
    operators = {
        variable.name: application.variables.get(variable.name, variable.default)
        for variable in provider.variables
        if variable.source == "application"
    }
    return {name: value for name, value in variables.items() if name not in operators or operators[name] != value}


def _fill(template: str, values: Mapping[str, str]) -> str:
    try:
        return fill(template, values)
    except KeyError as missing:
        raise ValidationFailedError(field=f"variables.{missing.args[0]}", problem="is required by this provider") from None


def _revoke_url(provider: Provider, method: Method, places: Mapping[str, str]) -> str | None:
    if method.revoke is None or method.revoke.url is None:
        return None
    try:
        url = fill(method.revoke.url, places)
    except KeyError:
        return None
    return check_endpoint(url, loopback=provider.loopback)


def client_auth_of(method: Method, application: OAuthApplication, /) -> ClientAuth:
    """Return how *application* authenticates, or raise `ConfigurationError` where no way of *method* fits it."""
    offered = method.client_auth if application.client_auth is None else (application.client_auth,)
    for name in offered:
        # A client without a secret is public, and one with a secret never hides it (RFC 6749 §2.1).
        if name in _SUPPORTED and (name == "none") is (application.client_secret is None):
            return _SUPPORTED[name]
    held = "no client secret" if application.client_secret is None else "a client secret"
    problem = f"cannot authenticate: the ways are {', '.join(offered)}, and there is {held}"
    raise ConfigurationError(setting=f"the OAuth application of {application.provider}", problem=problem)


def _issuer(method: Method, application: OAuthApplication, places: Mapping[str, str]) -> str | None:
    issuer = application.issuer if application.issuer is not None else method.issuer and _fill(method.issuer, places)
    if issuer is None and method.callback.issuer == "required":
        raise ConfigurationError(setting=f"the OAuth application of {application.provider}", problem="needs an issuer")
    return issuer
