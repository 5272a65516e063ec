"""`providers new`: the files of a new provider, from options and from answers at the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloud_integrations import CATEGORIES, Catalogue
from cloud_integrations.errors import ConfigurationError
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.prompts import ask, can_ask
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.skeleton_answers import Answers
from cloud_integrations_cli.skeletons import build_files

KINDS = {
    "api_key": "an API key or token that a person enters",
    "oauth2": "OAuth2: a person consents at the provider (authorization code)",
    "client_credentials": "a client id and secret that make tokens (OAuth2 client credentials)",
    "basic": "a user name and a password (HTTP basic)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One question: the field of `Answers`, its option, its text, and what is wrong with an answer (None: nothing)."""

    field: str
    option: str
    text: str
    problem: Callable[[str], str | None]
    default: str = ""
    kinds: frozenset[str] = frozenset(KINDS)


def _slug_problem(text: str) -> str | None:
    if re.fullmatch(r"[a-z][a-z0-9_]{0,63}", text) is None:
        return "must be 1 to 64 of a-z, 0-9 and _, and begin with a letter"
    if Catalogue.builtin().find(text) is not None:
        return "is built in already"
    return None


def _line_problem(text: str) -> str | None:
    return None if text.isprintable() and len(text) <= 100 else "must be at most 100 characters on one line"


