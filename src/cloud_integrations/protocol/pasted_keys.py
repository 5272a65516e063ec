"""What people paste where a key belongs: cleaned by the provider's data, or refused before it goes anywhere.

Whatever raises here holds a `Secret` and never its text: an error reporter sends the variables of each frame, too.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from string import ascii_letters
from typing import Final
from urllib.parse import unquote_plus

from cloud_integrations.domain.provider import Accepted, Input, Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

_INVISIBLE: Final = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200E))
)
"""White space, and marks that are not seen: a byte order mark, joiners, spaces of no width."""
_NOT_READ: Final = str.maketrans("", "", _INVISIBLE + "\x00")
_QUOTES: Final = ("''", '""', "``", "“”", "‘’", "«»", "„“")
_VALUE: Final = r"(?P<value>[^=\s].*)"
# A shell's or a file's `NAME=value`, `token: value`, and a header: what stands around a key in the places that people copy from.
_WRAPPED: Final = (
    re.compile(rf"(?:(?:export|set|setx)\s+|\$env:)\w+\s*=\s*{_VALUE}", re.IGNORECASE | re.DOTALL),
    re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+=(?P<value>[^=\s].{3,})", re.DOTALL),
    re.compile(
        rf"(?:(?:access|api|auth|client|private|secret)[_ -]?)*(?:key|password|secret|token)\s*[:=]\s*{_VALUE}", re.IGNORECASE | re.DOTALL
    ),
)
_SCHEMES: Final = ("Bearer ", "Token ")

_PRIVATE: Final = re.compile(
    r"""(?:BEGIN|END)[A-Z0-9]*PRIVATEKEY|PuTTY-User-Key-File|openssh-key-v1|AGE-SECRET-KEY-1|["']private_?key\\?["']:""", re.IGNORECASE
)
"""PEM (RFC 7468, of OpenSSH, OpenPGP and SSH2 too), PuTTY, age, and the file of a service account."""
_TOGETHER: Final = (("<rsakeyvalue>", "<d>"), ('"kty', '"d"'), ('"kty', '"d\\"'))
"""What makes a private key where all of it is there: XML, and a JWK with `d` (RFC 7518 §6)."""
_LONGEST: Final = 64 * 1024
"""So much is looked at; a key is shorter."""
_DEEPEST: Final = 4
"""So many wrappings are taken away, and so many encodings are looked into."""
_JSON: Final = re.compile(r"""^["']?[\[{]\\?["'\[{}]""")
_STANDARD: Final = str.maketrans("-_", "+/")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{40,}")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){40,}")
_DER: Final = tuple(
    bytes.fromhex(start)
    for start in (
        "02010030",  # PKCS #8 (RFC 5958 §2)
        "02010130",
        "02010002",  # PKCS #1 (RFC 8017 §A.1.2)
        "02010104",  # SEC 1 (RFC 5915 §3)
        "02010330",  # PKCS #12 (RFC 7292 §4)
    )
)
_ENCRYPTED_DER: Final = bytes.fromhex("06092a864886f70d0105")
"""The object identifiers of password-based encryption (RFC 8018), which an encrypted PKCS #8 key begins with."""

ELSEWHERE: Final[Mapping[str, str]] = {
    "AGPA": "Amazon Web Services", "AKIA": "Amazon Web Services", "ASIA": "Amazon Web Services",
    "ATATT3": "Atlassian", "ATCTT3": "Atlassian", "HRKU-": "Heroku", "LTAI": "Alibaba Cloud", "NRAK-": "New Relic",
    "dckr_oat_": "Docker", "dckr_pat_": "Docker", "dp.pt.": "Doppler", "dp.st.": "Doppler",
    "fm2_": "Fly.io", "fo1_": "Fly.io", "glc_": "Grafana Cloud", "glsa_": "Grafana",
    "hvb.": "Vault", "hvs.": "Vault", "lin_api_": "Linear", "mdb_sa_sk_": "MongoDB Atlas", "nfp_": "Netlify", "npm_": "npm",
    "ntn_": "Notion", "pscale_tkn_": "PlanetScale", "pul-": "Pulumi", "pypi-": "PyPI", "rnd_": "Render",
    "rk_live_": "Stripe", "rk_test_": "Stripe", "sb_secret_": "Supabase", "sbp_": "Supabase", "shpat_": "Shopify",
    "sk-ant-": "Anthropic", "sk_live_": "Stripe", "sk_test_": "Stripe", "sntrys_": "Sentry", "sntryu_": "Sentry",
    "tskey-": "Tailscale", "vcp_": "Vercel", "whsec_": "Stripe",
}  # fmt: skip
"""Beginnings of keys of providers that have no file in the catalogue; the others say theirs in `key_prefixes`."""

_OTHER_LETTERS: Final = str.maketrans(ascii_letters, ascii_letters[1:26] + "a" + ascii_letters[27:] + "A")

_INSTEAD: Final[Mapping[Accepted, str]] = {
    "private_key": "looks like a private key, and nothing was sent or stored; enter",
    "json": "looks like a JSON file, and nothing was sent or stored; enter",
}


def clean(text: str, method: Method, expected: Input, /) -> str:
    """Take away what was pasted around the value, as far as *expected* says that it may go."""
    if "strip" in expected.normalise:
        text = _bare(text)
    if "unwrap" not in expected.normalise:
        return text
    for _ in range(_DEEPEST):
        if expected.patterns and expected.looks_right(text):
            break
        text = _bare(next(_unwrapped(text, method), text))
    return text


