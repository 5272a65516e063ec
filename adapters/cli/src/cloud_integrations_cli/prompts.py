"""What a person is asked for.  Secrets come in by a prompt, a file or stdin: an argument would be seen in a shell's history and in `ps`."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from cloud_integrations import Secret
from cloud_integrations.errors import ValidationFailedError

from .exits import CommandLineError


def read_secret(name: str, /, *, label: str, file: Path | None = None, stdin: bool = False) -> Secret:
    """Return the secret that option *name* stands for, from its file, from stdin, or asked for without echo.

    Raises `CommandLineError` when both are named or nobody can be asked, and `ValidationFailedError` when it is empty.
    """
    if file is not None and stdin:
        raise CommandLineError(f"--{name}-file and --{name}-stdin exclude each other")
    if file is not None:
        secret = read_secret_file(f"--{name}-file", file)
    elif stdin:
        secret = decode_secret(f"--{name}-stdin", sys.stdin.buffer.read())
    elif can_ask():
        secret = Secret(ask_hidden(f"{label} (hidden): "))
    else:
        raise CommandLineError(f"no terminal to ask on; give --{name}-file or --{name}-stdin")
    if not secret.reveal().strip():
        raise ValidationFailedError(field=name, problem="is empty")
    return secret


def read_secret_file(what: str, file: Path, /) -> Secret:
    """Return the text of *file* without the line break at its end.  Raises `CommandLineError`, which begins with *what*."""
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # a path may hold a NUL
        raise CommandLineError(f"{what} cannot be read: {getattr(error, 'strerror', None) or 'no such file'}") from None
    return decode_secret(what, content)


def decode_secret(what: str, content: bytes, /) -> Secret:
    """Return *content* as text without the line break at its end.  Raises `CommandLineError`, which begins with *what*."""
    # UTF-8 whatever the locale says: a key must not depend on where it is read.
    try:
        return Secret(content.decode("utf-8-sig").replace("\r\n", "\n").rstrip("\r\n"))
    except UnicodeDecodeError:
        raise CommandLineError(f"{what} is not UTF-8 text") from None


def can_ask() -> bool:
    """Whether a person is at the terminal."""
    return sys.stdin.isatty()


def ask_hidden(question: str, /) -> str:
    """Ask without echo."""
    return getpass.getpass(question, stream=sys.stderr)


def ask(question: str, /) -> str:
    """Ask on stderr, with echo."""
    # Not with `input`, which writes to stdout: in `$(…)` the question would become a part of the data.
    print(question, end="", file=sys.stderr, flush=True)  # noqa: T201  # questions go to stderr
    answer = sys.stdin.readline()
    if not answer:
        raise typer.Abort
    return answer.rstrip("\r\n")


def ask_which(question: str, choices: Sequence[str], /) -> int:
    """Ask for one of *choices* until a number of the list is given; return its place."""
    lines = [question, *(f"  {number}  {choice}" for number, choice in enumerate(choices, start=1))]
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201  # questions go to stderr
    numbers = {str(place + 1): place for place in range(len(choices))}
    while True:
        place = numbers.get(ask(f"1 to {len(choices)}: ").strip())
        if place is not None:
            return place


def confirm(question: str, /, *, yes: bool) -> None:
    """Go on only if the person agrees.  Raises `CommandLineError` where nobody can be asked."""
    if yes:
        return
    if not can_ask():
        raise CommandLineError("nobody can be asked here; --yes says that you are sure")
    if ask(f"{question} [y/N]: ").strip().lower() not in {"y", "yes"}:
        raise typer.Abort
