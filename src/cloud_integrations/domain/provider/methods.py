"""Methods to obtain access: by an authorization code or by a key, and how each is revoked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cloud_integrations.domain.application import ClientAuth
from cloud_integrations.domain.dpop import DPOP
from cloud_integrations.errors import ValidationFailedError

from .after_connecting import AfterConnecting
from .base import RESERVED_PARAMETERS, FileTable, Headers, Seconds, check_headers, check_pattern
from .device import Device
from .inputs import Input, Name
from .installation import Installation
from .minting import APPLICATION, PLATFORM, Proof, Step
from .narrowing import Narrowing, check_narrowing
from .predicates import Predicate
from .present import BEARER, Present
from .rotation import NewKey
from .scopes import Scopes
from .tokens import AccessTokenFacts, RefreshTokenFacts
from .trust import MustFail
from .variables import fill, places, texts_in

_Lifetime = Literal["expires_in", "refresh_token_expires_in"]


class Callback(FileTable):
    """How the answer to an authorization request comes to the redirect URI."""

    code: str = "code"
    """The parameter that holds the code."""
    response_mode: Literal["query", "form_post"] | None = None
    """The `response_mode` that the authorization request asks for.  Left out: none, and the answer comes in the query.

    `form_post` (OAuth 2.0 Form Post Response Mode): the browser posts the answer to the redirect URI.
    """
    ignore: tuple[Literal["id_token"], ...] = ()
    """Tokens that come with the code and are dropped unread; other tokens in a callback refuse it."""
    site_from: str | None = None
    """The parameter that names one of the provider's `sites`, whose variables then give the token endpoint.

    An answer with any other site is refused, so that no code is sent to a host that only the callback names.
    """
    installation_from: str | None = None
    """The parameter that claims the id of an installation (`installation`).  Then the authorization page is one of the provider's that
    takes `state` alone; the provider knows the rest from the application's registration.
    """
    requested: dict[str, str] = Field(default_factory=dict)
    """Parameter → the value that says that nothing is installed, because somebody else must agree first (`installation`)."""
    issuer: Literal["optional", "required"] = "optional"
    """`required`: a code without `iss` is refused (RFC 9207).  If the issuer is known, an `iss` in the answer must always equal it."""


class Reply(FileTable):
    """How a token answer is read if it differs from RFC 6749 §5.1."""

    map: dict[str, str] = Field(default_factory=dict)
    """Name → dotted path in the answer, for `access_token`, `refresh_token`, `token_type`, `expires_in` and variables with the source
    `token_reply`.  The path to the scopes is `reply_field` of `scopes`.
    """
    encodings: dict[_Lifetime, Literal["seconds", "epoch_s", "epoch_ms", "iso8601"]] = Field(default_factory=dict)
    """How a lifetime is written: as seconds from now, or as a point in time."""
    success: tuple[Predicate, ...] = ()
    """Tests on the answer; for a success all must pass, with a 2xx status and without an `error` member."""
    token_types: tuple[str, ...] = ("bearer",)
    """The values of `token_type` that mean a bearer token, besides `bearer`; letter case does not matter."""


class KeyRevocation(FileTable):
    """The request by which a key that the tenant pasted can be ended (`key`); it is sent only if it is asked for.

    The key may serve elsewhere too, so the library does not end it by itself.
    """

    method: Literal["DELETE", "POST"] = "DELETE"
    """The HTTP method."""
    url: str
    """The URL; a template.  It may begin with an input of the form `origin`, and name the `identity` that the check found."""
    options: dict[str, str] = Field(default_factory=dict)
    """What the credential's signature needs to know of this request; see `options` of `present`."""
    headers: Headers = Field(default_factory=dict)
    """Further headers."""
    listed_in: str | None = None
    """The member of the JSON body that takes a list of keys.  Then nothing else shows the key.

    Left out: the request shows the key as every other request does.
    """
    fields: dict[str, str] = Field(default_factory=dict)
    """The fields of a form-encoded body; templates, in which variables and inputs that are no secrets go by their names.  Left out:
    there is no such body.
    """
    format: Literal["json", "xml"] = "json"
    """How the answer is written; see `format` of a check."""
    statuses: tuple[int, ...] = (200, 204)
    """The statuses of a success.  An answer that reports an error, or is a web page, is no success in any case."""
    gone_statuses: tuple[int, ...] = (401,)
    """The statuses that mean that the provider does not know the key, so the key is dead."""
    unsupported_statuses: tuple[int, ...] = (403,)
    """The statuses that mean that the request does not end this key: it lacks a permission, or this edition has no such request."""


