"""The guards of refresh, of OAuth and of what every operation relies on."""

from __future__ import annotations

from .mutant import STORE, Mutant

REFRESH_TABLE = "backends/sqlalchemy/tables/refresh.py"
LOCKS = "runtime/single_flight.py"
HELD_UP = "tests/faults/test_held_up.py::"
TOO_EARLY = "tests/flows/test_replacement_limit.py::"
KILLED = "tests/faults/test_killed.py::test_what_a_killed_process_leaves_is_taken_up_by_the_next"

MUTANTS = {
    "the newest lease wins": Mutant(
        file=REFRESH_TABLE,
        guard='.where(THIS, _i.writer_lease < bindparam("if_lease"), AT_GENERATION)',
        without=".where(THIS, AT_GENERATION)",
        noticed_by=f"{STORE}test_the_newest_lease_wins",
    ),
    "a success needs no lease": Mutant(
        file=REFRESH_TABLE,
        guard='.where(THIS, _i.writer_lease < bindparam("if_lease"), AT_GENERATION)',
        without=".where(THIS, WITH_LEASE, AT_GENERATION)",
        noticed_by=f"{STORE}test_good_tokens_are_kept_when_the_lease_was_lost",
    ),
    "a failure needs its lease": Mutant(
        file=REFRESH_TABLE,
        guard="_SETTLE = update(schema.integration).where(THIS, WITH_LEASE, AT_GENERATION,",
        without="_SETTLE = update(schema.integration).where(THIS, AT_GENERATION,",
        noticed_by=f"{STORE}test_a_fenced_loser_cannot_settle",
    ),
    "nobody leases another generation": Mutant(
        file=REFRESH_TABLE,
        guard='        THIS,\n        AT_GENERATION,\n        _i.state != "disabled",\n        or_(',
        without='        THIS,\n        _i.state != "disabled",\n        or_(',
        noticed_by=f"{STORE}test_another_generation_or_no_integration_is_not_leased",
    ),
    "a running lease is not taken": Mutant(
        file=REFRESH_TABLE,
        guard="_i.lease_until + _REST_AFTER_SENDING < NOW",
        without="_i.lease_until < NOW + 86_400_000_000",
        noticed_by=f"{STORE}test_a_running_lease_is_not_taken",
    ),
    "nobody takes over soon what was sent": Mutant(
        file=REFRESH_TABLE,
        guard="_i.lease_until + _REST_AFTER_SENDING < NOW",
        without="_i.lease_until < NOW",
        noticed_by=f"{STORE}test_a_request_in_flight_delays_the_takeover",
    ),
    "a lease is ended by its holder alone": Mutant(
        file=REFRESH_TABLE,
        guard="lease_until=case((WITH_LEASE, null()), else_=_i.lease_until),",
        without="lease_until=null(),",
        noticed_by=f"{STORE}test_good_tokens_are_kept_when_the_lease_was_lost",
    ),
    "a request is announced before it leaves": Mutant(
        file=REFRESH_TABLE,
        guard='.values(phase="sent", sent_at=func.coalesce(_i.sent_at, NOW))',
        without='.values(phase="leased")',
        noticed_by=f"{KILLED}[sqlite-after_response-strict]",
    ),
    "a loss is as old as its first request": Mutant(
        file=REFRESH_TABLE,
        guard="sent_at=func.coalesce(_i.sent_at, NOW)",
        without="sent_at=NOW",
        noticed_by=f"{STORE}test_the_first_request_without_an_outcome_is_remembered",
    ),
    "a switch does not forget a loss": Mutant(
        file="flows/use/edit_integration.py",
        guard="    if is_unresolved(stored):\n",
        without="    if stored is None:\n",
        noticed_by="tests/flows/test_edit_and_verify.py::test_off_and_on_again_does_not_forget_that_an_answer_was_lost",
    ),
    "tokens that a replay has killed heal nothing": Mutant(
        file=REFRESH_TABLE,
        guard="_SAVE_RENEWAL_OF_ACTIVE if change.takes_back else _SAVE_RENEWAL_AND_TAKE_NOTHING_BACK",
        without="_SAVE_RENEWAL_OF_ACTIVE",
        noticed_by=f"{STORE}test_a_renewal_that_a_replay_has_killed_takes_nothing_back",
    ),
    "the catalogue says where a replay kills": Mutant(
        file="flows/renew/saving.py",
        guard="return came and attempt.behaviour.replay_kills_family is not True",
        without="return came",
        noticed_by="tests/flows/test_renew_held_up.py"
        "::test_late_tokens_take_a_row_back_only_where_the_successors_replay_has_left_them_alive",
    ),
    "a lease is its number and its attempt": Mutant(
        file="backends/sqlalchemy/tables/integration_rows.py",
        guard='WITH_LEASE = and_(_i.lease_token == bindparam("if_lease"), _i.attempt_id == bindparam("if_attempt"))',
        without='WITH_LEASE = _i.lease_token == bindparam("if_lease")',
        noticed_by=f"{STORE}test_a_number_that_was_given_twice_is_the_lease_of_the_attempt_in_the_row",
    ),
    "a lease number is no proof of one's own tokens": Mutant(
        file="flows/renew/saving.py",
        guard="found.marks.writer_lease == attempt.lease and await _is_ours(wiring, attempt, found, grant)",
        without="found.marks.writer_lease == attempt.lease",
        noticed_by="tests/flows/test_renew_held_up.py::test_a_lease_number_that_a_restored_store_gave_twice_is_not_taken_for_ones_own",
    ),
    "what is held is not given back": Mutant(
        file="flows/shared/revocation.py",
        guard="    if any(holder == tenant_id for holder, _ in holders):",
        without="    if holders:\n        return None\n    if any(holder == tenant_id for holder, _ in holders):",
        noticed_by="tests/flows/test_shared_tokens.py::test_a_token_that_came_again_while_it_waited_is_left_alone",
    ),
    "a revocation of which nobody knows what it ends may end the grant": Mutant(
        file="domain/provider/methods.py",
        guard='return self.kills != "token"',
        without='return self.kills == "grant"',
        noticed_by="tests/flows/test_replaced_tokens.py"
        "::test_where_nobody_knows_what_a_revocation_ends_the_replaced_tokens_wait_until_the_integration_goes",
    ),
    "a reconnect revokes what it replaced": Mutant(
        file="flows/connect/grants.py",
        guard="    if not old:\n        return _Replaced()",
        without="    if old:\n        return _Replaced()",
        noticed_by="tests/flows/test_replaced_tokens.py::test_a_reconnect_revokes_what_it_replaced",
    ),
    "the key of fingerprints is never replaced": Mutant(
        file="flows/operate/rekey.py",
        guard="if key.tenant_id == INDEX_SCOPE or key.state",
        without="if key.state",
        noticed_by="tests/flows/test_shared_tokens.py::test_fingerprints_are_the_same_after_every_change_of_keys",
    ),
    "a refusal is compared with the row": Mutant(
        file="flows/renew/settling.py",
        guard="if found is not None and found.credential.generation > attempt.stored.credential.generation:",
        without="if found is None:",
        noticed_by="tests/flows/test_renew_late.py::test_a_refusal_that_comes_late_is_not_told_even_where_nothing_can_be_written",
    ),
    "who was held up does not send": Mutant(
        file="flows/renew/leases.py",
        guard="if wiring.clock.monotonic() > send_until:",
        without="if wiring.clock.monotonic() < 0:",
        noticed_by=f"{HELD_UP}test_who_was_held_up_before_the_request_does_not_send_it[sqlite-after_sent-family]",
    ),
    "tokens wait for a store that is away": Mutant(
        file="flows/shared/keep_trying.py",
        guard="            if wiring.clock.monotonic() >= give_up:\n                raise\n            tell_of",
        without="            if wiring.clock.monotonic() >= 0:\n                raise\n            tell_of",
        noticed_by="tests/flows/test_renew_store_faults.py::test_tokens_wait_in_memory_while_the_store_takes_nothing",
    ),
    "a credential that took the place of a refused one waits": Mutant(
        file="flows/renew/leases.py",
        guard="return replacement_wait(stored.marks.replacement, now=stored.read_at) > timedelta() and not is_over(wiring, stored)",
        without="return False",
        noticed_by=f"{TOO_EARLY}test_the_first_refusal_is_answered_at_once_and_the_next_after_a_wait",
    ),
    "an ended credential waits for nothing": Mutant(
        file="flows/renew/leases.py",
        guard="return replacement_wait(stored.marks.replacement, now=stored.read_at) > timedelta() and not is_over(wiring, stored)",
        without="return replacement_wait(stored.marks.replacement, now=stored.read_at) > timedelta()",
        noticed_by=f"{TOO_EARLY}test_a_token_that_has_ended_is_replaced_however_young_it_is",
    ),
    "what the time or a person renewed waits for nothing": Mutant(
        file="flows/renew/saving.py",
        guard="return replaced(last, now=store_now(wiring, attempt)) if attempt.access_is_dead else None",
        without="return replaced(last, now=store_now(wiring, attempt))",
        noticed_by=f"{TOO_EARLY}test_what_a_person_or_the_time_renews_is_replaced_at_once",
    ),
    "every process knows of a replacement": Mutant(
        file=REFRESH_TABLE,
        guard="**replacement_columns(change.replacement),",
        without="**replacement_columns(None),",
        noticed_by=f"{STORE}test_a_credential_says_whether_it_took_the_place_of_a_refused_one",
    ),
    "the waits grow": Mutant(
        file="domain/replacement.py",
        guard="length = min(max(last.at - last.since, SHORTEST_WAIT), LONGEST_WAIT)",
        without="length = SHORTEST_WAIT",
        noticed_by="tests/domain/test_replacement.py::test_how_long_a_refused_credential_waits",
    ),
    "a wait ends": Mutant(
        file="domain/replacement.py",
        guard="length = min(max(last.at - last.since, SHORTEST_WAIT), LONGEST_WAIT)",
        without="length = max(last.at - last.since, SHORTEST_WAIT)",
        noticed_by="tests/domain/test_replacement.py::test_how_long_a_refused_credential_waits",
    ),
    "a failed mint is not repeated for each refusal": Mutant(
        file="flows/renew/minting.py",
        guard="(failed.access_is_dead or not wanted.access_is_dead)",
        without="not wanted.access_is_dead",
        noticed_by=f"{TOO_EARLY}test_a_mint_that_fails_is_not_repeated_for_each_refusal",
    ),
    "a narrowed credential waits, too": Mutant(
        file="flows/use/narrowed.py",
        guard="        if replacement_wait(last, now=stored.read_at) > timedelta():\n",
        without="        if last is not None and not wiring:\n",
        noticed_by=f"{TOO_EARLY}test_a_narrowed_one_waits_too",
    ),
    "a refusal that replaces nothing forgets nothing": Mutant(
        file="flows/use/refresh.py",
        guard="        if warning is None:\n            wiring.tokens.drop(tenant_id)\n",
        without="        wiring.tokens.drop(tenant_id)\n",
        noticed_by=f"{TOO_EARLY}test_a_refusal_that_replaces_nothing_forgets_no_narrowed_one",
    ),
    "a punished replay waits for the access token's end": Mutant(
        file="domain/freshness.py",
        guard='return facts.reuse_rule == "strict"',
        without='return facts.reuse_rule == "none"',
        noticed_by="tests/flows/test_renew.py::test_where_a_replay_is_punished_the_held_token_is_used_to_its_end_and_then_one_probe_goes_out",
    ),
    "another client secret is tried only if the client was refused": Mutant(
        file="flows/shared/client_secrets.py",
        guard="        if not answer.is_refused:\n            break\n",
        without="        if answer.is_accepted:\n            break\n",
        noticed_by="tests/flows/test_client_secrets.py::test_after_a_lost_answer_no_other_secret_is_tried",
    ),
    "the deadline bounds all client secrets together": Mutant(
        file="flows/shared/client_secrets.py",
        guard="        if left <= timedelta():",
        without="        if left <= timedelta(days=-1):",
        noticed_by="tests/flows/test_client_secrets.py::test_the_deadline_bounds_all_tries_together_and_the_next_attempt_begins_where_it_ended",
    ),
    "a refused application is left alone": Mutant(
        file="flows/renew/settling.py",
        guard="        wiring.breaker.refuse(attempt.client.context_id, failure.reason, by=attempt.tenant_id)\n",
        without="",
        noticed_by="tests/flows/test_refusals.py::test_an_application_that_is_refused_to_two_tenants_is_left_alone_for_all_and_all_say_so",
    ),
    "one tenant's refusal does not stop its neighbours": Mutant(
        file="runtime/breaker.py",
        guard="            if circuit.reason is None and alone:\n                return\n",
        without="",
        noticed_by="tests/flows/test_refusals.py::test_one_tenants_refused_application_is_not_its_neighbours",
    ),
    "one tenant without an answer does not stop its neighbours": Mutant(
        file="flows/renew/renew.py",
        guard="wiring.breaker.note(application, ok=is_answered(outcome), by=attempt.tenant_id)",
        without="wiring.breaker.note(application, ok=is_answered(outcome), by=attempt.attempt_id)",
        noticed_by="tests/flows/test_refusals.py::test_one_tenant_without_an_answer_costs_its_forty_neighbours_nothing",
    ),
    "an answer is no outage": Mutant(
        file="flows/renew/renew.py",
        guard="return outcome.reason not in _OUTAGE if isinstance(outcome, NotProcessed | Unknown) else True",
        without="return isinstance(outcome, Granted)",
        noticed_by="tests/flows/test_refusals.py::test_ten_dead_grants_of_fifty_cost_their_forty_neighbours_nothing",
    ),
    "a token that a lost renewal may have ended is not handed out": Mutant(
        file="domain/freshness.py",
        guard="in_doubt = ends_old_access and stored.renewable and",
        without="in_doubt = ends_old_access and not stored.renewable and",
        noticed_by="tests/flows/test_renew_ends_access.py::test_a_token_that_a_lost_renewal_may_have_ended_is_not_handed_out",
    ),
    "time without an answer is no refusal": Mutant(
        file="domain/freshness.py",
        guard="return since if refused or marks.failed_at is None else min(since + (now - marks.failed_at), now)",
        without="return since",
        noticed_by="tests/flows/test_refused_grants.py::test_an_outage_between_refusals_neither_counts_nor_hides_them",
    ),
    "work goes on when its caller leaves": Mutant(
        file=LOCKS,
        guard="return await asyncio.shield(task)",
        without="return await task",
        noticed_by="tests/runtime/test_single_flight.py::test_work_goes_on_when_every_caller_has_left",
    ),
    "tasks share one piece of work": Mutant(
        file=LOCKS,
        guard="task: asyncio.Task[T] | None = self._tasks.get(place)",
        without="task: asyncio.Task[T] | None = None",
        noticed_by="tests/runtime/test_single_flight.py::test_tasks_share_one_result",
    ),
    "threads share one piece of work": Mutant(
        file=LOCKS,
        guard="flight = self._flights.setdefault(key, mine)",
        without="flight = mine",
        noticed_by="tests/runtime/test_single_flight.py::test_threads_share_one_result",
    ),
    "an exchange goes on when its caller is interrupted": Mutant(
        file=LOCKS,
        guard='thread of its own; return what it returns, or raise what it raises."""\n        return await self.run(object(), work)',
        without='thread of its own; return what it returns, or raise what it raises."""\n        return await work()',
        noticed_by="tests/flows/test_interrupted.py::test_a_signal_at_any_step_loses_no_grant",
    ),
    "an interrupted exchange gives back what it got": Mutant(
        file="flows/connect/grants.py",
        guard="    except BaseException:\n        # An interruption of the work itself",
        without="    except CloudIntegrationsError:\n        # An interruption of the work itself",
        noticed_by="tests/flows/test_interrupted.py::test_whatever_ends_the_work_itself_every_grant_is_stored_given_back_or_told_of",
    ),
    "after a 5xx nothing is sure": Mutant(
        file="protocol/token_failure.py",
        guard='        return Unknown("server_error", over=status not in _GATEWAY)\n',
        without='        return Refused("invalid_grant")\n',
        noticed_by="tests/flows/test_renew.py::test_a_token_that_lives_is_handed_out_with_a_warning",
    ),
    "a sealed value opens in its own context alone": Mutant(
        file="backends/aes_gcm.py",
        guard="    transcript = sha512(bound + context).digest()",
        without="    transcript = sha512(bound).digest()",
        noticed_by="tests/backends/test_aes_gcm.py",
    ),
    "a callback belongs to the browser that began it": Mutant(
        file="flows/connect/complete_oauth.py",
        guard="if browser_token is None or pending.browser_hash is None or not hmac.compare_digest(",
        without='if browser_token == "" or pending.browser_hash is not None and browser_token is not None and hmac.compare_digest(b"",',
        noticed_by="tests/flows/test_callback_refused.py::test_another_browser_cannot_finish_an_authorization",
    ),
    "a callback belongs to the principal who began it": Mutant(
        file="flows/connect/complete_oauth.py",
        guard="if pending.actor != caller.actor:",
        without="if pending.actor is None:",
        noticed_by="tests/flows/test_callback_refused.py::test_another_principal_cannot_finish_or_use_up_an_authorization",
    ),
    "a request goes to the client's own hosts": Mutant(
        file="protocol/backend_values.py",
        guard="if urlsplit(request.url).hostname not in {",
        without="if not request.url and urlsplit(request.url).hostname not in {",
        noticed_by="tests/protocol/test_guarded_backend.py::test_no_request_leaves_that_should_not",
    ),
    "no URL of a backend shows a secret": Mutant(
        file="protocol/backend_values.py",
        guard="    if shows_secret(url, hidden):",
        without="    if not url and shows_secret(url, hidden):",
        noticed_by="tests/protocol/test_guarded_backend.py::test_a_browser_is_sent_nowhere_that_it_should_not_go",
    ),
    "how far a request goes is the operator's choice": Mutant(
        file="protocol/backend_values.py",
        guard="        private_host=client.private_host,\n",
        without="",
        noticed_by="tests/protocol/test_guarded_backend.py::test_how_far_a_request_goes_is_not_the_backends_choice",
    ),
    "what a backend raises does not come along": Mutant(
        file="protocol/guarded_backend.py",
        guard="            problem = _described(error)\n",
        without='            raise self._error(client, f"{method} {_described(error)}") from error\n',
        noticed_by="tests/protocol/test_guarded_backend.py::test_what_a_backend_raises_is_told_by_its_class_and_line_alone",
    ),
    "a refresh token that comes alone is not lost by a backend": Mutant(
        file="protocol/backend_values.py",
        guard="refresh_token=tokens.refresh, refresh_expires_at=refresh_ends, tokens=tokens.all())",
        without="tokens=())",
        noticed_by="tests/flows/test_strange_backends.py::test_a_refresh_token_that_comes_with_no_access_token_is_kept",
    ),
}
