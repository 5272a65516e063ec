"""Secrets come in by a prompt, a file or stdin: never as an argument, which a shell's history and `ps` would show."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

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
