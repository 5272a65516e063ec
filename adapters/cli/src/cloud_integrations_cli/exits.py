"""Exit codes by class of error, and the one place where an error becomes a line for a person."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from .characters import make_streams_safe
from .words import say_field, say_problem

OK = 0
INTERNAL = 1
USAGE = 2
NOT_FOUND = 3
VALIDATION = 4
CREDENTIALS = 5
PROVIDER = 6
STORAGE = 7
SETUP = 8
CONFLICT = 9
FORBIDDEN = 10
AUDIT = 11
INTERRUPTED = 130

MEANINGS = {
    OK: "it worked",
    INTERNAL: "a mistake in this program",
    USAGE: "the command line was not understood, or names no command",
    NOT_FOUND: "no such tenant, provider or integration",
    VALIDATION: "a value has not the form it should have",
    CREDENTIALS: "the provider refused the credential, or the tenant must reconnect",
    PROVIDER: "the provider does not answer, or a renewal is under way: try later",
    STORAGE: "the database or the key service cannot be used right now: try later",
    SETUP: "settings, keys, schema or an OAuth application are wrong",
    CONFLICT: "it exists already, is switched off, or somebody else was faster",
    FORBIDDEN: "not allowed",
    AUDIT: "the audit chain is broken",
    INTERRUPTED: "interrupted, or answered with no",
}

_CODES = {
    "ValidationFailedError": VALIDATION,
    "ForbiddenError": FORBIDDEN,
    "TenantNotFoundError": NOT_FOUND,
    "ProviderNotFoundError": NOT_FOUND,
    "ProviderInactiveError": CONFLICT,
    "IntegrationNotFoundError": NOT_FOUND,
    "IntegrationExistsError": CONFLICT,
    "IntegrationInactiveError": CONFLICT,
    "InvalidCredentialsError": CREDENTIALS,
    "ReconnectRequiredError": CREDENTIALS,
    "RefreshInProgressError": PROVIDER,
    "GrantRefusedError": CREDENTIALS,
    "ProviderUnavailableError": PROVIDER,
    "AppMisconfiguredError": SETUP,
    "StorageUnavailableError": STORAGE,
    "StaleWriteError": CONFLICT,
    "SetupError": SETUP,
    "SealingError": SETUP,
}
"""By the name of the class or of its nearest parent that is listed, so that nothing is loaded for the help."""


_ADVICE = {
    "ValidationFailedError": "",
    "ProviderNotFoundError": "`cloud-integrations providers list` shows which there are.",
    "IntegrationNotFoundError": "`cloud-integrations integrations list` shows which the tenant has.",
    "IntegrationExistsError": "`cloud-integrations integrations reconnect` renews it; `delete` removes it.",
    "IntegrationInactiveError": "`cloud-integrations integrations enable` switches it on again.",
    "KeyServiceUnavailableError": "Repeat the command later.",
    "CommitUnknownError": "Look whether the change is there before you repeat the command.",
    "StorageUnavailableError": "Is the database running, and database_url right?",
    "ReconnectRequiredError": "`cloud-integrations integrations reconnect` connects it again.",
}
"""What to do at a command line, where it can be said better than for every door."""

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
"""What other programs call what is called otherwise here."""

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
_OPTION = re.compile(r"--?[a-z][a-z-]{0,30}")
"""What looks like the name of an option and not like a key that was pasted."""


class CommandLineError(Exception):
    """The words of the command line cannot mean anything; the text says why, and repeats no value."""


class UnknownCommandError(CommandLineError):
    """There is no such command here; the text names commands that may be meant, as they are typed."""

    def __init__(self, text: str, /, *, advice: str = "") -> None:
        super().__init__(text)
        self.advice = advice


def exit_code(error: BaseException, /) -> int:
    """Return the exit code of an error's class."""
    if isinstance(error, CommandLineError):
        return USAGE
    return next((_CODES[parent.__name__] for parent in type(error).__mro__ if parent.__name__ in _CODES), INTERNAL)


