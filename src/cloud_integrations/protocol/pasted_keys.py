"""Clean the values that people paste as keys, and refuse private keys, JSON files and keys of other providers.

Functions that raise hold the value as a `Secret` and never its text, because error reporters also send the variables of each frame.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from string import ascii_letters
from typing import Final, Literal
from urllib.parse import unquote_plus

from cloud_integrations.domain.provider import Input, InputForm, KeyFormat, Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .foreign_formats import ELSEWHERE

_INVISIBLE: Final = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200E))
)
"""White space and invisible characters: a byte order mark, joiners, zero-width spaces."""
_NOT_READ: Final = str.maketrans("", "", _INVISIBLE + "\x00")
_QUOTES: Final = ("''", '""', "``", "“”", "‘’", "«»", "„“")
_VALUE: Final = r"(?P<value>[^=\s].*)"
# Text around a key in the places that people copy from: `NAME=value` of a shell or a file, and `token: value`.
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
"""Marks of a private key: PEM (RFC 7468, also of OpenSSH, OpenPGP and SSH2), PuTTY, age, and the file of a service account."""
_TOGETHER: Final = (("<rsakeyvalue>", "<d>"), ('"kty', '"d"'), ('"kty', '"d\\"'))
"""Texts that together mark a private key: in XML, and in a JWK, which has `d` (RFC 7518 §6)."""
_LONGEST: Final = 64 * 1024
"""How many characters are examined; a key is shorter."""
_DEEPEST: Final = 4
"""How many wrappings are removed, and how many nested encodings are decoded."""
_KUBECONFIG: Final = re.compile(r"""^["']?kind["']?\s*:\s*["']?Config\b|"kind"\s*:\s*"Config\"""", re.MULTILINE)
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

_VOWELS: Final = "AEIOUaeioun"  # and npm
_OTHER_LETTERS: Final = str.maketrans(ascii_letters, ascii_letters[1:26] + "a" + ascii_letters[27:] + "A")

PastedKind = Literal["kubeconfig", "private_key", "json"]
"""What people paste that is no API key."""
_FORMS: Final[Mapping[InputForm, tuple[PastedKind, ...]]] = {
    "text": (),
    "pem": ("private_key",),
    "json": ("json", "private_key"),
    "origin": (),
}
"""What an input of each form may hold."""
_INSTEAD: Final[Mapping[PastedKind, str]] = {
    "kubeconfig": "looks like a whole kubeconfig, and nothing was sent or stored; enter",
    "private_key": "looks like a private key, and nothing was sent or stored; enter",
    "json": "looks like a JSON file, and nothing was sent or stored; enter",
}


def clean(text: str, method: Method, expected: Input, /) -> str:
    """Return *text* without what was pasted around the value, as `normalise` of *expected* allows."""
    if "strip" in expected.normalise:
        text = _bare(text)
    if expected.form == "pem":
        text = _from_base64(restore_lines(text).strip())
    if expected.form != "text":
        return text
    if "unwrap" in expected.normalise:
        text = _unwrap(text, method, expected)
    if "upper" in expected.normalise:
        return text.upper()
    return text.lower() if "lower" in expected.normalise else text


def _from_base64(text: str) -> str:
    """Return the PEM in *text*: a kubeconfig and a Secret of Kubernetes hold it in base64 once more."""
    if text.startswith("-"):
        return text
    try:
        inside = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return text
    return inside.decode("ascii").strip() if inside.startswith(b"-----BEGIN ") and inside.isascii() else text


def restore_lines(text: str, /) -> str:
    """Return PEM with its line breaks: in a JSON file or an environment variable they are written as a backslash and `n`."""
    return text.replace("\\r", "").replace("\\n", "\n").replace("\r\n", "\n").replace("\r", "\n")


def _unwrap(text: str, method: Method, expected: Input) -> str:
    for _ in range(_DEEPEST):
        if expected.patterns and expected.looks_right(text):
            break
        text = _bare(next(_unwrapped(text, method), text))
    return text


