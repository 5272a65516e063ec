"""What is known about a provider, as data.

One provider is one value read from one file; every field has the standard's value as its default,
so that a plain OAuth2 provider takes a few lines.  Lengths of time are seconds in the files and
`timedelta` here.  URLs may hold `{variables}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, field_validator, model_validator

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.check import Outcome
from cloud_integrations.domain.identifiers import ProviderId, provider_id
from cloud_integrations.domain.json_paths import find_all
from cloud_integrations.errors import ValidationFailedError


def _seconds(value: timedelta) -> float:
    return value.total_seconds()


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta():
        raise ValueError("must not be negative")
    return value


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error:
        raise ValueError("is no regular expression") from None


Accepted = Literal["private_key", "json"]
"""What an input can ask for that no API key looks like."""
JsonScalar = str | int | float | bool
Seconds = Annotated[timedelta, AfterValidator(_not_negative), PlainSerializer(_seconds)]
_VARIABLE = re.compile(r"\{([a-z0-9_]+)\}")
_HOST = re.compile(r"https?://([^/?#]*)")
_OURS = {"client_id"}
"""Places in URL templates that the running flow fills."""
_URL_FIELDS = ("authorize_url", "token_url", "refresh_url", "issuer")
RESERVED_PARAMETERS = frozenset({
    "assertion", "client_assertion", "client_assertion_type", "client_id", "client_secret", "code", "code_challenge",
    "code_challenge_method", "code_verifier", "grant_type", "nonce", "redirect_uri", "refresh_token", "request", "request_uri",
    "response_mode", "response_type", "scope", "state",
})  # fmt: skip
"""Parameters of the protocol (OAU-010): a provider's data sets none of them, in no request."""


_OF_KEY_METHODS = {"id", "kind", "headers", "inputs", "placement", "revoke"}
_MAPPED = {"access_token", "expires_in", "refresh_token", "token_type"}


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Predicate(_Facts):
    """A test on one place of a JSON answer; exactly one comparison is given."""

    path: str
    """The place: names step into objects, numbers into lists, and `*` into every member of a list (`errors.*.code`).

    With `*` the test passes when any of the places passes.
    """
    equals: JsonScalar | None = None
    """The value must be this one, of this type: text, number or truth value.  `true` is not 1, and "190" is not 190."""
    matches: str | None = None
    """A regular expression that is found somewhere in the value, which is text."""
    exists: bool | None = None
    """Whether something must be there; null counts."""
    absent: bool | None = None
    """Whether the place must be missing."""
    not_null: bool | None = None
    """Whether there must be a value that is not null."""

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        given = self.model_fields_set & {"equals", "matches", "exists", "absent", "not_null"}
        if len(given) != 1:
            raise ValueError("give exactly one of equals, matches, exists, absent, not_null")
        if self.matches is not None:
            _check_pattern(self.matches)
        return self

    def holds(self, body: Any, /) -> bool:
        """Say whether *body*, as read from JSON, passes."""
        found = find_all(body, self.path)
        if self.exists is not None:
            return bool(found) is self.exists
        if self.absent is not None:
            return bool(found) is not self.absent
        if self.not_null is not None:
            return any(value is not None for value in found) is self.not_null
        return any(_passes(value, equals=self.equals, matches=self.matches) for value in found)


def _passes(value: Any, *, equals: JsonScalar | None, matches: str | None) -> bool:
    if matches is None:
        return _is_same(value, equals)
    return isinstance(value, str) and re.search(matches, value) is not None


def _is_same(value: Any, expected: Any) -> bool:
    # In Python `True == 1`; in JSON they are different values, while 1 and 1.0 are one number.
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    return type(value) in {str, int, float} and value == expected


