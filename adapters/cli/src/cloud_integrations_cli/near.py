"""Which commands and options a wrong word may stand for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

_SYNONYMS = {
    "activate": ("enable",),
    "check": ("doctor", "verify"),
    "create": ("add", "connect", "generate"),
    "deactivate": ("disable",),
    "describe": ("show",),
    "disconnect": ("delete",),
    "get": ("show", "token"),
    "health": ("doctor",),
    "info": ("show",),
    "log": ("audit",),
    "login": ("connect",),
    "logs": ("audit",),
    "ls": ("list",),
    "migrate": ("upgrade",),
    "new": ("generate", "init"),
    "remove": ("delete",),
    "renew": ("refresh",),
    "revoke": ("delete", "revocations"),
    "rm": ("delete",),
    "run": ("serve",),
    "setup": ("init",),
    "start": ("serve",),
    "test": ("verify",),
    "view": ("show",),
}
"""Words of other programs, with the commands that they stand for."""

_OPTION_SYNONYMS = {
    "--api-key": ("--api-key-file", "--api-key-stdin"),
    "--force": ("--yes",),
    "--format": ("--output",),
    "--json": ("--output json",),
    "--key": ("--api-key-file", "--api-key-stdin", "--kid"),
    "--secret": ("--secret-key-file",),
    "--secret-key": ("--secret-key-file",),
    "--timeout": ("--wait",),
    "-f": ("--yes", "--file"),
    "-q": ("--log-level",),
    "-v": ("--log-level", "--version"),
}


def near_commands(word: str, group: Any, root: Any, program: str, /) -> list[str]:
    """Return the commands that *word* may stand for: here first, else anywhere."""
    meant = {word.lower(), *_SYNONYMS.get(word.lower(), ())}
    own = list(group.commands)
    if near := [name for name in own if name in meant] or get_close_matches(word.lower(), own, n=2):
        return near
    everywhere = {path: path.split()[-1] for path in _paths(root, program)}
    near = [path for path, name in everywhere.items() if name in meant]
    close = get_close_matches(word.lower(), set(everywhere.values()), n=1, cutoff=0.75)
    return (near or [path for path, name in everywhere.items() if name in close])[:3]


def _paths(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        yield f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _paths(command, f"{path} {name}")


def near_options(name: str, options: Collection[str], /) -> list[str]:
    """Return those of *options* that the option *name* may stand for."""
    known = [option for option in _OPTION_SYNONYMS.get(name, ()) if option.partition(" ")[0] in options]
    return known or get_close_matches(name, options, n=2)


def did_you_mean(near: Sequence[str], /) -> str:
    """Return the end of a sentence that names them, or nothing."""
    if not near:
        return ""
    *first, last = (f"'{each}'" for each in near)
    return f"; did you mean {', '.join(first)} or {last}?" if first else f"; did you mean {last}?"
