"""Use credentials after the response has gone out, and in a response that streams; the manager is closed after both.

`python examples/fastapi_background.py` serves it with uvicorn on this machine, plays a user against it, and stops the server while a
background task waits for a token to be renewed; `uvicorn --app-dir examples fastapi_background:app` serves it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx
import uvicorn
from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse

from cloud_integrations import (
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    LocalKeyring,
    Settings,
)
from cloud_integrations.errors import CloudIntegrationsError, http_status
from cloud_integrations.testing import FixedClock, ProviderServer, SimulatedProvider


class SlowProvider(SimulatedProvider):
    """Renews a token at once, and sends its answer when `may_answer` is set."""

    may_answer = Event()

    @contextmanager
    def receive(self, method: str, url_path: str, /, **request: Any) -> Generator[Any]:
        """Hold back the answer to a renewal."""
        with super().receive(method, url_path, **request) as answer:
            if b"grant_type=refresh_token" in request["body"]:
                self.may_answer.wait(60)
            yield answer


# The manager.  A real program has an `AsyncSqlAlchemyStore`, keys that stay, and `Catalogue.builtin()`, and no provider of its own.

resources = ExitStack()
provider = SlowProvider(clock=FixedClock())
api = resources.enter_context(ProviderServer(provider)).url
manager = AsyncIntegrationManager(
    store=AsyncMemoryStore(provider.clock),
    transport=AsyncHttpxTransport(clock=provider.clock),
    keys=LocalKeyring([LocalKeyring.generate_key("example")]),
    cipher=AesGcmCipher(),
    providers=Catalogue.of(*provider.catalogue_entries()),
    applications=[provider.application()],
    settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback"),
    clock=provider.clock,
)
COMPANIES = {"ada": "acme", "eve": "globex"}
happened: list[str] = []


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Find a missing table or a wrong key now; close the manager when uvicorn has waited for responses and background tasks."""
    async with manager:
        yield
    happened.append("the manager is closed")


app = FastAPI(lifespan=lifespan)


@dataclass(frozen=True)
class Acting:
    """The tenant, and the manager as a user uses it in one request."""

    tenant: str
    manager: AsyncIntegrationManager
    request_id: str

    @property
    def report(self) -> tuple[str, str]:
        """The key of the report that this request asks for."""
        return self.tenant, self.request_id


def acting(session: Annotated[str, Cookie()] = "") -> Acting:
    """Return who acts, for whom, and in which request; the cookie stands for the application's own sign-in."""
    if session not in COMPANIES:
        raise HTTPException(401)
    request_id = str(uuid4())
    return Acting(COMPANIES[session], manager.acting_as(session, request_id=request_id), request_id)


# A report is made after the response.

reports: dict[tuple[str, str], str] = {}
"""What became of each report, by its tenant and the id of the request that asked for it; a real application has a table."""


async def make_report(acting: Acting) -> None:
    """Make a report as the user who asked for it, in the same request.  Nobody hears an error here, so it is written down."""
    try:
        async with httpx.AsyncClient(auth=acting.manager.auth(acting.tenant, "simulated")) as client:
            answer = await client.get(f"{api}/me")
        reports[acting.report] = f"made for {answer.raise_for_status().json()['id']}"
    except CloudIntegrationsError as error:
        reports[acting.report] = f"failed: {error.message}"
    except httpx.HTTPError as error:
        logging.getLogger("reports").warning("%s in request %s", type(error).__name__, acting.request_id)
        reports[acting.report] = "failed: the provider did not do what we asked"
    happened.append(f"a report is {reports[acting.report]}")


@app.post("/reports", status_code=202)
async def ask_for_report(acting: Annotated[Acting, Depends(acting)], background: BackgroundTasks) -> dict[str, str]:
    """Answer at once; the report is made afterwards."""
    reports[acting.report] = "under way"
    background.add_task(make_report, acting)
    return {"id": acting.request_id}