class Variable(_Facts):
    """A value that URLs or requests need: from the tenant, the operator or a token answer."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    """How templates and callers name it: `{name}`."""
    pattern: str | None = None
    """A regular expression that the whole value must match.  This or `choices` is needed."""
    choices: tuple[str, ...] = ()
    """The only values allowed."""
    default: str | None = None
    """The value where nobody gives one."""
    required: bool = True
    """Whether connecting fails without it."""
    in_host: bool = False
    """Whether it may be part of a host name.  Then `pattern` should end in the provider's own domain."""
    source: Literal["input", "token_reply", "application"] = "input"
    """Who gives it: the tenant (`input`), the token answer (`token_reply`), or the operator alone, never a tenant (`application`)."""
    label: str = ""
    """What a person calls it."""
    hint: str = ""
    """What a person should know when entering it."""

    @model_validator(mode="after")
    def _has_a_form(self) -> Self:
        if self.pattern is not None:
            _check_pattern(self.pattern)
        elif not self.choices:
            raise ValueError("give choices or a pattern")
        return self

    def check(self, value: str, /) -> str:
        """Return *value*, or raise `ValidationFailedError` that names the variable and never repeats the value."""
        if not value.isprintable() or len(value) > 255:
            raise ValidationFailedError(field=f"variables.{self.name}", problem="must be at most 255 visible characters")
        if self.choices and value not in self.choices:
            raise ValidationFailedError(field=f"variables.{self.name}", problem=f"must be one of {', '.join(self.choices)}")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValidationFailedError(field=f"variables.{self.name}", problem="does not have the form this provider asks for")
        return value


