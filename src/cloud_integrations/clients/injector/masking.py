"""Answers without the secrets of their requests, also where a server repeats what it was sent.

A secret is looked for as it is and as servers usually write it: in base64, percent-encoded, in JSON and in HTML.  Stars of the same number
take its place, so lengths stay true.  It is no defence against a server that works with the agent.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final
from urllib.parse import quote

from cloud_integrations.domain.credential import Presented

_LONG_WORD: Final = re.compile(r"[\w+/.~-]{24,}=*", re.ASCII)
"""What may be a secret inside of a header, such as a signature."""
_SHORTEST: Final = 4
"""Shorter secrets are not looked for, because they occur in other text by chance."""


class Mask:
    """The secrets of the requests that one answer may repeat."""

    def __init__(self) -> None:
        self._forms: frozenset[bytes] = frozenset()
        self._firsts: frozenset[int] = frozenset()
        self._longest = 0

    def add(self, credential: Presented, sent: Mapping[str, str], before: Mapping[str, str], /) -> None:
        """Hide what *credential* put into a request: *sent* are its headers, and *before* those without the credential."""
        known = {(name.lower(), value) for name, value in before.items()}
        headers = [value for name, value in sent.items() if (name.lower(), value) not in known]
        params = list(credential.params().values()) if "params" in credential.forms else []
        words = {word for value in headers for word in (value.partition(" ")[2] or value, *_LONG_WORD.findall(value))}
        words.update(params)
        words.update(part.reveal() for part in credential.parts.values() if _is_in(part.reveal(), [*headers, *params]))
        if "basic" in credential.forms:
            words.add(credential.basic()[1])
        self._forms |= {form for word in words if len(word) >= _SHORTEST for form in _forms(word)}
        self._firsts = frozenset(form[0] for form in self._forms)
        self._longest = max(map(len, self._forms), default=0)

    def hide(self, data: bytes, /) -> bytes:
        """Return *data*, which is complete, without the secrets."""
        return b"".join(self.stream([data]))

    def stream(self, parts: Iterable[bytes], /) -> Iterator[bytes]:
        """Yield *parts* without the secrets, also without those that are cut between parts.

        Only what may be the beginning of a secret waits for the next part.
        """
        rest = b""
        hidden = 0  # so many bytes of `rest` belong to a secret that began before it
        for part in parts:
            data = rest + part
            shown = bytearray(data)
            shown[:hidden] = b"*" * hidden
            end = hidden
            for start, after in self._found(data):
                shown[start:after] = b"*" * (after - start)
                end = max(end, after)
            ready = self._waits_from(data)
            yield bytes(shown[:ready])
            rest, hidden = data[ready:], max(0, end - ready)
        yield b"*" * hidden + rest[hidden:]

    def _found(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each secret begins and ends; one may begin inside of another."""
        for form in self._forms:
            at = data.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = data.find(form, at + 1)

    def _waits_from(self, data: bytes) -> int:
        """Return the first position from which the rest of *data* is the beginning of a secret; its length if there is none."""
        for at in range(max(0, len(data) - self._longest + 1), len(data)):
            if data[at] in self._firsts:
                tail = data[at:]
                if any(len(form) > len(tail) and form.startswith(tail) for form in self._forms):
                    return at
        return len(data)


def _is_in(secret: str, shown: Iterable[str]) -> bool:
    return bool(secret) and any(secret in text for text in shown)


def _forms(word: str) -> Iterator[bytes]:
    raw = word.encode()
    yield raw
    in_json = json.dumps(word)[1:-1]
    percent = quote(word, safe="")
    path = quote(word)
    lower = re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), percent)
    spaced = percent.replace("%20", "+")
    json_of_go = _numbered("&<>", in_json, "04x")
    json_of_net = _numbered("&<>'`+", in_json.replace(r"\"", r"\u0022"), "04X")
    # Jinja writes two signs of HTML by their numbers, and Go one more.
    numbers = escape(word).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    for text in (json_of_go, json_of_net, numbers, numbers.replace("+", "&#43;")):
        yield text.encode()
    for text in (in_json, in_json.replace("/", "\\/"), percent, path, lower, spaced, escape(word), escape(word, quote=False)):
        yield text.encode()
    for form in (escape(word).replace("&#x27;", "&#39;"), json.dumps(word, ensure_ascii=False)[1:-1]):
        yield form.encode()
    # In a longer text in base64, it begins at one of three places; the characters at its edges depend on what stands beside it.
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        first = -(-before * 4 // 3)
        inner = encoded[first : (before + len(raw)) * 4 // 3]
        if len(inner) >= _SHORTEST:
            yield inner
            yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def _numbered(signs: str, text: str, form: str) -> str:
    """Return *text* with *signs* as JSON may write them, by their numbers."""
    return "".join(f"\\u{ord(each):{form}}" if each in signs else each for each in text)
