"""Fixed values for requests and answers: what a tenant enters, tokens, times, keys, and texts that fit a pattern.

None of them is or looks like a real secret, and none of them ever changes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from itertools import groupby
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud_integrations.domain.application import ClientAuth, OAuthApplication
from cloud_integrations.domain.provider import Input, Method, Provider, Variable, places
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.kinds import Moments
from cloud_integrations.protocol.client import Client, resolve_client
from cloud_integrations.protocol.pkce import make_verifier
from cloud_integrations.protocol.standard_backend import STANDARD

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NONCE = bytes(range(16))
STATE = Secret("fake-state-" + "s" * 43)
VERIFIER = make_verifier(bytes(range(32)))
REDIRECT = "https://app.example.com/callback"
PRODUCT = "shop"
TENANT = "tenant-1"
SERVER = "https://server.example.com"
_SAMPLES = (
    "example.com", "example.okta.com", "example.cloud.databricks.com", "acme-main.snowflakecomputing.com", "example", "12345",
    "11111111-2222-3333-4444-555555555555",
)  # fmt: skip
"""Values that people understand; the first one that fits is used."""
_REGIONS = ("eu-central-1", "eu-west-3")
_LIKE_A_KEY = re.compile(r"(.)\1{13}")
_SEQUENCES = import_module("re._parser")
_CATEGORIES = {"CATEGORY_DIGIT": "0", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " ", "CATEGORY_NOT_SPACE": "a", "CATEGORY_NOT_DIGIT": "a"}


@cache
def example(pattern: str, /) -> str:
    """Return a short text in which *pattern* is found, and which it matches whole if it is anchored.  It is always the same."""
    for least in range(4):
        text = "".join(_write(_SEQUENCES.parse(pattern), least))
        if re.search(pattern, text):
            return text
    raise ValueError(f"no example of {pattern}")


def example_around(pattern: str, inner: str, /) -> str:
    """Return a text that *pattern* matches, with *inner* in the place of its one group."""
    start = re.search(r"(?<!\\)\((?!\?)", pattern)
    assert start is not None
    # The group holds no parentheses of its own.
    end = pattern.index(")", start.end()) + 1
    return example(f"{pattern[: start.start()]}@{pattern[end:]}").replace("@", inner)


def shorten(text: str, /) -> str:
    """Return *text* with each character that is repeated often as that character and a number, so that it does not look like a secret."""
    runs = ((char, len(list(run))) for char, run in groupby(text))
    return "".join(f"{char}{{{count}}}" if count > 3 else char * count for char, count in runs)


def _write(sequence: Any, least: int) -> Iterator[str]:
    for code, value in sequence:
        match str(code):
            case "LITERAL":
                yield chr(value)
            case "NOT_LITERAL":
                yield "a" if value != ord("a") else "b"
            case "ANY":
                yield "a"
            case "IN":
                yield _member(value)
            case "BRANCH":
                yield from _write(value[1][0], least)
            case "SUBPATTERN":
                yield from _write(value[3], least)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, inner = value
                for _ in range(min(max(low, least if low < 2 else low), int(high))):
                    yield from _write(inner, least)
            case _:
                pass


def _member(members: Any) -> str:
    if str(members[0][0]) == "NEGATE":
        taken = {chr(value) for code, value in members[1:] if str(code) == "LITERAL"}
        return next(char for char in "a0-_" if char not in taken)
    code, value = members[0]
    match str(code):
        case "LITERAL":
            return chr(value)
        case "RANGE":
            return chr(value[0])
        case _:
            return _CATEGORIES[str(value)]


@cache
def private_key() -> str:
    """Return a fixed RSA key in PEM that protects nothing: its primes are the two largest below 2**1024."""
    p, q = 2**1024 - 105, 2**1024 - 179
    e, d = 65537, pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p), public_numbers=rsa.RSAPublicNumbers(e, p * q)
    )
    return numbers.private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def certificate() -> str:
    """Return a fixed certificate of that key, in PEM."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key: Any = load_pem_private_key(private_key().encode(), None)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake")])
    made = x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=7)
    valid = made.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=3650))
    return valid.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def moments() -> Moments:
    """Return a clock that stands still, and random bytes that are always the same."""
    return Moments(now=lambda: NOW, nonce=lambda: NONCE, tls=lambda *_: None)  # type: ignore[arg-type]