class Scopes(_Facts):
    """Which scopes are asked for, and how they are written."""

    default: tuple[str, ...] = ()
    """Asked for where neither the caller nor the application names scopes."""
    separator: str = " "
    """Stands between the scopes of a request."""
    reply_separator: str | None = None
    """Stands between the scopes of an answer.  Left out: the same as `separator`."""
    reply_field: str = "scope"
    """Dotted path to the granted scopes in a token answer."""
    fixed: bool = False
    """The scopes are chosen where the application is registered: none are sent or compared."""
    offline: tuple[str, ...] = ()
    """Added so that a refresh token is issued; never reported as missing."""
    extra_lists: dict[str, tuple[str, ...]] = {}
    """Further scope parameters of the authorize request, by name (Slack's `user_scope`)."""
    always: tuple[str, ...] = ()
    """Added to whatever is asked for: the verification needs them."""
    unlisted: tuple[str, ...] = ()
    """Granted, yet never named in the reply; not reported as missing."""
    aliases: dict[str, str] = {}
    """Two names of one scope: short name → full name (Google's `email`)."""
    prefixes: tuple[str, ...] = ()
    """Beginnings that may be left out: a scope with one of them and without it is one scope (Microsoft Graph's)."""
    ignore_case: bool = False
    """Scopes that differ in letter case alone are one scope."""
    includes: dict[str, tuple[str, ...]] = {}
    """Scope → those that it grants as well, and theirs, so that the reply may name it alone (GitHub's `repo`)."""
    everything: str | None = None
    """The scope that grants all the others (Linode's `*`)."""
    on_reconnect: Literal["replace", "union", "incremental"] = "replace"
    """What a new consent does with earlier scopes: it replaces them (`replace`), or the provider adds them itself
    (`incremental`); with `union` the scopes held so far are asked for again, because the provider would drop them.
    """

    def missing(self, *, requested: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
        """Return the *requested* scopes that are not covered by the *granted* ones, in their order.

        The only rule of it: what is stored with an integration and what is said of a token come from here.
        """
        if self.fixed:
            return ()
        covered: set[str] = set()
        found = [self._one_name(scope) for scope in (*granted, *self.offline, *self.unlisted)]
        includes = {self._one_name(scope): included for scope, included in self.includes.items()}
        while found:
            scope = found.pop()
            if scope not in covered:
                covered.add(scope)
                found.extend(map(self._one_name, includes.get(scope, ())))
        if self.everything is not None and self._one_name(self.everything) in covered:
            return ()
        return tuple(scope for scope in dict.fromkeys(requested) if self._one_name(scope) not in covered)

    def _one_name(self, scope: str) -> str:
        name = scope
        for prefix in self.prefixes:
            # Microsoft writes hosts in lower case, people do not.
            if self._cased(name).startswith(self._cased(prefix)) and len(name) > len(prefix):
                name = name[len(prefix) :]
                break
        aliases = {self._cased(short): full for short, full in self.aliases.items()}
        return self._cased(aliases.get(self._cased(name), name))

    def _cased(self, text: str) -> str:
        return text.lower() if self.ignore_case else text


class Callback(_Facts):
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


class Reply(_Facts):
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


class Placement(_Facts):
    """Where a credential goes in a request."""

    in_: Annotated[Literal["header", "query", "basic_user", "basic_password"], Field(alias="in")] = "header"
    """A header, a parameter of the query, or a half of HTTP Basic (RFC 7617)."""
    name: str = "Authorization"
    """The header or parameter."""
    prefix: str = "Bearer "
    """Text before the value."""
    template: str = "{value}"
    """`{value}` is the token or the method's first secret input; inputs and variables go by their names."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def target(self) -> tuple[str, str]:
        """The place itself, of which a request has one."""
        if self.in_ == "query":
            return "query", self.name
        if self.in_ == "basic_password":
            return "basic_password", ""
        # The user name of HTTP Basic makes the header.
        return "header", "authorization" if self.in_ == "basic_user" else self.name.lower()


class AccessTokenFacts(_Facts):
    """How long an access token lives and how it is sent."""

    expires_in: Literal["always", "absent", "conditional", "never"] = "always"
    """Whether an answer says how long the token lives: `always`, `absent` (it ends all the same), `conditional` (by a setting
    at the provider), or the token ends `never`.
    """
    assumed_lifetime: Seconds | None = None
    """How long the token lives where the answer does not say."""
    expiry_field: str | None = None
    """Dotted path to the lifetime in the answer.  Left out: `expires_in`."""
    expiry_encoding: Literal["seconds", "epoch_s", "epoch_ms", "iso8601"] = "seconds"
    """How that lifetime is written: as seconds from now, or as a point in time."""
    placement: Placement = Placement()
    """Where the token goes in a request; always a header (RFC 9700 §4.3.2)."""

    @model_validator(mode="after")
    def _travels_in_a_header(self) -> Self:
        # RFC 9700 §4.3.2: an access token in a URL ends up in logs and referrers.
        if self.placement.in_ != "header":
            raise ValueError("an access token travels in a header")
        return self


class RefreshTokenFacts(_Facts):
    """How refresh tokens behave; what is not known is read as the strictest."""

    issued: bool = True
    """Expected with every grant.  One that comes unexpected is kept all the same."""
    rotates: Literal["always", "sometimes", "never", "configurable", "unknown"] = "unknown"
    """What the provider does on success; `unknown` is treated as `always`."""
    reuse: Literal["none", "tolerant", "grace", "strict"] | None = None
    """What happens when a spent refresh token is sent again: `none`, it is never replaced; `tolerant`, it still works; `grace`,
    it works for `grace`; `strict`, it never works.  Left out: `grace` where there is one, `none` where `rotates` is `never`,
    else `strict`.
    """
    grace: Seconds = timedelta()
    """How long a spent refresh token still works, counted from its first use."""
    replay_kills_family: bool | None = None
    """Whether sending a spent refresh token ends the whole grant.  Left out: nobody knows, and nothing is risked."""
    ends_old_access: bool = False
    """A refresh ends the access token before it: callers in flight read again."""
    idle: Seconds | None = None
    """Unused this long, it dies; a renewal starts the time again."""
    absolute: Seconds | None = None
    """It dies this long after consent, whatever happens."""
    max_live: int | None = None
    """How many grants of one account the provider keeps alive for one application; another one ends the oldest, silently."""
    lifetime_field: str | None = None
    """Where a reply says how long the refresh token lives."""

    @property
    def reuse_rule(self) -> Literal["none", "tolerant", "grace", "strict"]:
        """`none`: the token is not replaced; `tolerant`: an old one still works; `grace`: for `grace`; `strict`: never."""
        if self.reuse is not None:
            return self.reuse
        if self.grace > timedelta():
            return "grace"
        if self.rotates == "never":
            return "none"
        return "strict"


class Input(_Facts):
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
            _check_pattern(pattern)
        return patterns

    def looks_right(self, text: str, /) -> bool:
        """Say whether *text* has one of the known forms; true where none is known."""
        return not self.patterns or any(re.fullmatch(pattern, text) for pattern in self.patterns)


class Revoke(_Facts):
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


class Method(_Facts):
    """One way to get access at a provider."""

    id: str
    """Stable for ever: it is stored with every integration."""
    kind: Literal["code", "key", "basic"]
    """`code`: OAuth 2.0 authorization code.  `key` and `basic`: secrets that the tenant enters, as one value or as a pair."""
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
    client_auth: tuple[Literal["basic", "basic_raw", "post", "none"], ...] = ("basic",)
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
    """What the tenant enters (`key`, `basic`)."""
    placement: tuple[Placement, ...] = (Placement(),)
    """Where the inputs go in a request (`key`, `basic`)."""
    revoke: Revoke | None = None
    """How access is ended.  Left out: nobody knows."""

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Where the credential goes in a request, whichever kind it is."""
        return self.placement if self.auth_type is AuthType.API_KEY else (self.access_token.placement,)

    @property
    def key_name(self) -> str:
        """The name of the part that is the credential itself: the first secret input, or the access token."""
        return next((given.name for given in self.inputs if given.secret), "access_token")

    @property
    def auth_type(self) -> AuthType:
        """What the public API calls this way."""
        return AuthType.OAUTH2 if self.kind == "code" else AuthType.API_KEY

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if self.kind == "code" and not (self.authorize_url and self.token_url):
            raise ValueError("a code method needs authorize_url and token_url")
        if self.kind in {"key", "basic"} and not any(given.secret for given in self.inputs):
            raise ValueError("a key method needs a secret input")
        if not self.placement:
            raise ValueError("a key method needs a placement")
        foreign = {"inputs", "placement"} if self.kind == "code" else Method.model_fields.keys() - _OF_KEY_METHODS
        if unread := sorted(name for name in foreign if getattr(self, name) != Method.model_fields[name].get_default()):
            raise ValueError(f"a {self.kind} method has no {', '.join(unread)}")
        if self.auth_type is AuthType.API_KEY:
            # A key is sent and checked; no request of ours fetches or ends one.
            if self.headers.keys() - {"api"}:
                raise ValueError(f"headers of a {self.kind} method has no token")
            if self.revoke is not None and self.revoke.url is not None:
                raise ValueError(f"revoke of a {self.kind} method has no url")
        return self

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


class Verification(_Facts):
    """The provider's cheapest read-only check of a credential."""

    for_methods: tuple[str, ...] = ()
    """Method ids; empty means every method."""
    method: Literal["GET", "POST", "HEAD"] = "GET"
    """The HTTP method."""
    url: str
    """A template like any URL."""
    headers: dict[str, str] = {}
    """Further headers."""
    body: str | None = None
    """What is sent, as it is."""
    needs: tuple[str, ...] = ()
    """Variables without which this check is passed over, beside those of `url`."""
    statuses: tuple[int, ...] = (200,)
    """The statuses of a credential that works."""
    success: tuple[Predicate, ...] = ()
    """Tests on the body; all must hold, beside the status."""
    identity: tuple[str, ...] = ()
    """Where the account's parts stand, joined by `/`: `json:` a dotted path in the body, `header:` a header, `ctx:` a variable,
    `claim:` a claim of the token, where that is a JWT.  Empty: the key's keyed fingerprint stands in.

    Without its first part there is no identity; a later part may be missing.
    """
    label: tuple[str, ...] = ()
    """Paths to what a person calls the account; the first that is there is used."""
    status_rules: dict[int, Outcome] = {401: "dead"}
    """What a status that is no success means; any other means `unknown`, which is no verdict."""

    @field_validator("identity", "label")
    @classmethod
    def _known_places(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not re.fullmatch(r"(?:json|header|ctx|claim):[^\s:]+", path):
                raise ValueError("a path starts with json:, header:, ctx: or claim:")
        return paths


ErrorClass = Literal["renew", "reauthorize", "dead", "denied", "retry", "wait", "restart", "clock_skew", "wrong_region", "platform_config"]


class ErrorRule(_Facts):
    """One line of the table that turns a provider's failure into one of a closed list; the first that fits wins."""

    at: Literal["token", "api", "verify"]
    """Whose answer it speaks of: the token endpoint's, any call with the credential (a revocation among them), the check's."""
    for_methods: tuple[str, ...] = ()
    """Method ids; empty means every method."""
    status: int | None = None
    """The HTTP status.  Alone, it is enough."""
    path: str | None = None
    """The place that `equals` or `matches` looks at, as in a test; with `*` any of the places may fit."""
    equals: JsonScalar | None = None
    """The value is this one, of this type (text, number or truth value)."""
    matches: str | None = None
    """A regular expression that is found somewhere in the value, which is text."""
    class_: Annotated[ErrorClass, Field(alias="class")]
    """What the failure means: a new access token is needed (`renew`), a new consent is (`reauthorize`), the credential is gone
    (`dead`), it works and may not do this (`denied`), the same request may go again (`retry`, `wait`), the authorization begins
    anew (`restart`), our clock is wrong (`clock_skew`), another site is meant (`wrong_region`), the operator's application is
    refused (`platform_config`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.status is None and self.path is None:
            raise ValueError("give a status, or a path")
        if (self.path is not None) != ((self.equals is None) != (self.matches is None)):
            raise ValueError("a path goes with exactly one of equals, matches")
        if self.matches is not None:
            _check_pattern(self.matches)
        return self

    def fits(self, *, method_id: str, status: int, body: Any) -> bool:
        """Say whether this line speaks of an answer to *method_id* with *status* and *body* (as read from JSON, or None)."""
        if self.status not in {None, status} or (self.for_methods and method_id not in self.for_methods):
            return False
        return self.path is None or any(_passes(value, equals=self.equals, matches=self.matches) for value in find_all(body, self.path))


class LimitHeaders(_Facts):
    """The headers that say how many requests are left, and when there will be more."""

    remaining: str | None = None
    """How many requests are left; at 0 an answer with one of the limit's `statuses` is a limit."""
    reset: str | None = None
    """When the limit is lifted; read where there is no `Retry-After`, unless requests are left."""
    reset_format: Literal["epoch_s", "epoch_ms", "delta_s", "iso8601", "http_date", "structured", "duration_text"] = "epoch_s"
    """How `reset` is written: a point in time (`epoch_s`, `epoch_ms`, `iso8601`, `http_date`) or a length of time (`delta_s`,
    `duration_text` such as `6m0s`, and `structured`: `"default";r=0;t=30`, where `remaining` is read from `r`).
    """
    retry_after: str = "Retry-After"
    """How long to wait: seconds or an HTTP date."""


class RateLimit(LimitHeaders):
    """How the provider says that too many requests were sent, and how long to wait."""

    also: tuple[LimitHeaders, ...] = ()
    """Other headers that the same provider has been seen to send."""
    statuses: tuple[int, ...] = (429,)
    """Those that can mean the limit.  Any but 429 does so only with `remaining` at 0, `Retry-After`, or a test of `body` that holds."""
    body: tuple[Predicate, ...] = ()
    """Tests on the JSON body; one that holds makes an answer with one of `statuses` a limit."""
    wait_path: str | None = None
    """Path in a JSON body, as of a `Predicate`, to the wait: seconds, or a text such as `30s`."""
    assumed_wait: Seconds | None = None
    """How long to wait where the answer is a limit and does not say."""


class Provider(_Facts):
    """One provider: where it is reached, how access is got, checked, renewed and given back."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    """The slug; stable for ever."""
    name: str
    """What people call it."""
    category: str = "other"
    """A word to group providers by."""
    documentation: str = ""
    """The provider's own page about access, as a URL."""
    active: bool = True
    """Whether new connections are offered."""
    key_prefixes: tuple[Annotated[str, Field(min_length=4)], ...] = ()
    """Beginnings by which everybody knows this provider's keys and tokens: the other providers refuse what has one."""
    variables: tuple[Variable, ...] = ()
    """Values that the templates need."""
    sites: dict[str, dict[str, str]] = {}
    """Name of a site, as a callback gives it → its variables; see `site_from` of a method's callback."""
    base_urls: dict[str, str] = {}
    """Where the provider's APIs are, by name; templates, shown to people."""
    methods: tuple[Method, ...]
    """Ways to get access, in order of preference."""
    verifications: tuple[Verification, ...] = ()
    """Checks of a credential; the first that fits the method and whose variables are known is used."""
    error_rules: tuple[ErrorRule, ...] = ()
    """What the provider's failures mean; the first that fits is used."""
    rate_limit: RateLimit = RateLimit()
    """How the provider says that too many requests were sent."""
    self_hosted: bool = False
    """Whether operators run this software themselves, so that a host that they name may be a private address."""
    dialect: str | None = None
    """The name of the code that speaks with it; the library brings none.  Left out: the standard's."""
    loopback: bool = False
    """Plain http to a loopback address is allowed: simulated providers and development only."""

    @property
    def provider_id(self) -> ProviderId:
        """The provider's UUID, made from its slug."""
        return provider_id(self.id)

    @property
    def auth_types(self) -> tuple[AuthType, ...]:
        """The ways of the public API that work with this provider, in the order of its methods."""
        return tuple(dict.fromkeys(method.auth_type for method in self.methods))

    def find_method(self, auth_type: AuthType, /, *, method_id: str | None = None) -> Method | None:
        """Return the named method, or the first that works by code (OAuth2) or by key (API key)."""
        for method in self.methods:
            if method.auth_type is auth_type and method_id in {None, method.id}:
                return method
        return None

    def method_named(self, method_id: str, /) -> Method | None:
        """Return the method with this id, or None."""
        return next((method for method in self.methods if method.id == method_id), None)

    def fill_variables(self, given: Mapping[str, str], /, *, operator: Mapping[str, str] | None = None) -> dict[str, str]:
        """Check what a tenant gave, and what the *operator* configured, and add defaults.

        The operator's values win.  Variables whose source is `application` (the host of a self-hosted edition)
        are the operator's alone.  Those that only a token answer can fill are left out.
        Raises `ValidationFailedError` naming the variable.
        """
        known = {variable.name: variable for variable in self.variables}
        for name in given:
            if name not in known:
                # The name is the caller's text: it is not repeated.
                raise ValidationFailedError(field="variables", problem="names a variable that this provider does not have")
            if known[name].source == "application":
                raise ValidationFailedError(field=f"variables.{name}", problem="is chosen by the operator")
        configured = operator or {}
        filled: dict[str, str] = {}
        for variable in self.variables:
            value = configured.get(variable.name, given.get(variable.name, variable.default))
            if value is not None:
                filled[variable.name] = variable.check(value)
            elif variable.required and variable.source in {"input", "application"}:
                raise ValidationFailedError(field=f"variables.{variable.name}", problem="is required by this provider")
        return filled

    def on_private_host(self, variables: Mapping[str, str], /) -> bool:
        """Say whether the operator named the host of a self-hosted edition, so that a private address is meant."""
        return self.self_hosted and any(
            variable.in_host and variable.source == "application" and variables.get(variable.name, variable.default) != variable.default
            for variable in self.variables
        )

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        methods = [method.id for method in self.methods]
        variables = [variable.name for variable in self.variables]
        for names in (methods, variables):
            if len(set(names)) != len(names):
                raise ValueError("two methods, or two variables, have one name")
        return self

    def tenant_variables(self, filled: Mapping[str, str], /) -> dict[str, str]:
        """Return what to keep with an integration: all but the variables that are the operator's alone."""
        operators = {variable.name for variable in self.variables if variable.source == "application"}
        return {name: value for name, value in filled.items() if name not in operators}

    @model_validator(mode="after")
    def _sites_are_usable(self) -> Self:
        tenants = {variable.name: variable for variable in self.variables if variable.source != "application"}
        for site, values in self.sites.items():
            for name, value in values.items():
                if name not in tenants:
                    raise ValueError(f"sites.{site} sets {name}, which is no variable of this provider, or the operator's alone")
                try:
                    tenants[name].check(value)
                except ValidationFailedError as error:
                    raise ValueError(f"sites.{site}.{name} {error.problem}") from None
        if not self.sites and any(method.callback.site_from is not None for method in self.methods):
            raise ValueError("a callback names a site, and there are none")
        return self

    @model_validator(mode="after")
    def _maps_name_what_is_read(self) -> Self:
        known = _MAPPED | {variable.name for variable in self.variables if variable.source == "token_reply"}
        for method in self.methods:
            if unread := sorted(method.reply.map.keys() - known):
                raise ValueError(f"{method.id}.reply.map names {', '.join(unread)}, which is not read from there")
        return self

    @model_validator(mode="after")
    def _placements_can_be_filled(self) -> Self:
        variables = {variable.name for variable in self.variables}
        for method in self.methods:
            inputs = {given.name: given for given in method.inputs}
            for place in method.placements:
                for name in places(place.template):
                    if name not in variables | inputs.keys() | {"value"}:
                        raise ValueError(f"{method.id}.placement uses {{{name}}}, which is no input of the method and no variable")
                    # A line break inside a header's value would begin another header.
                    shown = inputs.get(method.key_name if name == "value" else name)
                    if place.in_ == "header" and shown is not None and shown.multiline:
                        raise ValueError(f"{method.id}.placement puts {shown.name}, which may have several lines, into a header")
            taken = [place.target for place in method.placements]
            if len(set(taken)) != len(taken):
                raise ValueError(f"{method.id}.placement puts two values into one place")
        return self

    @model_validator(mode="after")
    def _names_are_declared(self) -> Self:
        methods = {method.id for method in self.methods}
        variables = {variable.name for variable in self.variables}
        limits = [check.for_methods for check in self.verifications] + [rule.for_methods for rule in self.error_rules]
        for name in (name for named in limits for name in named):
            if name not in methods:
                raise ValueError(f"for_methods names {name}, which is no method of this provider")
        for check in self.verifications:
            paths = [path.removeprefix("ctx:") for path in (*check.identity, *check.label) if path.startswith("ctx:")]
            for name in (*check.needs, *paths):
                if name not in variables:
                    raise ValueError(f"a verification names {name}, which is no variable of this provider")
        for where, template in self._texts():
            for name in places(template):
                if name not in variables | _OURS:
                    raise ValueError(f"{where} uses {{{name}}}, which is no variable of this provider")
        return self

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Return the templates of code methods that are no URLs."""
        for method in self.methods:
            named = {
                "authorize_params": method.authorize_params,
                "token_params": method.token_params,
                # Its value is the redirect URI of the authorization, whatever stands there.
                "refresh_params": {name: text for name, text in method.refresh_params.items() if name != "redirect_uri"},
                "headers.token": method.headers.get("token", {}),
                "revoke.headers": {} if method.revoke is None else method.revoke.headers,
            }
            for field, texts in named.items():
                yield from ((f"{method.id}.{field}.{name}", text) for name, text in texts.items())

    @model_validator(mode="after")
    def _variables_are_declared(self) -> Self:
        declared = {variable.name for variable in self.variables} | self._input_names() | _OURS
        in_host = {variable.name for variable in self.variables if variable.in_host}
        for where, template in self._templates():
            host = self._check_url(where, template)
            for name in places(template):
                if name not in declared:
                    raise ValueError(f"{where} uses {{{name}}}, which is no variable of this provider")
            for name in places(host):
                if name not in in_host:
                    raise ValueError(f"{where} has {{{name}}} in its host; mark that variable in_host")
        return self

    def _check_url(self, where: str, template: str) -> str:
        host = _HOST.match(template)
        if host is None or "@" in host[1] or "#" in template:
            raise ValueError(f"{where} must be a URL without user name and fragment")
        if not template.startswith("https://") and not (self.loopback and _is_loopback(host[1])):
            raise ValueError(f"{where} must be an https URL")
        return host[1]

    def _input_names(self) -> set[str]:
        return {given.name for method in self.methods for given in method.inputs}

    def _templates(self) -> list[tuple[str, str]]:
        found = [(f"base_urls.{name}", template) for name, template in self.base_urls.items()]
        for method in self.methods:
            named = [(field, getattr(method, field)) for field in _URL_FIELDS]
            if method.revoke is not None:
                named += [("revoke.url", method.revoke.url), ("revoke.manual_url", method.revoke.manual_url)]
            found.extend((f"{method.id}.{field}", template) for field, template in named if template is not None)
        found.extend((f"verifications[{index}].url", check.url) for index, check in enumerate(self.verifications))
        return found


def _is_loopback(host: str) -> bool:
    return re.fullmatch(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", host) is not None


def fill(template: str, values: Mapping[str, str], /) -> str:
    """Put *values* into the `{places}` of a URL template; a place without a value is a `KeyError`."""
    return _VARIABLE.sub(lambda place: values[place.group(1)], template)


def places(template: str, /) -> tuple[str, ...]:
    """Return the names of the `{places}` in a template, in order."""
    return tuple(_VARIABLE.findall(template))
