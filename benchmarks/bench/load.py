"""Servers on the loopback, and connections that keep them busy."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep

from bench.measure import Run

_HOST = "127.0.0.1"


@contextmanager
def server(app: str, /, *, database: str) -> Iterator[int]:
    """Serve `bench.apps:<app>` with uvicorn in a process of its own; gives the port."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603  # ourselves
        [
            sys.executable,
            "-m",
            "uvicorn",
            "--factory",
            f"bench.apps:{app}",
            "--port",
            str(port),
            "--log-level",
            "warning",
            "--no-access-log",
        ],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"BENCH_DATABASE": database},
    )
    try:
        _wait(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError("the server ended before it listened")
        try:
            socket.create_connection((_HOST, port), 1).close()
        except ConnectionRefusedError:
            sleep(0.05)
        else:
            return
    raise RuntimeError("the server does not listen")


def requests_over(port: int, requests: Iterator[bytes], /, *, connections: int, status: int) -> Run:
    """Return a run that sends so many of *requests* over *connections*, each with one request under way."""

    async def send(count: int) -> float:
        left = iter(range(count))
        streams = [await asyncio.open_connection(_HOST, port) for _ in range(connections)]

        async def keep_busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in left:
                writer.write(next(requests))
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
                if head[9:12] != str(status).encode():
                    raise RuntimeError(f"answered {head[9:12].decode()}: {body[:300]!r}")

        begun = perf_counter()
        await asyncio.gather(*(keep_busy(reader, writer) for reader, writer in streams))
        seconds = perf_counter() - begun
        for _, writer in streams:
            writer.close()
            await writer.wait_closed()
        return seconds

    return lambda count: asyncio.run(send(count))


def request(method: str, path: str, /, *, authorization: str, body: bytes = b"") -> bytes:
    """Write a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: {authorization}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
