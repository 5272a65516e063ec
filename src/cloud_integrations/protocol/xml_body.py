"""Answers in XML, read into the same values as JSON, so that paths, tests and rules apply to both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .http import MAX_BODY, MAX_DEPTH, HttpResponse, UnusableBodyError, read_text

_PROBLEM: Final = "the answer is not XML"


def read_xml_object(body: bytes, /, *, content_type: str = "", limit: int = MAX_BODY) -> dict[str, Any]:
    """Read XML of at most *limit* bytes and 64 levels: element → its text, or its elements by name; repeated ones are a list.

    Namespaces, attributes, comments and the text around elements are left out.  A document type declaration is refused, and with it
    every entity declaration.  Raises `UnusableBodyError`.
    """
    from defusedxml.ElementTree import ParseError, XMLParser  # noqa: PLC0415  # loaded only to read XML

    if len(body) > limit:
        raise UnusableBodyError("the answer is too long")
    # Decoded like every other answer; the encoding that the document declares is ignored.
    text = read_text(body, content_type=content_type).encode(errors="surrogatepass")
    target = _Target()
    parser = XMLParser(target=target, encoding="utf-8", forbid_dtd=True)
    try:
        parser.feed(text)
        parser.close()
    except (ParseError, ValueError) as error:
        reason = str(error) if isinstance(error, UnusableBodyError) else _PROBLEM
    else:
        return target.members
    # Outside the except block, so that the parser's error, which may repeat the answer, is not attached.
    raise UnusableBodyError(reason)


def find_xml_object(response: HttpResponse, /) -> dict[str, Any] | None:
    """Return what `read_xml_object` reads in an answer; None if it is no XML."""
    try:
        return read_xml_object(response.body, content_type=response.headers.get("content-type", ""))
    except UnusableBodyError:
        return None


def is_xml_page(body: Mapping[str, Any], /) -> bool:
    """Whether what `read_xml_object` has read is a web page, because a page may be well-formed XML."""
    return any(name.lower() == "html" for name in body)


class _Target:
    """Puts what the parser reads into dictionaries; the methods are those of `xml.etree.ElementTree.TreeBuilder`."""

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}
        self._open = [self.members]
        self._text: list[str] = []

    def start(self, tag: str, attributes: Any) -> None:  # noqa: ARG002  # the parser gives them
        if len(self._open) > MAX_DEPTH:
            raise UnusableBodyError("the answer is nested too deeply")
        self._open.append({})
        self._text.clear()

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, tag: str) -> None:
        members = self._open.pop()
        value: Any = members or "".join(self._text).strip()
        name = tag.rpartition("}")[2]
        around = self._open[-1]
        if name not in around:
            around[name] = value
        elif isinstance(around[name], list):
            around[name].append(value)
        else:
            around[name] = [around[name], value]
        self._text.clear()
