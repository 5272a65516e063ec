"""A server with HTTP Digest, which computes the answers by itself, as RFC 7616 §3.4.1 says."""

from __future__ import annotations

import hashlib
import json
from urllib.request import parse_http_list, parse_keqv_list

from cloud_integrations.protocol.http import HttpResponse


class DigestServer:
    """Answers requests; `asked` has what each of them showed."""

    def __init__(self, *, user="fake-public", password="fake-private", challenge=True, stale=0):  # for tests
        self.user, self.password = user, password
        self.challenge = challenge
        self.stale = stale
        """How many right answers are refused for their nonce."""
        self.asked = []
        self._nonces = 0

    def answer(self, method, url, headers, body=b""):
        """Return status, headers and body."""
        authorization = {name.lower(): value for name, value in headers.items()}.get("authorization")
        self.asked.append((method, url, authorization, body))
        target = "/" + url.split("/", 3)[3]
        right = authorization is not None and self._is_right(authorization, method, target)
        if right and not self.stale:
            return 200, {"content-type": "application/json"}, json.dumps({"results": [{"id": "org-1"}]}).encode()
        stale = ", stale=true" if right else ""
        self.stale -= bool(right)
        self._nonces += 1
        asks = f'Digest realm="acme", nonce="nonce-{self._nonces}", qop="auth", algorithm=SHA-256{stale}'
        return 401, {"www-authenticate": asks} if self.challenge else {}, b"{}"

    def _is_right(self, header, method, target):
        shown = parse_keqv_list(parse_http_list(header.removeprefix("Digest ")))

        def hashed(text):
            return hashlib.sha256(text.encode()).hexdigest()

        secret = hashed(f"{self.user}:acme:{self.password}")
        rest = f"nonce-{self._nonces}:00000001:{shown['cnonce']}:auth:{hashed(f'{method}:{target}')}"
        return shown["response"] == hashed(f"{secret}:{rest}") and (shown["uri"], shown["username"]) == (target, self.user)


class DigestTransport:
    """The server as a blocking transport."""

    def __init__(self, server):
        self.server = server

    def send(self, request, *, deadline):
        status, headers, body = self.server.answer(request.method, request.url, request.headers, request.body)
        return HttpResponse(status=status, headers=headers, body=body)

    def close(self):
        pass


class AsyncDigestTransport(DigestTransport):
    """The server as an awaiting transport."""

    async def send(self, request, *, deadline):
        return super().send(request, deadline=deadline)

    async def close(self):
        pass