class Revoke(FileTable):
    """How access is ended at the provider; the defaults are those of RFC 7009."""

    method: Literal["POST", "DELETE", "GET", "PUT"] = "POST"
    """The HTTP method."""
    url: str | None = None
    """The revocation endpoint.  Left out: the one in `metadata`; without that there is none, and `manual_url` is the page where a person
    can do it.
    """
    body: Literal["form", "json", "none"] = "form"
    """How the parameters are encoded; `none`: only headers are sent."""
    param: str = "token"
    """The parameter that holds the token."""
    auth: Literal["client_basic", "client_post", "bearer", "none"] = "client_basic"
    """How the request is authenticated: as the client (`client_basic`, `client_post`), by the token itself (`bearer`), or not (`none`).

    Left out: as at the token endpoint (RFC 7009 §2.1), if `param` is `token`.
    """
    which: Literal["access", "refresh", "both"] = "both"
    """The tokens that can be revoked by the request."""
    kills: Literal["token", "grant"] | None = None
    """What one request ends: `token`, this token and those of the same consent; `grant`, everything that the account has granted to the
    application.  Left out: not known, and treated as `grant` wherever that is safer."""
    hint: bool = True
    """Whether a request with a form body has `token_type_hint`."""
    statuses: tuple[int, ...] = (200, 204)
    """The statuses of a success.  An answer that reports an error, or is a web page, is no success in any case."""
    success: tuple[Predicate, ...] = ()
    """Tests on the JSON body; for a success all must pass."""
    gone_statuses: tuple[int, ...] = ()
    """The statuses that mean that the provider does not know the token, so the token is dead."""
    gone: tuple[Predicate, ...] = ()
    """Tests on the JSON body of an answer below 500; if one passes, the token is dead.  The error `invalid_token` always means that."""
    manual_url: str | None = None
    """The page where a person removes the access by hand; a template."""
    headers: Headers = Field(default_factory=dict)
    """Further headers; templates."""
    key: KeyRevocation | None = None
    """How a key that the tenant pasted can be ended, if that is asked for (`key`).  Left out: only a person can do it."""

    def find_manual_url(self, variables: Mapping[str, str], /) -> str | None:
        """Return `manual_url` filled with *variables*; None if there is no such page, or one of its variables has no value."""
        if self.manual_url is None or not all(variables.get(name) for name in places(self.manual_url)):
            return None
        return fill(self.manual_url, variables)

    @property
    def may_end_grant(self) -> bool:
        """Whether revoking one token may end the grant that other tokens of the same account depend on."""
        return self.kills != "token"


