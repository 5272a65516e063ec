"""A link by which one browser connects for a tenant: opened once, by one browser, for a while; and what does not open it."""

from __future__ import annotations

import inspect
import logging
import pickle
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.connect_session import HAND_OVER_LIFE, LINK_LIFE, MOST_CONNECT_SESSIONS, VISIT_LIFE
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    DamagedRowError,
    ProviderNotFoundError,
    SessionNotFoundError,
    TenantNotFoundError,
    ValidationFailedError,
)
from cloud_integrations.flows.connect.begin_oauth import hash_of

from .conftest import ACME, ALICE, GLOBEX, AsyncKnownTenants, KnownTenants

MOMENT = timedelta(microseconds=1)


async def awaited(result):
    return await result if inspect.isawaitable(result) else result


async def _opened(door, **changes):
    new = await door.connect_sessions.create(ACME, **changes)
    return new, await door.connect_sessions.open(new.link_token)


async def test_a_session_is_what_it_was_created_as(world, door):
    new = await awaited(
        world.door.manager.acting_as(ALICE).connect_sessions.create(
            ACME,
            providers=["simulated", str(world.provider.catalogue_entries()[1].provider_id), "simulated"],
            locale="es-MX",
            return_to="https://app.example.com/settings",
            origin="https://app.example.com",
            actor="bob",
        )
    )
    session = new.session
    assert (session.tenant_id, session.actor, session.providers) == (ACME, Actor(id="bob"), ("simulated", "simulated_keys"))
    assert (session.locale, session.return_to, session.origin) == ("es-MX", "https://app.example.com/settings", "https://app.example.com")
    assert (session.expires_at - session.created_at, session.opened_at) == (LINK_LIFE, None)
    assert await door.connect_sessions.list(ACME) == (session,)
    assert await door.connect_sessions.find(new.link_token) == session
    assert session.allows("simulated", "")
    assert not session.allows("simulated", "second")
    assert not session.allows("other", "")
    event = world.last_event()
    assert (event.action, event.actor, event.resource) == ("connect_session.created", ALICE, f"connect_session:{session.id}")
    assert event.details["connects_as"] == "user:bob"
    assert replace(session, providers=()).allows("other", "")


async def test_a_link_is_opened_once_and_its_browser_goes_on(world, door):
    new, opened = await _opened(door)
    assert (opened.session.id, opened.session.opened_at) == (new.session.id, world.clock.now())
    assert world.last_event().action == "connect_session.opened"
    for _ in range(2):
        assert await door.connect_sessions.resume(opened.browser_token) == opened.session
    assert await door.connect_sessions.find(new.link_token) is None
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.open(new.link_token)
    assert await door.connect_sessions.resume(opened.browser_token.reveal()) == opened.session


async def test_neither_token_does_what_the_other_does(door):
    new, opened = await _opened(door)
    waiting = await door.connect_sessions.create(ACME)
    assert await door.connect_sessions.resume(new.link_token) is None
    assert await door.connect_sessions.resume(waiting.link_token) is None
    assert await door.connect_sessions.find(opened.browser_token) is None
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.open(opened.browser_token)


async def test_a_link_ends_and_so_does_a_visit(world, door):
    late, (_, opened) = await door.connect_sessions.create(ACME), await _opened(door)
    world.pass_(seconds=(LINK_LIFE - MOMENT).total_seconds())
    assert await door.connect_sessions.find(late.link_token) == late.session
    world.clock.advance(MOMENT)
    assert await door.connect_sessions.find(late.link_token) is None
    assert await door.connect_sessions.resume(opened.browser_token) is None
    assert await door.connect_sessions.list(ACME) == ()
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.open(late.link_token)
    await door.worker.retry_revocations()
    assert world.tables.connect_sessions == {}


async def test_a_visit_lasts_from_when_the_link_was_opened(world, door):
    new = await door.connect_sessions.create(ACME)
    world.clock.advance(LINK_LIFE - MOMENT)
    opened = await door.connect_sessions.open(new.link_token)
    world.clock.advance(VISIT_LIFE - MOMENT)
    assert await door.connect_sessions.resume(opened.browser_token) == opened.session


async def test_a_session_that_is_revoked_opens_and_resumes_no_more(door):
    waiting, (_, opened) = await door.connect_sessions.create(ACME), await _opened(door)
    for session in (waiting.session, opened.session):
        await door.connect_sessions.revoke(ACME, session.id)
        with pytest.raises(SessionNotFoundError):
            await door.connect_sessions.revoke(ACME, session.id)
    assert await door.connect_sessions.resume(opened.browser_token) is None
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.open(waiting.link_token)


