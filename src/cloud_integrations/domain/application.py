"""The operator's OAuth application at a provider, and what users of an installation see of its providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from cloud_integrations.domain.arguments import (
    LONGEST_URL,
    read_day_or_none,
    read_provider,
    read_scopes,
    read_secrets,
    read_text,
    read_text_or_none,
    read_texts,
    read_variables,
)
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.entered import InputForm
from cloud_integrations.domain.icon import ProviderIcon
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.key_rotation import KeyMaking
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import ConfigurationError, ValidationFailedError

ClientAuth = Literal["basic", "basic_raw", "post", "tls", "none"]
"""How an application authenticates to a token endpoint (RFC 6749 §2.3.1, RFC 8705 §2).

`basic`: HTTP Basic, id and secret percent-encoded.  `basic_raw`: HTTP Basic without percent-encoding.  `post`: in the body.
`tls`: by a client certificate (`tls_client_auth`, `self_signed_tls_client_auth`); it and its private key, in PEM, are the client secret.
`none`: a public client, without a secret.
"""


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class OAuthApplication:
    """The client id and secret that the operator has registered at a provider.

    `provider` is a slug or UUID.  `method_id` names one of the provider's methods; None: the first that works by OAuth2.
    `client_secret` may be text, which is wrapped in a `Secret` at once; None for a public client.  While a secret is rotated, it is a
    list of at most five, the new one first: if the provider refuses one, the next is tried.  For `tls` it is a certificate with its
    private key, in PEM.
    `variables` are the values of the provider's variables that the operator chooses, by name.
    `redirect_uris` are the exact redirect URIs that are registered besides the library's own callback.  The first one replaces that
    callback in new authorizations, for a front end that receives the code itself.  Each one is allowed for posted codes.

    Raises `ConfigurationError`, which names the setting, for a value that is empty or of another type.
    """

    provider: str
    client_id: str
    client_secret: Secret | None
    """The secret to authenticate with now: the first of `client_secrets`, or in the application of a `Client` the one that works."""
    client_secrets: tuple[Secret, ...]
    """All secrets, in the order in which they are tried; empty for a public client."""
    method_id: str | None
    scopes: tuple[str, ...] | None
    """The scopes to ask for when the caller names none; None: the provider's default."""
    redirect_uris: tuple[str, ...]
    variables: Mapping[str, str]
    client_auth: ClientAuth | None
    """`basic`, `basic_raw`, `post`, `tls` or `none`; None: the first way of the provider that fits the application."""
    issuer: str | None
    """The `iss` to expect in the callback (RFC 9207); None: the issuer of the catalogue, where it has one."""
    secret_since: date | None
    """The day on which the first client secret was made at the provider, for reports of its age; None: not said."""

    def __init__(
        self,
        *,
        provider: str | UUID,
        client_id: str,
        client_secret: Secret | str | Sequence[Secret | str] | None = None,
        client_secrets: Sequence[Secret] = (),
        method_id: str | None = None,
        scopes: Sequence[str] | None = None,
        redirect_uris: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        client_auth: ClientAuth | None = None,
        issuer: str | None = None,
        secret_since: date | None = None,
    ) -> None:
        # `client_secrets` is for `dataclasses.replace`, which passes every field: a replaced `client_secret` that is in the list keeps it.
        try:
            used, secrets = _read_secrets(client_secret, client_secrets)
            read = {
                "provider": str(read_provider(provider)),
                "client_id": read_text("client_id", client_id, most=LONGEST_URL),
                "client_secret": used,
                "client_secrets": secrets,
                "method_id": read_text_or_none("method_id", method_id),
                "scopes": None if scopes is None else read_scopes(scopes),
                "redirect_uris": read_texts("redirect_uris", redirect_uris, most=LONGEST_URL),
                "variables": read_variables(variables),
                "client_auth": read_text_or_none("client_auth", client_auth),
                "issuer": read_text_or_none("issuer", issuer, most=LONGEST_URL),
                "secret_since": read_day_or_none("secret_since", secret_since),
            }
        except ValidationFailedError as error:
            raise ConfigurationError(setting=f"OAuthApplication.{error.field}", problem=error.problem) from None
        for field, value in read.items():
            object.__setattr__(self, field, value)


