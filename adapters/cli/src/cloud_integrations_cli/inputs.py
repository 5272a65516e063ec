"""The values that a provider asks for: from `--input`, or asked for at the terminal.

A secret comes from a file, standard input or a hidden prompt.  As an argument it would be seen in a shell's history and in `ps`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cloud_integrations import AuthType, InputSummary, MethodSummary, ProviderSummary, Secret
from cloud_integrations.errors import ValidationFailedError

from .exits import CommandLineError
from .prompts import ask, ask_hidden, ask_which, can_ask, decode_secret, read_secret_file
from .render import Screen

_FILES = {"json": "the path of its JSON file", "pem": "the path of its PEM file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredInputs:
    """Values by the names of a provider's inputs, and the method that they are for; None: the library finds it."""

    inputs: Mapping[str, Secret] = field(repr=False)
    method: str | None


def find_methods(provider: ProviderSummary, method: str | None, /) -> tuple[MethodSummary, ...]:
    """Return the methods of *provider* that take inputs, or the one with the id *method*.

    Raises `ValidationFailedError` if there is none.
    """
    methods = tuple(each for each in provider.methods if each.auth_type is AuthType.API_KEY)
    if not methods:
        raise ValidationFailedError(field="provider", problem="takes no API key; use `cloud-integrations connect`")
    if method is None:
        return methods
    named = tuple(each for each in methods if each.id == method)
    if not named:
        raise CommandLineError(f"--method must be one of {', '.join(each.id for each in methods)} for this provider")
    return named


def read_inputs(
    screen: Screen, provider: ProviderSummary, given: Sequence[str], /, *, method: str | None, current: str | None = None
) -> EnteredInputs:
    """Return the inputs of a method of *provider*: those *given* as `name=@file`, `name=-` or `name=value`, and those asked for.

    *method* is the id of the method; *current* is that of the integration so far, which is used where it fits.
    Raises `CommandLineError`, which repeats no value, or `ValidationFailedError` for an empty value.
    """
    methods = find_methods(provider, method)
    values = _read_given(methods, given)
    fitting = [each for each in methods if values.keys() <= {known.name for known in each.inputs}]
    if not fitting:
        raise CommandLineError("the names after --input belong to different methods; --method says which one is meant")
    if values and len(fitting) > 1 and not any(_missing(each, values) for each in fitting):
        return EnteredInputs(inputs=values, method=method)
    chosen = _choose(fitting, values, current=current)
    for asked in _to_ask(chosen, values):
        value = _ask(screen, asked)
        if value is not None:
            values[asked.name] = value
        elif asked.required:
            raise ValidationFailedError(field=f"credentials.{asked.label}", problem="is empty")
    return EnteredInputs(inputs=values, method=chosen.id)


def _read_given(methods: Iterable[MethodSummary], given: Sequence[str]) -> dict[str, Secret]:
    known = {each.name: each for method in methods for each in method.inputs}
    values: dict[str, Secret] = {}
    from_stdin = False
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals:
            raise CommandLineError("--input takes NAME=@FILE, NAME=- or, if it is no secret, NAME=VALUE")
        if name not in known:
            raise CommandLineError(f"--input names a value that this provider does not ask for; it asks for {', '.join(known)}")
        if name in values:
            raise CommandLineError(f"--input {name} is there twice")
        if text == "-":
            if from_stdin:
                raise CommandLineError("only one --input can be read from standard input")
            from_stdin = True
            values[name] = decode_secret(f"--input {name}", sys.stdin.buffer.read())
        elif text.startswith("@"):
            values[name] = read_secret_file(f"--input {name}", Path(text[1:]))
        elif any(each.secret for method in methods for each in method.inputs if each.name == name):
            raise CommandLineError(
                f"{name} is a secret, and an argument is seen in ps and in the shell's history; "
                f"use --input {name}=@FILE or --input {name}=-, or be asked for it"
            )
        else:
            values[name] = Secret(text)
        if not values[name]:
            raise ValidationFailedError(field=f"credentials.inputs.{name}", problem="is empty")
    return values


def _choose(methods: Sequence[MethodSummary], values: Mapping[str, Secret], *, current: str | None) -> MethodSummary:
    if len(methods) == 1:
        return methods[0]
    so_far = next((each for each in methods if each.id == current), None)
    if so_far is not None:
        return so_far
    if can_ask():
        return methods[ask_which("How is it connected?", [_describe(each) for each in methods])]
    # Nobody can be asked: one that needs nothing more, else the first, whose missing inputs are then named.
    return next((each for each in methods if not _missing(each, values)), methods[0])


def _describe(method: MethodSummary) -> str:
    return f"{method.id}: {', '.join(each.label for each in method.inputs)}"


def _missing(method: MethodSummary, values: Mapping[str, Secret]) -> list[InputSummary]:
    """Return the inputs that the method cannot do without; of a group with none given, all."""
    return [each for each in method.inputs if each.required and not _is_settled(method, each, values)]


def _is_settled(method: MethodSummary, each: InputSummary, values: Mapping[str, Secret]) -> bool:
    """Return whether *each*, or another of its group, has a value."""
    group = [other.name for other in method.inputs if each.one_of is not None and other.one_of == each.one_of]
    return each.name in values or any(name in values for name in group)


def _to_ask(method: MethodSummary, values: Mapping[str, Secret]) -> list[InputSummary]:
    """Return the inputs to ask for, in their order; of each group, the one that the person names."""
    if not can_ask():
        missing = _missing(method, values)
        if missing:
            names = ", ".join(dict.fromkeys(each.name for each in missing))
            raise CommandLineError(f"no terminal to ask on; give --input NAME=@FILE or NAME=- for {names}")
        return []
    asked: list[InputSummary] = []
    groups: set[str] = set()
    for each in method.inputs:
        if _is_settled(method, each, values):
            continue
        if each.one_of is None:
            asked.append(each)
        elif each.one_of not in groups:
            groups.add(each.one_of)
            asked += _ask_group([other for other in method.inputs if other.one_of == each.one_of])
    return asked


def _ask_group(group: Sequence[InputSummary]) -> list[InputSummary]:
    labels = [each.label for each in group]
    optional = not any(each.required for each in group)
    place = ask_which("Which of these do you have?", [*labels, "none of them"] if optional else labels)
    # The chosen one is needed, whatever a group says of its members.
    return [replace(group[place], required=True)] if place < len(group) else []


def _ask(screen: Screen, asked: InputSummary) -> Secret | None:
    """Return the answer; None if it is empty."""
    label = asked.label
    if asked.hint:
        screen.note(asked.hint)
    about = "" if asked.required else ", empty for none"
    if asked.form in _FILES:
        # A document has many lines, and a prompt takes one.
        path = ask(f"{label} ({_FILES[asked.form]}{about}): ").strip()
        return read_secret_file(label, Path(path).expanduser()) if path else None
    text = ask_hidden(f"{label} (hidden{about}): ") if asked.secret else ask(f"{label}{f' ({about[2:]})' if about else ''}: ")
    return Secret(text) if text.strip() else None
