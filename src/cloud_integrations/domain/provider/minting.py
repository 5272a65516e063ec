"""The mint of a short-lived credential from what the tenant entered: requests as data, and the JWTs that they carry."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, PrivateAttr, field_validator, model_validator

from .base import RESERVED_PARAMETERS, FileTable, Headers, Seconds
from .predicates import Predicate
from .variables import places, texts_in

ProofAlgorithm = Literal["RS256", "PS256", "ES256"]
PemFact = Literal["key", "sha256", "spki_sha256"]
"""What can be read from a PEM text: its private key, the SHA-256 of its certificate in base64url (`x5t#S256` of RFC 7515 §4.1.8),
the SHA-256 of its public key (DER, SubjectPublicKeyInfo) in base64.
"""
APPLICATION: Final = "application"
"""The name of the operator's own private key."""
PLATFORM: Final = "platform"
"""In `jwt` of a proof: our own issuer's key.  In `proof` of a step: the operator's own credential at the provider."""
PREVIOUS: Final = "previous"
ISSUER: Final = "{issuer}"
SUBJECT: Final = "tenant:{tenant_id}"
TOLD: Final = frozenset({"integration_id", "product", "tenant_tag"})
"""Names that the library fills in the fields of a step: `integration_id`; `product`, of the settings; `tenant_tag`, the tenant's id as 2
to 64 characters of `A-Za-z0-9_=,.@-`.
"""
RESERVED_NAMES: Final = frozenset({APPLICATION, PLATFORM, PREVIOUS, *TOLD})
"""Words with a meaning of their own: no input, variable, proof or value of a step has one of these names."""
MOST_STEPS: Final = 3
LONGEST_CLIENT_PROOF: Final = timedelta(seconds=60)
"""How long a client assertion is valid at most (OAU-064)."""
LONGEST_ASSERTION: Final = timedelta(minutes=5)
"""How long an assertion in the body of a request is valid at most (OAU-065)."""
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # a grant type (RFC 8693 §2.1), no secret
_PUBLIC_FACTS = ("sha256", "spki_sha256")
_SETTABLE = frozenset({"assertion", "client_id", "grant_type", "response_type", "scope"})
_OF_CLIENT_AUTH = frozenset({"client_assertion", "client_assertion_type", "client_id", "client_secret"})
_IN_HEADERS: Final = frozenset({"basic", "basic_raw"})
"""The ways to authenticate an application that need no body."""
_SPENDING = frozenset({"authorization_code", "password", "refresh_token"})
"""Grants of RFC 6749 that spend something, and the obsolete password grant (OAU-001): a mint uses none of them."""
_OURS = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})
_NAME = r"^[a-z][a-z0-9_]*$"
_Name = Annotated[str, Field(pattern=_NAME)]


