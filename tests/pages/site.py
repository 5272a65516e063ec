"""An application with the connect pages over https, a page of another site that embeds them, and providers that a browser can reach."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from tests.authorities import authority

from cloud_integrations import (
    SYSTEM,
    Actor,
    AesGcmCipher,
    Catalogue,
    IntegrationManager,
    LocalKeyring,
    MemoryStore,
    PlatformCredential,
    Secret,
    Settings,
)
from cloud_integrations.errors import ProviderUnreachableError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.testing import FixedClock, SimulatedProvider, SimulatedTransport
from cloud_integrations_fastapi import Permission, create_router
from cloud_integrations_fastapi.pages import Branding, create_connect_pages, create_console

SIGNED_IN = "session"
PRINCIPAL = "arn:aws:iam::999999999999:role/product"
POLICIES = {"aws": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}}
BOARDS = [
    {"id": number, "name": name, "url": f"https://boards.example/{number}"}
    for number, name in (("1", "Acme"), ("2", "Acme, experiments of the people in Vienna"), ("3", "מעבדה"))
]
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>The host</title><main><h1>The host</h1>
<script src="{site}/connect/embed.js" defer></script>
<cloud-integrations-connect src="{link}" mode="{mode}">{inside}</cloud-integrations-connect>
<script>window.told = []; for (const type of ["connected", "failed", "closed"])
addEventListener(type, event => told.push([type, event.detail]));</script></main>"""


