"""Exit codes by class of error, and the one place where an error becomes a line for a person."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

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
    USAGE: "the command line was not understood",
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


class CommandLineError(Exception):
    """The words of the command line cannot mean anything; the text says why, and repeats no value."""


def exit_code(error: BaseException, /) -> int:
    """Return the exit code of an error's class."""
    if isinstance(error, CommandLineError):
        return USAGE
    return next((_CODES[parent.__name__] for parent in type(error).__mro__ if parent.__name__ in _CODES), INTERNAL)


class GuardedGroup(TyperGroup):
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
            code = tell(error, as_json=as_json)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else OK)
        return code


def tell(error: Exception, /, *, as_json: bool) -> int:
    """Say on stderr what went wrong and what to do, and return the exit code.  No traceback, no value, no secret."""
    parser_message = getattr(error, "format_message", None)
    if parser_message is not None:  # an error of the command line parser; its class moves between versions
        return _tell(USAGE, _without_values(parser_message()), _where_help_is(error), code="usage", details={}, as_json=as_json)
    if isinstance(error, CommandLineError):
        return _tell(USAGE, str(error), "", code="usage", details={}, as_json=as_json)
    status = exit_code(error)
    if status == INTERNAL:
        # The text of a stranger's error may hold anything; its class and place are enough to report it.
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"internal error ({type(error).__name__} at {Path(place.filename).name}:{place.lineno})"
        return _tell(INTERNAL, what, "Please report this line.", code="internal", details={}, as_json=as_json)
    message = _named(error, getattr(error, "message", str(error)))
    code = "setup" if status == SETUP and getattr(error, "code", "internal") == "internal" else getattr(error, "code", "internal")
    return _tell(status, message, getattr(error, "advice", ""), code=code, details=getattr(error, "details", {}), as_json=as_json)


def _named(error: Exception, message: str) -> str:
    """Add the closed-list word that says why, where the error has one."""
    reason = getattr(error, "reason", None)
    return f"{message} ({reason.replace('_', ' ')})" if isinstance(reason, str) else message


def _tell(status: int, message: str, advice: str, *, code: str, details: dict[str, Any], as_json: bool) -> int:
    if as_json:
        body = {"success": False, "error": {"code": code, "message": message, "details": details}}
        typer.echo(json.dumps(body, default=str), err=True)
    else:
        typer.echo(f"error: {message}", err=True)
        if advice:
            typer.echo(f"  {advice}", err=True)
    return status


def _without_values(message: str) -> str:
    # A word in the wrong place may be a secret that was pasted there.
    if message.startswith("Got unexpected extra argument"):
        return "more arguments than this command takes"
    if message.startswith("No such command"):
        _, found, near = message.partition("Did you mean ")
        return "no such command" + (f"; did you mean {near.rstrip('?')}?" if found else "")
    return message[:1].lower() + message[1:].rstrip(".")


def _where_help_is(error: Exception) -> str:
    ctx = getattr(error, "ctx", None)
    return f"Try '{ctx.command_path} --help'." if ctx is not None else ""