class Proof(FileTable):
    """A JWT that is signed for each request (RFC 7515, 7519, 7523).

    `iat`, `exp` and `jti` are set at that time.
    """

    jwt: Annotated[str, Field(pattern=r"^(?:application|platform|\{[a-z0-9_]+(?:\.key)?\})$")]
    """The private key, in PEM: an input such as `{private_key}`, or `application`, the private key of the operator's application.

    `platform`: the operator's own issuer signs.  Then `iss` is `{issuer}`, `sub` is `tenant:{tenant_id}`, `aud` is required, `lifetime`
    is at most 300, and the file sets no other claim and no header: nothing that a tenant enters can change who the token is for.
    """
    passphrase: Annotated[str, Field(pattern=r"^\{[a-z0-9_]+\}$")] | None = None
    """The input with the passphrase of the private key, if that is encrypted, such as `{passphrase}`."""
    alg: ProofAlgorithm = "RS256"
    """The signature: `RS256` and `PS256` need an RSA key of at least 2048 bits, `ES256` an EC key on P-256."""
    kid: str | None = None
    """The key id in the header; a template."""
    headers: dict[Literal["typ", "x5t#S256"], str] = Field(default_factory=dict)
    """Further members of the header; templates.  `typ` is `JWT` if it is left out."""
    iss: str
    """The issuer; a template."""
    sub: str | None = None
    """The subject; a template."""
    longest_sub: Annotated[int, Field(ge=16, le=255)] | None = None
    """The most bytes that the provider takes as the subject (`platform`).  A tenant with a longer one cannot be connected."""
    aud: str | None = None
    """The audience; a template, always sent as one text."""
    claims: dict[str, str] = Field(default_factory=dict)
    """Further claims; templates."""
    lifetime: Seconds = LONGEST_CLIENT_PROOF
    """The time from `iat` to `exp`, at most an hour."""
    backdate: Seconds = timedelta()
    """How long before now `iat` is, at most a minute: for a provider whose clock may be behind ours."""

    @field_validator("claims")
    @classmethod
    def _leave_registered_claims(cls, claims: dict[str, str]) -> dict[str, str]:
        if taken := sorted({"aud", "exp", "iat", "iss", "jti", "nbf", "sub"} & claims.keys()):
            raise ValueError(f"may not set {', '.join(taken)}")
        return claims

    @model_validator(mode="after")
    def _is_valid_for_a_while(self) -> Self:
        if not timedelta(seconds=1) <= self.lifetime <= timedelta(hours=1):
            raise ValueError("lifetime must be 1 to 3600 seconds")
        if self.backdate > timedelta(minutes=1) or self.backdate >= self.lifetime:
            raise ValueError("backdate must be at most 60 seconds, and shorter than lifetime")
        return self

    @model_validator(mode="after")
    def _says_whose_token_it_is(self) -> Self:
        if self.jwt != PLATFORM:
            if self.longest_sub is not None:
                raise ValueError("longest_sub is for jwt = platform")
            return self
        if (self.iss, self.sub) != (ISSUER, SUBJECT):
            raise ValueError(f"with jwt = platform, iss is {ISSUER} and sub is {SUBJECT}")
        if self.aud is None:
            raise ValueError("with jwt = platform, aud is required")
        if unread := sorted(self.model_fields_set & {"alg", "claims", "headers", "kid", "passphrase"}):
            raise ValueError(f"with jwt = platform, {', '.join(unread)} may not be set")
        if self.lifetime > LONGEST_ASSERTION:
            raise ValueError(f"with jwt = platform, lifetime is at most {LONGEST_ASSERTION.total_seconds():.0f} seconds")
        return self

    @property
    def by_platform(self) -> bool:
        """Whether our own issuer signs it."""
        return self.jwt == PLATFORM

    @property
    def key_name(self) -> str:
        """The name of the value that holds the private key."""
        return self.jwt.strip("{}").removesuffix(".key")

    @property
    def passphrase_name(self) -> str | None:
        """The name of the value that opens the private key."""
        return None if self.passphrase is None else self.passphrase.strip("{}")

    def templates(self) -> Iterator[tuple[str, str]]:
        """Return the templates of the header and the claims, by the names of their fields."""
        named = {"kid": self.kid, "iss": self.iss, "sub": self.sub, "aud": self.aud}
        yield from ((name, text) for name, text in named.items() if text is not None)
        yield from ((f"headers.{name}", text) for name, text in self.headers.items())
        yield from ((f"claims.{name}", text) for name, text in self.claims.items())


class Expires(FileTable):
    """Where an answer says how long its values are valid."""

    path: str = "expires_in"
    """Dotted path to the lifetime, below `at` of the reply."""
    encoding: Literal["seconds", "epoch_s", "epoch_ms", "iso8601"] = "seconds"
    """How it is written: as seconds from now, or as a point in time; a day alone (`iso8601`) is its beginning in UTC."""


