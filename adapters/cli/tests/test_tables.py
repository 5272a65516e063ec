"""Rows under headings, as wide as a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.tables import Column, Listing, fit

ID = "01a20516-0ee1-7251-9dd0-36bc92ea1ee1"
ROWS = [["ID", "Provider", "Name", "Health"], [ID, "simulated_keys", "A name that is rather long for a table", "reconnect required"]]


@pytest.mark.parametrize("width", [60, 80, 120, None])
def test_a_table_is_cut_to_the_terminal_and_keeps_its_key(width):
    rows, is_cut = fit(ROWS, width)
    assert rows[1][0] == ID
    assert is_cut is (width in {60, 80})
    assert all(len("  ".join(row)) <= width for row in rows) if width else rows[1][2] == ROWS[1][2]
    assert any("…" in cell for cell in rows[1]) is is_cut


def test_a_terminal_that_is_too_narrow_keeps_the_key_and_something_of_the_rest():
    rows, _ = fit(ROWS, 20)
    assert rows[1][0] == ID
    assert [len(cell) for cell in rows[1][1:]] == [6, 6, 6]


def test_wide_and_combining_characters_have_their_width():
    rows, _ = fit([["K", "Name"], ["k", "東京東京東京"], ["k", "e\u0301tage"]], 12)
    assert rows[1][1] == "東京東京…"
    assert rows[2][1] == "e\u0301tage    "


def test_nothing_is_cut_in_a_pipe(capsys):
    listing = Listing(columns=(Column("ID", "id"), Column("Text", "text")), fields=("id", "text"), empty="nothing")
    Screen().show(listing, [{"id": ID, "text": "x" * 500}])
    assert "x" * 500 in capsys.readouterr().out


def test_a_cell_cannot_draw_or_break_its_line(capsys):
    listing = Listing(columns=(Column("ID", "id"),), fields=("id",), empty="nothing")
    Screen().show(listing, [{"id": "a\x1b[31m\nb"}])
    assert capsys.readouterr().out == "ID\na�[31m b\n"


def test_values_are_written_for_people(capsys):
    listing = Listing(columns=(), fields=("a", "b", "c", "d", "e"), empty="nothing")
    Screen(fields="a,b,c,d,e").show(listing, [{"a": None, "b": True, "c": ["x", "y"], "d": {"k": 1}, "e": 5}])
    assert capsys.readouterr().out.splitlines()[1].split("  ") == ["–", "yes", "x, y", '{"k": 1}', "5"]


def test_an_empty_listing_says_so_on_stderr(capsys):
    listing = Listing(columns=(Column("ID", "id"),), fields=("id",), empty="nothing")
    Screen().show(listing, [])
    assert capsys.readouterr() == ("", "nothing\n")


PROGRAM = f"""
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.tables import Column, Listing
listing = Listing(columns=(Column("ID", "id"), Column("Health", "health"), Column("Text", "text")), fields=("id",), empty="")
Screen().show(listing, [{{"id": "{ID}", "health": "ok", "text": "x" * 200}}])
"""


def _on_terminal(**env: str) -> str:
    keyboard, terminal = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", PROGRAM], stdout=terminal, stderr=subprocess.DEVNULL, env={**os.environ, **env}, check=True)
        return os.read(keyboard, 10_000).decode()
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_a_terminal_is_filled_and_has_colours_unless_it_should_not():
    plain = _on_terminal(COLUMNS="80", NO_COLOR="1", TERM="xterm").splitlines()
    assert len(plain[1]) == 80
    assert plain[1].startswith(ID)
    assert plain[1].endswith("…")
    assert "\x1b[32mok" in _on_terminal(COLUMNS="80", TERM="xterm", NO_COLOR="")
    assert "\x1b" not in _on_terminal(COLUMNS="80", TERM="dumb")


def test_what_stands_below_nothing_is_nothing():
    listing = Listing(columns=(Column("ID", "id"),), fields=("id", "end", "end.at"), empty="none")
    documents = [{"id": "a", "end": {"at": "now"}}, {"id": "b", "end": None}]
    assert listing.pick(documents, ["id", "end.at"]) == [{"id": "a", "end": {"at": "now"}}, {"id": "b", "end": None}]
    assert listing.rows(documents, ["id", "end.at"]) == [["id", "end.at"], ["a", "now"], ["b", "–"]]
