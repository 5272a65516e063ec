"""What a renewal without tokens means for the row and for the caller: tables of cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_integrations.domain.integration import Phase, RefreshMarks, State
from cloud_integrations.domain.outcome import Misconfigured, NotProcessed, Refused, Rejected, Unknown
from cloud_integrations.domain.settlement import MISCONFIGURED_REST, Attempted, mint_settlement, settlement
from cloud_integrations.testing.contracts.store import an_integration

from .renewal_values import DAY, ENDS_OLD_ACCESS, GRACE, HOUR, MINUTE, NOW, SECOND, STRICT, TOLERANT

LIMIT = 7 * DAY
FAILURES = [
    Refused("invalid_grant"),
    Rejected("denied"),
    NotProcessed("unreachable"),
    Misconfigured("invalid_client"),
    Unknown("answer_lost"),
]


def attempted(
    behaviour=TOLERANT, *, state=State.ACTIVE, reason=None, left=HOUR, unresolved=False, dead=False, chance=1.0, others=None, **marks
):
    """An attempt on a credential that has *left* of its life."""
    return Attempted(
        before=replace(an_integration(), state=state, reason=reason, expires_at=None if left is None else NOW + left),
        marks=RefreshMarks(**marks),
        behaviour=behaviour,
        unresolved_before=unresolved,
        access_is_dead=dead,
        now=NOW,
        store_now=NOW,
        chance=chance,
        refusal_limit=LIMIT,
        others_renewed=others,
    )


@pytest.mark.requirement("REF-07")
@pytest.mark.parametrize(
    ("reason", "unresolved", "why"),
    [
        ("invalid_grant", False, "revoked"),
        ("grant_dead", False, "revoked"),
        ("invalid_grant", True, "rotation_lost"),
        ("consent_required", False, "interaction_required"),
        ("login_required", True, "interaction_required"),
    ],
)
def test_a_dead_grant_asks_the_tenant_to_reconnect_and_is_not_tried_again(reason, unresolved, why):
    settled = settlement(Refused(reason), attempted(unresolved=unresolved))
    assert (settled.state, settled.reason, settled.error, settled.verdict) == (State.NEEDS_REAUTH, why, reason, "reconnect")
    assert (settled.wait, settled.due_in, settled.refused) == (None, None, True)


@pytest.mark.parametrize("failure", [NotProcessed("unreachable"), Unknown("answer_lost"), Unknown("server_error")])
def test_an_outage_is_never_a_reconnect_however_long_it_is(failure):
    settled = settlement(failure, attempted(refused_since=NOW - 100 * DAY, attempts=1000, others=True))
    assert settled.verdict == "unavailable"
    assert settled.state in {State.RETRY, State.UNKNOWN}
    assert settled.refused is False


@pytest.mark.parametrize(
    ("failure", "since", "others", "verdict"),
    [
        (Rejected("denied"), None, None, "unavailable"),
        (Rejected("denied"), NOW - LIMIT + SECOND, True, "unavailable"),
        (Rejected("denied"), NOW - LIMIT, True, "reconnect"),
        (Rejected("denied"), NOW - LIMIT, None, "reconnect"),
        (Rejected("denied"), NOW - LIMIT, False, "unavailable"),
        (Misconfigured("invalid_client"), NOW - LIMIT + SECOND, True, "misconfigured"),
        (Misconfigured("invalid_client"), NOW - LIMIT, True, "reconnect"),
        (Misconfigured("invalid_client"), NOW - LIMIT, None, "misconfigured"),
        (Misconfigured("invalid_client"), NOW - LIMIT, False, "misconfigured"),
    ],
)
def test_days_of_refusals_are_the_grants_fault_where_others_are_renewed(failure, since, others, verdict):
    settled = settlement(failure, attempted(refused_since=since, others=others))
    assert settled.verdict == verdict
    assert settled.reason == ("refused_for_days" if verdict == "reconnect" else failure.reason)
    assert (settled.error, settled.refused) == (failure.reason, True)


@pytest.mark.parametrize(
    ("failure", "unresolved", "state"),
    [
        (Rejected("denied"), False, State.RETRY),
        (Rejected("denied"), True, State.UNKNOWN),
        (NotProcessed("rate_limited"), False, State.RETRY),
        (NotProcessed("rate_limited"), True, State.UNKNOWN),
        (Misconfigured("invalid_client"), False, State.ACTIVE),
        (Misconfigured("invalid_client"), True, State.UNKNOWN),
        (Unknown("answer_lost"), False, State.UNKNOWN),
    ],
)
def test_a_lost_answer_is_not_forgotten_over_the_next_failure(failure, unresolved, state):
    settled = settlement(failure, attempted(unresolved=unresolved))
    assert (settled.state, settled.reason, settled.error) == (state, failure.reason, failure.reason)


@pytest.mark.parametrize(
    ("attempts", "chance", "wait"),
    [(0, 1.0, SECOND), (0, 0.0, SECOND / 2), (3, 1.0, 8 * SECOND), (3, 0.25, 2 * SECOND), (9, 1.0, 5 * MINUTE), (500, 1.0, 5 * MINUTE)],
)
def test_waits_double_up_to_five_minutes_with_full_jitter(attempts, chance, wait):
    settled = settlement(NotProcessed("unreachable"), attempted(attempts=attempts, chance=chance))
    assert (settled.wait, settled.due_in, settled.retry_after) == (wait, wait, wait)


@pytest.mark.parametrize("failure", [Rejected("denied", HOUR), NotProcessed("rate_limited", HOUR), Unknown("server_error", HOUR)])
def test_a_wait_that_the_provider_asks_for_is_kept(failure):
    assert settlement(failure, attempted()).wait == HOUR


@pytest.mark.parametrize(("attempts", "due_in"), [(0, SECOND), (4, 16 * SECOND), (11, 2048 * SECOND), (12, HOUR), (99, HOUR)])
def test_the_worker_asks_a_provider_that_refuses_more_and_more_rarely(attempts, due_in):
    settled = settlement(Rejected("denied"), attempted(attempts=attempts, chance=0.001))
    assert settled.due_in == due_in
    assert settled.wait <= settled.due_in


def test_a_refused_application_rests_for_the_worker_and_not_for_who_has_mended_it():
    settled = settlement(Misconfigured("invalid_client"), attempted())
    assert (settled.wait, settled.due_in, settled.retry_after) == (SECOND, MISCONFIGURED_REST, None)


@pytest.mark.parametrize(
    ("attempts", "unresolved", "asked", "wait"),
    [
        (0, False, None, 2 * SECOND),
        (0, False, HOUR, 2 * SECOND),
        (2, True, None, 2 * SECOND),
        (3, True, None, 4 * SECOND),
        (3, True, HOUR, HOUR),
        (9, False, None, 2 * SECOND),
    ],
)
def test_inside_a_grace_period_the_replay_comes_soon(attempts, unresolved, asked, wait):
    failure = Unknown("answer_lost", asked)
    settled = settlement(failure, attempted(GRACE, attempts=attempts, unresolved=unresolved, chance=0.5))
    assert settled.wait == wait


@pytest.mark.parametrize(
    ("behaviour", "over", "phase", "wait"),
    [
        (STRICT, False, Phase.UNKNOWN, 20 * SECOND),
        (STRICT, True, Phase.IDLE, SECOND),
        (TOLERANT, False, Phase.IDLE, SECOND),
    ],
)
def test_a_request_that_may_be_under_way_keeps_its_lease_where_a_replay_is_punished(behaviour, over, phase, wait):
    settled = settlement(Unknown("answer_lost", over=over), attempted(behaviour, lease_until=NOW + 20 * SECOND))
    assert (settled.phase, settled.wait) == (phase, wait)
    assert settlement(Unknown("answer_lost", over=over), attempted(behaviour)).wait == SECOND


@pytest.mark.parametrize(
    ("behaviour", "left", "again"),
    [
        (STRICT, HOUR, HOUR),
        (STRICT, None, SECOND),
        (STRICT, -HOUR, SECOND),
        (ENDS_OLD_ACCESS, HOUR, SECOND),
        (TOLERANT, HOUR, SECOND),
    ],
)
def test_where_a_replay_is_punished_the_held_token_is_used_to_its_end(behaviour, left, again):
    settled = settlement(Unknown("answer_lost"), attempted(behaviour, left=left))
    assert (settled.due_in, settled.retry_after, settled.is_unknown) == (again, again, True)


def test_a_caller_whose_token_was_refused_need_not_wait_for_its_end_and_the_worker_does():
    settled = settlement(Unknown("server_error", over=True), attempted(STRICT, left=HOUR, dead=True))
    assert (settled.wait, settled.retry_after, settled.due_in) == (SECOND, SECOND, HOUR)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_verdict_stands_when_an_operator_had_it_asked_in_vain(failure):
    settled = settlement(failure, attempted(state=State.NEEDS_REAUTH, reason="interaction_required"))
    assert (settled.state, settled.reason) == (State.NEEDS_REAUTH, "interaction_required")
    assert (settled.wait, settled.due_in) == (None, None)
    assert settled.error == failure.reason


def test_a_verdict_without_a_reason_is_given_one():
    assert settlement(Refused("invalid_grant"), attempted(state=State.NEEDS_REAUTH)).reason == "revoked"
    assert settlement(NotProcessed("unreachable"), attempted(state=State.NEEDS_REAUTH)).reason is None


# A mint


@pytest.mark.parametrize(
    ("failure", "state", "reason", "verdict", "refused", "retry_after"),
    [
        (Refused("invalid_grant"), State.NEEDS_REAUTH, "refused", "reconnect", True, None),
        (Refused("application_refused"), State.NEEDS_REAUTH, "refused", "reconnect", True, None),
        (Rejected("denied"), State.RETRY, "denied", "unavailable", True, SECOND),
        (NotProcessed("unreachable"), State.RETRY, "unreachable", "unavailable", False, SECOND),
        (Misconfigured("invalid_client"), State.ACTIVE, "invalid_client", "misconfigured", True, None),
        (Unknown("answer_lost"), State.RETRY, "answer_lost", "unavailable", False, 0 * SECOND),
    ],
)
def test_a_failed_mint_waits_for_no_lease_and_no_worker(failure, state, reason, verdict, refused, retry_after):
    settled = mint_settlement(failure, attempted())
    assert (settled.state, settled.reason, settled.error, settled.verdict) == (state, reason, failure.reason, verdict)
    assert (settled.phase, settled.wait, settled.due_in, settled.is_unknown) == (Phase.IDLE, None, None, False)
    assert (settled.refused, settled.retry_after) == (refused, retry_after)


@pytest.mark.parametrize(
    ("failure", "others", "verdict"),
    [
        (Rejected("denied"), None, "reconnect"),
        (Rejected("denied"), True, "reconnect"),
        (Rejected("denied"), False, "unavailable"),
        (Misconfigured("invalid_client"), None, "misconfigured"),
        (Misconfigured("invalid_client"), True, "reconnect"),
        (NotProcessed("unreachable"), True, "unavailable"),
        (Unknown("answer_lost"), True, "unavailable"),
    ],
)
def test_days_of_refused_mints_are_counted_as_those_of_refreshes(failure, others, verdict):
    settled = mint_settlement(failure, attempted(refused_since=NOW - 8 * DAY, others=others))
    assert settled.verdict == verdict
    assert (settled.reason == "refused_for_days") is (verdict == "reconnect")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_mint_that_an_operator_asked_for_never_takes_the_verdict_back(failure):
    settled = mint_settlement(failure, attempted(state=State.NEEDS_REAUTH, reason="refused"))
    assert (settled.state, settled.reason) == (State.NEEDS_REAUTH, "refused")