def _url_problem(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        whole = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and not parts.fragment
    except ValueError:
        whole = False
    if not whole or not text.isprintable() or set(text) & set(' "\\'):
        return "must be an https URL without user name and fragment"
    if "{" in text or "}" in text:
        return "must be without {variables}; add those to the file afterwards"
    return None


def _one_of(*words: str) -> Callable[[str], str | None]:
    return lambda text: None if text in words else f"must be one of {', '.join(words)}"


def _place_problem(text: str) -> str | None:
    if re.fullmatch(r"bearer|(?:header|query):[A-Za-z0-9_-]{1,64}", text) is None:
        return "must be bearer, header:NAME or query:NAME"
    return None


def _account_problem(text: str) -> str | None:
    if re.fullmatch(r"json:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|header:[A-Za-z0-9-]+", text) is None:
        return "must be json:PATH with dots between steps, or header:NAME"
    # The test that is written answers with a list of one.
    if any(step.isdigit() and step != "0" for step in text.partition(":")[2].split(".")):
        return "may only name the first of a list, as 0"
    return None


def _status_problem(text: str) -> str | None:
    return None if re.fullmatch(r"4[0-9][0-9]", text) and text != "429" else "must be a status from 400 to 499, and not 429"


def _pattern_problem(text: str) -> str | None:
    if not text.startswith("^") or not text.endswith("$"):
        return "must begin with ^ and end with $"
    try:
        re.compile(text)
    except re.error:
        return "is no regular expression"
    return None


_CONSENT = frozenset({"oauth2"})
_WITH_TOKENS = frozenset({"oauth2", "client_credentials"})
QUESTIONS = (
    _Question(field="slug", option="--id", text="Slug, which never changes", problem=_slug_problem, default="acme"),
    _Question(field="name", option="--name", text="Name for people", problem=_line_problem),
    _Question(field="documentation", option="--documentation", text="The provider's page about access (URL)", problem=_url_problem),
    _Question(field="category", option="--category", text="Category", problem=_one_of(*CATEGORIES), default="other"),
    _Question(field="kind", option="--kind", text="How it connects", problem=_one_of(*KINDS), default="api_key"),
    _Question(
        field="place",
        option="--place",
        text="Where the key goes (bearer, header:NAME or query:NAME)",
        problem=_place_problem,
        kinds=frozenset({"api_key"}),
    ),
    _Question(field="authorize_url", option="--authorize-url", text="Where a person consents (URL)", problem=_url_problem, kinds=_CONSENT),
    _Question(field="token_url", option="--token-url", text="Where tokens are made (URL)", problem=_url_problem, kinds=_WITH_TOKENS),
    _Question(
        field="rotates",
        option="--rotates",
        text="Does a refresh replace the refresh token (always, sometimes, never)",
        problem=_one_of("always", "sometimes", "never"),
        kinds=_CONSENT,
    ),
    _Question(field="check_url", option="--check-url", text="A read-only request that shows whether it works (URL)", problem=_url_problem),
    _Question(
        field="account",
        option="--account",
        text="Where its answer names the account (json:PATH or header:NAME)",
        problem=_account_problem,
    ),
    _Question(field="dead_status", option="--dead-status", text="Status of a dead credential, such as 401", problem=_status_problem),
    _Question(
        field="pattern",
        option="--pattern",
        text="Form of the key, as a regular expression",
        problem=_pattern_problem,
        kinds=frozenset(KINDS) - _CONSENT,
    ),
    _Question(field="revoke_page", option="--revoke-page", text="The page where the access is ended by hand (URL)", problem=_url_problem),
)


def create(screen: Screen, given: Mapping[str, str | None], folder: Path, /) -> None:
    """Write the files of a new provider into *folder*; what is not *given* is asked for, or left open where nobody can be asked.

    Raises `CommandLineError` for an option whose value is not valid, and `ConfigurationError` for a file that is there already.
    """
    answers = _read_answers(screen, given)
    files = build_files(answers, datetime.now(UTC).date())
    write_all({folder / path: text for path, text in files.items()})
    unknown = files[f"{answers.slug}.toml"].count("\n# Not known yet:")
    written = [str(folder / path) for path in files]
    if screen.as_json:
        screen.json({"data": {"id": answers.slug, "files": written, "unknown": unknown}})
        return
    for path in written:
        screen.text(path)
    screen.note(f"\n{unknown} things are not known yet; the comments in {written[0]} name them. Then:")
    screen.note(f"  cloud-integrations providers check {written[0]}")
    screen.note(f"  cloud-integrations providers check {written[0]} --live")


def _read_answers(screen: Screen, given: Mapping[str, str | None]) -> Answers:
    kind = given.get("kind")
    # All options are looked at before the first question.
    for question in QUESTIONS:
        value = given.get(question.field)
        if value and (problem := question.problem(value)) is not None:
            raise CommandLineError(f"{question.option} {problem}")
    for question in QUESTIONS:
        if given.get(question.field) and kind is not None and kind not in question.kinds:
            raise CommandLineError(f"{question.option} is not for --kind {kind}")
    if can_ask():
        screen.note("Press Enter for what stands in brackets; what you leave out becomes a comment in the file.\n")
    elif not given.get("slug"):
        raise CommandLineError("no terminal to ask on; give --id, and what else is known")
    found: dict[str, Any] = {}
    for question in QUESTIONS:
        if "kind" not in found or found["kind"] in question.kinds:
            found[question.field] = _find_answer(screen, question, given.get(question.field), found)
        elif given.get(question.field):
            raise CommandLineError(f"{question.option} is not for {found['kind']}")
    return Answers(**found)


def _find_answer(screen: Screen, question: _Question, given: str | None, found: Mapping[str, str]) -> str:
    """Return the answer to *question*, which is asked until it is valid."""
    default = found["slug"].replace("_", " ").title() if question.field == "name" else question.default
    if given is not None or not can_ask():
        return given or default
    if question.field == "kind":
        for name, about in KINDS.items():
            screen.note(f"  {name}: {about}")
    while True:
        answer = ask(f"{question.text} [{default or 'not known'}]: ").strip() or default
        problem = question.problem(answer) if answer else None
        if problem is None:
            return answer
        screen.note(f"  That {problem}.")


def write_all(files: Mapping[Path, str], /) -> None:
    """Create all *files*, or none of them.  Raises `ConfigurationError` for one that is there already, or cannot be written."""
    for path in files:
        if path.exists() or path.is_symlink():
            raise ConfigurationError(setting=str(path), problem="exists already, and is left as it is")
    made: list[Path] = []
    try:
        for path, text in files.items():
            _make_folders(path.parent, made)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                made.append(path)
                file.write(text)
    except BaseException as error:  # Ctrl-C, too
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise ConfigurationError(setting=str(error.filename), problem="exists already, and is left as it is") from None
        if isinstance(error, OSError):
            raise ConfigurationError(setting=str(error.filename), problem=f"cannot be written: {error.strerror}") from None
        raise


def _make_folders(folder: Path, made: list[Path]) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir()
        made.append(each)
