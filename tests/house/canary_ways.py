"""Every way to obtain access, walked with unique secrets, through all that can go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from tests.clusters import ApiServer
from tests.flows import bank, clouds, devices, role_clouds, test_shown_proofs, test_tenant_servers, vouching, watching
from tests.flows.conftest import ACME, ALICE, GLOBEX, World
from tests.protocol.keys import pem

from cloud_integrations import AsyncSqlAlchemyStore, ImportedGrant, ImportedKey, OAuthApplication, Secret, SqlAlchemyStore
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import (
    AnswerLostError,
    CloudIntegrationsError,
    KeyringError,
    KeyServiceUnavailableError,
    ProviderUnreachableError,
)
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.testing import Misbehaviour
from cloud_integrations_fastapi.host import new_token

from .canaries import Canaries, Found, an_engine, note_error


class Walk:
    """One manager over a database, everything that it tells, and the secrets that must not be there."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.canaries, self.found, self.folder = Canaries(), Found(), folder
        self.engine = an_engine(folder / "canary.db", journal=kind == "blocking")
        self.world: Any = World(kind)
        self.world.clock.jump(datetime.now(UTC) - self.world.clock.now())
        self.world.store = watching.Watched(SqlAlchemyStore(self.engine) if self.world.blocking else AsyncSqlAlchemyStore(self.engine))
        self.world.door = self.world.open()

    async def __call__(self, name: str, /, *given: Any, **named: Any) -> Any:
        """Return what the manager's method returns, or the error that it raised."""
        try:
            answer = await attrgetter(name)(self.world.door)(*given, actor=ALICE, **named)
        except CloudIntegrationsError as error:
            note_error(self.found, error)
            return error
        self.found.put("answers", f"{answer!r} {answer}")
        return answer

    def sign(self, credential: Any, url: str, **options: str) -> Any:
        """Return a signed request, whose URL shows no secret, or the error."""
        try:
            signed = credential.sign(Unsigned(method="POST", url=url, body=b"{}"), **options)
        except CloudIntegrationsError as error:
            note_error(self.found, error)
            return error
        self.found.put("signed URLs", signed.url)
        self.found.put("answers", repr(signed))
        return signed

    def add_pem(self, kind: str, text: str) -> None:
        """Look for each line of a key, the last of which may be short."""
        self.canaries.add(kind, *(line for line in text.splitlines() if not line.startswith("-") and len(line) > 20))

    def watch(self, server: Any) -> Watcher:
        """See each request that comes to *server*."""
        name = "_respond" if hasattr(server, "_respond") else "respond"
        watcher = Watcher(getattr(server, name))
        setattr(server, name, watcher)
        return watcher

    async def end(self, **open_: set[str]) -> None:
        """Look everywhere."""
        for fact in self.world.facts.told:
            self.found.put("facts", f"{fact!r} {fact.facts}")
        for tenant in (ACME, GLOBEX):
            for record in await self.world.door.audit.list(tenant, limit=200):
                self.found.put("audit", repr(record))
        await self.world.door.close()
        with self.engine.connect() as connection:
            for table in sa.inspect(connection).get_table_names():
                self.found.put("rows", repr(connection.exec_driver_sql(f"SELECT * FROM {table}").all()))
        self.found.put_files("files", self.folder)
        self.engine.dispose()
        assert {"log", "answers", "errors", "exceptions", "audit", "facts", "rows"} <= set(self.found.places)
        self.found.check(self.canaries, **open_)


class Watcher:
    """Stands before a server, and can answer in its place."""

    def __init__(self, server: Callable[[HttpRequest], HttpResponse]) -> None:
        self._server = server
        self.instead: Callable[[HttpRequest], HttpResponse] | None = None
        self.on_request: Callable[[HttpRequest], None] = lambda _: None
        self.failed = 0

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.on_request(request)
        self.failed += self.instead is not None
        return self._server(request) if self.instead is None else self.instead(request)


def repeated(status: int, error: str) -> Callable[[HttpRequest], HttpResponse]:
    """Make the answers of a server that repeats everything that was sent to it, in every place where it may say something."""

    def answer(request: HttpRequest) -> HttpResponse:
        body = request.body.decode()
        said = {
            "error_description": " ".join(value for values in parse_qs(body).values() for value in values) or body,
            "message": str(dict(request.headers)), "Message": request.url, "error_msg": body, "detail": str(parse_qs(body)),
        }  # fmt: skip
        return HttpResponse(status=status, headers={"content-type": "application/json"}, body=json.dumps({"error": error, **said}).encode())

    return answer


def lost(_: HttpRequest) -> HttpResponse:
    raise AnswerLostError(provider_id="x")


def unreachable(_: HttpRequest) -> HttpResponse:
    raise ProviderUnreachableError(provider_id="x")