class Group(TyperGroup):
    """Commands under one noun; a word that is none of them is answered with those that may be meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that *args* begin with.  Raises `UnknownCommandError`."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            root = ctx.find_root()
            near = _near(args[0], self, root.command, root.command_path)
            raise UnknownCommandError("no such command" + _did_you_mean(near), advice=f"Try '{ctx.command_path} --help'.")
        return super().resolve_command(ctx, args)


class GuardedGroup(Group):
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
        as_json = "--output=json" in words or any(pair in {("--output", "json"), ("-o", "json")} for pair in pairwise(words))
        try:
            # Exit codes come back as a value; everything else as an error that is told here.
            code = super().main(args, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args, **extra)
        except (typer.Abort, KeyboardInterrupt):
            code = _tell(INTERRUPTED, "interrupted", "", code="interrupted", details={}, as_json=as_json)
        except BrokenPipeError:
            # Whoever read our output went away, as `head` does; Python would complain once more when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OK
        except Exception as error:  # noqa: BLE001  # the border: no trace and no foreign text leaves
            code = tell(error, as_json=as_json, command=self._command_of(words))
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else OK)
        return code

    def _command_of(self, words: Sequence[str]) -> Any:
        command: Any = self
        for word in words:
            command = getattr(command, "commands", {}).get(word, command)
        return command


def tell(error: Exception, /, *, as_json: bool, command: Any = None) -> int:
    """Say on stderr what went wrong and what to do, and return the exit code.  No traceback, no value, no secret.

    *command* is the parsed command whose options name what was wrong.
    """
    if type(error).__name__ == "NoArgsIsHelpError" and not as_json:
        _print(str(error))
        return USAGE
    if hasattr(error, "format_message"):  # an error of the command line parser; its class moves between versions
        return _tell(USAGE, _without_values(error), _where_help_is(error), code="usage", details={}, as_json=as_json)
    if isinstance(error, CommandLineError):
        return _tell(USAGE, str(error), getattr(error, "advice", ""), code="usage", details={}, as_json=as_json)
    status = exit_code(error)
    if status == INTERNAL:
        # The text of a stranger's error may hold anything; its class and place are enough to report it.
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"internal error ({type(error).__name__} at {Path(place.filename).name}:{place.lineno})"
        return _tell(INTERNAL, what, "Please report this line.", code="internal", details={}, as_json=as_json)
    code = "setup" if status == SETUP and getattr(error, "code", "internal") == "internal" else getattr(error, "code", "internal")
    return _tell(status, sentence(error, command), advise(error), code=code, details=getattr(error, "details", {}), as_json=as_json)


def sentence(error: Exception, command: Any = None, /) -> str:
    """Return the sentence in the words of the command line, with the closed-list word that says why, where the error has one."""
    field, problem = getattr(error, "field", None), getattr(error, "problem", None)
    if isinstance(field, str) and isinstance(problem, str):
        return f"{say_field(field, command)} {say_problem(problem)}"
    message, reason = getattr(error, "message", str(error)), getattr(error, "reason", None)
    return f"{message} ({reason.replace('_', ' ')})" if isinstance(reason, str) else message


def advise(error: Exception, /) -> str:
    """Return what to do about *error*, or nothing."""
    return next((_ADVICE[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _ADVICE), getattr(error, "advice", ""))


def _tell(status: int, message: str, advice: str, *, code: str, details: dict[str, Any], as_json: bool) -> int:
    if as_json:
        body = {"success": False, "error": {"code": code, "message": message, "details": details}}
        _print(json.dumps(body, default=str))
    else:
        _print(f"error: {message}")
        if advice:
            _print(f"  {advice}")
    return status


def _print(text: str) -> None:
    # Typer's own `echo` writes UTF-8 where the encoding is ASCII.
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # errors go to stderr


def _without_values(error: Any) -> str:
    # A word in the wrong place may be a secret that was pasted there.
    kind, message = type(error).__name__, str(error.format_message())
    if kind == "NoArgsIsHelpError":
        return "a command is missing"
    if kind == "NoSuchOption":
        return _unknown_option(error)
    if message.startswith("Got unexpected extra argument"):
        return "more arguments than this command takes"
    message = re.sub(r"^(Invalid value for .+?: )(['\"]).*\2 is", r"\1it is", message, flags=re.DOTALL)
    return message[:1].lower() + message[1:].rstrip(".")


def _unknown_option(error: Any) -> str:
    name = str(error.option_name)
    if not _OPTION.fullmatch(name):
        return "no such option"
    ctx = error.ctx
    own = {option for parameter in ctx.command.params for option in parameter.opts}
    of_root = {option for parameter in ctx.find_root().command.params for option in parameter.opts}
    if name in of_root:
        return f"{name} goes before the command: {ctx.find_root().command_path} {name} …"
    known = [option for option in _OPTION_SYNONYMS.get(name, ()) if option.partition(" ")[0] in own]
    return f"no such option: {name}" + _did_you_mean(known or get_close_matches(name, own, n=2))


def _near(word: str, group: Any, root: Any, program: str) -> list[str]:
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


def _did_you_mean(near: Sequence[str]) -> str:
    if not near:
        return ""
    *first, last = (f"'{each}'" for each in near)
    return f"; did you mean {', '.join(first)} or {last}?" if first else f"; did you mean {last}?"


def _where_help_is(error: Exception) -> str:
    ctx = getattr(error, "ctx", None)
    return f"Try '{ctx.command_path} --help'." if ctx is not None else ""
