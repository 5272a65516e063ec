"""HTTP/1.1 between a child and the injecting proxy: requests read strictly, answers written (RFC 9112).

One request on each connection.  What two readers could understand in different ways is refused, not mended.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

MAX_LINE: Final = 16 * 1024
"""The longest line of a request, in bytes."""
MAX_HEAD: Final = 64 * 1024
"""The longest block of headers of a request, in bytes."""
MAX_HEADERS: Final = 100
HEAD_WITHIN: Final = 10.0
"""How long a request line and headers may take, in seconds."""
IDLE: Final = 300.0
"""How long a child may send nothing of a body, and read nothing of an answer, in seconds."""

_PART: Final = 64 * 1024
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])")
_HEADER: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*")
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,8}")
_NO_BODY: Final = frozenset({204, 304})


class RequestRefusedError(Exception):
    """A request is answered here; the text says why, and repeats nothing of it."""

    def __init__(self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None, /) -> None:
        super().__init__(status, reason, message, headers)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = headers or {}

    def __str__(self) -> str:
        return self.message


def malformed(message: str, /) -> RequestRefusedError:
    """Return the refusal of a request that two readers could understand in different ways."""
    return RequestRefusedError(400, "request", message)


class Gone(Exception):  # noqa: N818  # no error: the child has closed its connection
    """The child sends no request, or no more of it."""


class Reader:
    """Reads lines and bytes from a connection."""

    def __init__(self, connection: socket.socket, /) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self._ends_at = time.monotonic() + HEAD_WITHIN

    @property
    def has_more(self) -> bool:
        """Whether bytes have come that nobody has read."""
        return bool(self._buffer)

    def line(self) -> bytes:
        """Return the next line without its end, which is CRLF.  Raises `RequestRefusedError` for another one, and `Gone`."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                raise RequestRefusedError(431, "too_long", "a line of the request is too long")
            self._receive(self._ends_at - time.monotonic())
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if len(line) > MAX_LINE:
            raise RequestRefusedError(431, "too_long", "a line of the request is too long")
        if not line.endswith(b"\r\n"):
            raise malformed("a line of the request does not end with CRLF")
        return line[:-2]

    def read(self, most: int, /) -> bytes:
        """Return 1 to *most* bytes.  Raises `Gone`."""
        if not self._buffer:
            self._receive(IDLE)
        part = bytes(self._buffer[:most])
        del self._buffer[:most]
        return part

    def give_time(self) -> None:
        """Let the next lines, which are parts of a body, come as slowly as the body."""
        self._ends_at = time.monotonic() + IDLE

    def _receive(self, within: float) -> None:
        self._connection.settimeout(max(within, 0.001))
        try:
            came = self._connection.recv(_PART)
        except OSError:
            raise Gone from None
        if not came:
            raise Gone
        self._buffer += came


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request without its body; `repr` shows the method."""

    method: str
    target: str = field(repr=False)
    minor: int
    """The 1 of HTTP/1.1, or 0."""
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    def values(self, name: str, /) -> list[str]:
        """Return the values of all headers of this name, which is in lower case."""
        return [value for known, value in self.headers if known.lower() == name]

    def merged(self) -> dict[str, str]:
        """Return the headers by their names as they came first; values of the same name are one list (RFC 9110 §5.3)."""
        names: dict[str, str] = {}
        merged: dict[str, str] = {}
        for name, value in self.headers:
            known = names.setdefault(name.lower(), name)
            merged[known] = f"{merged[known]}, {value}" if known in merged else value
        return merged


def read_head(reader: Reader, /) -> Head:
    """Return the head of the request that comes.  Raises `RequestRefusedError` where it is not strictly one, and `Gone`."""
    first = _REQUEST_LINE.fullmatch(reader.line())
    if first is None:
        raise malformed("the request line is not one of HTTP/1.1")
    headers: list[tuple[str, str]] = []
    length = 0
    while line := reader.line():
        length += len(line)
        if length > MAX_HEAD or len(headers) == MAX_HEADERS:
            raise RequestRefusedError(431, "too_long", "the request has too many headers")
        # A line that begins with white space once continued the one before (obs-fold, RFC 9112 §5.2); it matches no header.
        header = _HEADER.fullmatch(line)
        if header is None:
            raise malformed("a header is malformed")
        headers.append((header[1].decode("ascii"), header[2].decode("latin-1")))
    return Head(method=first[1].decode(), target=first[2].decode(), minor=int(first[3]), headers=tuple(headers))


class Body:
    """The body of a request, which is read from the connection once."""

    def __init__(self, reader: Reader, length: int | None, /) -> None:
        self._reader = reader
        self.length = length
        """In bytes; None: it comes in chunks."""
        self.problem: RequestRefusedError | Gone | None = None
        """Why it could not be read to its end."""

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks() if self.length is None else self._exactly(self.length)
        except (RequestRefusedError, Gone) as problem:
            self.problem = problem
            raise

    def whole(self, limit: int, /) -> bytes:
        """Return it.  Raises `RequestRefusedError` if it is longer than *limit* bytes or malformed, and `Gone`."""
        too_long = RequestRefusedError(413, "too_long", "the body is longer than what can be signed here")
        if self.length is not None and self.length > limit:
            raise too_long
        body = bytearray()
        for part in self:
            body += part
            if len(body) > limit:
                raise too_long
        return bytes(body)

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            part = self._reader.read(min(length, _PART))
            length -= len(part)
            yield part

    def _chunks(self) -> Iterator[bytes]:
        while True:
            self._reader.give_time()
            size = self._reader.line()
            # No extensions: nothing on the way may read a size where another reads an extension.
            if _SIZE.fullmatch(size) is None:
                raise malformed("a chunk of the body has no length")
            if not int(size, 16):
                break
            yield from self._exactly(int(size, 16))
            if self._reader.line():
                raise malformed("a chunk of the body is longer than it says")
        if self._reader.line():
            raise malformed("the body has trailers")


def body_of(reader: Reader, head: Head, /) -> Body:
    """Return the body that follows *head*.  Raises `RequestRefusedError` where its length could be understood in two ways."""
    lengths, encodings = head.values("content-length"), head.values("transfer-encoding")
    if len(lengths) + len(encodings) > 1:
        raise malformed("the request says more than once how long its body is")
    if encodings:
        if encodings[0].lower() != "chunked" or not head.minor:
            raise malformed("the body comes in an encoding that is not chunked")
        return Body(reader, None)
    if lengths and _LENGTH.fullmatch(lengths[0]) is None:
        raise malformed("the length of the body is no number")
    return Body(reader, int(lengths[0]) if lengths else 0)


def has_body(head: Head, status: int, /) -> bool:
    """Return whether an answer to *head* with this status has a body (RFC 9112 §6.3)."""
    return head.method != "HEAD" and status not in _NO_BODY


def send_json(connection: socket.socket, status: int, document: Mapping[str, object], headers: Mapping[str, str], /) -> None:
    """Answer with *document*."""
    body = json.dumps(document).encode()
    own = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Cache-Control": "no-store"}
    connection.sendall(_head_of(status, [(name.encode(), text.encode()) for name, text in {**headers, **own}.items()]) + body)


def send_answer(
    connection: socket.socket, head: Head, status: int, headers: Iterable[tuple[bytes, bytes]], parts: Iterable[bytes], /
) -> None:
    """Answer the request *head* with the headers and the body of another answer; *parts* are read as they come."""
    passed = list(headers)
    with_body = has_body(head, status)
    known = any(name.lower() == b"content-length" for name, _ in passed)
    in_chunks = with_body and not known and head.minor == 1
    if in_chunks:
        passed.append((b"Transfer-Encoding", b"chunked"))
    connection.settimeout(IDLE)
    connection.sendall(_head_of(status, passed))
    for part in parts if with_body else ():
        if part:
            connection.sendall(b"%x\r\n%b\r\n" % (len(part), part) if in_chunks else part)
    if in_chunks:
        connection.sendall(b"0\r\n\r\n")


def _head_of(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    # The reason phrase of the other answer is anybody's text.
    reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    lines = [f"HTTP/1.1 {status} {reason}".encode(), *(name + b": " + value for name, value in headers), b"Connection: close", b"", b""]
    return b"\r\n".join(lines)