FAILURES = (
    repeated(400, "invalid_grant"), repeated(401, "invalid_client"), repeated(403, "denied"), repeated(429, "slow_down"),
    repeated(500, "server_error"), repeated(200, "no_error"), lambda _: HttpResponse(status=200, body=b"<html>"), lost, unreachable,
)  # fmt: skip


async def use_and_fail(walk: Walk, watcher: Watcher, name: str, inputs: Mapping[str, Secret | str], **more: Any) -> None:
    """Use an integration of Acme in every way, while its server works and in every failure; then remove it."""
    held = await walk("get_integration", ACME, name)
    for use in ("credential", "verify", "refresh", "get_integration"):
        await walk(use, ACME, name)
    for watcher.instead in FAILURES:
        await walk("verify", ACME, name)
        await walk("refresh", ACME, name)
        await walk("credential", ACME, name)
        await walk("reconnect", ACME, held.id, inputs=inputs, method=held.method_id)
        await walk("add", GLOBEX, name, name="Ours", inputs=inputs, method=held.method_id, **more)
        await walk("import_credential", GLOBEX, ImportedKey(provider=name, name="Ours", inputs=inputs, method=held.method_id, **more))
    watcher.instead = None
    assert watcher.failed >= len(FAILURES)
    wrong = {name: Secret(f"wrong {value.reveal()}") if isinstance(value, Secret) else value for name, value in inputs.items()}
    await walk("reconnect", ACME, held.id, inputs=wrong, method=held.method_id)
    await walk("reconnect", ACME, held.id, inputs={**inputs, "nonsense": Secret("fake-more")}, method=held.method_id)
    await walk("reconnect", ACME, held.id, inputs=inputs, method=held.method_id)
    await walk("credential", ACME, name)
    await walk("worker.refresh_due")
    await walk("guide", name)
    await walk("delete", ACME, held.id)


def taken(answer: Any) -> Any:
    assert not isinstance(answer, Exception), repr(answer)
    return answer


async def by_mint(walk: Walk) -> set[str]:
    server = bank.Bank(walk.world)
    key = Secret(f"fake-mint-key-{new_token()}")
    server.keys.add(key.reveal())
    walk.canaries.add("input", key)
    watcher = walk.watch(server)
    inputs = {"key": key, "team": "t-1"}
    taken(await walk("add", ACME, "bank", name="Ours", inputs=inputs))
    await use_and_fail(walk, watcher, "bank", inputs)
    walk.canaries.add("minted", *server.minted)
    return {"input", "minted"}


def by_signature(slug: str) -> Callable[[Walk], Any]:
    async def way(walk: Walk) -> set[str]:
        server = clouds.Cloud(walk.world, slug)
        secret = {given.name for given in server.method.inputs if given.secret}
        texts = {
            name: text if name == "private_key" or name not in secret else (text[:4] + new_token() * 2)[: max(len(text), 20)]
            for name, text in server.case.inputs.items()
        }
        server.case = replace(server.case, inputs=texts)
        for name in server.case.wrong:
            walk.add_pem("signing key", texts[name])
        watcher = walk.watch(server)
        inputs = {name: Secret(text) if name in secret else text for name, text in texts.items()}
        variables = dict(server.case.variables)
        taken(await walk("add", ACME, slug, name="Ours", inputs=inputs, variables=variables, method=server.method.id))
        credential = taken(await walk("credential", ACME, slug))
        signed = taken(walk.sign(credential, server.case.api, **server.case.options))
        walk.found.put("signed headers", repr(dict(signed.headers)))
        for url in ("ftp://elsewhere.example", "https://user:fake@elsewhere.example/", "nonsense", "https://elsewhere.example/\n"):
            walk.sign(credential, url, **server.case.options)
        await use_and_fail(walk, watcher, slug, inputs, variables=variables)
        return {"signing key"}

    return way


async def by_proof(walk: Walk) -> set[str]:
    server = test_shown_proofs.Snowflake(walk.world)
    walk.add_pem("input", clouds.private_key())
    watcher = walk.watch(server)
    inputs = {"account": "acme-main", "user": "ada", "private_key": Secret(clouds.private_key())}
    where = {"account_host": test_shown_proofs.HOST}
    taken(await walk("add", ACME, "snowflake", name="Ours", inputs=inputs, variables=where))
    watcher.on_request = lambda request: walk.canaries.add("proof", request.headers["Authorization"].removeprefix("Bearer "))
    walk.canaries.add("proof", taken(await walk("credential", ACME, "snowflake")).value)
    await use_and_fail(walk, watcher, "snowflake", inputs, variables=where)
    return {"input", "proof"}


