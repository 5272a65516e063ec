"""Every column of every table, edited by hand: what reads it says so in our own words, or reads the truth."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from tests.sizes import FULL

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, schema
from cloud_integrations.backends.sqlalchemy.rows import Rows, count, pairs, words
from cloud_integrations.domain.pending import MAX_PENDING
from cloud_integrations.errors import CloudIntegrationsError, DamagedRowError, StorageUnavailableError
from cloud_integrations.ports.store import AddPending, DamagedRow
from cloud_integrations.testing import FixedClock
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store import INSTANT, a_pending, add_sealing_keys

from .edited_house import ACME, LIMIT, NO_TEXT, House

VALUES = [
    NO_TEXT,
    None, "", "x", '["a", 1]', '{"a": 1}', "[" * 20_000, "\U0001f511",
    0, -1, 2**63 - 1, -(2**63), 253_402_300_799_999_999, 3.5,
    b"", b"\xff" * 16, b"\xff" * 200,
]  # fmt: skip

OF_EACH_SORT = [NO_TEXT, None, "x", -1, b"\xff" * 16]
"""SQLite takes them all in every column; a server converts or refuses the most of them."""


@pytest.fixture
def house(engine):
    return House(engine)


@pytest.mark.slow
@pytest.mark.requirement("AUD-04", "ENC-04")
@pytest.mark.parametrize("name", [table.name for table in schema.metadata.sorted_tables if table.name != schema.VERSION_TABLE])
def test_what_reads_an_edited_row_ends_in_an_answer_or_in_an_error_of_ours(house, name):
    assert house.rows[name], "something must stand in each table"
    looking = house.looking_at(name)
    assert looking
    values = VALUES if FULL else OF_EACH_SORT
    written = 0
    for column in schema.metadata.tables[name].columns:
        for value in values:
            with house.edited(column, value) as done:
                written += done
                for number, read in enumerate(house.reads() if done else ()):
                    if number not in looking:
                        continue
                    try:
                        read()
                    except Exception as error:
                        # One row is no outage.
                        if isinstance(error, CloudIntegrationsError) and not isinstance(error, StorageUnavailableError):
                            continue
                        raise AssertionError(f"{type(error).__name__} for {str(value)[:30]!r} in {name}.{column.name}") from error
    assert written
    # Nothing of it stayed behind.
    assert len(house.store.list_integrations(ACME)) == 2
    assert house.open().audit.verify(ACME).whole


_COLUMNS = "event_id, tenant_id, occurred_at, actor_type, actor_id, action, resource, outcome, details, salts, previous_hash, hash"


def edit(house, statement, *values):
    with house.engine.begin() as connection:
        place = "?" if house.engine.dialect.name == "sqlite" else "%s"
        assert connection.exec_driver_sql(statement.replace("?", place), values).rowcount >= 1


DAMAGED_EVENTS = {
    "an unknown outcome": "outcome = 'unheard_of'",
    "details that are no JSON": "details = 'not json'",
    "details that are a list": "details = '[]'",
    "details whose values are no texts": """details = '{"fields": 1}'""",
    "a time beyond the calendar": "occurred_at = 9223372036854775807",
    "a time before there were computers": "occurred_at = -9223372036854775807",
    "a name twice in the details": 'details = \'{"bound": "a", "bound": "b"}\'',
    "half a character in the details": """details = '{"bound": "\\ud800"}'""",
    "another actor": "actor_type = 'unheard_of'",
    "a hash of another length": "hash = previous_hash",
}


@pytest.mark.requirement("AUD-04")
@pytest.mark.parametrize("change", DAMAGED_EVENTS.values(), ids=DAMAGED_EVENTS)
def test_an_event_that_somebody_edited_is_found_by_its_number_and_the_list_goes_on(house, change):
    edit(house, f"UPDATE ci_audit SET {change} WHERE tenant_id = 'acme' AND seq = 2")  # the test's own table
    report = house.open().audit.verify(ACME)
    assert (2, "changed") in {(problem.seq, problem.kind) for problem in report.problems}
    listed = house.open().audit.list(ACME)
    assert [record.seq for record in listed] == list(range(len(listed), 0, -1))


@pytest.mark.requirement("AUD-04")
def test_an_event_that_cannot_be_read_has_a_placeholder_in_the_list(house):
    edit(house, "UPDATE ci_audit SET details = 'not json' WHERE tenant_id = 'acme' AND seq = 2")
    [record] = [record for record in house.open().audit.list(ACME) if record.seq == 2]
    assert not record.readable
    assert (record.event.action, record.event.outcome, record.event.tenant_id) == ("unreadable", "unknown", ACME)


@pytest.mark.requirement("AUD-04")
@pytest.mark.parametrize("awaited", [False, True])
def test_bytes_in_place_of_text_are_one_bad_row_and_no_outage(sqlite, awaited):
    house = House(sqlite)
    edit(house, f"UPDATE ci_audit SET details = {NO_TEXT} WHERE tenant_id = 'acme' AND seq = 2")
    edit(house, f"UPDATE ci_integration SET name = {NO_TEXT} WHERE auth_type = 'apikey'")
    if awaited:
        asyncio.run(read_awaited(house))
        return
    assert (2, "changed") in {(problem.seq, problem.kind) for problem in house.open().audit.verify(ACME).problems}
    assert [record.seq for record in house.store.list_audit(ACME) if not record.readable] == [2]
    assert [integration.id for integration in house.open().list_integrations(ACME)] == [house.oauth.id]
    with pytest.raises(DamagedRowError) as caught:
        house.open().get_integration(ACME, house.key.id)
    assert (caught.value.table, caught.value.row) == ("ci_integration", str(house.key.id))
    with sqlite.connect() as connection:
        # The host's connections read as before.
        assert connection.connection.driver_connection.text_factory is str


async def read_awaited(house):
    engine = create_async_engine(house.engine.url.set(drivername="sqlite+aiosqlite"))
    store = AsyncSqlAlchemyStore(engine, clock=house.clock)
    try:
        assert [record.seq for record in await store.list_audit(ACME) if not record.readable] == [2]
        with pytest.raises(DamagedRowError):
            await store.find_integration(ACME, house.key.id)
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection.text_factory is str
    finally:
        await engine.dispose()


@pytest.mark.requirement("AUD-04")
@pytest.mark.parametrize("number", [0, -1, -(2**63)])
def test_a_forged_event_below_the_first_number_is_found(house, number):
    edit(
        house,
        # Our own table; the same columns twice.
        f"INSERT INTO ci_audit ({_COLUMNS}, seq) SELECT {_COLUMNS}, ? FROM ci_audit WHERE tenant_id = 'acme' AND seq = 1",
        number,
    )
    report = house.open().audit.verify(ACME)
    assert number in {problem.seq for problem in report.problems}
    assert number in {record.seq for record in house.open().audit.list(ACME)}


@pytest.mark.requirement("AUD-04")
def test_a_head_that_cannot_be_read_is_a_head_that_does_not_fit(house):
    edit(house, "UPDATE ci_audit_head SET seq = -7 WHERE tenant_id = 'acme'")
    assert "head_mismatch" in {problem.kind for problem in house.open().audit.verify(ACME).problems}


@pytest.mark.requirement("AUD-04")
def test_a_head_that_was_set_back_is_an_edited_row_and_no_outage(house):
    edit(house, "UPDATE ci_audit_head SET seq = 0 WHERE tenant_id = 'acme'")
    with pytest.raises(DamagedRowError) as caught:
        house.open().edit_integration(ACME, house.key.id, name="Another name")
    assert (caught.value.table, caught.value.row) == ("ci_audit_head", "acme")


def test_while_a_head_is_damaged_the_audit_log_can_be_read_and_the_observer_is_told(house):
    edit(house, "UPDATE ci_audit_head SET seq = 0 WHERE tenant_id = 'acme'")
    assert house.open().audit.list(ACME)
    [fact] = [fact for fact in house.told if fact.name == "storage.damaged_row"]
    assert fact.facts == {"table": "ci_audit_head", "row": ACME, "tenant": ACME}


def test_one_bad_integration_row_is_left_out_of_the_list_and_told(house):
    edit(house, "UPDATE ci_integration SET state = 'unheard_of' WHERE auth_type = 'apikey'")
    manager = house.open()
    assert [integration.id for integration in manager.list_integrations(ACME)] == [house.oauth.id]
    [fact] = [fact for fact in house.told if fact.name == "storage.damaged_row"]
    assert fact.facts == {"table": "ci_integration", "row": str(house.key.id), "tenant": ACME}
    assert manager.credential(ACME, house.provider.slug).value.reveal()
    with pytest.raises(DamagedRowError) as caught:
        manager.get_integration(ACME, house.key.id)
    assert (caught.value.table, caught.value.row) == ("ci_integration", str(house.key.id))
    assert "unheard_of" not in str(caught.value)


def test_a_tenant_with_a_row_that_cannot_be_read_is_not_called_erased(house):
    edit(house, "UPDATE ci_integration SET state = 'unheard_of' WHERE auth_type = 'apikey'")
    with pytest.raises(DamagedRowError):
        house.open().erase_tenant(ACME)


def test_the_worker_passes_over_rows_that_cannot_be_read(house):
    bare = house.store.claim_due(limit=LIMIT, hold=timedelta())
    assert not bare
    edit(house, "UPDATE ci_integration SET due_at = 0, generation = -1 WHERE auth_type = 'oauth2'")
    [row] = house.store.claim_due(limit=LIMIT, hold=timedelta())
    assert row == DamagedRow(table="ci_integration", row=str(house.oauth.id), tenant_id=ACME)
    run = house.open().worker.refresh_due()
    assert (run.claimed, run.failed) == (1, 1)
    edit(house, "UPDATE ci_outbox SET next_attempt_at = 0, attempts = -1")
    assert house.open().worker.retry_revocations().delayed >= 1
    assert [fact.facts["table"] for fact in house.told if fact.name == "storage.damaged_row"][-1] == "ci_outbox"


@pytest.mark.requirement("ENC-04")
@pytest.mark.parametrize("change", ["suite = 2", "suite = 0", "created_at = -1", "version = -1"])
def test_a_data_key_that_somebody_edited_opens_nothing(house, change):
    edit(house, f"UPDATE ci_key SET {change} WHERE tenant_id = 'acme'")  # the test's own table
    for call in (lambda: house.open().credential(ACME, house.provider.slug), lambda: house.store.find_key(ACME, house.key_id)):
        if change == "version = -1":
            # A version below the first is not found: nothing opens with it.
            with pytest.raises(CloudIntegrationsError):
                house.open().credential(ACME, house.provider.slug)
            continue
        with pytest.raises(DamagedRowError) as caught:
            call()
        assert (caught.value.table, caught.value.row) == ("ci_key", str(house.key_id))


@pytest.mark.requirement("ENC-04")
def test_a_data_key_in_an_unknown_state_is_an_error_that_names_it(house):
    edit(house, "UPDATE ci_key SET state = 'unheard_of', active_marker = NULL WHERE tenant_id = 'acme'")
    for call in (lambda: house.store.find_key(ACME, house.key_id), lambda: house.store.list_key_usage()):  # noqa: PLW0108  # two calls alike
        with pytest.raises(DamagedRowError):
            call()


def test_a_version_that_is_no_number_is_an_edited_key(sqlite):
    store = SqlAlchemyStore(sqlite)
    add_sealing_keys(store, ACME)
    with sqlite.begin() as connection:
        connection.exec_driver_sql("UPDATE ci_key SET version = 'first' WHERE tenant_id = 'acme'")
    with pytest.raises(DamagedRowError) as caught:
        store.last_key_version(ACME)
    assert caught.value.table == "ci_key"


@pytest.mark.requirement("OAU-013")
def test_an_authorization_whose_hash_was_edited_holds_up_no_sweep_and_no_new_one(sqlite):
    clock = FixedClock()
    store = SqlAlchemyStore(sqlite, clock=clock)
    add_sealing_keys(store, ACME)
    store.apply(*[AddPending(pending=a_pending(created_at=START + number * INSTANT)) for number in range(MAX_PENDING)])
    with sqlite.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE ci_authorization SET state_hash = 7 WHERE created_at = (SELECT min(created_at) FROM ci_authorization)"
        )
    store.apply(AddPending(pending=a_pending(created_at=START + timedelta(seconds=1))))
    clock.advance(timedelta(minutes=10))
    assert store.sweep_pending(limit=100) == MAX_PENDING
    assert store.sweep_pending(limit=100) == 0


class OneRow:
    """A selection of one column of bytes and one of ids, whose values a test makes up."""

    columns = (schema.integration.c.integration_id, schema.integration.c.presented, schema.integration.c.attempts)

    def __init__(self):
        self.dialect = sa.create_engine("sqlite://").dialect
        self.rows = Rows(schema.integration, self.columns, lambda row: count(row[2]), names=("integration_id", "presented"))

    def read(self, *raw):
        processors = [column.type.dialect_impl(self.dialect).result_processor(self.dialect, None) for column in self.columns]
        return self.rows.one(tuple(value if process is None else process(value) for process, value in zip(processors, raw, strict=True)))


def test_values_of_another_type_than_their_columns_are_damage():
    one = OneRow()
    good = "0190a1b200007000800000000000000a"
    assert one.read(good, b"fake", 3) == 3
    for raw in ((7, b"fake", 3), ("no id", b"fake", 3), (None, b"fake", 3), (good, 10**12, 3), (good, "text", 3), (good, b"fake", "3")):
        with pytest.raises(DamagedRowError) as caught:
            one.read(*raw)
        assert caught.value.table == "ci_integration"
    with pytest.raises(DamagedRowError) as caught:
        one.read(good, b"fake", -1)
    assert caught.value.row == "0190a1b2-0000-7000-8000-00000000000a/66616b65"


@pytest.mark.parametrize("text", ["", "x", "7", "[1]", "{}", '"a"', '["\\ud800"]'])
def test_a_list_of_words_is_nothing_else(text):
    with pytest.raises(ValueError):
        words(text)


@pytest.mark.parametrize("text", ["", "x", "7", "[]", '{"a": 1}', '{"a": null}', '{"a": "\\ud800"}', '{"\\ud800": "a"}'])
def test_an_object_of_texts_is_nothing_else(text):
    with pytest.raises(ValueError):
        pairs(text)
