"""One application several times: with this library, by hand over SQLAlchemy Core, and with its ORM and a response model.

Each is served by a process of its own, which finds its database in `BENCH_DATABASE`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.alias_generators import to_camel
from pydantic_core import to_json
from sqlalchemy import Engine, bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from bench.host import Host
from bench.peers import Account, Base, Box, Event, Head
from cloud_integrations import Actor, AesGcmCipher, AsyncIntegrationManager, AsyncSqlAlchemyStore, Catalogue, LocalKeyring, Provider
from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, migrate
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.envelope import SUITE_AES_256_GCM, KeyState, WrappedKey
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration, SealedCredential
from cloud_integrations.ports import AddIntegration, AddKey
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations_fastapi import Permission, create_router

CONNECTIONS = 16
LISTED = 20
TENANT = "acme"
PATH = "/api/v1/tenants/{tenantId}/integrations"
AUTHORIZATION = "Bearer fake-session"
CREATING_TENANTS = 16
PROVIDERS = 1_000
"""A tenant has one integration for each provider, so creating many takes many providers."""


def providers() -> list[Provider]:
    """Return providers that differ in their name alone, all with an API key."""
    _, by_key = Host().provider.catalogue_entries()
    return [by_key.model_copy(update={"id": f"bench_{number}"}) for number in range(PROVIDERS)]


def prepare(engine: Engine, /) -> None:
    """Make the tables of all three, with 20 rows of one tenant."""
    migrate.upgrade(engine)
    Base.metadata.create_all(engine)
    now = SystemClock().now()
    store = SqlAlchemyStore(engine)
    # What is listed is never opened, so nothing real has to be wrapped.
    kek = LocalKeyring([LocalKeyring.generate_key("bench")]).primary(TENANT)
    key = WrappedKey(
        key_id=uuid4(),
        tenant_id=TENANT,
        version=1,
        state=KeyState.ACTIVE,
        suite=SUITE_AES_256_GCM,
        kek_uri=kek.kek_uri,
        kek_key_id=kek.kek_key_id,
        wrapped=b"wrapped",
        created_at=now,
        retired_at=None,
        destroyed_at=None,
    )
    store.apply(AddKey(key=key))
    rows = []
    for number in range(LISTED):
        facts = Integration(
            id=IntegrationId(uuid4()),
            tenant_id=TenantId(TENANT),
            provider_id=ProviderId(uuid4()),
            name=f"Production {number}",
            auth_type=AuthType.API_KEY,
            state_since=now,
            created_at=now + timedelta(seconds=number),
            updated_at=now,
            method_id="key",
        )
        store.apply(AddIntegration(facts=facts, credential=SealedCredential(generation=1, key_id=key.key_id, presented=b"sealed")))
        rows.append(
            {"id": facts.id, "tenant_id": TENANT, "provider_id": facts.provider_id, "name": facts.name, "created_at": facts.created_at}
        )
    with engine.begin() as connection:
        connection.execute(insert(Account), rows)
        connection.execute(insert(Head), [{"tenant_id": f"orm_chained-{number}", "hash": bytes(32)} for number in range(CREATING_TENANTS)])


def _engine() -> AsyncEngine:
    return create_async_engine(os.environ["BENCH_DATABASE"], pool_size=CONNECTIONS, max_overflow=0)


def _is_signed_in(request: Request) -> bool:
    return request.headers.get("authorization") == AUTHORIZATION


async def _user(request: Request) -> str:
    if not _is_signed_in(request):
        raise HTTPException(403)
    return "alice"


User = Annotated[str, Depends(_user)]


class _Answering:
    """A transport that says yes without a network."""

    async def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:  # noqa: ARG002  # the port's
        return HttpResponse(status=200, headers={"content-type": "application/json"}, body=b'{"id": "acct-1", "label": "Acme"}')

    async def close(self) -> None:
        return


def ours() -> FastAPI:
    """Serve the router over PostgreSQL."""
    manager = AsyncIntegrationManager(
        store=AsyncSqlAlchemyStore(_engine()),
        transport=_Answering(),
        keys=LocalKeyring([LocalKeyring.generate_key("bench")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*providers()),
    )
    alice = Actor(id="alice")

    async def authorize(request: Request, _permission: Permission, _tenant_id: str | None) -> Actor | None:
        return alice if _is_signed_in(request) else None

    app = FastAPI()
    app.include_router(create_router(manager, authorize=authorize))
    return app


def by_hand() -> FastAPI:
    """List as fast as it goes with these parts: Core, one statement without a transaction, bytes without a model."""
    engine = _engine().execution_options(isolation_level="AUTOCOMMIT")
    columns = (
        Account.id,
        Account.tenant_id.label("tenantId"),
        Account.provider_id.label("providerId"),
        Account.name,
        Account.status,
        Account.auth_type.label("authType"),
        Account.created_at.label("createdAt"),
        Account.updated_at.label("updatedAt"),
    )
    statement = select(*columns).where(Account.tenant_id == bindparam("tenant")).order_by(Account.created_at, Account.id)
    app = FastAPI()

    @app.get(PATH)
    async def list_accounts(tenantId: str, _user: User) -> Response:  # noqa: N803  # as the path has it
        async with engine.connect() as connection:
            rows = (await connection.execute(statement, {"tenant": tenantId})).mappings().all()
        return Response(to_json({"success": True, "data": [dict(row) for row in rows]}), media_type="application/json")

    return app


class _Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True, alias_generator=to_camel, populate_by_name=True)

    id: UUID
    tenant_id: str
    provider_id: UUID
    name: str
    status: str
    auth_type: str
    created_at: datetime
    updated_at: datetime


class _Many(BaseModel):
    success: bool = True
    data: list[_Shown]


class _One(BaseModel):
    success: bool = True
    data: _Shown


class _Key(BaseModel):
    api_key: SecretStr
    model_config = ConfigDict(alias_generator=to_camel)


class _Create(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    provider_id: UUID
    name: str
    credentials: _Key


def orm_chained() -> FastAPI:
    """Do what the library does when it creates: look whether the account is there, and chain the tenant's events."""
    return orm(chained=True)


