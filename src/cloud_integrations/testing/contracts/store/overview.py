"""What a store promises about what operators see of all tenants."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cloud_integrations.domain.audit import REFRESH, Outcome
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.integration import Health, SealedCredential, State
from cloud_integrations.domain.overview import EVERY_INTEGRATION, BoundedCount, IntegrationFilter, ListedIntegration, RenewalHour
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.ports.store import USES_EVERY, AddIntegration, EraseIntegration, MarkUsed, Record, ReplaceCredential
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    INSTANT,
    OTHER_PROVIDER,
    PROVIDER,
    SEALING_KEY,
    SECOND,
    a_credential,
    an_event,
    an_integration,
    lease,
    rotated,
    settled,
)

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_KEY: dict[str, Any] = {"renewal_rule": "reconnect", "reconnect_before": None}
_OFF: dict[str, Any] = {"state": State.DISABLED, "reason": "switched_off"}
_REFUSED: dict[str, Any] = {"reason": "invalid_client"}
_CASES: dict[str, dict[str, Any]] = {
    "works": {},
    "of-globex": {"tenant_id": GLOBEX},
    "elsewhere": {"provider_id": OTHER_PROVIDER, "method_id": "api_key"},
    "by-key": {"method_id": "api_key"},
    "retried": {"state": State.RETRY, "reason": "server_error"},
    "unknown": {"state": State.UNKNOWN, "reason": "lost"},
    "refused": _REFUSED,
    "refused-again": {"state": State.RETRY, **_REFUSED},
    "unchosen": {"variables": {"project": ""}},
    "revoked": {"state": State.NEEDS_REAUTH, "reason": "revoked"},
    "off": _OFF,
    "ended": {**_KEY, "expires_at": START + SECOND},
    "ended-elsewhere": {**_KEY, "expires_at": START + SECOND, "provider_id": OTHER_PROVIDER},
    "ended-off": {**_KEY, **_OFF, "expires_at": START + SECOND},
    "ends-first": {**_KEY, "expires_at": START + 2 * _DAY},
    "ends-by-grant": {"reconnect_before": START + 3 * _DAY},
    "ends-by-both": {"renewal_rule": "reconnect", "expires_at": START + 4 * _DAY, "reconnect_before": START + 2 * _DAY},
    "ends-off": {**_KEY, **_OFF, "expires_at": START + 2 * _DAY},
    "never-ends": {"renewal_rule": "keep", "reconnect_before": None, "expires_at": None},
}
_ENDED = {"ended", "ended-elsewhere"}
_WHERE_NOTHING_IS_SAID = {"works", "by-key", "ends-first", "ends-by-grant", "ends-by-both", "never-ends"}
_ADMITTED: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set(_CASES)),
    ({"tenant_id": GLOBEX}, {"of-globex"}),
    ({"tenant_id": ACME, "health": Health.UNKNOWN}, {"unknown"}),
    ({"provider_id": OTHER_PROVIDER}, {"elsewhere", "ended-elsewhere"}),
    ({"provider_id": OTHER_PROVIDER, "method_id": "api_key"}, {"elsewhere"}),
    ({"method_id": "api_key"}, {"elsewhere", "by-key"}),
    ({"health": Health.OK}, _WHERE_NOTHING_IS_SAID | {"of-globex", "elsewhere"}),
    ({"health": Health.OK, "provider_id": PROVIDER, "method_id": "api_key"}, {"by-key"}),
    ({"health": Health.RETRYING}, {"retried"}),
    ({"health": Health.UNKNOWN}, {"unknown"}),
    ({"health": Health.APPLICATION_REFUSED}, {"refused", "refused-again"}),
    ({"health": Health.CHOOSE_RESOURCE}, {"unchosen"}),
    ({"health": Health.RECONNECT_REQUIRED}, {"revoked", *_ENDED}),
    ({"health": Health.RECONNECT_REQUIRED, "provider_id": OTHER_PROVIDER}, {"ended-elsewhere"}),
    ({"health": Health.DISABLED}, {"off", "ended-off", "ends-off"}),
    ({"health": Health.DISABLED, "method_id": "api_key"}, set()),
    ({"ends_before": START + 2 * _DAY}, set()),
    ({"ends_before": START + 2 * _DAY + INSTANT}, {"ends-first", "ends-by-both"}),
    ({"ends_before": START + 5 * _DAY}, {"ends-first", "ends-by-both", "ends-by-grant"}),
    ({"ends_before": START + 5 * _DAY, "health": Health.OK, "tenant_id": ACME}, {"ends-first", "ends-by-both", "ends-by-grant"}),
    ({"ends_before": START + 5 * _DAY, "provider_id": OTHER_PROVIDER}, set()),
    ({"unused_since": START}, set()),
    ({"unused_since": START + INSTANT, "health": Health.UNKNOWN}, {"unknown"}),
    ({"unused_since": START + INSTANT, "tenant_id": GLOBEX}, {"of-globex"}),
    ({"key_version": 1}, set(_CASES)),
    ({"key_version": 2}, set()),
    ({"key_version": 1, "health": Health.RETRYING}, {"retried"}),
]


class OverviewContract(Contract):
    """Searching, counting, and the time of the last use."""

    def test_a_filter_admits_what_agrees_with_all_that_it_names(self, blocking: BlockingStore, clock: FixedClock) -> None:
        _add_cases(blocking)
        clock.advance(SECOND)
        for named, admitted in _ADMITTED:
            matching = IntegrationFilter(**named)
            for limit in (2, 100):
                slots = [item.integration.slot for item in _pages(blocking, matching, limit=limit)]
                assert (len(slots), set(slots)) == (len(admitted), admitted), named
            assert blocking.count_matching(matching) == BoundedCount(number=len(admitted), at_least=False), named

    def test_an_integration_is_listed_as_it_is_now(self, blocking: BlockingStore, clock: FixedClock) -> None:
        ends = an_integration(renewal_rule="reconnect", expires_at=START + SECOND)
        blocking.apply(AddIntegration(facts=ends, credential=replace(a_credential(), renewal=None)))
        (listed,) = _pages(blocking, EVERY_INTEGRATION)
        assert listed == ListedIntegration(integration=ends, key_version=1)
        assert (listed.ends_at, listed.idle_since) == (START + SECOND, START)
        clock.advance(SECOND)
        (listed,) = _pages(blocking, EVERY_INTEGRATION)
        assert listed.integration == ends.as_of(clock.now())
        assert listed.integration.health is Health.RECONNECT_REQUIRED

    def test_the_version_of_the_key_that_sealed_it_is_told(self, blocking: BlockingStore) -> None:
        before, after = an_integration(slot="before"), an_integration(slot="after")
        blocking.apply(AddIntegration(facts=before, credential=a_credential()))
        blocking.apply(rotated())
        blocking.apply(AddIntegration(facts=after, credential=replace(a_credential(), key_id=rotated().key.key_id)))
        found = {item.integration.slot: item.key_version for item in _pages(blocking, EVERY_INTEGRATION)}
        assert found == {"before": 1, "after": 2}
        assert [item.integration.slot for item in _pages(blocking, IntegrationFilter(key_version=1))] == ["before"]

    def test_pages_go_on_behind_what_is_gone_and_reach_what_came(self, blocking: BlockingStore) -> None:
        stored = [an_integration(slot=f"slot-{number}") for number in range(5)]
        blocking.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in stored])
        first = blocking.search_integrations(EVERY_INTEGRATION, limit=2)
        for item in first.items:
            blocking.apply(EraseIntegration(tenant_id=ACME, integration_id=item.integration.id, expected_generation=1))
        added = an_integration(GLOBEX)
        blocking.apply(AddIntegration(facts=added, credential=a_credential()))
        rest = _pages(blocking, EVERY_INTEGRATION, after=first.after, limit=2)
        assert {item.integration.id for item in rest} == {facts.id for facts in (*stored, added)} - {
            item.integration.id for item in first.items
        }

    def test_what_no_page_returned_is_refused(self, blocking: BlockingStore) -> None:
        _add_cases(blocking)
        page = blocking.search_integrations(EVERY_INTEGRATION, limit=1)
        for wrong in (
            "",
            "x",
            "e30",
            "W10",
            "WzBd0",
            "é",
            page.after[:-4],
            page.after + "AAAA",
            "W10" * 100,
            "WzAsMSwyLDMsNCw1XQ",
            "Wzk5XQ",
        ):
            with pytest.raises(ValidationFailedError) as caught:
                blocking.search_integrations(EVERY_INTEGRATION, after=wrong, limit=1)
            assert caught.value.field == "after"

    def test_a_use_is_written_at_once_the_first_time_and_then_once_a_day(self, blocking: BlockingStore) -> None:
        facts = an_integration()
        blocking.apply(AddIntegration(facts=facts, credential=a_credential()))
        assert blocking.find_integration(ACME, facts.id).facts.last_used_at is None
        first = START + SECOND
        for at, told in ((first, first), (first + USES_EVERY - INSTANT, first), (first + USES_EVERY, first + USES_EVERY), (first, None)):
            blocking.apply(MarkUsed(tenant_id=ACME, integration_id=facts.id, at=at))
            expected = told or first + USES_EVERY
            found = blocking.find_integration(ACME, facts.id)
            assert found.facts.last_used_at == expected
            assert blocking.list_integrations(ACME) == (found.facts,)
            assert blocking.find_credential(ACME, PROVIDER) == found.to_use
            (listed,) = _pages(blocking, EVERY_INTEGRATION)
            assert (listed.integration.last_used_at, listed.idle_since) == (expected, expected)
        assert _pages(blocking, IntegrationFilter(unused_since=expected)) == []
        assert len(_pages(blocking, IntegrationFilter(unused_since=expected + INSTANT))) == 1

    def test_a_use_changes_nothing_else_and_outlives_a_reconnect(self, blocking: BlockingStore) -> None:
        facts = an_integration()
        blocking.apply(AddIntegration(facts=facts, credential=a_credential()))
        before = blocking.find_integration(ACME, facts.id)
        used = START + SECOND
        blocking.apply(MarkUsed(tenant_id=ACME, integration_id=facts.id, at=used))
        blocking.apply(MarkUsed(tenant_id=GLOBEX, integration_id=facts.id, at=used))
        assert blocking.find_integration(ACME, facts.id) == replace(before, facts=replace(facts, last_used_at=used))
        again = replace(facts, updated_at=START + _DAY)
        blocking.apply(ReplaceCredential(facts=again, credential=a_credential(2), expected_generation=1))
        assert blocking.find_integration(ACME, facts.id).facts.last_used_at == used

    def test_renewals_are_counted_by_the_hour_in_which_they_ended(self, blocking: BlockingStore) -> None:
        times = [
            (Outcome.SUCCESS, START - INSTANT),
            (Outcome.SUCCESS, START),
            (Outcome.STARTED, START),
            (Outcome.FAILURE, START + _HOUR - INSTANT),
            (Outcome.UNKNOWN, START + _HOUR),
            (Outcome.SUCCESS, START + 2 * _HOUR),
        ]
        events = [an_event(action=REFRESH, outcome=outcome, occurred_at=at) for outcome, at in times]
        events.append(an_event(GLOBEX, action=REFRESH, provider_id=OTHER_PROVIDER, occurred_at=START))
        blocking.apply(Record(event=an_event(occurred_at=START)), *[Record(event=event) for event in events])
        counted = blocking.count_renewals(since=START, hours=2)
        assert [hour.total for hour in counted] == [
            RenewalHour(start=START, renewed=2, failed=1, at_least=False),
            RenewalHour(start=START + _HOUR, renewed=0, failed=1, at_least=False),
        ]
        assert len(blocking.count_renewals(since=START, hours=168)) == 168

    def test_renewals_are_counted_by_provider(self, blocking: BlockingStore) -> None:
        outcomes: list[tuple[ProviderId | None, Outcome]] = [
            (PROVIDER, Outcome.SUCCESS),
            (PROVIDER, Outcome.SUCCESS),
            (PROVIDER, Outcome.FAILURE),
            (PROVIDER, Outcome.UNKNOWN),
            (OTHER_PROVIDER, Outcome.SUCCESS),
            (None, Outcome.UNKNOWN),
        ]
        events = [an_event(action=REFRESH, provider_id=provider, outcome=outcome, occurred_at=START) for provider, outcome in outcomes]
        later = an_event(GLOBEX, action=REFRESH, provider_id=OTHER_PROVIDER, outcome=Outcome.FAILURE, occurred_at=START + _HOUR)
        blocking.apply(*[Record(event=event) for event in (*events, later)])
        first, second = blocking.count_renewals(since=START, hours=2)
        assert (dict(first.renewed), dict(first.failed)) == ({PROVIDER: 2, OTHER_PROVIDER: 1}, {PROVIDER: 2, None: 1})
        assert (dict(second.renewed), dict(second.failed)) == ({}, {OTHER_PROVIDER: 1})
        assert [hour.of(OTHER_PROVIDER) for hour in (first, second)] == [
            RenewalHour(start=START, renewed=1, failed=0, at_least=False),
            RenewalHour(start=START + _HOUR, renewed=0, failed=1, at_least=False),
        ]

    def test_ends_are_counted_by_day_each_integration_once(self, blocking: BlockingStore, clock: FixedClock) -> None:
        _add_cases(blocking)
        clock.advance(SECOND)
        today = START.date()
        counted = blocking.count_ends(since=today, days=5)
        assert [(each.day - today, each.number, each.at_least) for each in counted] == [
            (number * _DAY, ending, False) for number, ending in enumerate((0, 0, 2, 1, 0))
        ]
        assert sum(each.number for each in blocking.count_ends(since=today, days=366)) > 3

    def test_errors_are_counted_for_one_provider_by_health_and_word(self, blocking: BlockingStore) -> None:
        _add_cases(blocking)
        failing = an_integration(slot="failing")
        blocking.apply(AddIntegration(facts=failing, credential=a_credential()))
        blocking.apply(lease(failing))
        blocking.apply(settled(failing, error="server_error", reason="server_error", failed_at=START + SECOND))
        blocking.apply(
            *[
                AddIntegration(facts=an_integration(slot=slot, state=State.RETRY, reason="server_error"), credential=a_credential())
                for slot in ("again", "and-again")
            ]
        )
        counted = blocking.count_errors(PROVIDER, since=START)
        assert not counted.at_least
        assert [(each.health, each.error, each.number, each.last_at) for each in counted.errors] == [
            (Health.RETRYING, "server_error", 4, START + SECOND),
            (Health.APPLICATION_REFUSED, "invalid_client", 2, START),
            (Health.RECONNECT_REQUIRED, "revoked", 1, START),
            (Health.UNKNOWN, "lost", 1, START),
        ]
        (counted,) = blocking.count_errors(PROVIDER, since=START + INSTANT).errors
        assert (counted.error, counted.number) == ("server_error", 1)
        assert blocking.count_errors(OTHER_PROVIDER, since=START).errors == ()


def _add_cases(blocking: BlockingStore) -> None:
    key = SealedCredential(generation=1, key_id=SEALING_KEY, presented=b"fake\x00key")
    changes = []
    for slot, named in _CASES.items():
        facts = an_integration(slot=slot, **named)
        changes.append(AddIntegration(facts=facts, credential=a_credential() if facts.renewable else key))
    blocking.apply(*changes)


def _pages(
    blocking: BlockingStore, matching: IntegrationFilter, /, *, after: str | None = None, limit: int = 100
) -> list[ListedIntegration]:
    found: list[ListedIntegration] = []
    for _ in range(200):
        page = blocking.search_integrations(matching, after=after, limit=limit)
        assert len(page.items) <= limit
        found += page.items
        after = page.after
        if after is None:
            return found
    raise AssertionError("the pages do not end")