async def by_issuer(walk: Walk) -> set[str]:
    server = vouching.Cloud(walk.world)
    walk.add_pem("issuer's key", pem("rsa"))
    watcher = walk.watch(server)
    watcher.on_request = lambda request: walk.canaries.add("issuer's token", *parse_qs(request.body.decode()).get("subject_token", []))
    inputs = {"audience": "https://cloud.example/pool"}
    taken(await walk("add", ACME, "cloud", name="Ours", inputs=inputs))
    walk.canaries.add("minted", taken(await walk("credential", ACME, "cloud")).value)
    for server.keys.error in (KeyServiceUnavailableError(), KeyringError(key_id="x", problem="is gone"), None):
        await walk("refresh", ACME, "cloud")
        await walk("add", GLOBEX, "cloud", name="Ours", inputs=inputs)
    await walk("delete", GLOBEX, "cloud")
    watcher.instead = lambda _: HttpResponse(status=404)
    for document in ("configuration", "key_set", "check"):
        await walk(f"issuer.{document}")
    watcher.instead = None
    await use_and_fail(walk, watcher, "cloud", inputs)
    return {"issuer's key", "issuer's token", "minted"}


def by_setup(slug: str) -> Callable[[Walk], Any]:
    async def way(walk: Walk) -> set[str]:
        server = role_clouds.RoleCloud(walk.world, slug)
        watcher = walk.watch(server)
        walk.canaries.add("operator's key", "fake-platform-secret")
        where = {"region": role_clouds.REGION[slug]}
        setup = taken(await walk("begin_setup", ACME, slug, name="Ours", method="role", variables=where))
        made = [value.reveal() for value in setup.made.values()]
        # The tenant is shown it, and it is sealed: nobody else is told.
        walk.canaries.add("external id", *made)
        inputs = {role_clouds.INPUT[slug]: role_clouds.ROLE[slug]}
        for watcher.instead in FAILURES:
            await walk("complete_setup", ACME, slug, method="role", inputs=inputs)
        watcher.instead = None
        # A trust that is too open is refused.
        await walk("complete_setup", ACME, slug, method="role", inputs=inputs)
        server.trust = made
        taken(await walk("complete_setup", ACME, slug, method="role", inputs=inputs))
        credential = taken(await walk("credential", ACME, slug))
        walk.sign(credential, f"https://ecs.{where['region']}.example/")
        await use_and_fail(walk, watcher, slug, inputs, variables=where)
        for minted in server.minted:
            walk.canaries.add("minted", *list(minted.values())[1:])
        return {"operator's key", "external id", "minted"}

    return way


async def by_own_server(walk: Walk) -> set[str]:
    pasted = f"fake-pasted-{new_token()}"
    walk.canaries.add("pasted", pasted)
    walk.canaries.add("input", test_tenant_servers.TOKEN)
    with ApiServer(tmp_path=walk.folder) as cluster:
        test_tenant_servers.reach(walk.world, test_tenant_servers.near_provider())
        certified = test_tenant_servers.certified(cluster.url)
        walk.add_pem("client's key", certified["client_key"])
        by_token = {"server": cluster.url, "ca": certified["ca"], "token": Secret(test_tenant_servers.TOKEN)}
        by_certificate = {**certified, "client_key": Secret(certified["client_key"])}
        for inputs in (by_token, by_certificate):
            taken(await walk("add", ACME, "kubernetes", name="Ours", inputs=inputs))
            await walk("credential", ACME, "kubernetes")
            await walk("verify", ACME, "kubernetes")
            for server in (
                "https://127.0.0.1:1",
                "http://cluster.example",
                f"https://{pasted}",
                f"https://a.example/?a={pasted}",
            ):
                await walk("add", GLOBEX, "kubernetes", name="Ours", inputs={**inputs, "server": server})
            await walk("add", GLOBEX, "kubernetes", name="Ours", inputs={**inputs, "token": by_certificate["client_key"]})
            await walk("delete", ACME, "kubernetes")
    return {"input", "client's key", "pasted"}


