"""One configured authorization server (`Client`), and the protocol of the code that builds requests to it (`OAuthBackend`).

A `Client` is made from a provider file, the operator's application and a tenant's variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import quote, urlsplit

from cloud_integrations.domain.application import ClientAuth, OAuthApplication
from cloud_integrations.domain.identifiers import ContextId, TenantId, context_id
from cloud_integrations.domain.provider import Method, Provider, fill
from cloud_integrations.errors import ConfigurationError, ProviderInactiveError, ValidationFailedError

from .egress import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from datetime import datetime

    from cloud_integrations.domain.outcome import TokenOutcome
    from cloud_integrations.domain.secret import Secret

    from .http import HttpRequest, HttpResponse

_VISIBLE = re.compile(r"[!-~]+\Z")

_SUPPORTED: Mapping[str, ClientAuth] = {"basic": "basic", "basic_raw": "basic_raw", "post": "post", "tls": "tls", "none": "none"}
_NEEDED: Mapping[str, str] = {"tls": "a private key", "none": "no client secret"}
"""What a way to authenticate needs, if not a client secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAnswer:
    """The answer to an authorization request: either a code or an error, never both."""

    state: Secret
    code: Secret | None = None
    error: str | None = None
    """One of `KNOWN_ERRORS`, `installation_requested` if somebody else must agree first, or `other`."""
    site: str | None = field(default=None, repr=False)
    """The provider's site that the callback names; not checked yet, so it can be any text."""
    installation: str | None = field(default=None, repr=False)
    """The id of an installation that the callback claims; whoever sends the browser chooses it."""
    issuer: str | None = None
    """The issuer, if the callback named it and it was compared; else None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One configured authorization server, with an application there.

    `resolve_client` makes it; all its URLs are filled in and checked.
    """

    provider: Provider
    method: Method
    application: OAuthApplication
    owner: TenantId | None = None
    """The tenant that registered the application; None: the operator."""
    variables: Mapping[str, str]
    """The variables of the operator and the tenant by name, checked."""
    authorize_url: str | None
    """None: the method has no authorization page, and works by device code; or `lacks_endpoints`."""
    token_url: str
    """Empty while the client `lacks_endpoints`."""
    par_url: str | None
    """None: authorization requests are not pushed (RFC 9126)."""
    refresh_url: str
    device_url: str | None
    """None: the method does not work by device code."""
    revoke_url: str | None
    """None: the provider has no revocation endpoint, or its URL needs a variable that has no value yet."""
    client_auth: ClientAuth
    issuer: str | None
    metadata_url: str | None = None
    """Where the server's metadata is, which has the endpoints (RFC 8414); None: the provider file has them."""
    context_id: ContextId
    backend: OAuthBackend = field(repr=False, compare=False)
    """Builds this client's requests and reads the answers to them."""

    @property
    def uses_pkce(self) -> bool:
        """Whether authorizations carry a code challenge (RFC 7636)."""
        return self.method.pkce != "off"

    @property
    def lacks_endpoints(self) -> bool:
        """Whether the server's metadata has not been read, so that no request can be built yet."""
        return not self.token_url

    @property
    def tenant_variables(self) -> dict[str, str]:
        """The variables to store with an integration: all but those with the source `application`."""
        return self.provider.tenant_variables(self.variables)

    @property
    def private_host(self) -> bool:
        """Whether the operator has named this server's host, so that a private address is allowed."""
        return self.provider.on_private_host(self.variables)

    def id_for(self, owner: TenantId | None, /) -> ContextId:
        """Return the `context_id` that this server has with the same client id where *owner* registered the application."""
        return context_id(
            self.provider.provider_id,
            authorize_url=(self.issuer if self.metadata_url else self.authorize_url or self.device_url) or "",
            token_url=self.metadata_url or self.token_url,
            client_id=self.application.client_id,
            owner=owner,
        )

    def fill(self, template: str, /) -> str:
        """Return *template* with the variables and the client id filled in.

        Raises `ValidationFailedError`, which names the variable, if one has no value.
        """
        return _fill(template, {**self.variables, "client_id": self.application.client_id})


