"""The access log."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("cloud_integrations.access")


class AccessLog:
    """Logs one line for each request, with the path and without the query: that of a callback holds the code and the state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, request_id = time.perf_counter(), 500, None

        async def noting(message: Message) -> None:
            nonlocal status, request_id
            if message["type"] == "http.response.start":
                status = message["status"]
                request_id = next((value.decode() for name, value in message["headers"] if name == b"x-request-id"), None)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            # The path as it was sent, still quoted: a decoded path could hold a line break.
            path = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")
            took = (time.perf_counter() - began) * 1000
            facts = {"method": scope["method"], "path": path, "status": status, "milliseconds": round(took)}
            extra: dict[str, object] = {"event": "request", "facts": facts}
            if request_id is not None:
                extra["request_id"] = request_id
            _log.info("%s %s %d %.0f ms", scope["method"], path, status, took, extra=extra)