async def by_consent(walk: Walk) -> set[str]:
    """By device code, and with the tenant's own application, whose first secret is refused."""
    world = walk.world
    application = world.provider.application()
    secrets = [Secret(f"fake-refused-{new_token()}"), application.client_secret]
    walk.canaries.add("client secret", *secrets)
    world.door = world.open(
        applications=[OAuthApplication(provider="simulated", client_id="fake-other", client_secret="fake-others-secret")]
    )
    pasted = f"fake-pasted-{new_token()}"
    walk.canaries.add("pasted", pasted)
    own = {"client_id": application.client_id, "client_secret": secrets}
    for mistake in ({"client_id": pasted, "client_secret": Secret(pasted)}, {"method": pasted}):
        await walk("applications.save", ACME, "simulated", **{**own, **mistake})
    saved = taken(await walk("applications.save", ACME, "simulated", **own))
    await walk("applications.list", ACME)
    begun = taken(await walk("begin_oauth", ACME, "simulated", name="Ours"))
    walk.canaries.add("browser token", begun.browser_token)
    walk.canaries.add("state", begun.state)
    held = taken(await walk("complete_oauth", begun.context_id, world.approve(begun), browser_token=begun.browser_token)).integration
    walk.canaries.add("token", taken(await walk("credential", ACME, "simulated")).value)
    for what in (Misbehaviour.UNAVAILABLE, Misbehaviour.GARBAGE_JSON, Misbehaviour.ANSWER_LOST):
        world.provider.misbehave(what, endpoint="refresh")
        await walk("refresh", ACME, held.id)
        world.provider.behave()
    await walk("applications.remove", ACME, saved.id)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=None)
    await walk("delete", ACME, held.id)
    await walk("worker.retry_revocations")
    world.provider.behave()
    walk.canaries.add("token", *(text for text in world.secrets if text.startswith(("sim_", "fake"))))
    return {"client secret", "pasted", "state", "browser token", "token"}


async def by_device(walk: Walk) -> set[str]:
    """By device code: while the person has not decided, after every failure, and when the person agrees."""
    world = walk.world
    people = devices.open_with_devices(world)
    for people.begins in (devices.said({"error": "invalid_client"}, 401), devices.said({"device_code": "fake-alone"}, 200), None):
        begun = await walk("begin_device", ACME, "simulated", name="Ours")
    taken(begun)
    walk.canaries.add("device code", *(text for text in world.secrets if text.startswith("fake-device-code")))
    trouble = AnswerLostError(provider_id="x")
    for people.says in ([devices.PENDING], [devices.SLOW_DOWN], [devices.said({"error": "server_error"}, 500)], [trouble]):
        await walk("poll_device", ACME, begun.authorization_id)
    people.consent()
    grants = world.secrets[-2:]
    await world.door.wait_for_device(ACME, begun.authorization_id, actor=ALICE)
    walk.canaries.add("token", *grants)
    assert taken(await walk("credential", ACME, "simulated")).value == Secret(grants[0])
    again = taken(await walk("begin_device_reconnect", ACME, "simulated"))
    people.says = [devices.DENIED]
    await walk("poll_device", ACME, again.authorization_id)
    walk.canaries.add("device code", *(text for text in world.secrets if text.startswith("fake-device-code")))
    await walk("delete", ACME, "simulated")
    return {"device code", "token"}


async def by_bound_tokens(walk: Walk) -> set[str]:
    """With tokens that are bound to a key (DPoP): a nonce, a wrong proof, a lost answer, a signature, an import."""
    world = walk.world
    world.provider.dpop, world.provider.dpop_nonce = True, "nonce-1"
    world.entries[:] = world.provider.catalogue_entries()
    world.door = world.open()
    pasted = f"fake-pasted-{new_token()}"
    walk.canaries.add("pasted", pasted)
    named = {"provider": "simulated", "name": "Ours", "access_token": f"fake-access-{new_token()}"}
    await walk("import_credential", ACME, ImportedGrant(**named, dpop_key=pasted), verify=False)
    begun = taken(await walk("begin_oauth", ACME, "simulated", name="Ours"))
    held = taken(await walk("complete_oauth", begun.context_id, world.approve(begun), browser_token=begun.browser_token)).integration
    credential = taken(await walk("credential", ACME, "simulated"))
    walk.canaries.add("key", credential.values()["dpop_key"])
    walk.canaries.add("token", credential.value)
    for what in (Misbehaviour.TOKEN_TYPE_MAC, Misbehaviour.ANSWER_LOST, Misbehaviour.GARBAGE_JSON):
        world.provider.misbehave(what, endpoint="refresh")
        await walk("refresh", ACME, held.id)
        world.provider.behave()
    walk.found.put("answers", repr(credential.sign(Unsigned(method="GET", url="https://simulated.example/me"))))
    again = taken(await walk("begin_reconnect", ACME, held.id))
    await walk("complete_oauth", again.context_id, world.approve(again), browser_token=again.browser_token)
    await walk("verify", ACME, held.id)
    await walk("delete", ACME, held.id)
    return {"pasted", "key", "token"}


WAYS: dict[str, Callable[[Walk], Any]] = {
    "a bound token": by_bound_tokens,
    "a device code": by_device,
    "a mint": by_mint,
    "a proof": by_proof,
    "our issuer": by_issuer,
    "a server of the tenant's": by_own_server,
    "a tenant's application": by_consent,
    **{f"a signature: {slug}": by_signature(slug) for slug in sorted(clouds.CASES)},
    **{f"a setup: {slug}": by_setup(slug) for slug in ("alibaba_cloud", "huawei_cloud")},
}