def _read_secrets(used: object, listed: object) -> tuple[Secret | None, tuple[Secret, ...]]:
    """Return the secret to use and the whole list."""
    secrets, before = read_secrets("client_secret", used), read_secrets("client_secrets", listed)
    if not secrets:
        if before:
            raise ValidationFailedError(field="client_secret", problem="is missing: pass the list as client_secret")
        return None, ()
    return secrets[0], before if len(secrets) == 1 and secrets[0] in before else secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSummary:
    """One value that a tenant enters."""

    name: str
    label: str
    hint: str
    required: bool
    secret: bool
    form: InputForm = "text"
    """What the value is: one line of `text`, keys or certificates in `pem`, or a `json` document."""
    one_of: str | None = None
    """A word that several inputs share.  At most one of them is entered; exactly one, if one of them is `required`."""
    argument: Literal["api_key", "secret_key"] | None
    """The argument of `add_api_key` that takes it (`apiKey` and `secretKey` over HTTP); None: only `add` does, by its name."""
    patterns: tuple[str, ...] = ()
    """Regular expressions, of which the whole value usually matches one; another value is checked with the provider all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableSummary:
    """A value that a provider's addresses need, and that a tenant may give."""

    name: str
    label: str
    hint: str
    required: bool
    """Whether connecting always fails without it; False if there is a default, or if a key may tell it."""
    told_by: tuple[str, ...] = ()
    """The inputs whose form may tell the value: it is needed only beside one that does not, and must not contradict one that does."""
    pattern: str | None
    """A regular expression that the whole value must match."""
    choices: tuple[str, ...]
    """The only values allowed; empty: any that matches `pattern`."""
    default: str | None
    """The value if none is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeprecationSummary:
    """What a provider has announced to end."""

    ends: date | None
    """The day on which it ends, which may have passed; None: not said."""
    instead: str
    """What to use instead, or what happens, as a sentence."""
    source: str
    """The page that says so, as a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSummary:
    """A method by which a provider can be connected in this installation."""

    id: str
    auth_type: AuthType
    inputs: tuple[InputSummary, ...]
    """What a tenant enters; empty for OAuth2."""
    needs_setup: bool = False
    """Whether `begin_setup` comes first, which makes what the tenant needs at the provider."""
    revokes_key: bool = False
    """Whether the provider can revoke the key when the integration is deleted, if that is asked for (`delete(revoke_key=True)`)."""
    makes_key: KeyMaking | None = None
    """How the provider makes a new key by itself (`begin_key_rotation(new_key=…)`); None: a person makes it there."""
    manual_url: str | None
    """The page where a person withdraws the access by hand; None: not known, or its address needs a variable of the tenant."""
    deprecated: DeprecationSummary | None = None
    """The end that the provider has announced for this method, also as a part of the whole provider; None: none is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSummary(Serialisable):
    """A provider as users of this installation see it."""

    id: ProviderId
    slug: str
    name: str
    category: str
    """What it is grouped by: one of `CATEGORIES`, or a word of the host's own."""
    description: str = ""
    """What it is, in at most 100 characters."""
    aliases: tuple[str, ...] = ()
    """Other words by which people look for it."""
    active: bool
    auth_types: tuple[AuthType, ...]
    """The kinds of access that work in this installation; `oauth2` only where an application is configured."""
    documentation: str
    redirect_uri: str | None = None
    """The redirect URI to register at the provider; None: no application is configured, or one of its variables is not known."""
    methods: tuple[MethodSummary, ...] = ()
    """The methods of these kinds, in order of preference."""
    variables: tuple[VariableSummary, ...] = ()
    """What a tenant may give besides a credential; what the operator has configured is left out."""
    deprecated: DeprecationSummary | None = None
    """The end that is announced for the whole provider; None: none is known."""

    @property
    def icon(self) -> ProviderIcon:
        """Letters on a coloured square, which are no trademark."""
        return ProviderIcon.of(slug=self.slug, name=self.name)
