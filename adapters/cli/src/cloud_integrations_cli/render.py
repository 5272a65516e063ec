"""What people see as tables, and programs as JSON in the shapes of the HTTP API."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from .tables import Document, Listing, fit, shown_time

if TYPE_CHECKING:
    from cloud_integrations import AccountFacts, AuditReport, RenewalRun

_COLOURS = {
    "active": "green",
    "ok": "green",
    "yes": "green",
    "success": "green",
    "revoked": "green",
    "✓": "green",
    "retrying": "yellow",
    "unknown": "yellow",
    "unsupported": "yellow",
    "started": "yellow",
    "!": "yellow",
    "inactive": "red",
    "disabled": "red",
    "application refused": "red",
    "reconnect required": "red",
    "failed": "red",
    "failure": "red",
    "denied": "red",
    "no": "red",
    "✗": "red",
}


class Output(StrEnum):
    """How a command shows its data."""

    TABLE = "table"
    JSON = "json"


class Screen:
    """The output of a command: data goes to stdout, everything else to stderr.

    *fields* is what `--fields` said; a listing reads it.
    """

    def __init__(self, output: Output = Output.TABLE, /, *, fields: str | None = None) -> None:
        self.output = output
        self.fields = fields
        self.notes_as_json = False
        """Whether notes are lines of JSON, as log lines are then."""

    @property
    def as_json(self) -> bool:
        """Whether a program is reading."""
        return self.output is Output.JSON

    def json(self, document: Any, /) -> None:
        """Print a JSON document; on one line unless a terminal shows it."""
        print(json.dumps(document, indent=2 if sys.stdout.isatty() else None), flush=True)  # noqa: T201  # data goes to stdout

    def show(self, listing: Listing, documents: Sequence[Document], /) -> None:
        """Print *documents* as *listing* says; a table is as wide as the terminal, and whole where there is none."""
        fields = listing.read_fields(self.fields)
        if self.as_json:
            self.json({"data": listing.pick(documents, fields)})
        else:
            self.table(listing, documents, fields)

    def table(self, listing: Listing, documents: Sequence[Document], fields: Sequence[str] = (), /) -> None:
        """Print a row for each document under headings, or say on stderr that there is none."""
        if not documents:
            self.note(listing.empty)
            return
        cells = [[visible(cell).replace("\n", " ") for cell in row] for row in listing.rows(documents, fields)]
        fitting, is_cut = fit(cells, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
        for place, row in enumerate(fitting):
            self.text(_line(*row, bold=place == 0))
        if is_cut:
            self.note("\n… stands for what was cut: --fields, --output json or a pipe shows it")

    def facts(self, facts: Mapping[str, str], /) -> None:
        """Print a name and a value on each line.  The terminal wraps a long one, so that it can be copied whole."""
        width = max(map(len, facts))
        for name, value in facts.items():
            self.text(f"{_styled(f'{name:<{width}}', bold=True)}  {_styled(visible(value))}")

    def finding(self, sign: str, text: str, /) -> None:
        """Print a line with a sign before it."""
        self.text(f"{_styled(sign)} {visible(text)}")

    def text(self, text: str, /) -> None:
        """Print text that is data."""
        print(text, flush=True)  # noqa: T201  # data goes to stdout

    def note(self, text: str, /) -> None:
        """Say something to the person; programs do not read it."""
        if self.notes_as_json:
            _tell_json(text)
            return
        print(visible(text), file=sys.stderr, flush=True)  # noqa: T201  # notes go to stderr

    def progress(self, facts: Mapping[str, Any], line: str, /) -> None:
        """Say on stderr what goes on: a line for people, or one of JSON."""
        if self.notes_as_json:
            _tell_json(line, facts)
        else:
            self.note(json.dumps(facts) if self.as_json else line)


def _tell_json(text: str, facts: Mapping[str, Any] | None = None) -> None:
    # Loaded here, because only `serve` and `worker` may need it.
    from .logs import facts_of, tell_json  # noqa: PLC0415

    level = "warning" if text.startswith("warning: ") or (facts or {}).get("event") == "trouble" else "info"
    tell_json(level, text.removeprefix("warning: "), **facts_of(facts or {}))


def _line(*cells: str, bold: bool) -> str:
    *most, last = cells
    return "  ".join([*(_styled(cell, bold=bold) for cell in most), _styled(last.rstrip(), bold=bold)])


def _styled(text: str, *, bold: bool = False) -> str:
    """Give a word of a closed list its colour, on a terminal that shows colours."""
    colour = _COLOURS.get(text.strip())
    if not (bold or colour) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return text
    return typer.style(text, fg=colour, bold=bold or None)


def visible(text: str, /) -> str:
    """Put a mark in the place of every character that would move the cursor or change its colour."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def moment(at: datetime | None, /, *, unknown: str = "–") -> str:
    """Write a time for people, in UTC."""
    return unknown if at is None else shown_time(timestamp(at))


def timestamp(at: datetime, /) -> str:
    """Write a time as the HTTP API does: ISO 8601 in UTC, ending in `Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def account_name(account: AccountFacts, /) -> str:
    """Name an account for people: its label, and its id where that says more."""
    if account.label and account.account_id:
        return account.label if account.account_id in account.label else f"{account.label} ({account.account_id})"
    return account.label or account.account_id or ""


def renewal_run_out(run: RenewalRun, /) -> dict[str, Any]:
    """Return what a round of renewals did."""
    return {
        "asked": run.claimed,
        "renewed": run.renewed,
        "postponed": run.postponed,
        "reconnectRequired": run.reconnect_required,
        "gone": run.gone,
        "failed": run.failed,
    }


def report_out(report: AuditReport, /) -> dict[str, Any]:
    """Return the result of walking a chain."""
    return {
        "tenantId": report.tenant_id,
        "whole": report.whole,
        "checked": report.checked,
        "head": None if report.head is None else {"seq": report.head.seq, "hash": report.head.hash.hex()},
        "problems": [{"seq": problem.seq, "kind": problem.kind, "meaning": problem.meaning} for problem in report.problems],
        "unlisted": report.unlisted,
    }
