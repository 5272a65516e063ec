"""The reference page of the command line: `python -m cloud_integrations_cli.reference` prints it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import typer

from .app import app
from .exits import MEANINGS

_HEAD = """# Command line

The help of every command, printed by `python -m cloud_integrations_cli.reference`.

Data goes to stdout; progress, questions and errors go to stderr. With `--output json`, before or after the command, data has the shapes
of the HTTP API, often with more fields, and an error is the last line of stderr. In commands that list, `--fields` chooses the fields.
A table is cut to the terminal's width, except its first column; in a pipe it is complete. Colours need a terminal, and `NO_COLOR` turns
them off.
Characters that the output's encoding lacks are written in ASCII: `\\xfc` for ü, `+` and `x` for the signs of `doctor`.
A call without a command shows the help on stderr and ends with exit code 2. `--config` and `--log-level` go before the command.
The audit log names the actor `cli:` and the user's name on this computer (set `LOGNAME` where several people share one).
Secrets are asked for without echo, or read from a file or from standard input; no option takes one.
`cloud-integrations --install-completion` completes commands, options and providers in your shell.

[Run the server](../how-to/run-the-server.md) shows the settings and `serve`.

## Exit codes

| Code | Meaning |
|---|---|
"""


def build_page() -> str:
    """Return the page as Markdown: exit codes, and a section for each command."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return _HEAD + codes + "".join(_section(path, command) for path, command in walk())


def walk() -> Iterator[tuple[str, Any]]:
    """Give the path and the parsed command of the root and of everything below it."""
    yield from _walk("cloud-integrations", typer.main.get_command(app))


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _walk(f"{path} {name}", below)


def _section(path: str, command: Any) -> str:
    text = re.sub(r"[ \t]*\n[ \t]*(?!\n)", " ", (command.help or "").replace("\n\n", "\0")).replace("\0", "\n\n")
    if hasattr(command, "commands"):
        names = ", ".join(f"`{name}`" for name in command.commands)
        text += f"\n\nCommands: {names}"
    rows = "".join(_row(parameter) for parameter in command.params if parameter.name not in _ELSEWHERE)
    table = f"\n| Argument or option | Meaning |\n|---|---|\n{rows}" if rows else ""
    return f"\n## {path}\n\n{text.strip()}\n{table}"


_ELSEWHERE = {"help", "install_completion", "show_completion"}


def _row(parameter: Any) -> str:
    # A bar ends a cell, in code as well.
    metavar = (parameter.metavar or "").replace("|", "\\|")
    if parameter.param_type_name == "argument":
        name = f"`{metavar or parameter.name.upper()}`"
    else:
        spelled = ", ".join(f"`{option}`" for option in sorted(parameter.opts, key=len, reverse=True))
        name = spelled + (f" `{metavar}`" if metavar else "")
    needed = " Required." if parameter.required else ""
    return f"| {name} | {parameter.help}{needed} |\n"


if __name__ == "__main__":
    sys.stdout.write(build_page())
