"""An id of another tenant's is told by every command as one that names nothing."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from .conftest import Run
from .test_every_command import ID, WITH_DATABASE, T

THEIRS = ("-t", "globex")
MADE = {
    "integrations": "integrations add",
    "applications": "applications save",
    "sessions": "sessions open",
    "connect-sessions": "connect-sessions create",
    "webhooks": "webhooks add",
}
"""What makes one, by the command that takes its id; `events test` takes a webhook's, `overview renewal` an integration's."""
TAKES_ONE = sorted(name for name, words in WITH_DATABASE.items() if ID in words and not name.startswith("incident"))


def _of_another(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in T) + THEIRS


@pytest.mark.requirement("ISO-05")
def test_an_id_of_another_tenant_names_nothing(home: Path, run: Run, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {}
    for noun, name in MADE.items():
        words = [{"client.secret": str(key_file)}.get(word, word) for word in _of_another(WITH_DATABASE[name])]
        if noun == "sessions":
            words = ["simulated_keys" if word == "simulated" else word for word in words]
        made = run(*words, "-o", "json")
        assert made.code == 0, (name, made.err)
        ids[noun] = made.data()["id"]
    ids |= {"events": ids["webhooks"], "overview": ids["integrations"]}
    assert {name.partition(" ")[0] for name in TAKES_ONE} == ids.keys()
    for name in TAKES_ONE:
        words = (*(word for word in WITH_DATABASE[name] if word not in T), *T)
        theirs, nobodys = ids[name.partition(" ")[0]], str(uuid4())
        told = []
        for one in (theirs, nobodys):
            ran = run(*(word.replace(ID, one) for word in words))
            told.append((ran.code, ran.out.replace(one, ID), ran.err.replace(one, ID)))
        assert told[0] == told[1], name
        assert told[0][0] != 0, name