def require_own(pasted: Secret, expected: Input, /, *, field: str) -> None:
    """Refuse a private key or a JSON file, plain or in base64, where *expected* does not ask for one.

    Raises `ValidationFailedError` that names *field*, says what to do, and repeats nothing.
    """
    for kind in find_kinds(pasted.reveal()):
        if kind not in expected.accepts:
            raise ValidationFailedError(field=field, problem=f"{_INSTEAD[kind]} the {expected.label or expected.name} itself")


def require_no_private_key(pasted: Secret, /, *, field: str) -> None:
    """The same for a token or code of OAuth, which is neither."""
    for kind in find_kinds(pasted.reveal()):
        raise ValidationFailedError(field=field, problem=f"{_INSTEAD[kind]} what the provider issued")


def require_not_foreign(pasted: Secret, provider: Provider, known: Iterable[Provider], /, *, field: str) -> None:
    """Refuse a key by which everybody knows that another provider issued it.  Raises as `require_own`.

    What begins as *provider*'s own, has that beginning by the form of one of its inputs, or bears its name, is its own.
    """
    owner = _find_owner(pasted.reveal(), provider, known)
    if owner is not None:
        problem = f"looks like a key of {owner}, and nothing was sent or stored; enter one of {provider.name}"
        raise ValidationFailedError(field=field, problem=problem)


def _find_owner(text: str, provider: Provider, known: Iterable[Provider]) -> str | None:
    if text.startswith(provider.key_prefixes):
        return None
    inputs = [given for method in provider.methods for given in method.inputs if given.patterns]
    owners = {**ELSEWHERE, **{prefix: other.name for other in known for prefix in other.key_prefixes}}
    for prefix, name in owners.items():
        if (
            text.startswith(prefix)
            and name.lower() not in provider.name.lower()
            and not any(_asks_for(given, prefix, text) for given in inputs)
        ):
            return name
    return None


def _asks_for(given: Input, prefix: str, text: str) -> bool:
    """Say whether *given* has this very form; one that fits with another beginning as well ("40 letters") says nothing of whose it is."""
    return given.looks_right(text) and not given.looks_right(prefix.translate(_OTHER_LETTERS) + text[len(prefix) :])


def find_kinds(text: str, /) -> tuple[Accepted, ...]:
    """Say what *text* holds that is no API key: a private key, a JSON document."""
    text = text[:_LONGEST]
    readings = (text.translate(_NOT_READ), unquote_plus(text).translate(_NOT_READ))
    # In base64 a document may well be a key: some providers issue them so.
    found: dict[Accepted, bool] = {"private_key": _holds_private(text), "json": any(map(_JSON.match, readings))}
    return tuple(kind for kind, holds in found.items() if holds)


def _holds_private(text: str, *, depth: int = _DEEPEST) -> bool:
    """Say whether a private key is in *text*, or in what is encoded there: a Secret of Kubernetes holds base64 of base64."""
    plain = text.translate(_NOT_READ)
    if _is_private(plain):
        return True
    if depth == 0:
        return False
    inside = _decoded(plain)
    texts = [data.decode("latin-1") for data in inside] + ([unquote_plus(text)] if "%" in text else [])
    return any(map(_is_der, inside)) or any(_holds_private(inner, depth=depth - 1) for inner in texts)


def _decoded(plain: str) -> list[bytes]:
    """Return what stands in base64 or hexadecimal anywhere in *plain*."""
    runs = [run.translate(_STANDARD) for run in _BASE64.findall(plain)]
    # One character more than whole bytes take is none of theirs.
    decoded = [base64.b64decode(run[: len(run) - (len(run) % 4 == 1)] + "==") for run in runs]
    return decoded + [bytes.fromhex(run) for run in _HEX.findall(plain)]


def _is_private(text: str) -> bool:
    lower = text.lower()
    return _PRIVATE.search(text) is not None or any(all(word in lower for word in words) for words in _TOGETHER)


def _bare(text: str) -> str:
    text = text.strip(_INVISIBLE)
    return text[1:-1].strip(_INVISIBLE) if len(text) > 1 and text[0] + text[-1] in _QUOTES else text


def _unwrapped(text: str, method: Method) -> Iterator[str]:
    """Give what is inside, for each wrapping that *text* has."""
    for pattern in _WRAPPED:
        if found := pattern.fullmatch(text):
            yield found["value"]
    headers = {"Authorization", *(place.name for place in method.placement if place.in_ == "header")}
    header = rf"(?:(?:-H|--header)\s*[\"']?)?(?:{'|'.join(map(re.escape, sorted(headers)))})\s*:\s*(?P<value>[^\"']+)[\"']?"
    if found := re.fullmatch(header, text, re.IGNORECASE):
        yield found["value"]
    for scheme in (*_SCHEMES, *(place.prefix for place in method.placement if len(place.prefix) > 3)):
        if len(text) > len(scheme) and text[: len(scheme)].lower() == scheme.lower():
            yield text[len(scheme) :]


def _is_der(data: bytes) -> bool:
    """Say whether *data* begins as a private key in DER does, be the rest cut off: a SEQUENCE, and what only such keys have first."""
    if len(data) < 16 or data[0] != 0x30:
        return False
    body = data[2 + (data[1] & 0x7F if data[1] & 0x80 else 0) :]
    return body.startswith(_DER) or (body[:1] == b"\x30" and _ENCRYPTED_DER in body[: 8 + len(_ENCRYPTED_DER)])
