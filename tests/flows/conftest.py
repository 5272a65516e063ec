"""Both doors behind one awaited face, and the world around them: a provider, a store, a clock that stands still.

`world` comes in two kinds, so a test that asks for it runs through the blocking and the awaiting door.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import inspect
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from operator import attrgetter
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
from cloud_integrations.domain.audit import SYSTEM, Actor
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import TenantNotFoundError
from cloud_integrations.manager import AsyncIntegrationManager, IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import (
    AdvancingPause,
    AsyncAdvancingPause,
    AsyncSimulatedTransport,
    FixedClock,
    SeededEntropy,
    SimulatedProvider,
    SimulatedTransport,
)

from .answers import Answers
from .watching import Observed, Watched, check_recorded

ACME = "acme"
GLOBEX = "globex"
ALICE = Actor(id="alice")
MALLORY = Actor(id="mallory")
CALLBACK_URL = "https://app.example/oauth/callback"
OWN_REDIRECT_URI = "https://app.example/connected"


class KnownTenants:
    """Knows one tenant."""

    def require(self, tenant_id, /):
        if tenant_id != ACME:
            raise TenantNotFoundError(tenant_id=tenant_id)


class AsyncKnownTenants:
    async def require(self, tenant_id, /):
        KnownTenants().require(tenant_id)


class Door:
    """One manager, awaited whichever kind it is; *actor* and *request_id* of a call say who acts, left out: the system."""

    def __init__(self, manager, /, group=""):
        self.manager = manager
        self._group = group

    def __getattr__(self, name):
        path = self._group + name
        if not callable(attrgetter(path)(self.manager)):
            return Door(self.manager, f"{path}.")

        async def call(*args, **named):
            result = self._bound(path, *args, **named)()
            return await result if inspect.isawaitable(result) else result

        return call

    @property
    def wiring(self):
        """The parts of the manager, which only tests look at."""
        return self.manager._wiring

    def acting_as(self, actor=SYSTEM, *, request_id=None, reason=None):
        """The manager itself, as *actor* uses it."""
        return self.manager.acting_as(actor, request_id=request_id, reason=reason)

    async def together(self, times, name, /, *args, **named):
        """Make the same call *times* over at once, in threads or in tasks, and return results and errors."""
        return await self.all_at_once(*[self._bound(name, *args, **named)] * times)

    def _bound(self, path, /, *args, **named):
        if path == "close":
            return self.manager.close  # the manager's own: no view closes it
        view = self.acting_as(named.pop("actor", SYSTEM), request_id=named.pop("request_id", None))
        return partial(attrgetter(path)(view), *args, **named)

    async def all_at_once(self, *calls):
        if isinstance(self.manager, AsyncIntegrationManager):
            return await asyncio.gather(*(call() for call in calls), return_exceptions=True)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(len(calls)) as threads:
            return await asyncio.gather(*(loop.run_in_executor(threads, call) for call in calls), return_exceptions=True)


def rewire(manager, **parts):
    """Exchange parts of a manager that is built already."""
    wiring = dataclasses.replace(manager._wiring, **parts)
    for group in (manager, manager.applications, manager.keys, manager.audit, manager.worker, manager.webhooks, manager.events):
        group._wiring = wiring
    manager._runner.wiring = wiring


class World:
    """Everything around the doors; `open` opens another door to the same world."""

    def __init__(self, kind, /):
        self.kind = kind
        self.clock = FixedClock()
        self.entropy = SeededEntropy("flows")
        self.provider = SimulatedProvider(clock=self.clock, entropy=SeededEntropy("provider"))
        self.facts = Observed()
        self.sent: list = []
        self.on_send = None
        """Called with each request before the provider sees it; may raise."""
        self.on_answer = None
        """Called with request and response when the provider is done; may raise, and with the awaiting door be awaited."""
        self.secrets: list[str] = []
        """Every secret text that passed, for the search for leaks."""
        self.keyring_texts = [LocalKeyring.generate_key("test")]
        self.keyring = LocalKeyring(self.keyring_texts)
        transport = SimulatedTransport if self.blocking else AsyncSimulatedTransport
        self.transport = transport(self.provider, before_send=self._before_send, after_send=self._after_send)
        self.rows = MemoryStore(self.clock)
        awaited = AsyncMemoryStore(self.clock)
        awaited._store = self.rows
        self.store = Watched(self.rows if self.blocking else awaited)
        self.entries = list(self.provider.catalogue_entries())
        self.backends = {}
        """OAuth backends by name."""
        self.guides = []
        """Setup guides of the providers."""
        self.door = self.open()

    @property
    def blocking(self):
        return self.kind == "blocking"

    def settings(self, **changes):
        return Settings(**{"callback_url": CALLBACK_URL, **changes})

    def open(
        self,
        *,
        settings=None,
        providers=None,
        applications=None,
        store=None,
        keyring=None,
        tenants=None,
        cipher=None,
        observer=None,
        telemetry=(),
        issuer=None,
        checkpoint_keys=None,
        platform=None,
        rate_limiter=None,
        handlers=None,
    ):
        """Open a door to this world, another process of the same installation, say."""
        keyring = keyring or self.keyring
        parts = {
            "store": store or self.store,
            "transport": self.transport,
            "keys": keyring,
            "cipher": cipher or AesGcmCipher(),
            "providers": Catalogue.of(*(providers or self.entries), backends=self.backends).with_(guides=self.guides),
            "applications": [self.provider.application()] if applications is None else applications,
            "platform": platform,
            "rate_limiter": rate_limiter,
            "settings": settings or self.settings(),
            "tenants": tenants,
            "issuer": issuer,
            "checkpoint_keys": checkpoint_keys,
            "observer": observer or self.facts,
            "telemetry": telemetry,
            "handlers": handlers,
            "clock": self.clock,
            "entropy": self.entropy,
            "pause": AdvancingPause(self.clock) if self.blocking else AsyncAdvancingPause(self.clock),
        }
        return Door((IntegrationManager if self.blocking else AsyncIntegrationManager)(**parts))

    def _before_send(self, request):
        self.sent.append(request)
        self.secrets += [value for name, value in parse_qsl(request.body.decode()) if name in {"code", "code_verifier", "client_secret"}]
        if self.on_send is not None:
            self.on_send(request)

    def _after_send(self, request, response):
        try:
            answer = json.loads(response.body)
        except ValueError:
            answer = {}
        answer = answer if isinstance(answer, dict) else {}
        self.secrets += [answer[name] for name in ("access_token", "refresh_token") if isinstance(answer.get(name), str)]
        return self.on_answer(request, response) if self.on_answer is not None else None

    # What a person does

    def approve(self, authorization, /, *, approve=True):
        """Be the person at the provider; return what comes to the callback."""
        self.secrets += [authorization.state.reveal(), authorization.browser_token.reveal()]
        return tuple(parse_qsl(urlsplit(self.provider.sign_in(authorization.url, approve=approve)).query))

    async def come_back(self, authorization, /, params=None, *, actor=ALICE, door=None, **changes):
        """Come back from the provider with *params*, in the same browser."""
        params = self.approve(authorization) if params is None else params
        named = {"browser_token": authorization.browser_token, "actor": actor, **changes}
        context_id = named.pop("context_id", authorization.context_id)
        return await (door or self.door).complete_oauth(context_id, params, **named)

    async def begin(self, /, tenant=ACME, *, name="Files of Acme", actor=ALICE, door=None, **named):
        return await (door or self.door).begin_oauth(tenant, self.provider.slug, name=name, actor=actor, **named)

    async def connect(self, /, tenant=ACME, *, door=None, **named):
        """Connect by OAuth2, through the browser, and return the integration."""
        return (await self.come_back(await self.begin(tenant, door=door, **named), door=door)).integration

    async def reconnect(self, integration, /, *, door=None, **named):
        begun = await (door or self.door).begin_reconnect(integration.tenant_id, integration.id, actor=ALICE, **named)
        return await self.come_back(begun, door=door)

    async def add_key(self, /, tenant=ACME, *, api_key=None, door=None, actor=ALICE, name="Key of Acme", **named):
        key = self.provider.valid_api_key if api_key is None else api_key
        self.secrets.append(key.reveal())
        return await (door or self.door).add_api_key(tenant, f"{self.provider.slug}_keys", name=name, api_key=key, actor=actor, **named)

    def open_front(self):
        """Open a door to an installation whose own front end receives codes."""
        return self.open(applications=[self.provider.application(redirect_uris=(OWN_REDIRECT_URI,))])

    def unbound_code(self, redirect_uri=OWN_REDIRECT_URI):
        """Get a code that some other page asked for, without a challenge."""
        self.provider.require_pkce = False
        client_id = self.provider.application().client_id
        query = {"response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri, "scope": "read write"}
        answer = self.provider.sign_in(f"{self.provider.base_url}/authorize?{urlencode(query)}")
        return Secret(dict(parse_qsl(urlsplit(answer).query))["code"])

    # What a test looks at

    @property
    def tables(self):
        """The rows themselves, to look at and to spoil."""
        return self.rows._tables

    def pass_(self, **by):
        self.clock.advance(timedelta(**by))

    def row(self, integration, /):
        return self.rows.find_integration(integration.tenant_id, integration.id)

    def events(self, tenant=ACME):
        return [record.event for record in self.rows.list_audit(tenant, limit=10_000)]

    def actions(self, tenant=ACME):
        return [(event.action, event.outcome.value) for event in self.events(tenant)]

    def last_event(self, tenant=ACME):
        return self.events(tenant)[-1]

    def changes(self):
        """Every change that was handed to the store, call by call."""
        return [args for name, args in self.store.calls if name == "apply"]

    def tokens_of(self, integration, /):
        """The ids by which the provider knows the tokens that it gave out last."""
        return [request for request in self.provider.requests if request.endpoint == "exchange"][-1].issued

    def backup(self):
        """A copy of all rows and audit chains, for `restore`."""
        return _copied(self.tables)

    def restore(self, backup, /):
        """Put the store back to where it was at *backup*."""
        self.rows._tables = _copied(backup)

    def raw_dump(self):
        """Everything that the store holds, as bytes, as a thief of the database would have it."""
        return b"\n".join(_flatten(self.tables))

    def leaks_in(self, held, /):
        """The secrets that *held* shows in some form."""
        return [secret for secret in dict.fromkeys(self.secrets) if secret and any(form in held for form in _forms_of(secret))]


def _copied(tables):
    chains = {tenant: list(chain) for tenant, chain in tables.chains.items()}
    return dataclasses.replace(tables.copy(now=tables.changed_at), chains=chains)


def _flatten(value) -> Iterable[bytes]:
    if isinstance(value, bytes):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _flatten(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(key)
            yield from _flatten(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _flatten(item)
    elif isinstance(value, Secret):
        yield value.reveal().encode()
    else:
        yield str(value).encode()


def _forms_of(secret, /):
    """Every form in which a secret may hide: itself, base64, hex, for a URL, backwards."""
    text = secret.encode()
    padded = base64.b64encode(text).rstrip(b"=")
    return {text, padded, padded.translate(bytes.maketrans(b"+/", b"-_")), text.hex().encode(), quote(secret, safe="").encode(), text[::-1]}


@pytest.fixture(params=["blocking", "awaiting"])
def world(request):
    world = World(request.param)
    yield world
    world.facts.check(world.secrets)
    check_recorded(world.changes())


@pytest.fixture
def door(world):
    return world.door


@pytest.fixture
def awaiting_world():
    """The world of the awaiting door alone, for what only tasks can do to it."""
    world = World("awaiting")
    yield world
    world.facts.check(world.secrets)
    check_recorded(world.changes())


@pytest.fixture
async def keys_older_than_now(world):
    """Time passes with every change, so that a new key is younger than the rotation that makes it is old."""
    await world.door.start()
    world.store.after = lambda name, _: world.pass_(microseconds=1) if name == "apply" else None


@pytest.fixture
def answers(world):
    found = Answers(world)
    world.transport = found
    world.door = world.open()
    return found


def changed_method(world, **changes):
    method = world.entries[0].methods[0].model_copy(update=changes)
    return world.open(providers=[world.entries[0].model_copy(update={"methods": (method,)}), world.entries[1]])


@pytest.fixture
async def creating(world):
    """An integration at a provider that makes another key, beside the old one."""
    return await _rotating(world, "create")


@pytest.fixture
async def rolling(world):
    """An integration at a provider that gives its key a new value."""
    return await _rotating(world, "roll")


async def _rotating(world, makes):
    from .rotations import Rotating  # it needs this module

    keys = Rotating(world, makes=makes)
    await keys.add()
    return keys
