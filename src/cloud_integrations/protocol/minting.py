"""The steps that mint a short-lived credential: their requests are built here, and their answers read.

A mint can be repeated: it spends nothing.  Functions that raise hold secrets as `Secret`, never as text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode

from cloud_integrations.domain.application import ClientAuth
from cloud_integrations.domain.json_paths import find_all
from cloud_integrations.domain.outcome import Misconfigured, Refused, TokenFailure, Unknown, UnreadMember
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import AccessTokenFacts, Provider, Variable, fill, fill_all, places
from cloud_integrations.domain.provider.minting import PLATFORM, PREVIOUS, TOKEN_EXCHANGE, Proof, Step
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.domain.url_template import fill_url
from cloud_integrations.errors import ValidationFailedError

from .client import check_endpoint
from .client_auth import HEADERS, authentication
from .http import MAX_TOKEN_BODY, HttpRequest, HttpResponse, UnusableBodyError, find_path, merge_headers, read_json_object
from .proofs import find_value, make_proof
from .signing import require_signer
from .token_answer import UNKNOWN_LIFETIME, read_time, read_token, read_variable
from .token_failure import read_failure
from .xml_body import read_xml_object

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CONTENT_TYPES: Final = {"form": "application/x-www-form-urlencoded", "json": "application/json"}
_XML: Final = {"Accept": "application/xml, text/xml"}
_CLIENT_SECRETS: Final[Mapping[str, ClientAuth]] = {"basic": "basic", "basic_raw": "basic_raw", "post": "post"}
_THE_CLIENTS: Final = frozenset({"client_refused", "invalid_client", "unauthorized_client"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """What a step gave; values by the names in `gives`."""

    values: Mapping[str, Secret]
    expires_at: datetime | None
    """None: the answer does not say, and the provider's file assumes nothing."""
    unread: tuple[UnreadMember, ...] = ()
    """The members that could not be read: a lifetime, in whose place a short one is assumed."""
    told: Mapping[str, Sequence[Any]] = field(default_factory=dict, repr=False)
    """What the answer says of the paths in `told` of the step, by name; all values at the path."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The variables that the answer gives, by name."""


def find_steps(mint: Iterable[Step], /, *, values: Mapping[str, Secret | str]) -> tuple[Step, ...]:
    """Return the steps that run with these *values*, in order.  The last one gives the credential."""
    given = {name for name, value in values.items() if value}
    return tuple(step for step in mint if step.runs_with(given))


def find_platform_proofs(step: Step, /, *, values: Mapping[str, Secret | str], proofs: Mapping[str, Proof]) -> tuple[str, ...]:
    """Return the names of the proofs in the request of *step* that our own issuer signs.

    Raises `ValidationFailedError` if none of the ways to authenticate the client has its value.
    """
    way = find_client_auth(step, values=values, proofs=proofs)
    used = [place for _, text in step.templates() for place in places(text)]
    used += [f"proof:{step.proof or PREVIOUS}", way or ""]
    names = (place.removeprefix("proof:") for place in used if place.startswith("proof:"))
    return tuple(dict.fromkeys(name for name in names if name in proofs and proofs[name].by_platform))


def find_client_auth(step: Step, /, *, values: Mapping[str, Secret | str], proofs: Mapping[str, Proof]) -> str | None:
    """Return the first way to authenticate the client that has its value; None if the step has no client.

    Raises `ValidationFailedError` if there is none.
    """
    if not step.client_auth:
        return None
    asked = {way: proofs[way.removeprefix("proof:")].key_name if way.startswith("proof:") else "client_secret" for way in step.client_auth}
    way = next((way for way, name in asked.items() if values.get(name)), None)
    if way is None:
        entered = dict.fromkeys(name for name in asked.values() if name != PLATFORM)
        raise ValidationFailedError(field="credentials", problem=f"need {' or '.join(entered) or 'our own issuer'}")
    return way


def build_step(
    step: Step,
    /,
    *,
    values: Mapping[str, Secret | str],
    proofs: Mapping[str, Proof],
    provider_id: str,
    loopback: bool = False,
    private_host: bool = False,
    now: datetime,
    jti: str,
    made: Mapping[str, Secret] | None = None,
) -> HttpRequest:
    """Build the request of *step*.

    *values* are the variables, inputs and what earlier steps gave, by name, secret ones as `Secret`; an application's `client_id`,
    `client_secret` and private key (`application`) are among them.  *now* is aware; *jti* differs for each request.  *made* are the
    proofs that `find_platform_proofs` names.
    Raises `ValidationFailedError` naming an input that is missing, that its place cannot carry, or that cannot sign, and
    `ConfigurationError` for the private key of the operator's application.
    """
    sources = _Sources(values=values, proofs=proofs, now=now, jti=jti, made=dict(made or {}))
    url = check_endpoint(fill_url(step.url, lambda name: find_value(name, values).reveal()), loopback=loopback)
    known = sources.find_all(step)
    for name in sorted({place for text in step.headers.values() for place in places(text)}):
        _require_sendable(name, known[name])
    way = sources.choose_client_auth(step)
    bearer = sources.find_bearer(step)
    # Nothing raises from here on, so secrets may be text.
    texts = {name: secret.reveal() for name, secret in known.items()}
    auth_headers, auth_params = sources.authenticate(way)
    if bearer is not None:
        auth_headers["Authorization"] = f"Bearer {bearer.reveal()}"
    content = {} if step.body == "none" else {"Content-Type": _CONTENT_TYPES[step.body]}
    return HttpRequest(
        method=step.method,
        url=url,
        headers=merge_headers(
            HEADERS,
            _XML if step.reply.format == "xml" else {},
            {name: fill(text, texts) for name, text in step.headers.items()},
            content,
            auth_headers,
        ),
        body=write_body(
            step.body, {name: fill_all(value, texts) for name, value in step.fields.items()} | dict(step.literals) | auth_params
        ),
        provider_id=provider_id,
        loopback=loopback,
        private_host=private_host,
        max_body=MAX_TOKEN_BODY,
    )