class StepReply(FileTable):
    """How the answer to a step is read."""

    format: Literal["json", "xml"] = "json"
    """How the answer is written.  XML is read as JSON would be: elements by name, without namespaces and attributes; an element that
    is repeated is a list.
    """
    at: str = ""
    """Dotted path to the object in which the other paths begin.  Left out: the whole answer."""
    gives: dict[_Name, str] = {"access_token": "access_token"}
    """Name → dotted path of each value that the answer must hold; templates and later steps use the names."""
    map: dict[str, str] = Field(default_factory=dict)
    """Name of a variable of the source `token_reply` → its dotted path.  One that is missing, or not valid, is left as it was;
    without one that is required and has no value yet, the answer is of no use.
    """
    token_types: tuple[str, ...] = ("bearer",)
    """The values of `token_type` that are accepted, in any letter case; an answer without `token_type` is accepted."""
    expires: Expires = Expires()
    """How long the values are valid.  If the answer does not say: `assumed_lifetime` of the method's `access_token`."""

    @field_validator("gives")
    @classmethod
    def _gives_something(cls, gives: dict[str, str]) -> dict[str, str]:
        if not gives:
            raise ValueError("must name at least one value")
        return gives

    def path_of(self, name: str, /) -> str:
        """Return the path of something in the whole answer, where *name* is its path below `at`."""
        return f"{self.at}.{name}" if self.at else name


