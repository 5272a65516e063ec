"""Groups of commands: suggestions for unknown words, lazy loading, and the root, which turns every error into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from itertools import pairwise
from keyword import iskeyword
from typing import Any

import typer
from typer.core import TyperGroup

from .characters import make_streams_safe
from .exits import OK, UnknownCommandError, tell
from .near import did_you_mean, near_commands
from .summaries import SUMMARIES

WIDTH = {"max_content_width": 100, "help_option_names": ["-h", "--help"]}


class Group(TyperGroup):
    """Commands under one noun; a word that is none of them is answered with those that may be meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that *args* begin with.  Raises `UnknownCommandError`."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            root = ctx.find_root()
            near = near_commands(args[0], self, root.command, root.command_path)
            raise UnknownCommandError("no such command" + did_you_mean(near), advice=f"Try '{ctx.command_path} --help'.")
        return super().resolve_command(ctx, args)


def new_noun(name: str, /) -> typer.Typer:
    """Return a Typer for the commands of the noun *name*."""
    return typer.Typer(
        cls=Group,
        name=name,
        help=SUMMARIES[name],
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings=WIDTH,
        add_completion=False,
    )


def new_command() -> typer.Typer:
    """Return a Typer for one command that stands alone."""
    return typer.Typer(rich_markup_mode=None, add_completion=False)


class LazyCommands(Mapping[str, Any]):
    """Every command and noun by name; the module of one is imported when it is looked up."""

    def __getitem__(self, name: str, /) -> Any:
        if name not in SUMMARIES:
            raise KeyError(name)
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)


@cache
def _load(name: str) -> Any:
    module = import_module(f".commands.{name}_" if iskeyword(name) else f".commands.{name.replace('-', '_')}", __package__)
    # Typer would make a plain command of a noun that has only one.
    return typer.main.get_group(module.app) if module.app.info.cls is Group else typer.main.get_command(module.app)


class LazyGroup(Group):
    """The root's commands: its help and the completion of their names load none of them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = LazyCommands()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the signature of the class above
        """Return the names of all commands."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # as above
        """Write the names of all commands and what each is for."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


class GuardedGroup(LazyGroup):
    """The root of the commands: whatever goes wrong below ends in one line on stderr and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  # the signature of the class above
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002  # as above
        **extra: Any,
    ) -> Any:
        """Run a command; with *standalone_mode* the process ends here."""
        make_streams_safe()
        words = sys.argv[1:] if args is None else list(args)
        as_json = not {"--output=json", "-ojson"}.isdisjoint(words) or any(
            pair in {("--output", "json"), ("-o", "json")} for pair in pairwise(words)
        )
        try:
            # Exit codes come back as a value; everything else as an error that is told here.
            code = super().main(args, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args, **extra)
        except BrokenPipeError:
            # The reader of our output has ended, as `head` does; without this, Python would print an error when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OK
        except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001  # the border: no trace and no foreign text leaves
            code = tell(error, as_json=as_json, command=self._command_of(words))
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else OK)
        return code

    def _command_of(self, words: Sequence[str]) -> Any:
        command: Any = self
        for word in words:
            command = getattr(command, "commands", {}).get(word, command)
        return command
