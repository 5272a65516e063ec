"""What a person is asked for.  Secrets come in by a prompt, a file or stdin: an argument would be seen in a shell's history and in `ps`."""

from __future__ import annotations

import getpass
import sys
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
        text = _read_file(name, file)
    elif stdin:
        text = _decode(f"--{name}-stdin", sys.stdin.buffer.read())
    elif sys.stdin.isatty():
        text = getpass.getpass(f"{label} (hidden): ", stream=sys.stderr)
    else:
        raise CommandLineError(f"no terminal to ask on; give --{name}-file or --{name}-stdin")
    if not text.strip():
        raise ValidationFailedError(field=name, problem="is empty")
    return Secret(text.rstrip("\r\n"))


def _read_file(name: str, file: Path) -> str:
    try:
        return _decode(f"--{name}-file", file.read_bytes())
    except OSError as error:
        raise CommandLineError(f"--{name}-file cannot be read: {error.strerror}") from None


def _decode(option: str, content: bytes) -> str:
    # UTF-8 whatever the locale says: a key must not depend on where it is read.
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise CommandLineError(f"{option} is not UTF-8 text") from None


def confirm(question: str, /, *, yes: bool) -> None:
    """Go on only if the person agrees.  Raises `CommandLineError` where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandLineError("nobody can be asked here; --yes says that you are sure")
    # Not by `input`, which writes to stdout: `$(…)` would take it for a part of the secret.
    print(f"{question} [y/N]: ", end="", file=sys.stderr, flush=True)  # noqa: T201  # questions go to stderr
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise typer.Abort
