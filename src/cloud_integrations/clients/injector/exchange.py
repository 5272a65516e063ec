"""One request of a child: allowed or refused by its session, sent with the credential, and its answer without it."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from cloud_integrations.clients.source import REFUSED
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import CloudIntegrationsError, ProviderUnavailableError, http_status
from cloud_integrations.ports.transport import Interruption, StreamingTransport
from cloud_integrations.protocol.http import HttpRequest, StreamedResponse, merge_headers

from .masking import Mask
from .session import SessionInjector
from .wire import Body, Head, RequestRefusedError, has_body, malformed, send_answer

SMALL: Final = 1024 * 1024
"""The longest body that is kept to be sent again, in bytes."""
SIGNED: Final = 16 * 1024 * 1024
"""The longest body that is signed, in bytes: a signature covers all of it."""
IDLE: Final = timedelta(minutes=5)
"""How long a server may say nothing."""

_OURS: Final = 500
_HOP_BY_HOP: Final = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )
)
"""Headers between two neighbours (RFC 9110 §7.6.1, RFC 9112 §C.2.2)."""
_NOT_SENT: Final = frozenset(
    # Credentials of the child's; a body may be cut out of an answer, and a secret with it; what is set anew.
    ("authorization", "cookie", "cookie2", "range", "if-range", "expect", "host", "content-length", "accept-encoding")
)
_NOT_PASSED: Final = frozenset(
    # Cookies are credentials, too; the last one points to a server past this proxy.
    ("set-cookie", "set-cookie2", "alt-svc")
)
_TO_NEIGHBOUR: Final = frozenset({101, 407})
"""What a server says to its neighbour, which the child would take for the proxy's own words."""
_AWS_SCOPE: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/[0-9]{8}/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/aws4_request,.*")
"""What the child signed with keys of its own says what is to be signed: the region and the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request that came on *connection*; `url` is the whole URL to which it is to be sent."""

    injector: SessionInjector = field(repr=False)
    transport: StreamingTransport = field(repr=False)
    interruption: Interruption = field(repr=False)
    head: Head
    url: str = field(repr=False)
    body: Body = field(repr=False)
    deadline: timedelta
    mask: Mask = field(default_factory=Mask, repr=False)
    """The secrets that its answer must not repeat."""
    opened: ExitStack = field(default_factory=ExitStack, repr=False)
    """The exchange with the server, as long as its answer is read."""

    def answer(self, connection: socket.socket, /) -> None:
        """Send the request with the credential, and pass on the answer.

        Raises `RequestRefusedError`, `CloudIntegrationsError`, `Gone` or `OSError` where there is none; and `CutError` where it had begun.
        """
        with self.opened:
            credential = self.injector.authorize(self.head.method, self.url, self._shown())
            if self.head.minor and "100-continue" in map(str.lower, self.head.values("expect")):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = self._body_for(credential)
            try:
                response = self._send(credential, body)
                if response.status == REFUSED and isinstance(body, bytes):
                    # The connection is free for the next request, whatever comes of the renewal.
                    self.opened.close()
                    response = self._send(self._replace(credential), body)
            except ProviderUnavailableError as error:
                raise (self.body.problem or error) from None
            self._pass_on(connection, response)

    def _body_for(self, credential: Credential) -> bytes | Body:
        if "sign" in credential.forms or credential.answers:
            return self.body.whole(SIGNED)
        return self.body if self.body.length is None or self.body.length > SMALL else self.body.whole(SMALL)

    def _replace(self, refused: Credential) -> Credential:
        return self.injector.replace_refused(self.head.method, self.url, self._shown(), refused)

    def _shown(self) -> dict[str, str]:
        # The header Host was compared with the URL, in the notation of the child.
        return {name: value for name, value in self.head.merged().items() if name.lower() != "host"}

    def _send(self, credential: Credential, body: bytes | Body) -> StreamedResponse:
        """Send the request with *credential*, and with what the server asks for."""
        kept = self._headers_without(credential)
        unsigned = Unsigned(method=self.head.method, url=self.url, headers=kept, body=body if isinstance(body, bytes) else b"")
        url, headers = _show(credential, unsigned, self._options())
        draft = self.injector.draft(self.head.method, self.url, credential)
        request = replace(
            draft, url=url, headers=headers, certificate=credential.client_certificate(), trust=credential.trusted_authorities()
        )
        response = self._open(credential, request, kept, body)
        for again in (False, True):
            asked = credential.repeat(unsigned, _known(response), again=again) if response.status == REFUSED else None
            if asked is None:
                break
            self.opened.close()
            response = self._open(credential, replace(request, headers=merge_headers(headers, asked)), kept, body)
        return response

    def _open(self, credential: Credential, request: HttpRequest, kept: Mapping[str, str], body: bytes | Body) -> StreamedResponse:
        self.mask.add(credential, request.headers, kept)
        if isinstance(body, Body) and body.length is not None:
            request = replace(request, headers={**request.headers, "Content-Length": str(body.length)})
        sent = self.transport.stream(request, body, deadline=self.deadline, idle=IDLE, interruption=self.interruption)
        return self.opened.enter_context(sent)

    def _headers_without(self, credential: Credential) -> dict[str, str]:
        placed = {name.lower() for name in credential.headers()} if "headers" in credential.forms else set[str]()
        dropped = _HOP_BY_HOP | _NOT_SENT | placed | _listed(self.head.values("connection"))
        kept = {name: value for name, value in self.head.merged().items() if name.lower() not in dropped}
        # In a compressed answer a secret would not be found.
        return {**kept, "Accept-Encoding": "identity"}

    def _options(self) -> dict[str, str]:
        if any(value.startswith("STREAMING-") for value in self.head.values("x-amz-content-sha256")):
            raise malformed("the parts of the body are signed, and cannot be signed anew")
        scope = _AWS_SCOPE.fullmatch(", ".join(self.head.values("authorization")))
        return {} if scope is None else {"region": scope[1], "service": scope[2]}

    def _pass_on(self, connection: socket.socket, response: StreamedResponse) -> None:
        known = _known(response)
        if response.status in _TO_NEIGHBOUR:
            raise RequestRefusedError(502, "answer", "the server's answer is not one that can be passed on")
        if has_body(self.head, response.status) and known.get("content-encoding", "identity").lower() != "identity":
            raise RequestRefusedError(502, "answer", "the server's answer is compressed, although it was asked not to be")
        dropped = _HOP_BY_HOP | _NOT_PASSED | _listed([known.get("connection", "")])
        passed = [
            (self.mask.hide(name), self.mask.hide(value))
            for name, value in response.headers
            if name.decode("latin-1").lower() not in dropped
        ]
        try:
            send_answer(connection, self.head, response.status, passed, self.mask.stream(response.parts))
        except ProviderUnavailableError as error:
            raise CutError from error


