"""Ways to get access: by a code or by a key, and how each is revoked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cloud_integrations.domain.application import ClientAuth

from .base import RESERVED_PARAMETERS, FileTable, check_pattern
from .placement import Placement
from .predicates import Predicate
from .scopes import Scopes
from .tokens import AccessTokenFacts, RefreshTokenFacts
from .variables import fill, places

Accepted = Literal["private_key", "json"]
"""What an input can ask for that no API key looks like."""


class Callback(FileTable):
    """What the provider brings back to the redirect URI."""

    code: str = "code"
    """The parameter that holds the code."""
    response_mode: Literal["query", "form_post"] | None = None
    """How the answer comes back, asked for in the authorization request.  Left out: nothing is asked for, and it comes in the query.

    `form_post` (OAuth 2.0 Form Post Response Mode): the browser posts it to the redirect URI.
    """
    ignore: tuple[Literal["id_token"], ...] = ()
    """Tokens that come beside the code and are dropped unread; without this they refuse the answer."""
    site_from: str | None = None
    """The parameter that names one of the provider's `sites`, whose variables then make the token endpoint.

    A site that is not among them refuses the answer, so that no code goes to a host that only the callback names.
    """
    issuer: Literal["off", "optional", "required"] = "optional"
    """`required`: refuse a code without `iss` (RFC 9207).  An `iss` that is there is always compared."""


class Reply(FileTable):
    """How a token answer is read where it strays from RFC 6749 §5.1."""

    map: dict[str, str] = {}
    """Name → dotted path in the answer, for `access_token`, `refresh_token`, `token_type`, `expires_in` and the variables that a
    token answer gives.  The scopes have a field of their own: `reply_field` of `scopes`.
    """
    encodings: dict[Literal["expires_in", "refresh_token_expires_in"], Literal["seconds", "epoch_s", "epoch_ms", "iso8601"]] = {}
    """How a lifetime is written: as seconds from now, or as a point in time."""
    success: tuple[Predicate, ...] = ()
    """All must hold, beside a 2xx status and no `error` member."""
    token_types: tuple[str, ...] = ("bearer",)
    """The values of `token_type` that mean a bearer token, beside `bearer`; in any letter case."""


class Input(FileTable):
    """One value the tenant enters."""

    name: str
    """How templates and callers name it."""
    secret: bool = True
    """Whether it is sealed and never shown."""
    patterns: tuple[str, ...] = ()
    """Regular expressions of the whole value, one of which it should match.  Hints: a mismatch warns and never refuses."""
    required: bool = True
    """Whether a connection needs it."""
    normalise: tuple[Literal["strip", "unwrap"], ...] = ("strip", "unwrap")
    """`strip`: drop white space and a pair of quotes around the pasted value.  `unwrap`: drop `Bearer`, a header's name, `token=`,
    `export NAME=` and the like before it.  For a password: none.
    """
    spaces: bool = False
    """Whether it may hold spaces inside (a password); otherwise white space inside refuses it."""
    multiline: bool = False
    """Whether it may hold line breaks (a key in PEM); otherwise it is one line of visible ASCII."""
    accepts: tuple[Accepted, ...] = ()
    """What else it may be, and is refused where nobody asks for it: a private key (`private_key`), a JSON document (`json`)."""
    label: str = ""
    """What a person calls it."""
    hint: str = ""
    """What a person should know when entering it."""

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            check_pattern(pattern)
        return patterns

    def looks_right(self, text: str, /) -> bool:
        """Say whether *text* has one of the known forms; true where none is known."""
        return not self.patterns or any(re.fullmatch(pattern, text) for pattern in self.patterns)


class Revoke(FileTable):
    """How a grant is ended at the provider (RFC 7009 where nothing else is said)."""

    method: Literal["POST", "DELETE", "GET", "PUT"] = "POST"
    """The HTTP method."""
    url: str | None = None
    """Left out: the provider has no revocation request; `manual_url` says where the tenant can do it."""
    body: Literal["form", "json", "none"] = "form"
    """How the parameters are written; `none`: nothing is sent but the headers."""
    param: str = "token"
    """The parameter that holds the token."""
    auth: Literal["client_basic", "client_post", "bearer", "none"] = "client_basic"
    """How the request proves itself: by our client authentication, by the token itself (`bearer`), or not at all."""
    which: Literal["access", "refresh", "both"] = "both"
    """Which tokens the request takes."""
    kills: Literal["token", "grant"] | None = None
    """What one request ends: `token`, this token and what came by the same consent; `grant`, everything that the account ever
    granted to the application.  Left out: nobody knows, and wherever it could do harm it is read as `grant`."""
    hint: bool = True
    """Whether `token_type_hint` goes with a token in a form."""
    statuses: tuple[int, ...] = (200, 204)
    """Those of a success; an answer that says an error, or is a page, is none all the same."""
    success: tuple[Predicate, ...] = ()
    """Tests on the JSON body; all must hold for a success."""
    gone_statuses: tuple[int, ...] = ()
    """Those by which the provider says that it does not know the token, which is dead then."""
    gone: tuple[Predicate, ...] = ()
    """Tests on the JSON body of an answer below 500; one that holds says the same.  The error `invalid_token` always does."""
    manual_url: str | None = None
    """Where a person removes the access by hand; a template like any URL."""
    headers: dict[str, str] = {}
    """Further headers; templates."""

    @model_validator(mode="after")
    def _is_read_whole(self) -> Self:
        if self.url is None and (unread := sorted(self.model_fields_set - {"url", "manual_url"})):
            raise ValueError(f"revoke without url has no {', '.join(unread)}")
        return self

    def find_manual_url(self, variables: Mapping[str, str], /) -> str | None:
        """Return `manual_url` for a tenant with these *variables*; None where there is none, or a variable of it is unknown."""
        if self.manual_url is None or not all(variables.get(name) for name in places(self.manual_url)):
            return None
        return fill(self.manual_url, variables)

    @property
    def may_end_grant(self) -> bool:
        """Whether revoking one token may end what other tokens of the same account live on."""
        return self.kills != "token"


class Method(FileTable):
    """One way to get access at a provider."""

    id: str
    """Stable for ever: it is stored with every integration."""
    kind: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    """How access is obtained: `code` (OAuth 2.0 authorization code) or `key` (values that the tenant enters)."""
    authorize_url: str | None = None
    """The authorization endpoint (`code`)."""
    token_url: str | None = None
    """The token endpoint (`code`)."""
    refresh_url: str | None = None
    """Where refresh tokens are spent.  Left out: at `token_url`."""
    issuer: str | None = None
    """The issuer that a callback's `iss` is compared with (RFC 9207)."""
    scopes: Scopes = Scopes()
    """Which scopes are asked for, and how they are written."""
    pkce: Literal["required", "s256", "off"] = "s256"
    """RFC 7636: the provider requires it, it is sent, or it is left out."""
    client_auth: tuple[ClientAuth, ...] = ("basic",)
    """Ways to authenticate the application, in order of preference; the first that fits the application is used.

    `basic` percent-encodes id and secret (RFC 6749 §2.3.1), `basic_raw` sends them as they are.
    """
    body: Literal["form", "json"] = "form"
    """How token requests are written."""
    authorize_params: dict[str, str] = {}
    """Further parameters of the authorization request; templates."""
    token_params: dict[str, str] = {}
    """Further parameters of the request that spends a code; templates."""
    refresh_params: dict[str, str] = {}
    """Further parameters of the request that spends a refresh token; templates, and `redirect_uri` to repeat that one."""
    headers: dict[Literal["token", "api"], dict[str, str]] = {}
    """Further headers of token requests (`token`) and of checks (`api`)."""
    callback: Callback = Callback()
    """What comes to the redirect URI."""
    reply: Reply = Reply()
    """How a token answer is read."""
    access_token: AccessTokenFacts = AccessTokenFacts()
    """How long an access token lives and how it is sent."""
    refresh_token: RefreshTokenFacts = RefreshTokenFacts()
    """How refresh tokens behave."""
    inputs: tuple[Input, ...] = ()
    """What the tenant enters (`key`)."""
    placement: tuple[Placement, ...] = (Placement(),)
    """Where the inputs go in a request (`key`)."""
    revoke: Revoke | None = None
    """How access is ended.  Left out: nobody knows."""

    @model_validator(mode="after")
    def _says_once_how_long_a_token_lives(self) -> Self:
        if self.access_token.expiry_field is not None and "expires_in" in self.reply.map:
            raise ValueError("expires_in has two places: give expiry_field or reply.map")
        if "expiry_encoding" in self.access_token.model_fields_set and "expires_in" in self.reply.encodings:
            raise ValueError("expires_in has two encodings: give expiry_encoding or reply.encodings")
        return self

    @model_validator(mode="after")
    def _leaves_the_protocol_alone(self) -> Self:
        if taken := sorted(RESERVED_PARAMETERS & self.scopes.extra_lists.keys()):
            raise ValueError(f"scopes.extra_lists may not set {', '.join(taken)}")
        if twice := sorted(self.scopes.extra_lists.keys() & self.authorize_params.keys()):
            raise ValueError(f"authorize_params and scopes.extra_lists set {', '.join(twice)} twice")
        settable = {"authorize_params": frozenset[str](), "token_params": {"scope"}, "refresh_params": {"scope", "redirect_uri"}}
        for field, allowed in settable.items():
            if taken := sorted(RESERVED_PARAMETERS & getattr(self, field).keys() - allowed):
                raise ValueError(f"{field} may not set {', '.join(taken)}")
        return self
