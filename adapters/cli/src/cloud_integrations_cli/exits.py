"""Exit codes by class of error, and the texts of errors for people and programs."""

from __future__ import annotations

import json
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import typer

from .near import did_you_mean, near_options
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
    INTERNAL: "an error in this program; for `providers lint`, something to mend",
    USAGE: "no command, or a wrong command, argument or option",
    NOT_FOUND: "no such tenant, provider, integration or application",
    VALIDATION: "a value is not valid",
    CREDENTIALS: "the provider refused the credential, or the tenant must reconnect",
    PROVIDER: "the provider does not answer, or a refresh is under way: try later",
    STORAGE: "the database or the key service does not answer: try later",
    SETUP: "settings, keys, schema or an OAuth application are wrong",
    CONFLICT: "it exists already, is disabled or frozen, or was changed meanwhile",
    FORBIDDEN: "not allowed",
    AUDIT: "the audit chain is broken",
    INTERRUPTED: "interrupted, or a question was answered with no",
}

_CODES = {
    "ValidationFailedError": VALIDATION,
    "ForbiddenError": FORBIDDEN,
    "TooManyRequestsError": PROVIDER,
    "TenantNotFoundError": NOT_FOUND,
    "ProviderNotFoundError": NOT_FOUND,
    "ProviderInactiveError": CONFLICT,
    "IntegrationNotFoundError": NOT_FOUND,
    "ApplicationNotFoundError": NOT_FOUND,
    "ApplicationInUseError": CONFLICT,
    "SessionNotFoundError": NOT_FOUND,
    "WebhookNotFoundError": NOT_FOUND,
    "SessionRefusedError": FORBIDDEN,
    "FreezeNotFoundError": NOT_FOUND,
    "IncidentNotFoundError": NOT_FOUND,
    "IncidentNotApprovedError": FORBIDDEN,
    "IntegrationExistsError": CONFLICT,
    "KeyRotationError": CONFLICT,
    "IntegrationInactiveError": CONFLICT,
    "IntegrationFrozenError": CONFLICT,
    "ResourceNotChosenError": CONFLICT,
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
    "ApplicationNotFoundError": "`cloud-integrations applications list` shows which the tenant has.",
    "SessionNotFoundError": "`sessions list` and `connect-sessions list` show which the tenant has.",
    "IncidentNotFoundError": "`cloud-integrations incident list` shows which there are.",
    "IncidentNotApprovedError": "Another person runs `cloud-integrations incident approve`; then repeat the command.",
    "FreezeNotFoundError": "`cloud-integrations incident freezes` shows which there are.",
    "WebhookNotFoundError": "`cloud-integrations webhooks list` shows which there are.",
    "KeyRotationError": "`cloud-integrations integrations rotate-key` begins a rotation; `--finish` and `--cancel` end it.",
    "IntegrationExistsError": "`cloud-integrations integrations reconnect` renews it; `delete` removes it.",
    "IntegrationInactiveError": "`cloud-integrations integrations enable` switches it on again.",
    "ResourceNotChosenError": "`cloud-integrations integrations resources` shows what there is; `choose` takes one of them.",
    "KeyServiceUnavailableError": "Repeat the command later.",
    "CommitUnknownError": "Look whether the change is there before you repeat the command.",
    "StorageUnavailableError": "Is the database running, and database_url right?",
    "ReconnectRequiredError": "`cloud-integrations integrations reconnect` connects it again.",
}
"""The advice at the command line, where it can be more exact than the advice of the error itself."""

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


def tell(error: BaseException, /, *, as_json: bool, command: Any = None) -> int:
    """Say on stderr what went wrong and what to do, and return the exit code.  No traceback, no value, no secret.

    *command* is the parsed command whose options name what was wrong.
    """
    if isinstance(error, (typer.Abort, KeyboardInterrupt)):
        return _tell(INTERRUPTED, "interrupted", "", code="interrupted", details={}, as_json=as_json)
    if type(error).__name__ == "NoArgsIsHelpError" and not as_json:
        _print(str(error))
        return USAGE
    if hasattr(error, "format_message"):  # an error of the command line parser; its class moves between versions
        return _tell(USAGE, _without_values(error), _where_help_is(error), code="usage", details={}, as_json=as_json)
    if isinstance(error, CommandLineError):
        return _tell(USAGE, str(error), getattr(error, "advice", ""), code="usage", details={}, as_json=as_json)
    status = exit_code(error)
    if status == INTERNAL:
        # The text of a foreign error may hold a secret; its class and place are enough for a report.
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"internal error ({type(error).__name__} at {Path(place.filename).name}:{place.lineno})"
        return _tell(INTERNAL, what, "Please report this line.", code="internal", details={}, as_json=as_json)
    code = "setup" if status == SETUP and getattr(error, "code", "internal") == "internal" else getattr(error, "code", "internal")
    return _tell(status, sentence(error, command), advise(error), code=code, details=getattr(error, "details", {}), as_json=as_json)


def sentence(error: BaseException, command: Any = None, /) -> str:
    """Return the sentence in the words of the command line, with the closed-list word that says why, where the error has one."""
    field, problem = getattr(error, "field", None), getattr(error, "problem", None)
    if isinstance(field, str) and isinstance(problem, str):
        return f"{say_field(field, command)} {say_problem(problem)}"
    message, reason = getattr(error, "message", str(error)), getattr(error, "reason", None)
    return f"{message} ({reason.replace('_', ' ')})" if isinstance(reason, str) else message


def advise(error: BaseException, /) -> str:
    """Return what to do about *error*, or nothing."""
    return next((_ADVICE[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _ADVICE), getattr(error, "advice", ""))


def _tell(status: int, message: str, advice: str, *, code: str, details: dict[str, Any], as_json: bool) -> int:
    if as_json:
        body = {"success": False, "error": {"code": code, "message": message, "details": details}}
        _print(json.dumps(body, default=str))
    elif (logs := _json_logs()) is not None:
        logs.tell_json("error", message, event="ended", facts={"code": code, "advice": advice, **details})
    else:
        _print(f"error: {message}")
        if advice:
            _print(f"  {advice}")
    return status


def _json_logs() -> Any:
    # Where the module was not loaded, nothing has asked for it.
    logs = sys.modules.get(f"{__package__}.logs")
    return logs if logs is not None and logs.are_json() else None


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
    return f"no such option: {name}" + did_you_mean(near_options(name, own))


def _where_help_is(error: BaseException) -> str:
    ctx = getattr(error, "ctx", None)
    return f"Try '{ctx.command_path} --help'." if ctx is not None else ""