def sign_step(
    step: Step,
    request: HttpRequest,
    /,
    *,
    platform: Parts,
    values: Mapping[str, Secret | str],
    now: datetime,
    nonce: bytes,
) -> HttpRequest:
    """Return *request* signed with the operator's own credential, whose parts are *platform*; unchanged if *step* has no signature.

    *nonce* are 16 random bytes.  Raises `ConfigurationError` for a part, an option or an extra that is missing.
    """
    if step.sign is None:
        return request
    options = {
        name: fill(text, {place: find_value(place, values).reveal() for place in places(text)}) for name, text in step.options.items()
    }
    unsigned = Unsigned(method=request.method, url=request.url, headers=request.headers, body=request.body)
    signed = require_signer(step.sign).sign(unsigned, parts=platform, options=options, now=now, nonce=nonce)
    return replace(request, url=signed.url, headers=signed.headers)


def read_step(
    step: Step,
    response: HttpResponse,
    /,
    *,
    provider: Provider,
    method_id: str,
    access_token: AccessTokenFacts,
    owned: bool,
    now: datetime,
    known: Collection[str] = (),
) -> Minted | TokenFailure:
    """Read the answer to *step*; never raises, whatever a server sends.

    *method_id* and *access_token* are the method's.  *owned*: the application belongs to the tenant, so that the tenant must act if it
    is refused.  *known* are the variables that have a value already, so that an answer may lack them.  Lifetimes count from
    `response.sent_at`, or from *now* if that is None.
    """
    body = _read_body(step, response)
    if body is not None and _succeeded(step, response, body):
        values = _read_values(step, body)
        if values is None or not _is_of_known_type(step, body):
            return Unknown("unusable_body")
        minted = _minted(step, body, values, access_token, sent_at=response.sent_at or now)
        variables, is_whole = _read_variables(step, provider, body, values)
        if any(each.required and each.default is None for each in _mapped(step, provider) if each.name not in {*variables, *known}):
            return Unknown("unusable_body")
        unread: tuple[UnreadMember, ...] = () if is_whole else ("variables",)
        minted = replace(minted, variables=variables, unread=minted.unread + unread)
        return replace(minted, told={name: find_all(body, step.reply.path_of(path)) for name, path in step.told.items()})
    failure = read_failure(
        provider,
        response,
        body,
        at="mint",
        method_id=method_id,
        tokens=[step.reply.path_of(path) for path in step.reply.gives.values()],
        now=now,
        renewal=True,
    )
    if owned and isinstance(failure, Misconfigured) and failure.reason in _THE_CLIENTS:
        return Refused("application_refused", said=failure.said)
    return failure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """Where the values of a request come from."""

    values: Mapping[str, Secret | str] = field(repr=False)
    proofs: Mapping[str, Proof]
    now: datetime
    jti: str
    made: dict[str, Secret] = field(default_factory=dict, repr=False)
    """The proofs made so far; each is signed once for a request."""

    def find_all(self, step: Step) -> dict[str, Secret]:
        """Return all that the templates of *step* need."""
        return {place: self.find(place) for _, text in step.templates() for place in places(text)}

    def find(self, place: str) -> Secret:
        if place.startswith("proof:"):
            return self.prove(place.removeprefix("proof:"))
        return find_value(place, self.values, passphrase=self._passphrase(place.partition(".")[0]))

    def prove(self, name: str) -> Secret:
        if name not in self.made:
            # Two proofs of one request need different identifiers.
            self.made[name] = make_proof(self.proofs[name], values=self.values, now=self.now, jti=f"{self.jti}.{name}")
        return self.made[name]

    def find_bearer(self, step: Step) -> Secret | None:
        if step.proof in {None, PLATFORM}:
            return None
        return self.find("access_token") if step.proof == PREVIOUS else self.prove(str(step.proof))

    def choose_client_auth(self, step: Step) -> str | None:
        """Return the first way that has its value, and make its proof.  Raises `ValidationFailedError` if there is none."""
        if not step.client_auth:
            return None
        self.find("client_id")
        way = find_client_auth(step, values=self.values, proofs=self.proofs)
        if way is not None and way.startswith("proof:"):
            self.prove(way.removeprefix("proof:"))
        return way

    def authenticate(self, way: str | None) -> tuple[dict[str, str], dict[str, str]]:
        """Return the headers and parameters of a client authentication (RFC 6749 §2.3, RFC 7523 §2.2)."""
        if way is None:
            return {}, {}
        client_id = self.find("client_id").reveal()
        if way.startswith("proof:"):
            assertion = self.made[way.removeprefix("proof:")].reveal()
            return {}, {"client_id": client_id, "client_assertion_type": _ASSERTION, "client_assertion": assertion}
        secret = self.find("client_secret")
        _, headers, form = authentication(_CLIENT_SECRETS[way], client_id, secret).prepare("POST", "", {}, "")
        return headers, dict(parse_qsl(form, keep_blank_values=True))

    def _passphrase(self, name: str) -> Secret | None:
        """Return the passphrase of the private key in the value *name*; the proof that signs with that key names it."""
        names = (proof.passphrase_name for proof in self.proofs.values() if proof.key_name == name)
        found = next((value for opener in names if opener is not None and (value := self.values.get(opener))), None)
        return Secret(found) if isinstance(found, str) else found