def require_own(pasted: Secret, expected: Input, /, *, field: str) -> None:
    """Check that *pasted* is no private key (plain or encoded) and no JSON document, unless *expected* accepts it.

    Raises `ValidationFailedError`, which names *field*, says what to do, and never repeats the value.
    """
    for kind in find_kinds(pasted.reveal()):
        # What is no secret is stored and shown in the open.
        if kind not in _FORMS[expected.form] or (kind == "private_key" and not expected.secret):
            raise ValidationFailedError(field=field, problem=f"{_INSTEAD[kind]} the {expected.label or expected.name} itself")


def require_no_private_key(pasted: Secret, /, *, field: str) -> None:
    """Check that an OAuth token or code is no private key and no JSON document.  Raises as `require_own`."""
    for kind in find_kinds(pasted.reveal()):
        raise ValidationFailedError(field=field, problem=f"{_INSTEAD[kind]} what the provider issued")


def require_not_foreign(pasted: Secret, provider: Provider, known: Iterable[Provider], /, *, field: str) -> None:
    """Check that *pasted* has not the form of another provider's keys.  Raises as `require_own`.

    A key is *provider*'s own if it has one of its formats, if one of its input patterns asks for this prefix, or if the name of the
    form's owner is part of its name.
    """
    found = _find_owner(pasted.reveal(), provider, known)
    if found is not None:
        problem = f"looks like {found}, and nothing was sent or stored; enter one of {provider.name}"
        raise ValidationFailedError(field=field, problem=problem)


def _find_owner(text: str, provider: Provider, known: Iterable[Provider]) -> str | None:
    if any(own.tells(text) for own in provider.formats):
        return None
    inputs = [given for method in provider.methods for given in method.inputs if given.patterns]
    owned = [(other.name, each) for other in known for each in other.formats]
    for name, each in (*owned, *_known_formats()):
        if each.tells(text) and name.lower() not in provider.name.lower() and not any(_asks_for(given, each, text) for given in inputs):
            return _named(name, each)
    return None


@cache
def _known_formats() -> tuple[tuple[str, KeyFormat], ...]:
    """Return the formats that are known without the catalogue, which may be the host's own and hold few providers."""
    from .builtin_formats import BUILTIN  # noqa: PLC0415  # this file is written by a tool that reads provider files, by way of this module

    return tuple(
        (row.owner, KeyFormat(name=row.name, prefixes=row.prefixes, rest=row.rest, checksum=row.checksum)) for row in (*BUILTIN, *ELSEWHERE)
    )


def _asks_for(given: Input, of: KeyFormat, text: str) -> bool:
    """Return whether a pattern of *given* asks for the prefix of *text*; one that also matches another prefix ("40 letters") does not."""
    prefix = next((prefix for prefix in of.prefixes if text.startswith(prefix)), "")
    return given.looks_right(text) and not given.looks_right(prefix.translate(_OTHER_LETTERS) + text[len(prefix) :])


def _named(owner: str, of: KeyFormat) -> str:
    """Return the words for such a key of *owner*, with their article."""
    return f"{'an' if owner[0] in _VOWELS else 'a'} {owner} {of.name}"


def find_hint(text: str, expected: Input, provider: Provider, /) -> str | None:
    """Return what is unusual about *text*, as the end of a sentence that begins with the name of the input; None: nothing.

    It says if a character is missing or changed (by the checksum), if the end is missing, or if this is another kind of key of *provider*.
    """
    whole = next((each for each in provider.formats if each.matches(text)), None)
    if whole is not None and whole.has_wrong_checksum(text):
        return "does not fit its own checksum: a character is missing or changed, so copy it again"
    if not expected.looks_right(text) and whole is not None:
        return f"looks like {_named(provider.name, whole)}, which is something else"
    begun = next((each for each in provider.formats if whole is None and each.tells(text)), None)
    if begun is not None and (not expected.patterns or not expected.looks_right(text)):
        return f"begins like {_named(provider.name, begun)} and does not go on like one: a part may be missing"
    return None if expected.looks_right(text) else "does not look like one of this provider"