class CutError(Exception):
    """The answer ended before its end, and a part of it has been passed on."""


def error_answer(error: CloudIntegrationsError, /) -> tuple[int, dict[str, object], dict[str, str]]:
    """Return the status, the document and the headers of the answer in place of a request that raised *error*."""
    if not error.retryable and http_status(error) == _OURS:
        # It is for who runs the proxy, who finds it in the log.
        return _OURS, {"code": error.code, "message": "this request cannot be sent"}, {}
    document: dict[str, object] = {"code": error.code, "message": error.message}
    if (reason := getattr(error, "reason", None)) is not None:
        document["reason"] = str(reason)
    headers = {"Retry-After": str(max(1, math.ceil((error.retry_after or timedelta()).total_seconds())))} if error.retryable else {}
    if isinstance(error, ProviderUnavailableError):
        return 502, document, headers
    return 503 if error.retryable else 403, document, headers


def _show(credential: Credential, unsigned: Unsigned, options: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Return the URL and the headers of a request with *credential*."""
    if "sign" in credential.forms:
        signed = credential.sign(unsigned, **options)
        return signed.url, signed.headers
    return credential.show_in(unsigned.url), merge_headers(unsigned.headers, credential.headers() if "headers" in credential.forms else {})


def _known(response: StreamedResponse) -> dict[str, str]:
    """Return the headers of an answer by lower-case names; values of the same name are one list."""
    known: dict[str, str] = {}
    for name, value in response.headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known[key] = f"{known[key]}, {text}" if key in known else text
    return known


def _listed(values: Iterable[str]) -> set[str]:
    return {name.strip().lower() for value in values for name in value.split(",")}