def jwt(claims: Mapping[str, Any], /) -> str:
    """Return a token as an authorization server makes it; nobody checks the signature."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "none"}, claims)]
    return ".".join([*parts, "fake-signature"])


def variables_of(provider: Provider, method: Method, /, *, optional: bool = True) -> dict[str, str]:
    """Return a value for each variable; with *optional*, for those that may be left out, too."""
    found = {}
    for variable in provider.variables:
        if variable.source in {"token_reply", "after_connecting"}:
            if optional:
                found[variable.name] = _fitting(variable)
        elif optional or variable.required or variable.default is not None:
            found[variable.name] = _value_of(variable, method)
    return found


def _value_of(variable: Variable, method: Method) -> str:
    narrower = method.variables.get(variable.name)
    if narrower is not None:
        known = (*variable.choices, *filter(None, (variable.default,)), *_SAMPLES)
        return next((value for value in known if re.fullmatch(narrower, value)), None) or example(narrower)
    if method.present.sign is not None and variable.default is not None:
        # The options of a signature may name the default themselves.
        return next(
            (value for value in (*_REGIONS, *variable.choices) if value != variable.default and _fits(variable, value)), variable.default
        )
    return variable.default or _fitting(variable)


def _fitting(variable: Variable) -> str:
    known = (*variable.choices, *filter(None, (host_under(variable),)), *_SAMPLES)
    return next((value for value in known if _fits(variable, value)), None) or example(variable.pattern or "")


def host_under(variable: Variable, /) -> str | None:
    """Return a host that *variable* may be, where it is under certain domains."""
    return f"api.{variable.domains[0]}" if variable.domains else None


def _fits(variable: Variable, value: str) -> bool:
    try:
        return variable.check(value) == value
    except ValidationFailedError:
        return False


def entered(method: Method, given: Input, /) -> str:
    """Return what a tenant enters for one input of *method*."""
    if given.form == "origin":
        return SERVER
    if given.form == "pem":
        with_both = any(proof.jwt == f"{{{given.name}.key}}" for proof in method.proofs.values())
        return "\n".join(([private_key()] if given.secret else []) + ([certificate()] if with_both or not given.secret else []))
    if given.form == "json":
        keys = {proof.key_name for proof in method.proofs.values()}
        document: Any = {}
        for path, value in given.must.items():
            document = put(document, path, value)
        for name, path in given.parts.items():
            document = put(document, path, private_key() if name in keys else f"fake-{name}")
        return json.dumps(document)
    if given.name in {proof.key_name for proof in method.proofs.values()} or (
        method.present.sign == "http_signature" and "key" in given.name
    ):
        return private_key()
    if given.secret or not given.patterns:
        return f"fake-{given.name}"
    text = next((text for text in _SAMPLES if given.looks_right(text)), None) or example(given.patterns[0])
    return f"fake-{given.name}" if _LIKE_A_KEY.search(text) else text


def inputs_of(method: Method, /, *, optional: bool = True) -> dict[str, Secret]:
    """Return what is stored of the inputs of *method*: all of them, or without those that may be left out."""
    found: dict[str, Secret] = {}
    for given in method.inputs:
        if not (optional or given.required):
            continue
        text = entered(method, given)
        if given.form != "json" or not given.parts:
            found[given.name] = Secret(text)
            continue
        keys = {proof.key_name for proof in method.proofs.values()}
        found |= {name: Secret(private_key() if name in keys else f"fake-{name}") for name in given.parts}
    return found


def client_of(provider: Provider, method: Method, /, *, auth: ClientAuth | None = None) -> Client:
    """Return the client of a consent; *auth* is a way in which the application authenticates."""
    values = variables_of(provider, method)
    operators = {variable.name for variable in provider.variables if variable.source == "application"}
    replied = {variable.name for variable in provider.variables if variable.source == "token_reply"}
    secret = {"none": None, "tls": Secret(private_key() + certificate())}.get(auth or method.client_auth[0], Secret("fake-client-secret"))
    application = OAuthApplication(
        provider=provider.id,
        client_id="client-1",
        client_secret=secret,
        client_auth=auth,
        variables={name: text for name, text in values.items() if name in operators},
    )
    tenants = {name: text for name, text in values.items() if name not in operators | (replied - _named_by_urls(method))}
    return resolve_client(provider, method, application, tenants, backend=STANDARD)


def _named_by_urls(method: Method) -> set[str]:
    urls = (method.authorize_url, method.token_url, method.refresh_url, None if method.revoke is None else method.revoke.url)
    return {name for url in urls if url is not None for name in places(url)}


def put(node: Any, path: str, value: Any, /) -> Any:
    """Return *node*, a JSON value, with *value* at *path*; `*` and numbers are members of a list."""
    return _put(node, path.split("."), value)


def _put(node: Any, steps: list[str], value: Any) -> Any:
    if not steps:
        return value
    if steps[0] == "*" or steps[0].isdigit():
        index = 0 if steps[0] == "*" else int(steps[0])
        members = list(node) if isinstance(node, list) else []
        members += [{} for _ in range(index + 1 - len(members))]
        members[index] = _put(members[index], steps[1:], value)
        return members
    return {
        **(node if isinstance(node, dict) else {}),
        steps[0]: _put(node.get(steps[0]) if isinstance(node, dict) else None, steps[1:], value),
    }