class OAuthBackend(Protocol):
    """Builds the requests to a provider and reads the answers; it sends nothing and has no state.

    Both managers call its methods, from several threads at once; none is a coroutine function.  Requests go by https to a host of the
    client's URLs, and their URLs contain no secret.  `build_authorize` and `build_exchange` raise `ValidationFailedError` for
    arguments that the provider does not allow.  Any other error is a mistake of the backend: it becomes `OAuthBackendError`, or
    `Unknown` where a token answer is read.
    """

    def build_authorize(
        self, client: Client, /, *, state: Secret, redirect_uri: str, scopes: Sequence[str], verifier: Secret | None
    ) -> str:
        """Return the https URL to open in the browser; it contains *state*, but neither *verifier* nor the client secret.

        *verifier* is the code verifier whose challenge the URL contains (RFC 7636 §4.3); None without PKCE.
        """
        ...

    def read_callback(self, client: Client, params: Iterable[tuple[str, str]], /, *, issuer: str | None) -> CallbackAnswer:
        """Read the parameters that came to the redirect URI: a code or an error, never both.

        *issuer* is the one stored when the authorization began; an answer of another issuer is refused.  Raises `GrantRefusedError`,
        with a word as reason, and no other error, whatever a browser sends.
        """
        ...

    def build_exchange(self, client: Client, /, *, code: Secret, redirect_uri: str, verifier: Secret | None) -> HttpRequest:
        """Build the request that exchanges a code for tokens (RFC 6749 §4.1.3); the code is not in its URL."""
        ...

    def read_grant(self, client: Client, response: HttpResponse, /, *, requested_scopes: Sequence[str], now: datetime) -> TokenOutcome:
        """Read the answer to an exchange (RFC 6749 §5); never raises, whatever a server sends.

        Times are aware.  If the answer does not name the scopes, they are the requested ones.
        """
        ...

    def build_refresh(
        self, client: Client, /, *, refresh_token: Secret, scopes: Sequence[str] = (), redirect_uri: str | None = None
    ) -> HttpRequest:
        """Build the refresh request (RFC 6749 §6); the refresh token is not in its URL."""
        ...

    def read_renewal(self, client: Client, response: HttpResponse, /, *, now: datetime) -> TokenOutcome:
        """Read the answer to a refresh (RFC 6749 §5); never raises, whatever a server sends.

        Return `Refused` only if the provider itself says that the refresh token is dead, because the tenant must then reconnect.
        """
        ...

    def build_revoke(self, client: Client, /, *, token: Secret, kind: Literal["refresh", "access"]) -> HttpRequest | None:
        """Build the request that revokes a token (RFC 7009), which is not in its URL; None if this kind cannot be revoked."""
        ...

    def read_revocation(self, client: Client, response: HttpResponse, /) -> Literal["revoked", "failed"]:
        """Return `revoked` if the token is certainly dead, else `failed`, also for a 5xx; never raises, whatever a server sends."""
        ...