class Step(FileTable):
    """One request of a mint, and how its answer is read."""

    url: str
    """A template like any URL; neither secrets nor values of an earlier step go into it."""
    method: Literal["POST", "GET", "PUT"] = "POST"
    """The HTTP method."""
    headers: Headers = Field(default_factory=dict)
    """Further headers; templates."""
    body: Literal["form", "json", "none"] = "form"
    """How `fields` are sent; `none`: there is no body."""
    fields: dict[str, JsonValue] = Field(default_factory=dict)
    """The parameters of the request; every text in them is a template."""
    client_auth: tuple[Annotated[str, Field(pattern=r"^(?:basic|basic_raw|post|proof:[a-z][a-z0-9_]*)$")], ...] = ()
    """Ways to authenticate the application (RFC 6749 §2.3); the first one whose value is given is used.

    `basic`, `basic_raw` and `post` send `client_id` and `client_secret`; `proof:` and the name of a proof send that as the client
    assertion (RFC 7523 §2.2).
    """
    proof: _Name | None = None
    """What is sent as `Authorization: Bearer`: a proof by its name, or `previous`, the `access_token` of the step before.  `platform`:
    the request is signed with the operator's own credential at this provider, as `sign` and `options` say.
    """
    sign: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")] | None = None
    """The signature of the request, by its name, with the proof `platform`."""
    options: dict[str, str] = Field(default_factory=dict)
    """What the signature needs beside the operator's credential; templates of variables."""
    when: str | None = None
    """An input; without it the step is left out."""
    statuses: tuple[Annotated[int, Field(ge=200, le=299)], ...] = ()
    """The statuses of a success.  Left out: any from 200 to 299."""
    success: tuple[Predicate, ...] = ()
    """Tests on the whole answer; all must hold, beside the status and that there is no `error` member."""
    reply: StepReply = StepReply()
    """How the answer is read."""
    _literals: dict[str, JsonValue] = PrivateAttr(default_factory=dict)
    _told: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def literals(self) -> Mapping[str, JsonValue]:
        """Parameters that a caller gives, in place of `fields` of the same names; no text in them is a template."""
        return self._literals

    @property
    def told(self) -> Mapping[str, str]:
        """Name → path in the answer of what the provider says that it gave."""
        return self._told

    def adding(self, literals: Mapping[str, JsonValue], /, *, told: Mapping[str, str]) -> Step:
        """Return the step with *literals* and *told*; a step without a body gets one in JSON."""
        step = self.model_copy(update={"body": "json"} if self.body == "none" else {})
        step._literals, step._told = dict(literals), dict(told)  # noqa: SLF001  # a copy of this class
        return step

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        if self.fields and self.body == "none":
            raise ValueError("fields need a body")
        if self.method == "GET" and self.body != "none":
            raise ValueError("a GET has no body: set body to none")
        if self.body == "form" and not all(isinstance(value, str) for value in self.fields.values()):
            raise ValueError("the fields of a form are text")
        return self

    @model_validator(mode="after")
    def _leaves_the_protocol_alone(self) -> Self:
        if taken := sorted((RESERVED_PARAMETERS - _SETTABLE) & self.fields.keys()):
            raise ValueError(f"fields may not set {', '.join(taken)}")
        if self.client_auth and (taken := sorted(_OF_CLIENT_AUTH & self.fields.keys())):
            raise ValueError(f"client_auth sets {', '.join(taken)}")
        if self.body == "none" and not {*self.client_auth} <= _IN_HEADERS:
            raise ValueError("client_auth needs a body, but for basic and basic_raw")
        if self.fields.get("grant_type") in _SPENDING:
            raise ValueError("a mint can be repeated: it is no authorization_code, refresh_token or password grant")
        return self

    @model_validator(mode="after")
    def _is_signed_by_the_platform(self) -> Self:
        if (self.proof == PLATFORM) != (self.sign is not None):
            raise ValueError("the proof platform and sign go together")
        if self.options and self.sign is None:
            raise ValueError("options are for a signature: give sign")
        return self

    def without(self, name: str, /) -> Step:
        """Return the step without the fields that hold nothing but the value *name*."""
        return self.model_copy(update={"fields": {key: text for key, text in self.fields.items() if text != f"{{{name}}}"}})

    @model_validator(mode="after")
    def _sends_headers_once(self) -> Self:
        names = [name.lower() for name in self.headers]
        if taken := sorted(_OURS & set(names)):
            raise ValueError(f"headers may not set {', '.join(taken)}")
        if len(set(names)) != len(names):
            raise ValueError("headers name one header twice")
        if sum((bool(self.client_auth), self.proof is not None, "authorization" in names)) > 1:
            raise ValueError("give one of client_auth, proof, an Authorization header")
        return self

    def runs_with(self, names: Collection[str], /) -> bool:
        """Say whether the step runs if the values with these *names* are given."""
        return self.when is None or self.when in names

    @property
    def sends_client_secret(self) -> bool:
        """Whether the request may carry `client_secret`."""
        by_client_auth = any(not way.startswith("proof:") for way in self.client_auth)
        return by_client_auth or any("client_secret" in places(text) for _, text in self.templates())

    def proofs(self) -> Iterator[tuple[str, timedelta]]:
        """Return the proofs that the request may carry, by name, each with the longest time that it may be valid."""
        yield from ((way.removeprefix("proof:"), LONGEST_CLIENT_PROOF) for way in self.client_auth if way.startswith("proof:"))
        if self.proof not in {None, PREVIOUS, PLATFORM}:
            yield str(self.proof), timedelta(hours=1)
        for where, text in self.templates():
            used = [place.removeprefix("proof:") for place in places(text) if place.startswith("proof:")]
            # In a header it is no assertion of RFC 7521, and the provider says how long it may be.
            yield from ((name, LONGEST_ASSERTION if where.startswith("fields") else timedelta(hours=1)) for name in used)

    def required_proofs(self) -> Iterator[str]:
        """Return the names of the proofs that each request of this step carries; of several ways to authenticate, none is required."""
        if len(self.client_auth) == 1:
            yield from (way.removeprefix("proof:") for way in self.client_auth if way.startswith("proof:"))
        if self.proof not in {None, PREVIOUS}:
            yield str(self.proof)
        used = (place for _, text in self.templates() for place in places(text))
        yield from (place.removeprefix("proof:") for place in used if place.startswith("proof:"))

    def templates(self) -> Iterator[tuple[str, str]]:
        """Return the templates of the request but for its URL, by their places in the file."""
        yield from ((f"headers.{name}", text) for name, text in self.headers.items())
        yield from texts_in("fields", self.fields)