def orm(*, chained: bool = False) -> FastAPI:
    """List and create as tutorials do: a session for each request, entities, a response model."""
    engine = _engine()
    box = Box()
    app = FastAPI()

    async def session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine, expire_on_commit=False) as opened:
            yield opened

    opened = Annotated[AsyncSession, Depends(session)]

    async def list_accounts(tenantId: str, _user: User, session: opened) -> _Many:  # noqa: N803  # as the path has it
        statement = select(Account).where(Account.tenant_id == tenantId).order_by(Account.created_at, Account.id)
        return _Many(data=[_Shown.model_validate(account) for account in await session.scalars(statement)])

    async def create_account(tenantId: str, body: _Create, user: User, session: opened) -> _One:  # noqa: N803  # as above
        if chained and await session.scalar(
            select(Account.id).where(Account.tenant_id == tenantId, Account.provider_id == body.provider_id)
        ):
            raise HTTPException(409)
        sealed = box.seal(body.credentials.api_key.get_secret_value().encode())
        account = Account(
            id=uuid4(), tenant_id=tenantId, provider_id=body.provider_id, name=body.name, auth_type="apikey", access_token=sealed
        )
        event = Event(tenant_id=tenantId, account_id=account.id, actor=user, action="connected")
        session.add_all([account, event])
        if chained:
            head = (await session.scalars(select(Head).where(Head.tenant_id == tenantId).with_for_update())).one()
            head.hash = event.hash = hashlib.sha256(head.hash + f"{account.id} {user} connected".encode()).digest()
        await session.commit()
        return _One(data=_Shown.model_validate(account))

    # Not as decorators: `opened` is local, so annotations must be resolved here.
    list_accounts.__annotations__["session"] = create_account.__annotations__["session"] = opened
    app.get(PATH)(list_accounts)
    app.post(PATH, status_code=201)(create_account)
    return app