@app.get("/reports/{request_id}")
async def show_report(acting: Annotated[Acting, Depends(acting)], request_id: str) -> dict[str, str]:
    """Say what became of a report of the user's own company."""
    if (acting.tenant, request_id) not in reports:
        raise HTTPException(404)
    return {"state": reports[acting.tenant, request_id]}


# An export is passed on while it arrives.


async def provider_client(acting: Annotated[Acting, Depends(acting)]) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client for the user's tenant, which FastAPI (from 0.118 on) closes after the last byte."""
    async with httpx.AsyncClient(base_url=api, auth=acting.manager.auth(acting.tenant, "simulated")) as client:
        yield client


@app.get("/export")
async def export(client: Annotated[httpx.AsyncClient, Depends(provider_client)]) -> StreamingResponse:
    """Ask the provider first: an error comes before the first byte, while there is a status to be chosen."""
    answer = await client.send(client.build_request("GET", "/me"), stream=True)
    return StreamingResponse(answer.raise_for_status().aiter_bytes(), media_type=answer.headers["content-type"])


@app.exception_handler(CloudIntegrationsError)
async def refuse(_: Request, error: CloudIntegrationsError) -> JSONResponse:
    """Answer what may be repeated with 503 and when, and the rest by the library's table; what has 500 is for the log alone."""
    status = 503 if error.retryable else http_status(error)
    if status == 500:
        logging.getLogger("reports").error("%s", type(error).__name__)
        return JSONResponse({"code": "internal", "message": "something went wrong on our side"}, status_code=500)
    wait = error.retry_after or timedelta(minutes=1)
    headers = {"Retry-After": str(max(1, round(wait.total_seconds())))} if error.retryable else {}
    return JSONResponse({"code": error.code, "message": error.message, "advice": error.advice}, status_code=status, headers=headers)


# The demonstration.


async def connect() -> None:
    """Connect acme, as the router or routes of your own do."""
    ada = manager.acting_as("ada")
    begun = await ada.begin_oauth("acme", "simulated", name="Cloud account")
    came_back = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
    await ada.complete_oauth(begun.context_id, came_back, browser_token=begun.browser_token)


async def until(holds: Any) -> None:
    """Wait until *holds* returns true, at most a minute."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  # an event of asyncio would not be set by the threads of the provider
            await asyncio.sleep(0.01)


async def main() -> None:
    """Play Ada, whose company is connected, and Eve, whose company is not."""
    await connect()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, cookies={"session": "ada"}) as ada, httpx.AsyncClient(base_url=url) as eve:
        assert (await eve.post("/reports")).status_code == 401
        eve.cookies.set("session", "eve")

        print("export:", (await ada.get("/export")).json())
        refused = await eve.get("/export")
        print("export of a company that is not connected:", refused.status_code, refused.json()["code"])
        assert refused.status_code == 404

        sent = await eve.post("/reports")
        report = "globex", sent.json()["id"]
        await until(lambda: reports[report] != "under way")
        print("report of that company:", sent.status_code, "at once; afterwards", (await eve.get(f"/reports/{report[1]}")).json())
        assert reports[report].startswith("failed: ")
        assert (await ada.get(f"/reports/{report[1]}")).status_code == 404

        provider.clock.advance(timedelta(hours=1))
        sent = await ada.post("/reports")
        await until(lambda: provider.refresh_count)
        report = "acme", sent.json()["id"]
        print("report of acme:", sent.status_code, "at once; it is", reports[report], "while the token is renewed")
        assert reports[report] == "under way"
        server.should_exit = True  # as SIGTERM does
        await asyncio.sleep(0)
        provider.may_answer.set()
        await serving
    print("the server was stopped meanwhile:", " - ".join(happened[1:]))
    assert happened[1:] == ["a report is made for acct-1", "the manager is closed"]
    async with manager:
        log = await manager.acting_as("ada").audit.list("acme")
    uses = [record.event for record in log if record.event.action == "credential.used"]
    print("in the audit log:", uses[0].actor, "- with the id of the request:", uses[0].request_id == report[1])
    assert uses[0].request_id == report[1]


if __name__ == "__main__":
    with resources:
        asyncio.run(main())