def check_minting(mint: Collection[Step], proofs: Mapping[str, Proof], /, *, public: Collection[str], secret: Collection[str]) -> None:
    """Raise `ValueError` if the steps and proofs of a method do not fit together.

    *public* are the names of its variables and of the inputs that are not secret, *secret* those of the secret inputs; `client_id`
    and `client_secret` are among them if the method has an application.  Hosts are checked with the provider's other URLs.
    """
    names = {*public, *secret}
    # In a proof of our own issuer, these are not what a tenant enters.
    reserved = RESERVED_NAMES | ({"issuer", "subject", "tenant_id"} if any(proof.by_platform for proof in proofs.values()) else set[str]())
    if taken := sorted(reserved & {*names, *proofs}):
        raise ValueError(f"{', '.join(taken)} may not be the name of an input, a variable or a proof")
    if len(mint) > MOST_STEPS:
        raise ValueError(f"mint has at most {MOST_STEPS} steps")
    for name, proof in proofs.items():
        _check_proof(f"proofs.{name}", proof, public=set(public), names=names)
    given: set[str] = set()
    for index, step in enumerate(mint):
        _check_step(f"mint[{index}]", step, proofs, public=set(public), names=names, given=given)
        if taken := sorted((names | RESERVED_NAMES) & step.reply.gives.keys()):
            raise ValueError(f"mint[{index}].reply.gives may not set {', '.join(taken)}")
        given |= step.reply.gives.keys()


def check_exchange(step: Step, /, *, names: Collection[str], public: Collection[str]) -> None:
    """Raise `ValueError` if an exchange needs more than the stored `access_token`, *names* and, in its URL, *public*."""
    _check_step("exchange", step, {}, public=set(public), names=set(names), given={"access_token"})


def _check_proof(where: str, proof: Proof, *, public: set[str], names: set[str]) -> None:
    if proof.by_platform:
        # The audience is no secret: the token shows it to whoever gets it.
        _check_places(f"{where}.aud", str(proof.aud), public, proofs=())
        return
    used = [proof.key_name, proof.passphrase_name]
    for name in used:
        if name is not None and name not in names | {APPLICATION}:
            raise ValueError(f"{where} uses {{{name}}}, which is no input")
    for field, text in proof.templates():
        _check_places(f"{where}.{field}", text, names, proofs=())


def _check_step(where: str, step: Step, proofs: Mapping[str, Proof], *, public: set[str], names: set[str], given: set[str]) -> None:
    for place in places(step.url):
        if place not in public:
            raise ValueError(f"{where}.url uses {{{place}}}, which is no variable and no public input")
    for field, text in step.templates():
        _check_places(f"{where}.{field}", text, names | given | TOLD, proofs=proofs)
    for field, text in step.options.items():
        _check_places(f"{where}.options.{field}", text, public, proofs=())
    for name, longest in step.proofs():
        _check_use(where, name, proofs, longest=longest)
    if step.proof == PREVIOUS and "access_token" not in given:
        raise ValueError(f"{where}.proof is previous, and no step before gives access_token")
    if step.when is not None and step.when not in names:
        raise ValueError(f"{where}.when names {step.when}, which is no input")
    needed = {"client_id"} if step.client_auth else set[str]()
    if not all(way.startswith("proof:") for way in step.client_auth):
        needed.add("client_secret")
    if missing := sorted(needed - names):
        raise ValueError(f"{where}.client_auth needs {', '.join(missing)}")


def _check_use(where: str, name: str, proofs: Mapping[str, Proof], *, longest: timedelta) -> None:
    if name not in proofs:
        raise ValueError(f"{where} uses the proof {name}, which is not there")
    if proofs[name].lifetime - proofs[name].backdate > longest:
        raise ValueError(f"{where} may use the proof {name} only if it is valid for at most {longest.total_seconds():.0f} seconds")


def _check_places(where: str, text: str, names: set[str], *, proofs: Collection[str]) -> None:
    for place in places(text):
        name, _, fact = place.partition(".")
        if place.startswith("proof:"):
            known = place.removeprefix("proof:") in proofs
        else:
            known = name in names and (not fact or fact in _PUBLIC_FACTS)
        if not known:
            raise ValueError(f"{where} uses {{{place}}}, which nothing gives")