def find_kinds(text: str, /) -> tuple[PastedKind, ...]:
    """Return which of these *text* contains: a kubeconfig, a private key, a JSON document."""
    text = text[:_LONGEST]
    readings = (text.translate(_NOT_READ), unquote_plus(text).translate(_NOT_READ))
    # JSON in base64 is not looked for, because some providers issue such keys.
    is_config = _KUBECONFIG.search(text) is not None
    found: dict[PastedKind, bool] = {"kubeconfig": is_config, "private_key": _holds_private(text), "json": any(map(_JSON.match, readings))}
    return tuple(kind for kind, holds in found.items() if holds)


def _holds_private(text: str, *, depth: int = _DEEPEST) -> bool:
    """Return whether *text* contains a private key, plain or encoded; a Secret of Kubernetes has base64 of base64."""
    plain = text.translate(_NOT_READ)
    if _is_private(plain):
        return True
    if depth == 0:
        return False
    inside = _decoded(plain)
    texts = [data.decode("latin-1") for data in inside] + ([unquote_plus(text)] if "%" in text else [])
    return any(map(_is_der, inside)) or any(_holds_private(inner, depth=depth - 1) for inner in texts)


def _decoded(plain: str) -> list[bytes]:
    """Return the decoded base64 and hexadecimal parts of *plain*."""
    runs = [run.translate(_STANDARD) for run in _BASE64.findall(plain)]
    # A single last character of base64 is no whole byte and cannot be decoded.
    decoded = [base64.b64decode(run[: len(run) - (len(run) % 4 == 1)] + "==") for run in runs]
    return decoded + [bytes.fromhex(run) for run in _HEX.findall(plain)]


def _is_private(text: str) -> bool:
    lower = text.lower()
    return _PRIVATE.search(text) is not None or any(all(word in lower for word in words) for words in _TOGETHER)


def _bare(text: str) -> str:
    text = text.strip(_INVISIBLE)
    return text[1:-1].strip(_INVISIBLE) if len(text) > 1 and text[0] + text[-1] in _QUOTES else text


def _unwrapped(text: str, method: Method) -> Iterator[str]:
    """Yield the value inside, for each wrapping that *text* has."""
    headers = {"Authorization", *method.present.headers}
    named = "|".join(map(re.escape, sorted(headers)))
    if text.startswith("curl "):
        # One key and no more: of two headers nobody knows which one was meant.
        header = rf"(?:-H|--header)[ =]{{0,2}}([\"'])(?:{named})\s*:\s*(?P<value>[^\"']+)\1"
        values = {found["value"] for found in re.finditer(header, text, re.IGNORECASE)}
        if len(values) == 1:
            yield values.pop()
    for pattern in _WRAPPED:
        if found := pattern.fullmatch(text):
            yield found["value"]
    header = rf"(?:(?:-H|--header)\s*[\"']?)?(?:{named})\s*:\s*(?P<value>[^\"']+)[\"']?"
    if found := re.fullmatch(header, text, re.IGNORECASE):
        yield found["value"]
    prefixes = (template.partition("{")[0] for template in method.present.headers.values())
    for scheme in (*_SCHEMES, *(prefix for prefix in prefixes if len(prefix) > 3)):
        if len(text) > len(scheme) and text[: len(scheme)].lower() == scheme.lower():
            yield text[len(scheme) :]


def _is_der(data: bytes) -> bool:
    """Return whether *data* begins like a private key in DER, which may be cut off: a SEQUENCE that begins as only such keys do."""
    if len(data) < 16 or data[0] != 0x30:
        return False
    body = data[2 + (data[1] & 0x7F if data[1] & 0x80 else 0) :]
    return body.startswith(_DER) or (body[:1] == b"\x30" and _ENCRYPTED_DER in body[: 8 + len(_ENCRYPTED_DER)])
