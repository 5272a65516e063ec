"""The guards of incidents: what is frozen is not handed out."""

from __future__ import annotations

from .mutant import Mutant

FREEZING = "flows/shared/freezing.py"
GET_TOKEN = "flows/use/get_token.py"
OF_FREEZES = "tests/flows/test_freezes.py::"
ONE = f"{OF_FREEZES}TestInOneProcess::"
OTHER = f"{OF_FREEZES}TestInAnotherProcess::"
DURING = "test_a_freeze_that_begins_while_a_token_is_renewed_stops_the_hand_out_and_keeps_the_token"

MUTANTS = {
    "what is frozen is not handed out": Mutant(
        file=FREEZING,
        guard="        if freeze.selection.names(caller) and _covers(freeze, stored):\n",
        without="        if False:\n",
        noticed_by=f"{ONE}test_nothing_is_handed_out_from_memory_or_store_and_it_can_be_undone",
    ),
    "freezes are looked at before a renewal": Mutant(
        file=GET_TOKEN,
        guard="        await require_unfrozen(wiring, stored, caller)\n        if less is not None:\n",
        without="        if less is not None:\n",
        noticed_by=f"{ONE}test_every_way_to_ask_is_refused",
    ),
    "freezes are looked at after a renewal": Mutant(
        file=GET_TOKEN,
        guard="have frozen what it renews.\n        await require_unfrozen(wiring, stored, caller)\n",
        without="have frozen what it renews.\n",
        noticed_by=f"{ONE}{DURING}",
    ),
    "freezes are looked at after a refused token was replaced": Mutant(
        file="flows/use/refresh.py",
        guard="    # Here too: a renewal takes a while.\n    await require_unfrozen(wiring, stored.to_use, caller)\n",
        without="",
        noticed_by=f"{ONE}test_it_also_stops_what_was_to_replace_a_refused_token",
    ),
    "freezes are looked at after a narrowing": Mutant(
        file="flows/use/narrowed.py",
        guard="    await require_unfrozen(wiring, stored, caller)\n    await record_use",
        without="    await record_use",
        noticed_by=f"{ONE}test_it_also_stops_what_is_being_narrowed",
    ),
    "memory serves no longer than the list of freezes": Mutant(
        file="flows/use/get_token.py",
        guard="    await current_freezes(wiring)\n",
        without="",
        noticed_by=f"{OTHER}test_it_stops_the_use_after_the_time_that_tokens_stay_in_memory",
    ),
    "a changed list forgets the tokens": Mutant(
        file="runtime/caches.py",
        guard="                self.active = found\n                self._tokens.clear()\n",
        without="                self.active = found\n",
        noticed_by=f"{OTHER}test_it_stops_the_use_after_the_time_that_tokens_stay_in_memory",
    ),
    "who freezes forgets the tokens": Mutant(
        file="flows/operate/freezes.py",
        guard="        wiring.freezes.forget()\n",
        without="        pass\n",
        noticed_by=f"{ONE}test_nothing_is_handed_out_from_memory_or_store_and_it_can_be_undone",
    ),
    "a list that was read before a change is not believed": Mutant(
        file="runtime/caches.py",
        guard="            if changes != self.changes:\n                return False\n",
        without="",
        noticed_by=f"{OTHER}test_a_list_that_was_read_before_this_processs_own_change_is_not_believed",
    ),
    "renewals stop where that is asked": Mutant(
        file="flows/renew/renew.py",
        guard="        await require_renewals(wiring, stored)\n",
        without="",
        noticed_by=f"{OF_FREEZES}TestRenewals::test_stopped_they_are_taken_up_when_the_freeze_is_lifted",
    ),
}
