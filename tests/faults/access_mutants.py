"""The guards of what leaves the library: sessions of agents, the proxy, narrowed credentials, other programs, rotations of keys."""

from __future__ import annotations

from .mutant import Mutant

RULES = "protocol/session_rules.py"
INJECT = "flows/use/inject.py"
SESSIONS = "flows/use/sessions.py"
NARROWED = "flows/use/narrowed.py"
OF_RULES = "tests/protocol/test_session_rules.py::"
OF_ENDS = "tests/flows/test_session_ends.py::"
OF_WIRE = "tests/clients/test_injector_wire.py::"
OF_SERVER = "tests/clients/test_injector_server.py::"
MADE = "tests/flows/test_made_keys_interrupted.py::"
MADE_KEY = "flows/connect/made_key.py"

MUTANTS = {
    "a session is for its hosts": Mutant(
        file=RULES,
        guard="    if host is None or not found or not _names(request.headers, host):",
        without="    found = found or list(candidates)\n    if host is None or not _names(request.headers, host):",
        noticed_by=f"{OF_RULES}test_a_host_that_is_not_one_of_the_session_gets_nothing",
    ),
    "the header Host names no other server": Mutant(
        file=RULES,
        guard="    if host is None or not found or not _names(request.headers, host):",
        without="    if host is None or not found:",
        noticed_by=f"{OF_RULES}test_the_header_host_names_no_other_server",
    ),
    "a credential goes over https": Mutant(
        file=RULES,
        guard="    if host is not None and (candidates := _with_scheme(request.url, candidates, local)) == []:",
        without="    if False:",
        noticed_by=f"{OF_RULES}test_a_credential_goes_over_https_only",
    ),
    "a session ends": Mutant(
        file=INJECT,
        guard='over: SessionRefusal | None = "ended" if session is None else session.over(wiring.clock.now())',
        without='over: SessionRefusal | None = "ended" if session is None else None',
        noticed_by=f"{OF_ENDS}test_a_session_ends_exactly_at_its_end",
    ),
    "a session is looked at again after a yes": Mutant(
        file=INJECT,
        guard="        access, caller = await _allowed(wiring, opened, request, request_id, afresh=True)\n",
        without="",
        noticed_by="tests/flows/test_session_approval.py::test_a_session_that_ended_while_a_person_thought_is_refused",
    ),
    "an edited session allows nothing": Mutant(
        file=SESSIONS,
        guard="if not hmac.compare_digest(row.fingerprint, session_fingerprint(await wiring.data_keys.index(), row.facts)):",
        without="if False:",
        noticed_by=f"{OF_ENDS}test_a_row_that_somebody_edited_allows_nothing",
    ),
    "one host belongs to one provider": Mutant(
        file=SESSIONS,
        guard="if one.provider_id != other.provider_id and overlap(one.hosts, other.hosts):",
        without="if False:",
        noticed_by="tests/flows/test_sessions.py::test_one_host_belongs_to_one_provider",
    ),
    "the proxy is for one child": Mutant(
        file="clients/injector/server.py",
        guard='return len(shown) == 1 and hmac.compare_digest(shown[0].encode("latin-1"), self._expected)',
        without="return True",
        noticed_by=f"{OF_SERVER}test_who_does_not_show_the_password_is_refused_and_recorded_once",
    ),
    "no answer repeats the credential": Mutant(
        file="clients/injector/exchange.py",
        guard="        self.mask.add(credential, request.headers, kept)\n",
        without="",
        noticed_by=f"{OF_WIRE}test_no_answer_repeats_the_credential",
    ),
    "more than was asked is not handed out": Mutant(
        file=NARROWED,
        guard="    if (name := find_excess(asked.requests, told)) is not None:\n        return _Excess(name)\n",
        without="",
        noticed_by="tests/flows/test_narrow.py::test_more_than_was_asked_is_not_handed_out",
    ),
    "scopes of the answer are no more than was asked": Mutant(
        file=NARROWED,
        guard="if not covers(asked.method.scopes, asked=asked.requests.scopes, granted=scopes):",
        without="if False:",
        noticed_by="tests/flows/test_narrow_refresh.py::test_a_provider_that_ignores_the_scopes_hands_out_nothing",
    ),
    "a refresh token that comes unasked is stored": Mutant(
        file="flows/renew/narrowing.py",
        guard="        await _keep(wiring, attempt, came)\n",
        without="        del attempt\n",
        noticed_by="tests/flows/test_narrow_refresh.py::test_a_refresh_token_that_comes_unasked_is_stored_and_the_grant_lives_on",
    ),
    "a new key is of the same account": Mutant(
        file="flows/shared/key_rotation.py",
        guard="        require_same_account(facts.account, accepted.account, method)\n",
        without="        pass\n",
        noticed_by="tests/flows/test_key_rotation.py::test_a_key_of_another_account_is_refused_whatever_the_settings_say",
    ),
    "the keys of all tenants stay here": Mutant(
        file="clients/process_environment.py",
        guard="name in known or name.upper().startswith(_OF_THIS_LIBRARY) or any(",
        without="name in known or any(",
        noticed_by="tests/clients/test_environment.py::test_the_keys_of_all_tenants_do_not_reach_a_program_that_works_for_one",
    ),
    "an endpoint asks for its secret": Mutant(
        file="clients/endpoint.py",
        guard="        if not hmac.compare_digest(self.dialect.secret_in(asked).encode(), self.secret):",
        without="        if False:",
        noticed_by="tests/clients/test_environment.py::test_azure_refuses_who_does_not_show_the_secret",
    ),
    "a request for a new key is marked before it leaves": Mutant(
        file="flows/connect/make_key.py",
        guard="    await apply_sealed(wiring, making.sent.tenant_id, changes, fetched=making.data_key)\n",
        without="    changes(making.data_key)\n",
        noticed_by=f"{MADE}test_nothing_is_sent_that_was_not_marked",
    ),
    "a key that came is kept while the store is down": Mutant(
        file="flows/shared/keep_trying.py",
        guard="            if wiring.clock.monotonic() >= give_up:\n                raise\n",
        without="            raise\n",
        noticed_by=f"{MADE}test_what_came_is_kept_while_the_store_cannot_be_used",
    ),
    "a reconnect wins over a key that was made meanwhile": Mutant(
        file=MADE_KEY,
        guard="    if held != dict(making.old) or (not rolls and not ours and found is not None):\n",
        without="    if not rolls and not ours and found is not None:\n",
        noticed_by=f"{MADE}test_a_reconnect_that_comes_meanwhile_wins_over_a_roll",
    ),
    "who rolled forgets the old value": Mutant(
        file=MADE_KEY,
        guard="        wiring.tokens.drop(tenant_id)\n        return _rolled(wiring, making)\n",
        without="        return _rolled(wiring, making)\n",
        noticed_by=f"{MADE}test_the_process_that_rolled_forgets_the_old_value_even_if_it_cannot_know_whether_it_wrote",
    ),
    "a key that was made for nobody is revoked": Mutant(
        file="flows/shared/key_rotation.py",
        guard='    return "revoke" if rotation.revoke_key or rotation.state == "staged" else "not_asked"\n',
        without='    return "revoke" if rotation.revoke_key else "not_asked"\n',
        noticed_by="tests/flows/test_made_keys.py::test_a_key_that_was_made_and_that_nobody_switches_to_is_revoked",
    ),
}
