"""A gRPC server on loopback before the API: each call names a URL, which it asks for with the metadata that came."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from .packages import GRPC

UNARY, ANSWERS, REQUESTS, BOTH = "/acme.Front/Get", "/acme.Front/Answers", "/acme.Front/Requests", "/acme.Front/Both"


def _ask(request, context):
    shown = dict(context.invocation_metadata())
    asked = Request(request.decode(), headers={name: shown[name] for name in ("authorization",) if name in shown})
    try:
        with build_opener(ProxyHandler({})).open(asked, timeout=60) as answer:
            return str(answer.status).encode()
    except HTTPError as refusal:
        with refusal:
            context.abort(GRPC.StatusCode.UNAUTHENTICATED, f"status {refusal.code}")


def front():
    """Start the server, once for the process, and return its address."""
    with _starting:
        return _start()


_starting = Lock()


@cache
def _start():
    handlers = {
        "Get": GRPC.unary_unary_rpc_method_handler(_ask),
        "Answers": GRPC.unary_stream_rpc_method_handler(lambda request, context: iter([_ask(request, context)])),
        "Requests": GRPC.stream_unary_rpc_method_handler(lambda requests, context: _ask(next(requests), context)),
        "Both": GRPC.stream_stream_rpc_method_handler(lambda requests, context: (_ask(request, context) for request in requests)),
    }
    server = GRPC.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([GRPC.method_handlers_generic_handler("acme.Front", handlers)])
    address = f"localhost:{server.add_secure_port('localhost:0', GRPC.local_server_credentials())}"
    server.start()
    # A server that nobody holds is stopped.
    _ask.server = server
    return address


def by_grpc(made, url):
    with GRPC.secure_channel(front(), GRPC.local_channel_credentials()) as channel:
        try:
            return int(GRPC.intercept_channel(channel, made).unary_unary(UNARY)(url.encode(), timeout=60))
        except GRPC.RpcError as error:
            return status_of(error)


async def by_async_grpc(made, url):
    async with GRPC.aio.secure_channel(front(), GRPC.local_channel_credentials(), interceptors=made) as channel:
        try:
            return int(await channel.unary_unary(UNARY)(url.encode(), timeout=60))
        except GRPC.RpcError as error:
            return status_of(error)


def status_of(error):
    if error.code() is not GRPC.StatusCode.UNAUTHENTICATED:
        raise error
    return int(error.details().removeprefix("status "))