async def test_a_window_joins_the_visit_and_is_known_until_the_visit_ends(world, door):
    _, opened = await _opened(door)
    world.clock.advance(VISIT_LIFE - 2 * HAND_OVER_LIFE)
    join = await door.connect_sessions.hand_over(opened.browser_token)
    joined = await door.connect_sessions.join(join.reveal())
    assert joined.session == opened.session
    assert joined.browser_token.reveal() not in {join.reveal(), opened.browser_token.reveal()}
    world.clock.advance(2 * HAND_OVER_LIFE - timedelta(seconds=1))
    for token in (opened.browser_token, joined.browser_token):
        assert await door.connect_sessions.resume(token) == opened.session
    world.clock.advance(timedelta(seconds=1))
    assert await door.connect_sessions.resume(joined.browser_token) is None


async def test_a_window_joins_for_ten_minutes_and_never_longer_than_the_visit(world, door):
    _, opened = await _opened(door)
    early = await door.connect_sessions.hand_over(opened.browser_token)
    world.clock.advance(HAND_OVER_LIFE - timedelta(seconds=1))
    assert (await door.connect_sessions.join(early)).session == opened.session
    world.clock.advance(timedelta(seconds=1))
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.join(early)
    world.clock.advance(VISIT_LIFE - HAND_OVER_LIFE - timedelta(seconds=1))
    late = await door.connect_sessions.hand_over(opened.browser_token)
    world.clock.advance(timedelta(seconds=1))
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.join(late)
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.hand_over(opened.browser_token)


async def test_no_window_is_left_of_a_session_that_was_revoked(door):
    _, opened = await _opened(door)
    join = await door.connect_sessions.hand_over(opened.browser_token)
    joined = await door.connect_sessions.join(join)
    await door.connect_sessions.revoke(ACME, opened.session.id)
    assert await door.connect_sessions.resume(joined.browser_token) is None
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.join(join)


async def test_windows_of_a_tenant_that_is_gone_are_known_as_its_other_browsers_are(world, door):
    opened = await door.connect_sessions.open((await door.connect_sessions.create(GLOBEX)).link_token)
    window = (await door.connect_sessions.join(await door.connect_sessions.hand_over(opened.browser_token))).browser_token
    gone = world.open(tenants=KnownTenants() if world.blocking else AsyncKnownTenants())
    for token in (opened.browser_token, window):
        assert await gone.connect_sessions.resume(token) == opened.session


async def test_what_only_joins_is_no_window_and_what_nobody_wrote_is_neither(world, door):
    new, opened = await _opened(door)
    join = await door.connect_sessions.hand_over(opened.browser_token)
    window = (await door.connect_sessions.join(join)).browser_token
    assert await door.connect_sessions.resume(join) is None
    other = await door.connect_sessions.create(ACME)
    use, ends, session, tenant, fingerprint = join.reveal().split(".")
    globex = b64encode(GLOBEX.encode()).decode().rstrip("=")
    longer = str(int(ends) + 60)
    forged = [
        *(window, opened.browser_token, new.link_token, "fake", "....", "join.1.2.3.4", "join.\u0663.2.3.4"),
        *(f"window.{ends}.{session}.{tenant}.{fingerprint}", f"{use}.{longer}.{session}.{tenant}.{fingerprint}"),
        *(f"{use}.{ends}.{other.session.id.hex}.{tenant}.{fingerprint}", f"{use}.{ends}.{session}.{globex}.{fingerprint}"),
        *(f"{use}.{ends}.{session}.{tenant}.", f"{use}.{ends}.{session}.%%%.{fingerprint}", f"{use}.{ends}.{session}.{tenant}.{'00' * 16}"),
    ]
    for token in forged:
        with pytest.raises(SessionNotFoundError):
            await door.connect_sessions.join(token)
    for token in forged[1:]:
        if token is not opened.browser_token:
            assert await door.connect_sessions.resume(token) is None
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.hand_over(new.link_token)
    assert (await door.connect_sessions.join(join)).session == opened.session


async def test_a_window_of_a_row_that_somebody_edited_is_not_let_in(world, door):
    new, opened = await _opened(door, providers=["simulated"])
    join = await door.connect_sessions.hand_over(opened.browser_token)
    window = (await door.connect_sessions.join(join)).browser_token
    row = world.tables.connect_sessions[ACME, new.session.id]
    world.tables.connect_sessions[ACME, new.session.id] = replace(row, facts=replace(row.facts, providers=()))
    for call in (door.connect_sessions.join(join), door.connect_sessions.resume(window)):
        with pytest.raises(DamagedRowError):
            await call