class Clouds:
    """What the application asks over the network: simulated providers by their hosts, and AWS's token service."""

    def __init__(self, providers):
        self.at = {urlsplit(each.base_url).netloc: SimulatedTransport(each) for each in providers}
        self.opens_to_all = False
        """Whether the role can be assumed without the external id."""

    def send(self, request, /, *, deadline):
        host = urlsplit(request.url).netloc
        if host in self.at:
            return self.at[host].send(request, deadline=deadline)
        if not host.startswith("sts."):
            raise ProviderUnreachableError(provider_id=None)
        body = (request.body or b"").decode()
        if "GetCallerIdentity" in body:
            return _said("GetCallerIdentity", "<Account>123456789012</Account><Arn>arn:aws:sts::123456789012:assumed-role/ours/s</Arn>")
        if "ExternalId" not in body and not self.opens_to_all:
            return HttpResponse(status=403, body=b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")
        parts = "<AccessKeyId>ASIAFAKE</AccessKeyId><SecretAccessKey>fake-minted</SecretAccessKey><SessionToken>fake</SessionToken>"
        return _said("AssumeRole", f"<Credentials>{parts}</Credentials>")

    def close(self):
        pass


class Site:
    """The application at https://127.0.0.1, and the page that embeds it at https://localhost: to a browser, two sites."""

    def __init__(self, *, clock=None, providers=None, framed=True, branding=None, slots=False, simulate=SimulatedProvider):
        self._stack = ExitStack()
        self.clock = clock or FixedClock()
        self.listening, port = _listen()
        self.url = f"https://127.0.0.1:{port}"
        self.embedder, other = _listen()
        self.host = f"https://localhost:{other}"
        self.drive = simulate(slug="drive", clock=self.clock, base_url="https://drive.example", revokes_keys=True)
        self.sheets = SimulatedProvider(slug="sheets", clock=self.clock, base_url="https://sheets.example")
        self.boards = SimulatedProvider(slug="boards", clock=self.clock, base_url="https://boards.example", resources=BOARDS)
        self.simulated = (self.drive, self.sheets, self.boards)
        self.clouds = Clouds(self.simulated)
        settings = Settings(callback_url=f"{self.url}/api/v1/oauth/callback", slots=slots, policies=POLICIES)
        builtin = Catalogue.builtin()
        aws = builtin.require("aws")
        self.store = MemoryStore(self.clock)
        self.manager = IntegrationManager(
            store=self.store,
            transport=self.clouds,
            keys=LocalKeyring([LocalKeyring.generate_key("test")]),
            cipher=AesGcmCipher(),
            providers=providers or Catalogue.of(*self._simulated(), aws).with_(guides=[builtin.guides_of(aws)]),
            applications=[self.drive.application(), self.sheets.application()],
            settings=settings,
            clock=self.clock,
            platform={
                "aws": PlatformCredential(
                    parts={"access_key_id": Secret("AKIAFAKEFAKEFAKEFAKE"), "secret_access_key": Secret("fake-platform-secret")},
                    principal=PRINCIPAL,
                )
            },
        )
        self.acting = self.manager.acting_as(SYSTEM)
        self.app = FastAPI()
        self.app.include_router(create_router(self.manager, authorize=self._authorize))
        self.app.include_router(
            create_connect_pages(
                self.manager,
                authorize=self._authorize,
                branding=branding or Branding(product="Example Cloud", support="mailto:help@example.com"),
                frames=[self.host] if framed else [],
                rights={"drive": ["Read the names and the sizes of your files.", "Put reports into one folder."]},
            )
        )
        console = create_console(self.manager, authorize=self._operates, branding=Branding(product="Example Cloud"), connect="/connect")
        self.app.include_router(console)
        self._page = FastAPI()
        self._page.add_api_route("/", lambda: HTMLResponse(self.shown))
        self.shown = ""

    def _simulated(self):
        named = {
            "drive": ("Northwind Drive", "Files and folders of a team.", "storage"),
            "drive_keys": ("Contoso Metrics", "Numbers about servers and what runs on them.", "monitoring"),
            "sheets": ("Fabrikam Sheets", "Tables that several people edit.", "productivity"),
            "sheets_keys": ("Tailspin Mail", "Sends mail for applications.", "email"),
            "boards_keys": ("Adatum Boards", "Plans and cards of several organizations.", "productivity"),
        }
        for each in (entry for simulated in self.simulated for entry in simulated.catalogue_entries() if entry.id in named):
            name, description, category = named[each.id]
            yield each.model_copy(update={"name": name, "description": description, "category": category})

    async def _authorize(self, request, permission, tenant_id):
        return Actor(id="ada") if request.cookies.get(SIGNED_IN) == "fake-session-of-ada" and permission is not Permission.OPERATE else None

    async def _operates(self, request, permission, tenant_id):
        return Actor(id="olga") if request.cookies.get(SIGNED_IN) == "fake-session-of-ada" else None

    def __enter__(self):
        self._stack.enter_context(_serving(self.app, self.listening, "127.0.0.1"))
        self._stack.enter_context(_serving(self._page, self.embedder, "localhost"))
        return self

    def __exit__(self, *error):
        self._stack.close()

    def link(self, **changes):
        """Create a connect session; return the address that opens it."""
        self.new = self.acting.connect_sessions.create("acme", actor="ada", **changes)
        return f"{self.url}/connect/start?link={self.new.link_token.reveal()}"

    def embed(self, mode, inside="", **changes):
        """Let the host's page embed a new connect session; return the page's address."""
        self.shown = PAGE.format(site=self.url, link=self.link(origin=self.host, **changes), mode=mode, inside=inside)
        return f"{self.host}/"

    def add_key(self, provider="drive_keys", name="Production", tenant="acme", **more):
        """Connect by a key, as if done before."""
        simulated = next(each for each in self.simulated if provider.startswith(each.slug))
        return self.acting.add(tenant, provider, name=name, inputs={"key": simulated.issue_api_key().reveal()}, **more)

    def crowd(self, number):
        """Let the tenant hold as many accounts more at the provider that takes keys, as an application with slots would."""
        one = self.add_key()
        tables = self.store._tables
        first = tables.integrations[one.tenant_id, one.id]
        for at in range(number):
            name = f"Account {at}, {first.facts.name}"
            used = self.clock.now() - timedelta(days=at)
            facts = replace(first.facts, id=UUID(int=at), slot=f"account-{at}", name=name, last_used_at=used)
            tables.integrations[facts.tenant_id, facts.id] = replace(first, facts=facts)


def reachable(context, site, *, headers=None):
    """Let the browser reach the simulated providers, beside the application and the host's page, and nothing else; return what it asked."""
    asked = []

    def answer(route):
        request = route.request
        asked.append(request.url)
        parts = urlsplit(request.url)
        simulated = next((each for each in site.simulated if urlsplit(each.base_url).netloc == parts.netloc), None)
        if simulated is None:
            route.abort()
            return
        body = (request.post_data or "").encode()
        said = simulated.handle(request.method, parts.path, query=parts.query, headers=dict(request.headers), body=body)
        route.fulfill(status=said.status, headers={**said.headers, **(headers or {})}, body=said.body)

    ours = {urlsplit(site.url).netloc, urlsplit(site.host).netloc}
    context.route(lambda url: urlsplit(url).netloc not in ours, answer)
    return asked


def _said(action, inner):
    body = f"<{action}Response><{action}Result>{inner}</{action}Result></{action}Response>"
    return HttpResponse(status=200, headers={"content-type": "text/xml"}, body=body.encode())


def _listen():
    listening = socket.create_server(("127.0.0.1", 0))
    return listening, listening.getsockname()[1]


@contextmanager
def _serving(app, listening, name):
    certificate, key = authority().issue(name)
    with tempfile.TemporaryDirectory() as folder:
        files = {"ssl_certfile": certificate, "ssl_keyfile": key}
        for option, text in files.items():
            path = Path(folder, option)
            path.write_text(text)
            files[option] = str(path)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ssl_cert_reqs=ssl.CERT_NONE, timeout_graceful_shutdown=1, **files
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()
            listening.close()
