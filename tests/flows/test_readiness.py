"""An operator sees what works here, what is missing, and what ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cloud_integrations import ApplicationReadiness, Catalogue, MissingPart, PlatformCredential, Secret, Settings
from cloud_integrations.domain.provider import RefreshTokenFacts, Variable
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.ports.store import DamagedRow

from .conftest import CALLBACK_URL


def _missing(reports, slug):
    (report,) = [each for each in reports if each.slug == slug]
    return {method.id: [part.what for part in method.missing] for method in report.methods}


def test_what_is_missing_is_named(world):
    door = world.open(providers=[Catalogue.builtin().require(slug) for slug in ("aws", "github")], applications=[])
    reports = door.manager.report_providers()
    assert _missing(reports, "aws") == {"access_key": [], "web_identity": ["issuer"], "role": ["platform"]}
    assert _missing(reports, "github")["oauth_app"] == ["application"]
    platform = {"aws": PlatformCredential(parts={"access_key_id": Secret("fake"), "secret_access_key": Secret("fake")})}
    door = world.open(providers=[Catalogue.builtin().require("aws")], applications=[], platform=platform)
    assert _missing(door.manager.report_providers(), "aws")["role"] == []


def test_a_method_that_is_offered_lacks_no_application_and_no_issuer(world):
    entry = world.entries[0]
    for applications in ([], [world.provider.application()]):
        manager = world.open(providers=[entry], applications=applications).manager
        (offered,) = manager.list_providers()
        (report,) = manager.report_providers()
        assert [each.id for each in offered.methods] == [each.id for each in report.methods if each.ready]
        assert report.redirect_uri == offered.redirect_uri


def test_a_value_that_only_the_operator_may_give_is_missing(world):
    variable = Variable(name="app_slug", pattern="^[a-z]+$", source="application")
    (report,) = world.open(providers=[world.entries[0].model_copy(update={"variables": (variable,)})]).manager.report_providers()
    assert MissingPart(what="variable", name="app_slug") in report.methods[0].missing
    assert not report.methods[0].ready


def test_what_ends_by_age_is_told(world):
    today = world.clock.now().date()
    facts = RefreshTokenFacts(idle=timedelta(days=30), absolute=timedelta(days=90))
    entry = world.entries[0]
    method = entry.methods[0].model_copy(update={"refresh_token": facts})
    for age, is_old in ((365, False), (366, True)):
        told = entry.model_copy(update={"methods": (method,), "checked": today - timedelta(days=age)})
        (report,) = world.open(providers=[told]).manager.report_providers()
        assert (report.is_old, report.checked) == (is_old, today - timedelta(days=age))
        assert (report.methods[0].idle_seconds, report.methods[0].absolute_seconds) == (30 * 86_400, 90 * 86_400)


def test_the_age_of_a_client_secret_is_told_where_it_was_said(world):
    today = world.clock.now().date()
    for age, is_old in ((365, False), (366, True)):
        since = today - timedelta(days=age)
        application = replace(world.provider.application(), secret_since=since)
        (report,) = world.open(providers=[world.entries[0]], applications=[application]).manager.report_providers()
        assert report.application == ApplicationReadiness(
            client_id=application.client_id, client_secrets=1, secret_since=since, is_old=is_old
        )
    (report,) = world.open(providers=[world.entries[0]]).manager.report_providers()
    assert (report.application.secret_since, report.application.is_old) == (None, False)
    (report,) = world.open(providers=[world.entries[0]], applications=[]).manager.report_providers()
    assert report.application is None


@pytest.mark.parametrize("wrong", ["2026-03-01", 20260301, datetime(2026, 3, 1, tzinfo=UTC)])
def test_a_day_that_is_none_is_refused(world, wrong):
    with pytest.raises(ConfigurationError, match=r"OAuthApplication\.secret_since"):
        replace(world.provider.application(), secret_since=wrong)


def _ageing(reports):
    return {(report.slug, each.id): (each.integrations, each.ending_soon, each.first_end) for report in reports for each in report.methods}


async def test_what_ends_is_told_with_the_number_of_integrations_of_all_tenants(world):
    door = world.open(settings=Settings(callback_url=CALLBACK_URL, slots=True))
    for tenant, slot in (("acme", ""), ("acme", "second"), ("globex", "")):
        await world.add_key(tenant, slot=slot, door=door)
    keys, oauth = world.entries[1], world.entries[0]
    counted = _ageing(await door.report_ageing())
    assert counted[keys.id, keys.methods[0].id] == (3, 0, None)
    assert counted[oauth.id, oauth.methods[0].id] == (0, 0, None)
    assert set(_ageing(door.manager.report_providers()).values()) == {(None, None, None)}


@pytest.mark.parametrize(("days", "ending"), [(29, 1), (31, 0)])
async def test_grants_that_end_within_thirty_days_are_counted_with_the_first_end(world, days, ending):
    facts = RefreshTokenFacts(idle=timedelta(days=days))
    entry = world.entries[0]
    methods = tuple(method.model_copy(update={"refresh_token": facts}) for method in entry.methods)
    world.door = world.open(providers=[entry.model_copy(update={"methods": methods})])
    integration = await world.connect()
    assert integration.reconnect_before == world.clock.now() + timedelta(days=days)
    counted = _ageing(await world.door.report_ageing())[entry.id, integration.method_id]
    assert counted == (1, ending, integration.reconnect_before if ending else None)


async def test_a_row_whose_method_cannot_be_read_is_told_and_the_others_are_counted(world):
    await world.add_key()
    count = world.rows.count_endings
    world.rows.count_endings = lambda **named: (DamagedRow(table="ci_integration", row="?/?"), *count(**named))
    keys = world.entries[1]
    assert _ageing(await world.door.report_ageing())[keys.id, keys.methods[0].id] == (1, 0, None)
    assert [fact.facts for fact in world.facts.told if fact.name == "storage.damaged_row"] == [{"table": "ci_integration", "row": "?/?"}]