@pytest.mark.requirement("ISO-01")
async def test_another_tenant_neither_sees_nor_ends_a_session(door):
    new = await door.connect_sessions.create(ACME)
    assert await door.connect_sessions.list(GLOBEX) == ()
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.revoke(GLOBEX, new.session.id)
    assert await door.connect_sessions.find(new.link_token) == new.session


async def test_of_two_browsers_at_once_one_opens_the_link(world, door):
    new = await door.connect_sessions.create(ACME)
    stored = world.tables.connect_sessions[ACME, new.session.id]
    first = await door.connect_sessions.open(new.link_token)
    opened = world.tables.connect_sessions[ACME, new.session.id]
    # The second has read the row before the first wrote it.
    world.tables.connect_sessions[ACME, new.session.id] = stored

    def late(name, args):
        if name == "apply":
            world.tables.connect_sessions[ACME, new.session.id] = opened

    world.store.before = late
    with pytest.raises(SessionNotFoundError):
        await door.connect_sessions.open(new.link_token)
    assert await door.connect_sessions.resume(first.browser_token) == first.session


@pytest.mark.parametrize(
    "changes", [{"actor": Actor(id="mallory")}, {"tenant_id": GLOBEX}, {"providers": ()}, {"origin": "https://evil.example"}]
)
async def test_a_row_that_somebody_edited_is_not_obeyed(world, door, changes):
    new, opened = await _opened(door, providers=["simulated"])
    key = (ACME, new.session.id)
    row = world.tables.connect_sessions[key]
    world.tables.connect_sessions[key] = replace(row, facts=replace(row.facts, **changes))
    with pytest.raises(DamagedRowError):
        await door.connect_sessions.resume(opened.browser_token)
    assert await door.connect_sessions.list(ACME) == ()


async def test_a_browser_that_somebody_put_into_the_row_is_not_let_in(world, door):
    new, _ = await _opened(door)
    key, own = (ACME, new.session.id), Secret("fake-token-of-mallory")
    world.tables.connect_sessions[key] = replace(world.tables.connect_sessions[key], token_hash=hash_of(own))
    with pytest.raises(DamagedRowError):
        await door.connect_sessions.resume(own)


async def test_a_tenant_has_so_many_that_have_not_ended_and_no_more(world, door):
    for _ in range(MOST_CONNECT_SESSIONS):
        last = await door.connect_sessions.create(ACME)
    with pytest.raises(ValidationFailedError, match="50 connect sessions"):
        await door.connect_sessions.create(ACME)
    await door.connect_sessions.create(GLOBEX)
    await door.connect_sessions.revoke(ACME, last.session.id)
    await door.connect_sessions.create(ACME)
    world.clock.advance(LINK_LIFE)
    await door.connect_sessions.create(ACME)


@pytest.mark.requirement("TST-14")
async def test_no_token_is_stored_recorded_or_shown(world, door, caplog):
    with caplog.at_level(logging.DEBUG):
        new, opened = await _opened(door)
    shown = repr((new, opened, world.tables, world.tables.chains)) + caplog.text + repr(new.session.as_json())
    for token in (new.link_token, opened.browser_token):
        assert token.reveal() not in shown
    with pytest.raises(TypeError):
        pickle.dumps(new)


async def test_a_slot_is_named_only_where_there_are_slots(door):
    with pytest.raises(ValidationFailedError) as caught:
        await door.connect_sessions.create(ACME, slot="second")
    assert caught.value.field == "slot"


async def test_a_provider_or_a_tenant_that_is_not_there_is_told(world):
    tenants = KnownTenants() if world.blocking else AsyncKnownTenants()
    door = world.open(tenants=tenants)
    with pytest.raises(ProviderNotFoundError):
        await door.connect_sessions.create(ACME, providers=["no-such"])
    with pytest.raises(TenantNotFoundError):
        await door.connect_sessions.create("no-such")


@pytest.mark.parametrize(
    "return_to",
    ["javascript:alert(1)", "http://app.example.com/", "https://user@app.example.com/", "https:///path", "https://app.example.com\\@evil.example",
     "/\\evil.example", "//evil.example", "https://[app", "ftp://app.example.com"],
)  # fmt: skip
async def test_a_way_back_is_a_path_or_an_https_address(door, return_to):
    with pytest.raises(ValidationFailedError) as caught:
        await door.connect_sessions.create(ACME, return_to=return_to)
    assert caught.value.field == "returnTo"


async def test_a_path_and_no_way_back_are_taken(door):
    for return_to in ("/settings?tab=1", None):
        assert (await door.connect_sessions.create(ACME, return_to=return_to)).session.return_to == return_to
