"""Characters that the output's encoding lacks are written in ASCII, so that no output fails."""

from __future__ import annotations

import codecs
import io
import sys

_NAME = "cloud_integrations.ascii"
_ASCII = {
    "✓": "+",
    "✗": "x",
    "…": "...",
    "–": "-",
    "—": "-",
    "→": "->",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "·": "-",
    "±": "+-",
    "\N{REPLACEMENT CHARACTER}": "?",
}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    # A character without a replacement is escaped: ü becomes \xfc.
    return "".join(_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text), error.end


codecs.register_error(_NAME, _in_ascii)


def make_streams_safe() -> None:
    """Let stdout and stderr write every character, whatever their encoding: cp1252 of a Windows pipe, ASCII of a C locale.

    What stdin cannot decode is kept as it came, and is refused where it is used.
    """
    for stream, errors in ((sys.stdout, _NAME), (sys.stderr, _NAME), (sys.stdin, "surrogateescape")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def can_be_written(text: str, /) -> bool:
    """Whether stdout has every character of *text*, so that what is copied from it is what was meant."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
