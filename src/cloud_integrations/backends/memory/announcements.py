"""Announcements, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter

from cloud_integrations.domain.announcements import END, RECONNECT_REQUIRED, TROUBLE, end_value
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.ports.store import AddEntry, Announce, Retract

from .outbox import add_entry
from .tables import Announcement, Memory, Tables, handles


class Announcements(Memory):
    """Reads of what is to be announced."""

    def list_ending(self, *, within: timedelta, limit: int) -> tuple[StoredIntegration, ...]:
        """Return integrations of all tenants that end soon or have ended, and of which that was not announced."""
        tables, now = self._tables, self._now()
        ended: list[tuple[datetime, StoredIntegration]] = []
        ending: list[tuple[datetime, StoredIntegration]] = []
        for stored in list(tables.integrations.values()):
            facts = stored.facts
            if not facts.state.is_refreshed:
                continue
            over = facts.expires_at if facts.renewal_rule == "reconnect" else None
            if over is not None and over <= now:
                if _told(tables, stored, TROUBLE) != RECONNECT_REQUIRED:
                    ended.append((over, stored))
                continue
            end = facts.reconnect_before
            if end is not None and end <= now + within and _told(tables, stored, END) != end_value(end):
                ending.append((end, stored))
        first = [*sorted(ended, key=itemgetter(0)), *sorted(ending, key=itemgetter(0))]
        return tuple([replace(stored, read_at=now) for _, stored in first[:limit]])


@handles(Announce)
def announce(tables: Tables, change: Announce) -> None:
    """Put the entry into the outbox, unless the same was announced before."""
    entry = change.entry
    if change.expected_generation is not None:
        stored = None if entry.integration_id is None else tables.integrations.get((entry.tenant_id, entry.integration_id))
        if stored is None or stored.credential.generation != change.expected_generation:
            return
    key = (entry.tenant_id, change.subject_id, change.name)
    found = tables.announcements.get(key, Announcement(value=None, since=change.at))
    tables.announcements[key] = found
    if found.value != change.value and change.at - found.since >= change.lasting:
        tables.announcements[key] = replace(found, value=change.value)
        add_entry(tables, AddEntry(entry=entry, follows=True))


@handles(Retract)
def retract(tables: Tables, change: Retract) -> None:
    """Forget an announcement, and put the entry into the outbox if one was put there for it."""
    found = tables.announcements.pop((change.tenant_id, change.subject_id, change.name), None)
    if found is not None and found.value is not None and change.entry is not None:
        add_entry(tables, AddEntry(entry=change.entry, follows=True))


def _told(tables: Tables, stored: StoredIntegration, name: str) -> str | None:
    found = tables.announcements.get((stored.facts.tenant_id, stored.facts.id, name))
    return None if found is None else found.value
