"""The guards of rotation, of outages of a key service, and of erasure."""

from __future__ import annotations

from .mutant import STORE, Mutant

KEY_TABLE = "backends/sqlalchemy/tables/keys.py"
MEMORY = "backends/memory/keys.py"
SEALING = "flows/shared/sealing.py"
DATA_KEYS = "flows/shared/data_keys.py"
OUTAGES = "tests/flows/test_key_outages.py::"
ERASE = "tests/flows/test_erase_tenant.py::"
REMEMBERED = "tests/flows/test_rotate.py::test_what_is_sealed_under_a_key_from_memory_is_refused_sealed_anew_and_stored"

MUTANTS = {
    "the database refuses what a replaced key sealed": Mutant(
        file=KEY_TABLE,
        guard='    if connection.execute(_HOLD_ACTIVE_KEY, {"if_tenant": tenant_id, "if_key": key_id}).first() is None:\n',
        without="    if not key_id:\n",
        noticed_by=f"{STORE}test_nothing_is_sealed_but_under_the_active_key",
    ),
    "memory refuses it too": Mutant(
        file=MEMORY,
        guard="    if not may_seal(tables, tenant_id, key_id):\n        raise KeyRetiredError",
        without="    if not tenant_id:\n        raise KeyRetiredError",
        noticed_by=f"{REMEMBERED}[blocking-a grant]",
    ),
    "a row that has moved on is not resealed": Mutant(
        file="backends/sqlalchemy/tables/sealed.py",
        # The generation alone would do as well: whoever writes a newer one seals it under another key.
        guard='            columns.key_id == bindparam("if_key"),\n        ]\n        if self.generation is not None:\n',
        without="        ]\n        if self.generation is None:\n",
        noticed_by=f"{STORE}test_a_row_of_another_generation_is_left",
    ),
    "a renewal that comes between is not overwritten": Mutant(
        file="backends/memory/sealed_rows.py",
        guard="    return row.table, row.tenant_id, row.row, row.generation, row.key_id\n",
        without="    return row.table, row.tenant_id, row.row, 0, row.tenant_id\n",
        noticed_by="tests/flows/test_reseal.py::test_a_renewal_that_comes_between_is_not_overwritten",
    ),
    "who is refused forgets the key": Mutant(
        file="flows/shared/stale_writes.py",
        guard="        except KeyRetiredError:\n            wiring.data_keys.forget(tenant_id)\n",
        without="        except KeyRetiredError:\n            continue\n",
        noticed_by=f"{REMEMBERED}[blocking-an API key]",
    ),
    "a renewal that is refused forgets the key": Mutant(
        file="flows/renew/saving.py",
        guard="    except KeyRetiredError:\n        wiring.data_keys.forget(attempt.tenant_id)\n",
        without="    except KeyRetiredError:\n        raise\n",
        noticed_by=f"{REMEMBERED}[blocking-a renewal]",
    ),
    "a removal that is refused forgets the key": Mutant(
        file="flows/use/ending.py",
        guard="        wiring.data_keys.forget(tenant_id)\n        raise StaleWriteError from None\n",
        without="        raise StaleWriteError from None\n",
        noticed_by="tests/flows/test_rotate.py::test_a_token_for_the_outbox_is_put_there_under_the_new_key",
    ),
    "a key lives on in an outage no longer than declared": Mutant(
        file=DATA_KEYS,
        guard="        if kept.key is None or kept.ends <= self._clock.monotonic():\n",
        without="        if kept.key is None:\n",
        noticed_by=f"{OUTAGES}test_who_was_here_lately_goes_on_for_the_declared_time_and_not_longer",
    ),
    "an answer that takes a key away ends it": Mutant(
        file=DATA_KEYS,
        guard="                self.drop(*place)\n                raise\n        if",
        without="                raise\n        if",
        noticed_by=f"{OUTAGES}test_a_tenant_that_takes_our_permission_away_switches_us_off",
    ),
    "the store is asked whether a key still is": Mutant(
        file=DATA_KEYS,
        guard="        if wrapped is None:\n            # Destroyed",
        without="        kept = self._memory.find((tenant_id, key_id))\n        if wrapped is None and kept is not None:\n"
        "            return kept.key\n        if wrapped is None:\n            # Destroyed",
        noticed_by=f"{OUTAGES}test_a_key_that_was_taken_away_does_not_live_on_in_an_outage",
    ),
    "a row whose key is gone is read once more": Mutant(
        file=SEALING,
        guard="            if resealed is None or resealed == sealed:\n",
        without="            if place:\n",
        noticed_by="tests/flows/test_rekey.py::test_who_read_a_row_before_its_key_was_replaced_and_destroyed_reads_it_again[blocking-token-1]",
    ),
    "a service that does not answer is left alone for a while": Mutant(
        file=DATA_KEYS,
        guard="        if kept is None or kept.ask_after <= self._clock.monotonic():\n",
        without="        if kept is None or kept.ask_after >= 0:\n",
        noticed_by=f"{OUTAGES}test_in_an_outage_the_service_is_asked_once_in_two_seconds_for_each_key",
    ),
    "an answer is shared by all who want the key": Mutant(
        file=DATA_KEYS,
        guard="        key = self._fresh(place)\n        if key is not None:\n            return key\n        kept:",
        without="        kept:",
        noticed_by=f"{OUTAGES}test_sealing_and_opening_share_the_one_answer",
    ),
    "erasing one tenant leaves the others in memory": Mutant(
        file="flows/operate/erase_tenant.py",
        guard="    wiring.data_keys.forget(tenant_id, [key.key_id for key in keys])\n",
        without="    wiring.data_keys.clear()\n",
        noticed_by=f"{ERASE}test_other_tenants_notice_nothing",
    ),
    "what a backup brings back is not found": Mutant(
        file=MEMORY,
        guard=" and key.version > floor.erased_version",
        without="",
        noticed_by=f"{ERASE}test_a_row_of_a_backup_is_never_opened_again_and_is_found",
    ),
}
