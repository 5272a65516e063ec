"""Files that hold secrets: nobody else may read them, from the first byte on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cloud_integrations.errors import ConfigurationError


def write_private(path: Path, text: str, /) -> None:
    """Create *path* with mode 0600; raises `ConfigurationError` when it is there already or cannot be written."""
    _create(path, text)


def prepend_private(path: Path, text: str, /) -> None:
    """Put *text* in front of what *path* holds, in one step; a new file has mode 0600."""
    if not path.exists():
        write_private(path, text)
        return
    _rewrite(path, lambda before: text + before)


def append_private(path: Path, text: str, /) -> None:
    """Put *text* behind what *path* holds, in one step; see `prepend_private`."""
    _rewrite(path, lambda before: before + ("" if before.endswith("\n") or not before else "\n") + text)


def move_to_front(path: Path, is_wanted: Callable[[str], bool], /) -> bool:
    """Put the first line that *is_wanted* before all others, in one step; say whether there was one."""
    moved = False

    def move(before: str) -> str:
        nonlocal moved
        lines = before.splitlines()
        place = next((place for place, line in enumerate(lines) if is_wanted(line)), None)
        if place is None:
            return before
        moved = True
        return "\n".join([lines[place], *lines[:place], *lines[place + 1 :]]) + "\n"

    _rewrite(path, move)
    return moved


def rewrite_private(path: Path, change: Callable[[str], str], /) -> None:
    """Put what *change* makes of the content in its place, in one step; see `prepend_private`."""
    _rewrite(path, change)


def is_open_to_others(path: Path, /) -> bool:
    """Whether the group or others may touch the file (POSIX only)."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    # The new file is also the lock: it is created before the old one is read, so that no change of another process is lost.
    # A symbolic link stays: the file that it names is replaced.
    target = path.resolve()
    new = target.with_name(f".{target.name}.new")
    _create(new, "")
    try:
        changed = change(_read_private(path))
        _write(os.open(new, os.O_WRONLY), changed)
        new.replace(target)
    except BaseException as error:
        new.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ConfigurationError(setting=str(path), problem=f"cannot be written: {error.strerror}") from None
        raise


def _read_private(path: Path) -> str:
    try:
        if is_open_to_others(path):
            raise ConfigurationError(setting=str(path), problem="is open to others; run chmod 600 on it")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(setting=str(path), problem=f"cannot be read: {error.strerror}") from None


def _create(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        problem = "exists already, and is left as it is" if path.exists() else f"cannot be written: {error.strerror}"
        raise ConfigurationError(setting=str(path), problem=problem) from None
    _write(handle, text)


def _write(handle: int, text: str) -> None:
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