def _require_sendable(name: str, value: Secret) -> None:
    if not _is_sendable(value):
        raise ValidationFailedError(field=f"credentials.{name}", problem="must be one line of visible ASCII characters")


def _is_sendable(value: Secret) -> bool:
    text = value.reveal()
    return text.isascii() and text.isprintable()


def write_body(kind: Literal["form", "json", "none"], params: Mapping[str, Any], /) -> bytes:
    """Return *params* as a body of this kind."""
    if kind == "none":
        return b""
    return (urlencode(params, errors="surrogatepass") if kind == "form" else json.dumps(params)).encode("ascii")


def _read_body(step: Step, response: HttpResponse) -> dict[str, Any] | None:
    read = read_xml_object if step.reply.format == "xml" else read_json_object
    try:
        return read(response.body, content_type=response.headers.get("content-type", ""), limit=MAX_TOKEN_BODY)
    except UnusableBodyError:
        return None


def _succeeded(step: Step, response: HttpResponse, body: Mapping[str, Any]) -> bool:
    expected = response.status in step.statuses if step.statuses else response.status // 100 == 2
    return expected and not body.get("error") and all(test.holds(body) for test in step.success)


def _read_values(step: Step, body: Mapping[str, Any]) -> dict[str, Secret] | None:
    """Return the values by name; None: one of them is missing, or is no text that a request can carry."""
    values = {name: read_token(find_path(body, step.reply.path_of(path))) for name, path in step.reply.gives.items()}
    found = {name: value for name, value in values.items() if value is not None}
    return found if len(found) == len(values) else None


def _mapped(step: Step, provider: Provider) -> list[Variable]:
    return [variable for variable in provider.variables if variable.name in step.reply.map]


def _read_variables(step: Step, provider: Provider, body: Mapping[str, Any], values: Mapping[str, Secret]) -> tuple[dict[str, str], bool]:
    """Return the valid variables of the answer by name, and whether all that it has are valid.  A token in a wrong place is none."""
    said = [(each, find_path(body, step.reply.path_of(step.reply.map[each.name]))) for each in _mapped(step, provider)]
    read = {each.name: read_variable(each, value) for each, value in said if value is not None}
    found = {
        name: text for name, text in read.items() if text is not None and not any(secret.reveal() in text for secret in values.values())
    }
    return found, len(found) == len(read)


def _is_of_known_type(step: Step, body: Mapping[str, Any]) -> bool:
    token_type = find_path(body, step.reply.path_of("token_type"))
    # RFC 6749 §7.1: a token of an unknown type must not be used.  Answers that are no token answers have no type.
    if isinstance(token_type, str) and token_type.strip().lower() not in {"", *(known.lower() for known in step.reply.token_types)}:
        return False
    if step.fields.get("grant_type") != TOKEN_EXCHANGE:
        return True
    # RFC 8693 §2.2.1: what was issued is what was asked for (OAU-066).
    issued, asked = find_path(body, step.reply.path_of("issued_token_type")), step.fields.get("requested_token_type")
    return issued is None or asked is None or issued == asked


def _minted(step: Step, body: Mapping[str, Any], values: Mapping[str, Secret], facts: AccessTokenFacts, *, sent_at: datetime) -> Minted:
    expires, assumed = step.reply.expires, facts.assumed_lifetime
    value = find_path(body, step.reply.path_of(expires.path))
    if value is None:
        return Minted(values=values, expires_at=None if assumed is None else sent_at + assumed)
    at = read_time(value, expires.encoding, sent_at=sent_at)
    if at is None or at == sent_at:
        return Minted(values=values, expires_at=sent_at + (assumed or UNKNOWN_LIFETIME), unread=("expires_in",))
    return Minted(values=values, expires_at=at)