class Method(FileTable):
    """One way to obtain access at a provider."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
    """Its id; never change it, because it is stored with every integration."""
    kind: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    """How access is obtained: `code` (OAuth 2.0 authorization code), `device` (OAuth 2.0 device code), `installation` (of the
    operator's application) or `key` (values that the tenant enters).
    """
    authorize_url: str | None = None
    """The authorization endpoint (`code`), or the page where a person installs the application (`installation`)."""
    token_url: str | None = None
    """The token endpoint (`code`, `device`, `installation`)."""
    device: Device | None = None
    """The device authorization endpoint (RFC 8628).  A `device` method needs it, and a `code` method may have it beside its own page."""
    installation: Installation | None = None
    """How an installation is known (`installation`)."""
    par_url: str | None = None
    """The pushed authorization request endpoint (RFC 9126; `code`).  If it is set, every authorization is pushed to it, and the browser
    gets a reference only.  It has no variable that neither `authorize_url` nor `token_url` has.
    """
    refresh_url: str | None = None
    """The endpoint that takes refresh tokens.  Left out: `token_url`."""
    issuer: str | None = None
    """The issuer that a callback's `iss` is compared with (RFC 9207), and whose `metadata` is read."""
    metadata: Literal["oauth", "oidc"] | None = None
    """Where the server's metadata is, which gives all endpoints in place of this file (`code`, `device`): at the issuer with
    `/.well-known/oauth-authorization-server` before its path (`oauth`, RFC 8414 §3.1), or with `/.well-known/openid-configuration` after
    it (`oidc`, OpenID Connect Discovery §4.1).  Every endpoint must be at the issuer's own host and port.
    """
    scopes: Scopes = Scopes()
    """Which scopes are asked for, and how they are written."""
    pkce: Literal["required", "s256", "off"] = "s256"
    """PKCE (RFC 7636): the provider requires it (`required`), it is sent (`s256`), or it is not sent (`off`)."""
    client_auth: tuple[ClientAuth, ...] = ("basic",)
    """Ways to authenticate the application, in order of preference; the first that fits the application is used.

    `basic` percent-encodes id and secret (RFC 6749 §2.3.1), `basic_raw` sends them as they are.  `tls` is a client certificate (RFC
    8705 §2), which together with its private key is the application's client secret.
    """
    body: Literal["form", "json"] = "form"
    """How token requests are encoded."""
    authorize_params: dict[str, str] = Field(default_factory=dict)
    """Further parameters of the authorization request; templates."""
    token_params: dict[str, str] = Field(default_factory=dict)
    """Further parameters of the request that exchanges a code; templates."""
    refresh_params: dict[str, str] = Field(default_factory=dict)
    """Further parameters of a refresh request; templates.  With `redirect_uri`, that of the authorization is repeated."""
    headers: dict[Literal["token", "api"], dict[str, str]] = Field(default_factory=dict)
    """Further headers of token requests (`token`) and of checks (`api`)."""
    callback: Callback = Callback()
    """How the answer to an authorization request comes back."""
    reply: Reply = Reply()
    """How a token answer is read."""
    access_token: AccessTokenFacts = AccessTokenFacts()
    """How long an access token lives and how it is sent."""
    refresh_token: RefreshTokenFacts = RefreshTokenFacts()
    """How refresh tokens behave."""
    idle: Seconds | None = None
    """What is not renewed, such as a key, ends if it is not used for this long.  A check counts as a use: the worker checks it before."""
    variables: dict[str, str] = Field(default_factory=dict)
    """Name of a variable → a regular expression that its whole value must match for this method, where the variable allows more."""
    inputs: tuple[Input, ...] = ()
    """What the tenant enters (`key`), or the id that the mint is from (`installation`)."""
    present: Present = BEARER
    """Where the token or the inputs go in a request.  Left out: `Authorization: Bearer`."""
    application: Literal["platform", "owner"] = "platform"
    """Whose OAuth application a mint uses: the operator's, as configured (`platform`), or the tenant's own, whose id and secret are
    among the inputs (`owner`).  If the tenant's own is refused, the tenant must act.
    """
    proofs: dict[str, Proof] = Field(default_factory=dict)
    """JWTs by name, which steps of `mint` carry, or `present` shows."""
    mint: tuple[Step, ...] = ()
    """Up to three requests, each with what those before it gave, that make a short-lived credential from the inputs (`key`,
    `installation`).

    They can be repeated, and are when the credential ends.  What the last of them gives is shown in requests.
    """
    must_fail: tuple[MustFail, ...] = ()
    """Mints that the provider must refuse, so that the tenant's trust in us is tight; they are tried when the integration is connected,
    and with each check.
    """
    narrow: dict[Name, Narrowing] = Field(default_factory=dict)
    """Name → what a caller may narrow the credential by.  What is not named here is refused, never given in full."""
    exchange: Step | None = None
    """A request that gives a narrowed credential for the stored one, or for one that was narrowed already; it can be repeated."""
    after_connecting: AfterConnecting | None = None
    """How the resource is found that addresses need.  Left out: none is needed, or the tenant names it."""
    revoke: Revoke | None = None
    """How access is ended at the provider.  Left out: not known."""
    rotation: NewKey | None = None
    """How the provider itself makes a new key (`key`).  Left out: a person makes it there."""

    @property
    def key_revocation(self) -> KeyRevocation | None:
        """How a key of this method can be ended at the provider; None: only a person can do it."""
        return None if self.revoke is None else self.revoke.key

    def platform_proofs(self) -> tuple[Proof, ...]:
        """Return the proofs of our own issuer that the mint cannot do without."""
        return tuple(
            self.proofs[name]
            for step in self.mint
            for name in step.required_proofs()
            if name in self.proofs and self.proofs[name].by_platform
        )

    @property
    def shown_proofs(self) -> tuple[str, ...]:
        """The names of the proofs that `present` shows in requests."""
        names = self.present.names() if self.proofs else ()
        return tuple(name.removeprefix("proof:") for name in names if name.startswith("proof:"))

    @property
    def uses_dpop(self) -> bool:
        """Whether its tokens are bound to a key of the connection (RFC 9449)."""
        return self.present.sign == DPOP

    @property
    def tells_time(self) -> bool:
        """Whether what requests show of it says when it was made: a signature, or a proof."""
        return self.present.sign is not None or bool(self.shown_proofs)

    @property
    def entered_inputs(self) -> tuple[Input, ...]:
        """The inputs that the tenant enters: all but those that the library makes, and the id that the provider gives an installation."""
        return () if self.installation is not None else tuple(given for given in self.inputs if given.made_by is None)

    @property
    def made_inputs(self) -> tuple[Input, ...]:
        """The inputs that the library makes, before the tenant sets the access up at the provider."""
        return tuple(given for given in self.inputs if given.made_by is not None)

    @property
    def uses_platform(self) -> bool:
        """Whether the mint needs the operator's own credential: to sign a request, or as the private key of the application."""
        return any(step.proof == PLATFORM for step in self.mint) or self.uses_application_key

    @property
    def uses_application_key(self) -> bool:
        """Whether a proof is signed with the private key of the operator's application."""
        return any(proof.key_name == APPLICATION for proof in self.proofs.values())

    @property
    def asked_before(self) -> set[str]:
        """The names in all texts, which are read before the resource is known, or by what does not wait for it."""
        return {name for _, text in texts_in(self.id, self.model_dump(mode="json")) for name in places(text)}

    @property
    def has_page(self) -> bool:
        """Whether a person authorizes it on a page of the provider, to which a browser is sent."""
        return self.authorize_url is not None or (self.metadata is not None and self.kind != "device")

    @model_validator(mode="after")
    def _endpoints_stand_in_one_place(self) -> Self:
        urls = {name: getattr(self, name) for name in ("authorize_url", "token_url", "par_url", "refresh_url")}
        urls["device.url"] = None if self.device is None else self.device.url
        urls["revoke.url"] = None if self.revoke is None else self.revoke.url
        written = sorted(name for name, url in urls.items() if url is not None)
        if self.metadata is not None:
            if written:
                raise ValueError(f"metadata has the endpoints: leave out {', '.join(written)}")
            if self.issuer is None or "?" in self.issuer:
                raise ValueError("metadata needs an issuer, without a query")
            return self
        if self.device is not None and self.device.url is None:
            raise ValueError("device needs url")
        unread = set[str]()
        if self.revoke is not None and self.revoke.url is None:
            unread = self.revoke.model_fields_set - {"url", "manual_url", "key"}
        if unread:
            raise ValueError(f"revoke without url has no {', '.join(sorted(unread))}")
        return self

    @model_validator(mode="after")
    def _says_once_how_long_a_token_lives(self) -> Self:
        if self.access_token.expiry_field is not None and "expires_in" in self.reply.map:
            raise ValueError("expires_in has two places: give expiry_field or reply.map")
        if "expiry_encoding" in self.access_token.model_fields_set and "expires_in" in self.reply.encodings:
            raise ValueError("expires_in has two encodings: give expiry_encoding or reply.encodings")
        return self

    @model_validator(mode="after")
    def _pushes_to_the_same_server(self) -> Self:
        # An application's secret is bound to the other two endpoints, and is sent to this one as well.
        bound = {"client_id", *places(self.authorize_url or ""), *places(self.token_url or "")}
        if free := sorted(set(places(self.par_url or "")) - bound):
            raise ValueError(f"par_url has {', '.join(free)}, which neither authorize_url nor token_url has")
        return self

    @model_validator(mode="after")
    def _narrows_by_its_own_requests(self) -> Self:
        if self.narrow and self.uses_dpop:
            raise ValueError("narrow is not for tokens that are bound to a key")
        endpoint = self.token_url is not None or self.metadata is not None
        refreshes = endpoint and not self.mint and not self.scopes.fixed and "scope" not in self.refresh_params
        check_narrowing(self.narrow, self.mint, self.exchange, self.refresh_token, refreshes=refreshes)
        return self

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[Literal["token", "api"], dict[str, str]]) -> dict[Literal["token", "api"], dict[str, str]]:
        for each in headers.values():
            check_headers(each)
        return headers

    @field_validator("variables")
    @classmethod
    def _are_patterns(cls, variables: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        for pattern in variables.values():
            check_pattern(pattern, info)
        return variables

    def require_variables(self, values: Mapping[str, str], /) -> None:
        """Raise `ValidationFailedError`, which names the variable, if one of *values* does not fit this method."""
        for name, pattern in self.variables.items():
            if not re.fullmatch(pattern, values.get(name, "")):
                problem = "needs a value that fits this method; the default may not"
                raise ValidationFailedError(field=f"variables.{name}", problem=problem)

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
