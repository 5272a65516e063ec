"""The application works under a role of PostgreSQL that sees the rows of one tenant alone."""

from __future__ import annotations

import inspect

import pytest
import sqlalchemy as sa

from cloud_integrations import AsyncIntegrationManager, IntegrationManager, LocalKeyring
from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, schema
from cloud_integrations.domain.integration import Health
from cloud_integrations.errors import ConfigurationError, IntegrationFrozenError, IntegrationNotFoundError

from .conftest import ACME, ALICE, GLOBEX
from .watching import Watched

pytestmark = pytest.mark.requirement("ISO-09")
KEY = LocalKeyring.generate_key("test")


@pytest.fixture
def engine(secured_database):
    """An engine with one connection, of a role that owns nothing, over tables without rows."""
    superuser = sa.create_engine(secured_database.superuser, poolclass=sa.NullPool)
    with superuser.begin() as connection:
        for table in sorted(schema.metadata.tables):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # ours
    engine = sa.create_engine(secured_database.application, pool_size=1, max_overflow=0)
    yield engine
    engine.dispose()


async def test_two_tenants_live_beside_each_other_on_one_connection(world, engine):
    world.rows = SqlAlchemyStore(engine, clock=world.clock, row_security=True)
    awaited = AsyncSqlAlchemyStore(engine, clock=world.clock, row_security=True)
    world.store = Watched(world.rows if world.blocking else awaited)
    door = world.door = world.open()
    await door.start()

    held = {tenant: await world.connect(tenant) for tenant in (ACME, GLOBEX)}
    for tenant, integration in held.items():
        await world.add_key(tenant, name=f"Key of {tenant}")
        assert len(await door.list_integrations(tenant)) == 2
        assert (await door.get_integration(tenant, integration.id)).tenant_id == tenant
    with pytest.raises(IntegrationNotFoundError):
        await door.get_integration(GLOBEX, held[ACME].id)

    before = {tenant: (await door.credential(tenant, "simulated")).value for tenant in held}
    world.pass_(minutes=50)
    assert (await door.worker.refresh_due()).renewed == 2
    for tenant, integration in held.items():
        assert (await world.open().credential(tenant, "simulated")).value != before[tenant]
        await door.verify(tenant, integration.id, actor=ALICE)
        await world.reconnect(integration)
        for status in ("inactive", "active"):
            await door.edit_integration(tenant, integration.id, status=status, actor=ALICE)

    frozen = await door.incidents.freeze(reason="Looked into", tenant_id=ACME, actor=ALICE)
    with pytest.raises(IntegrationFrozenError):
        await door.credential(ACME, "simulated")
    await door.credential(GLOBEX, "simulated")
    await door.incidents.unfreeze(frozen.id, reason="Seen", actor=ALICE)
    incident = await door.incidents.open(reason="Leaked", tenant_id=GLOBEX, actor=ALICE)
    await door.incidents.revoke(incident.id, actor=ALICE)
    assert (await door.get_integration(GLOBEX, held[GLOBEX].id)).health is Health.RECONNECT_REQUIRED
    assert (await door.get_integration(ACME, held[ACME].id)).health is Health.OK

    world.pass_(days=1)
    await door.keys.rotate()
    await door.keys.reseal()
    for tenant in held:
        assert (await door.audit.verify(tenant)).whole
        assert {record.event.tenant_id for record in await door.audit.list(tenant)} == {tenant}
    assert (await door.overview.report()).integrations == 4
    assert len((await door.overview.integrations()).items) == (await door.overview.count()).number == 4
    await door.delete(ACME, held[ACME].id, actor=ALICE)
    await door.worker.retry_revocations()
    await door.erase_tenant(GLOBEX, actor=ALICE)
    assert [len(await door.list_integrations(tenant)) for tenant in (ACME, GLOBEX)] == [1, 0]
    await door.close()


@pytest.mark.parametrize("manager", [IntegrationManager, AsyncIntegrationManager])
async def test_a_manager_over_an_engine_takes_it_as_an_option(engine, manager):
    async def started(**named):
        made = manager.over(engine, keys=KEY, **named)
        for call in (made.start, lambda: made.list_integrations(ACME), made.close):
            result = call()
            if inspect.isawaitable(result):
                await result

    await started(row_security=True)
    with pytest.raises(ConfigurationError, match="row_security must be on"):
        await started()
