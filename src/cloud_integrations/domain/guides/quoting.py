"""Values quoted for the place where they land.

Each function returns text that its language reads back as exactly the value, whatever characters the value has.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import quote

_PLAIN_WORD: Final = re.compile(r"[A-Za-z0-9_@%+=:./-]+\Z")
_INDENT: Final = "  "
_LAST_OF_BMP: Final = 0xFFFF


def quote_url(text: str, /) -> str:
    """Percent-encode *text* for a path, a query or a fragment (RFC 3986 §2.1); only unreserved characters stay."""
    return quote(text, safe="")


def quote_shell(text: str, /) -> str:
    """Quote *text* as a word, or a part of one, of a POSIX shell (POSIX.1-2024, Shell §2.2.2): single quotes unless it is plain.

    A comma is quoted too, because some shells expand `{a,b}`.
    """
    if _PLAIN_WORD.match(text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def write_json(value: Any, /) -> str:
    """Write *value* as a JSON document (RFC 8259), indented.

    Characters that cannot be seen, and those that end an HTML element, are escaped: the document may be shown inside a page.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(_json_char(char) for char in text) + "\n"


def _json_char(char: str) -> str:
    if char in "<>&":
        return f"\\u{ord(char):04x}"
    # Outside its strings JSON has only characters that can be seen, and the line feeds of the indentation.
    return char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1]


def quote_yaml(value: Any, /) -> str:
    """Write *value* as YAML on one line: text in double quotes (YAML 1.2.2 §7.3.1), objects and lists as in JSON."""
    return _flow(value)


def quote_hcl(text: str, /) -> str:
    r"""Quote *text* for the inside of a quoted template of HCL (HCL Native Syntax, Template Expressions).

    `${` and `%{` would begin an interpolation.  They are written `$${` and `%%{` where that is unambiguous, and with `\u0024` and
    `\u0025` elsewhere.
    """
    text = _escaped(text)
    # A dollar sign at the end may meet a brace that follows, and a brace at the beginning a dollar sign that stands before it.
    text = re.sub(r"([$%]+)(\{|\Z)", _hcl_opening, text)
    return "\\u007b" + text[1:] if text.startswith("{") else text


def _hcl_opening(found: re.Match[str]) -> str:
    signs, brace = found[1], found[2]
    if len(signs) == 1 and brace:
        return signs * 2 + brace
    return "".join(f"\\u{ord(sign):04x}" for sign in signs) + brace


def write_hcl(value: Any, /, *, indent: str = "") -> str:
    """Write *value* as an expression of HCL: quoted text, numbers, `true`, `null`, and objects and tuples on lines of their own."""
    if isinstance(value, str):
        return f'"{quote_hcl(value)}"'
    inner = indent + _INDENT
    if isinstance(value, dict) and value:
        lines = [f'{inner}"{quote_hcl(name)}" = {write_hcl(member, indent=inner)}' for name, member in value.items()]
        return "{\n" + "\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list | tuple) and value:
        return "[\n" + "".join(f"{inner}{write_hcl(member, indent=inner)},\n" for member in value) + f"{indent}]"
    return json.dumps(value)


def _flow(value: Any) -> str:
    if isinstance(value, str):
        return f'"{_escaped(value)}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value)


def _escaped(text: str) -> str:
    r"""Return *text* for the inside of double quotes in YAML and HCL, which share `\"`, `\\`, `\uXXXX` and `\UXXXXXXXX`."""
    return "".join(_escaped_char(char) for char in text)


def _escaped_char(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= _LAST_OF_BMP else f"\\U{ord(char):08x}"