def resolve_client(
    provider: Provider,
    method: Method,
    application: OAuthApplication,
    variables: Mapping[str, str],
    *,
    backend: OAuthBackend,
    owner: TenantId | None = None,
) -> Client:
    """Return the client made from *provider* and *method*, an *application*, a tenant's *variables* and *backend*.

    *owner* is the tenant that registered the application; None: the operator.

    Raises `ValidationFailedError` for a variable that is missing, unknown, not valid or the operator's, and if a URL made from the
    variables is not https; `ConfigurationError` for an application without a usable client authentication or issuer; and
    `ProviderInactiveError` for a method to which nobody consents.
    """
    device = None if method.device is None else method.device.url
    begins, token = method.authorize_url or device, method.token_url
    if method.metadata is None and (begins is None or token is None):
        raise ProviderInactiveError(provider_id=str(provider.provider_id), problem="has no method of this name to which a person consents")
    filled = provider.fill_variables(_without_echoes(provider, application, variables), operator=application.variables)
    method.require_variables(filled)
    places = {**filled, "client_id": quote(application.client_id, safe="")}

    def endpoint(template: str | None) -> str | None:
        return template and check_endpoint(_fill(template, places), loopback=provider.loopback)

    issuer = _issuer(method, application, places)
    metadata_url = _metadata_url(provider, method, issuer)
    authorize_url, token_url, device_url = endpoint(method.authorize_url), endpoint(token) or "", endpoint(device)
    return Client(
        provider=provider,
        method=method,
        application=application,
        owner=owner,
        variables=filled,
        authorize_url=authorize_url,
        token_url=token_url,
        par_url=endpoint(method.par_url),
        refresh_url=endpoint(method.refresh_url) or token_url,
        device_url=device_url,
        revoke_url=_revoke_url(provider, method, places),
        client_auth=client_auth_of(method, application),
        issuer=issuer,
        metadata_url=metadata_url,
        # With metadata, the issuer stands for its endpoints: they are all at its own host.
        context_id=context_id(
            provider.provider_id,
            authorize_url=(issuer if metadata_url else authorize_url or device_url) or "",
            token_url=metadata_url or token_url,
            client_id=application.client_id,
            owner=owner,
        ),
        backend=backend,
    )


def check_endpoint(url: str, /, *, loopback: bool) -> str:
    """Return *url* if requests may be sent there: https, with a host, without user name and fragment (RFC 6749 §3.1, §3.2).

    With *loopback*, http to a loopback address is allowed too.  Raises `ValidationFailedError`, which never repeats the URL.
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
    # The stored variables of an integration may repeat the operator's values; `fill_variables` refuses any other value of a tenant.
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
    """Return how *application* authenticates: the first way of *method* that fits.  Raises `ConfigurationError` if none does."""
    offered = method.client_auth if application.client_auth is None else (application.client_auth,)
    # A client without a secret is public; a client with a secret always authenticates (RFC 6749 §2.1).  A private key is never sent as
    # one, whichever of several secrets has its turn.
    held = {_kind_of(secret) for secret in application.client_secrets} or {"no client secret"}
    for name in offered:
        if name in _SUPPORTED and held == {_NEEDED.get(name, "a client secret")}:
            return _SUPPORTED[name]
    problem = f"cannot authenticate: the ways are {', '.join(offered)}, and there is {' and '.join(sorted(held))}"
    raise ConfigurationError(setting=f"the OAuth application of {application.provider}", problem=problem)


def _kind_of(secret: Secret) -> str:
    return "a private key" if "-----BEGIN " in secret.reveal() else "a client secret"


def _metadata_url(provider: Provider, method: Method, issuer: str | None) -> str | None:
    """Return where the metadata of *issuer* is: inserted before its path (RFC 8414 §3.1), or appended to it (OpenID Discovery §4.1)."""
    if method.metadata is None or issuer is None:
        return None
    if "?" in check_endpoint(issuer, loopback=provider.loopback):
        raise ValidationFailedError(field="variables", problem="do not make a usable address")
    if method.metadata == "oidc":
        return f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"


def _issuer(method: Method, application: OAuthApplication, places: Mapping[str, str]) -> str | None:
    named = method.issuer and _fill(method.issuer, places)
    issuer = named if application.issuer is None else application.issuer
    if method.metadata is not None and issuer != named:
        # It would choose the server that the client's secret is sent to.
        raise ConfigurationError(setting=f"the OAuth application of {application.provider}", problem="has another issuer than its provider")
    if issuer is None and method.callback.issuer == "required":
        raise ConfigurationError(setting=f"the OAuth application of {application.provider}", problem="needs an issuer")
    return issuer
