"""Everything that a store holds for two tenants, and everything that reads it."""

from __future__ import annotations

import warnings
from contextlib import contextmanager, suppress
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import sqlalchemy as sa

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.checkpoint_keys import LocalCheckpointKeys
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, schema
from cloud_integrations.domain.audit import EVERY_EVENT, Actor
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import CloudIntegrationsError, ProviderUnreachableError
from cloud_integrations.flows.connect.begin_oauth import hash_of
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import AdvancingPause, FixedClock, SimulatedProvider, SimulatedTransport
from cloud_integrations.testing.contracts.store.announcements import announced

ALICE = Actor(id="alice")
ACME, GLOBEX = TenantId("acme"), TenantId("globex")
LIMIT = 100
NO_TEXT = "CAST(x'ff' AS TEXT)"
"""Bytes that SQLite calls text, in its words."""


class House:
    """A database in which something stands in every table, and all that reads it."""

    def __init__(self, engine):
        self.engine = engine
        self.clock = FixedClock()
        self.provider = SimulatedProvider(clock=self.clock)
        self.keyring = LocalKeyring([LocalKeyring.generate_key("test")])
        self.told = []
        self.offline = False
        self.checkpoint_keys = LocalCheckpointKeys([LocalCheckpointKeys.generate_key()], name="audit.example.com/test")
        self.store = SqlAlchemyStore(engine, clock=self.clock)
        manager = self.open()
        self.webhook = manager.webhooks.add(ACME, url="https://hooks.example/in").webhook.id
        # What was recorded long ago, and went.
        for path in ("one", "another"):
            manager.webhooks.add(GLOBEX, url=f"https://hooks.example/{path}")
        self.clock.advance(timedelta(days=2))
        manager.audit.prune(days=1, tenant_id=GLOBEX)
        self.oauth = self.connect(manager, ACME)
        self.key = manager.add_api_key(ACME, f"{self.provider.slug}_keys", name="Key of Acme", api_key=self.provider.valid_api_key)
        gone = self.connect(manager, GLOBEX)
        application = self.provider.application()
        own = manager.applications.save(
            ACME, self.provider.slug, client_id=application.client_id, client_secret=application.client_secrets[0]
        )
        self.application = own.id
        agent = self.open().acting_as(Actor(type="agent", id="bot"))
        self.session = agent.sessions.open(ACME, on_behalf_of="alice", providers=[self.provider.slug], hosts=["api.example"]).id
        self.link = self.open().connect_sessions.create(ACME, providers=[self.provider.slug], locale="de", actor="alice").link_token
        manager.credential(ACME, self.provider.slug)
        self.store.apply(announced(self.oauth.id))
        self.incident = manager.incidents.open(reason="a fake token in a log", everything=True).id
        self.freeze = manager.incidents.freeze(tenant_id="initech", reason="a fake token in a log", used_by="mallory").id
        self.offline = True
        manager.delete(GLOBEX, gone.id)
        self.begun = manager.begin_oauth(GLOBEX, self.provider.slug, name="Files of Globex")
        manager.keys.refuse(GLOBEX, below=1)
        self.key_id = self.store.find_active_key(ACME).key_id
        self.clock.advance(timedelta(minutes=2))
        with engine.begin() as connection:
            self.tables = [table for table in schema.metadata.sorted_tables if table.name != schema.VERSION_TABLE]
            self.rows = {table.name: connection.exec_driver_sql(f"SELECT * FROM {table.name}").all() for table in self.tables}

    def tell(self, fact, /):
        self.told.append(fact)

    def open(self):
        """A process of its own, which remembers nothing."""

        def before_send(_request):
            if self.offline:
                raise ProviderUnreachableError(provider_id="simulated")

        return IntegrationManager(
            store=self.store,
            transport=SimulatedTransport(self.provider, before_send=before_send),
            keys=self.keyring,
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*self.provider.catalogue_entries()),
            applications=[self.provider.application()],
            settings=Settings(callback_url="https://app.example/cb", events=True),
            checkpoint_keys=self.checkpoint_keys,
            observer=self,
            clock=self.clock,
            pause=AdvancingPause(self.clock),
        ).acting_as(ALICE)

    def connect(self, manager, tenant):
        begun = manager.begin_oauth(tenant, self.provider.slug, name="Files of theirs")
        params = parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)
        return manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token).integration

    @contextmanager
    def edited(self, column, value):
        """Write *value* into *column* of every row; False where the database refuses it. Afterwards all is as it was."""
        parameter = {"sqlite": "?"}.get(self.engine.dialect.name, "%s")
        try:
            with self.engine.begin() as connection, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                written, values = (NO_TEXT, ()) if value is NO_TEXT else (parameter, (value,))
                connection.exec_driver_sql(f"UPDATE {column.table.name} SET {column.name} = {written}", values)
        except (sa.exc.DBAPIError, OverflowError):
            yield False
            return
        try:
            yield True
        finally:
            self.restore()

    def restore(self):
        """Write all rows again as they were."""
        parameter = {"sqlite": "?"}.get(self.engine.dialect.name, "%s")
        with self.engine.begin() as connection:
            for table in reversed(self.tables):
                connection.exec_driver_sql(f"DELETE FROM {table.name}")
            for table in self.tables:
                rows = self.rows[table.name]
                if rows:
                    places = ", ".join([parameter] * len(rows[0]))
                    names = ", ".join(rows[0]._fields)
                    statement = f"INSERT INTO {table.name} ({names}) VALUES ({places})"
                    connection.exec_driver_sql(statement, [tuple(row) for row in rows])

    def looking_at(self, name):
        """Return the numbers of the reads that ask for rows of a table; to the others it is the same what stands there."""
        asked = []

        def listen(_connection, _cursor, statement, _parameters, _context, _many):
            asked.append(statement)

        numbers = set()
        sa.event.listen(self.engine, "before_cursor_execute", listen)
        for _ in range(2):  # the second time, the provider knows that its refresh token was spent
            for number, read in enumerate(self.reads()):
                asked.clear()
                with suppress(CloudIntegrationsError):
                    read()
                if any(name in statement for statement in asked):
                    numbers.add(number)
            self.restore()
        sa.event.remove(self.engine, "before_cursor_execute", listen)
        return numbers

    def reads(self):
        """Everything that reads rows, each by a manager that remembers nothing."""
        manager, store, slug = self.open(), self.store, self.provider.slug
        provider, key_id = self.oauth.provider_id, self.key_id
        yield store.report
        yield lambda: store.find_integration(ACME, self.oauth.id)
        yield lambda: store.find_credential(ACME, provider)
        yield lambda: store.list_integrations(ACME)
        yield lambda: store.find_key(ACME, key_id)
        yield lambda: store.find_keys([ACME, GLOBEX])
        yield lambda: store.find_active_key(ACME)
        yield lambda: store.last_key_version(ACME)
        yield lambda: store.list_keys(limit=LIMIT)
        yield lambda: store.list_replaced_keys(limit=LIMIT)
        yield lambda: store.list_returned_keys(limit=LIMIT)
        yield lambda: store.list_destroyed_keys(ACME)
        yield lambda: store.list_sealed([(ACME, key_id)], limit=LIMIT)
        yield store.list_key_usage
        yield lambda: store.list_key_usage(tenant_id=ACME)
        yield from (store.list_key_checks, store.list_kek_ids)
        yield lambda: store.list_audit(ACME)
        yield store.list_audit_heads
        yield lambda: store.find_audit_cut(GLOBEX)
        yield lambda: store.count_uses(EVERY_EVENT)
        yield lambda: store.list_entries(GLOBEX, "revocation", index_key=str(provider), limit=LIMIT)
        yield lambda: store.list_applications(ACME)
        yield lambda: manager.applications.list(ACME)
        yield from self.reads_of_sessions(manager)
        yield from self.reads_of_incidents(manager)
        yield from self.reads_of_events(manager)
        yield lambda: manager.begin_oauth(ACME, slug, name="More files of Acme")
        yield manager.start
        yield lambda: manager.list_integrations(ACME)
        yield lambda: manager.get_integration(ACME, self.oauth.id)
        yield lambda: manager.credential(ACME, slug)
        yield lambda: manager.credential(ACME, f"{slug}_keys")
        yield lambda: manager.audit.list(ACME)
        yield lambda: manager.audit.verify(ACME)
        yield manager.keys.report
        yield lambda: manager.keys.report(tenant_id=GLOBEX)
        yield lambda: manager.edit_integration(ACME, self.oauth.id, name="Another name")
        yield lambda: manager.refresh(ACME, self.oauth.id)
        yield manager.overview.report
        yield from self.reads_of_all_tenants(manager)
        yield manager.worker.refresh_due
        yield manager.worker.retry_revocations
        yield lambda: manager.begin_oauth(GLOBEX, slug, name="Files of Globex")
        yield lambda: manager.find_authorization(self.begun.state)
        yield lambda: manager.complete_oauth(
            self.begun.context_id, [("state", self.begun.state.reveal()), ("code", "fake")], browser_token=self.begun.browser_token
        )
        yield lambda: manager.delete(ACME, self.oauth.id)
        yield lambda: manager.applications.remove(ACME, self.application)

    def reads_of_all_tenants(self, manager):
        """What reads integrations as an operator looks at them."""
        now, look = self.clock.now(), manager.overview.integrations
        yield from (lambda: look(health="ok"), lambda: look(ends_before=now + timedelta(days=400)))
        yield from (lambda: look(unused_since=now, key_version=1), lambda: manager.overview.ends(days=2))
        yield from (lambda: manager.overview.history(hours=2), lambda: manager.overview.errors(self.provider.slug))

    def reads_of_sessions(self, manager):
        """What reads sessions of agents, and links to connect."""
        store, links = self.store, manager.connect_sessions
        yield lambda: store.find_session(ACME, self.session)
        yield lambda: store.list_sessions(ACME)
        yield from (lambda: manager.sessions.list(ACME), lambda: manager.sessions.revoke(ACME, self.session))
        yield lambda: store.find_connect_session(hash_of(self.link))
        yield lambda: store.list_connect_sessions(ACME)
        yield lambda: links.list(ACME)
        yield lambda: links.open(self.link)

    def reads_of_events(self, manager):
        """What reads webhooks, what is to be announced and what waits to be delivered."""
        store, webhooks = self.store, manager.webhooks
        yield lambda: store.find_webhook(ACME, self.webhook)
        yield lambda: store.list_webhooks(ACME)
        yield lambda: store.list_ending(within=timedelta(days=14), limit=LIMIT)
        yield lambda: webhooks.list(ACME)
        yield lambda: webhooks.edit(ACME, self.webhook, enabled=False)
        yield lambda: webhooks.rotate_secret(ACME, self.webhook)
        yield lambda: manager.events.list(tenant_id=ACME)
        yield manager.worker.deliver_events
        yield lambda: manager.audit.prune(days=1, tenant_id=GLOBEX)
        yield lambda: manager.audit.verify(GLOBEX)

    def reads_of_incidents(self, manager):
        """What reads freezes and incidents."""
        store, incidents = self.store, manager.incidents
        yield store.list_freezes
        yield incidents.freezes
        yield lambda: incidents.unfreeze(self.freeze, reason="over")
        yield store.list_incidents
        yield incidents.list
        yield lambda: incidents.get(self.incident)
        yield lambda: store.list_items(self.incident, limit=LIMIT)
        yield lambda: store.count_items(self.incident)
        yield lambda: incidents.revoke(self.incident)
        yield lambda: incidents.report(self.incident)
