"""The published forms of a provider's keys and tokens, by which they are recognised."""

from __future__ import annotations

import re
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Annotated, Final, Literal
from zlib import crc32

from pydantic import Field, ValidationInfo, field_validator

from .base import FileTable, check_pattern

TELLING: Final = 4
"""A prefix of this many characters tells whose key it is, even if the rest is cut off."""
Checksum = Literal["crc32_base62", "crc32_base36", "crc32_hex"]
_BASE62: Final = digits + ascii_uppercase + ascii_lowercase
_BASE36: Final = digits + ascii_lowercase
_CLASSES: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]")


class KeyFormat(FileTable):
    """A form of this provider's keys and tokens."""

    name: str = "token"
    """What it is, in the words that follow the provider's name: `access key id` of Acme."""
    prefixes: tuple[Annotated[str, Field(min_length=2)], ...] = ()
    """How it begins.  A key that begins so, with four characters or more, is refused for other providers.  With a shorter prefix, or none,
    only the whole form tells; it must then be one that no other key has.
    """
    rest: str
    """A regular expression of what follows the prefix, in ASCII; it repeats nothing without end."""
    checksum: Checksum | None = None
    """How its last characters are made from the CRC-32 of the others.  A wrong one gets a warning.  `crc32_base62`: the last six, of
    what is between the prefix and them (GitHub, npm).  `crc32_base36`: the last seven, of all that is before them (GitLab).
    `crc32_hex`: the last eight, of what is before the `_` in front of them, its lowest byte first (Grafana).
    """

    @field_validator("rest")
    @classmethod
    def _is_bounded(cls, rest: str, info: ValidationInfo) -> str:
        check_pattern(rest, info)
        if re.search(r"[*+]|\{\d*,\}", _CLASSES.sub("x", rest)):
            raise ValueError("repeats something without end: say how often at most")
        return rest

    def tells(self, text: str, /) -> bool:
        """Return whether *text* can only be such a key: by its prefix, or by its whole form."""
        return text.startswith(tuple(prefix for prefix in self.prefixes if len(prefix) >= TELLING)) or self.matches(text)

    def matches(self, text: str, /) -> bool:
        """Return whether *text* has this form from its beginning to its end."""
        return self._rest_of(text) is not None

    def has_wrong_checksum(self, text: str, /) -> bool:
        """Return whether *text* has this form, and its last characters do not fit the others."""
        rest = self._rest_of(text)
        match self.checksum if rest else None:
            case "crc32_base62":
                return _written(crc32((rest or "")[:-6].encode()), _BASE62, 6) != text[-6:]
            case "crc32_base36":
                return _written(crc32(text[:-7].encode()), _BASE36, 7) != text[-7:]
            case "crc32_hex":
                return crc32(text[:-9].encode()).to_bytes(4, "little").hex() != text[-8:].lower()
            case _:
                return False

    def _rest_of(self, text: str) -> str | None:
        for prefix in self.prefixes or ("",):
            if text.startswith(prefix) and re.fullmatch(self.rest, text[len(prefix) :], re.ASCII):
                return text[len(prefix) :]
        return None


def _written(number: int, digit: str, width: int) -> str:
    written = ""
    while number:
        number, last = divmod(number, len(digit))
        written = digit[last] + written
    return written.rjust(width, digit[0])
