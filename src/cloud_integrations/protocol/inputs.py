"""The values that a tenant enters: named, cleaned and checked before they go anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cloud_integrations.domain.entered import Entered, EnteredInputs
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Input, Method, Provider
from cloud_integrations.domain.provider.predicates import passes
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .derivation import find_told
from .egress import read_origin
from .http import find_json_object, find_path
from .pasted_keys import clean, find_hint, require_own
from .verification import find_check

MAX_INPUT: Final = 16 * 1024
"""The longest value that a tenant can enter, in characters."""
_IN_LINES: Final = "\r\n\t"
SHORTHANDS: Final = ("credentials.apiKey", "credentials.secretKey")
"""The fields of the public API for the first two secret inputs."""


def find_input_method(
    provider: Provider, methods: Sequence[Method], entered: Entered, /, *, variables: Mapping[str, str], current: str | None = None
) -> Method:
    """Return the one of *methods* that *entered* is for.

    A single key goes to the first method whose main input it matches: providers with several kinds of key (Cloudflare) give them
    different forms.  A method is skipped if it has no check, or if a variable of its check has no value.
    *current* is the method of the credential in whose place this one comes.  Where two methods fit equally well, it stays.

    Raises `ValidationFailedError` for a method that *provider* does not have, and for inputs that fit none.
    """
    if entered.method_id is not None:
        named = next((method for method in methods if method.id == entered.method_id), None)
        if named is None:
            problem = f"must be one of {_in_words([method.id for method in methods])} for this provider and credentials"
            raise ValidationFailedError(field="method", problem=problem)
        return named
    if not isinstance(entered, EnteredInputs):
        fitting = [
            method
            for method in methods
            if _looks_made_for(entered.api_key, method)
            and find_check(provider, method, variables={**variables, **_told_by_main(provider, method, entered.api_key)})
        ]
        return _first_or_current(fitting or methods, current)
    fitting = [method for method in methods if _fits(method, entered.inputs)]
    if not fitting:
        asked = "; or ".join(_in_words([each.name for each in method.entered_inputs]) for method in methods)
        raise ValidationFailedError(field="credentials.inputs", problem=f"must be {asked}")
    matching = [method for method in fitting if all(_matches(each, entered.inputs, method) for each in method.entered_inputs)]
    return _first_or_current(matching or fitting, current)


def name_inputs(method: Method, entered: Entered, /) -> tuple[dict[str, Secret], dict[str, str]]:
    """Return what was *entered* by the names of the inputs of *method*, and the field of the public API of each.

    Raises `ValidationFailedError` for a second half if the provider asks for a key only.
    """
    if isinstance(entered, EnteredInputs):
        return dict(entered.inputs), {each.name: f"credentials.inputs.{each.name}" for each in method.entered_inputs}
    secrets = [each.name for each in method.entered_inputs if each.secret]
    if entered.secret_key is not None and len(secrets) < 2:
        raise ValidationFailedError(field=SHORTHANDS[1], problem="is not used by this provider")
    given = (entered.api_key,) if entered.secret_key is None else (entered.api_key, entered.secret_key)
    named = {each.name: f"credentials.{each.name}" for each in method.entered_inputs}
    return dict(zip(secrets, given, strict=False)), named | dict(zip(secrets, SHORTHANDS, strict=False))


def normalise(method: Method, inputs: Mapping[str, Secret | str], /, *, fields: Mapping[str, str] | None = None) -> dict[str, Secret]:
    """Return the parts of the tenant's inputs, cleaned by the rules of *method*; inputs that are empty and not required are left out.

    White space, quotes and text around a value are removed.  A value that no request can carry is refused, and so is a private key or
    a JSON document that the input does not ask for.  A JSON document is read, and its parts take its place.  *fields* are the names of
    the inputs in errors.

    Raises `ValidationFailedError`, which names the input and never repeats a value.
    """
    if not inputs.keys() <= {each.name for each in method.entered_inputs}:
        problem = f"name an input that this method does not have; it has {_in_words([each.name for each in method.entered_inputs])}"
        raise ValidationFailedError(field="credentials.inputs", problem=problem)
    named = {each.name: f"credentials.{each.name}" for each in method.entered_inputs} | dict(fields or {})
    values = {each.name: Secret(clean(_text(inputs.get(each.name, "")), method, each)) for each in method.entered_inputs}
    entered = [each for each in method.entered_inputs if values[each.name]]
    _require_all(method, entered, named)
    parts: dict[str, Secret] = {}
    for each in entered:
        parts.update(_parts(values[each.name], each, field=named[each.name]))
    return parts


def hints(provider: Provider, method: Method, inputs: Mapping[str, Secret | str], /) -> tuple[str, ...]:
    """Return a sentence for each input that has not the usual form of this provider's keys, or not the right checksum.

    Such a hint only warns, because forms change.  It names the input and never repeats a value.
    """
    return tuple(
        f"{each.label or each.name} {hint}"
        for each in method.entered_inputs
        if each.name in inputs and (hint := find_hint(clean(_text(inputs[each.name]), method, each), each, provider))
    )


def _looks_made_for(key: Secret, method: Method) -> bool:
    main = _main(method)
    cleaned = clean(key.reveal(), method, main)
    beginning = {"json": "{", "pem": "-----BEGIN"}.get(main.form, "")
    return cleaned.startswith(beginning) and main.looks_right(cleaned)


def _first_or_current(methods: Sequence[Method], current: str | None) -> Method:
    """Return the *current* one of *methods*, else the first; a method that takes keys of any form gives way to one that knows the form."""
    first = methods[0]
    stays = next((method for method in methods if method.id == current), first)
    return stays if _knows_form(stays) or not _knows_form(first) else first


def _knows_form(method: Method) -> bool:
    return any(each.patterns or each.form != "text" for each in method.entered_inputs)


def _told_by_main(provider: Provider, method: Method, key: Secret) -> dict[str, str]:
    main = _main(method)
    inputs = {main.name: Secret(clean(key.reveal(), method, main))}
    return {name: told.value for name, told in find_told(provider, method, inputs, fields={}).items()}


def _main(method: Method) -> Input:
    return next(each for each in method.entered_inputs if each.secret)


def _fits(method: Method, inputs: Mapping[str, object]) -> bool:
    """Return whether *method* takes all of *inputs*, and they are all that it requires."""
    required = {each.name for each in method.entered_inputs if each.required and each.one_of is None}
    return required <= inputs.keys() <= {each.name for each in method.entered_inputs}


def _matches(each: Input, inputs: Mapping[str, Secret | str], method: Method) -> bool:
    return each.name not in inputs or each.looks_right(clean(_text(inputs[each.name]), method, each))


def _require_all(method: Method, entered: Sequence[Input], fields: Mapping[str, str]) -> None:
    """Refuse inputs that are missing, and two of which only one may be there."""
    for each in method.entered_inputs:
        if each.one_of is None:
            if each.required and each not in entered:
                raise ValidationFailedError(field=fields[each.name], problem="is required by this provider")
            continue
        group = [other for other in method.entered_inputs if other.one_of == each.one_of]
        given = [other for other in group if other in entered]
        if len(given) > 1:
            problem = f"cannot be given together with {given[0].label or given[0].name}"
            raise ValidationFailedError(field=fields[given[1].name], problem=problem)
        if not given and any(other.required for other in group):
            choices = _in_words([other.label or other.name for other in group])
            raise ValidationFailedError(field=fields[each.name], problem=f"is required by this provider, or another of {choices}")


def _parts(value: Secret, expected: Input, /, *, field: str) -> Parts:
    """Return what is stored of one value."""
    require_own(value, expected, field=field)
    problem = _find_problem(value, expected)
    if problem is not None:
        raise ValidationFailedError(field=field, problem=problem)
    if expected.form == "origin":
        return {expected.name: _read_origin(value, field=field)}
    if expected.form != "json":
        return {expected.name: value}
    return _read_document(value, expected, field=field)


def _read_origin(value: Secret, /, *, field: str) -> Secret:
    try:
        return Secret(read_origin(value.reveal()))
    except ValueError as error:
        problem = str(error)
    # Raised outside the `except` block, because the traceback of the first error holds the text.
    raise ValidationFailedError(field=field, problem=problem)


def _read_document(value: Secret, expected: Input, /, *, field: str) -> Parts:
    """Return the parts of a JSON document.  It is in no local variable: a traceback may be shown with those."""
    if _read(value) is None:
        raise ValidationFailedError(field=field, problem="must be a whole JSON document")
    for path, wanted in expected.must.items():
        if not passes(find_path(_read(value), path), equals=wanted, matches=None):
            problem = f"must be a JSON document in which {path} is {wanted}; paste the whole file that the provider gave you"
            raise ValidationFailedError(field=field, problem=problem)
    parts: dict[str, Secret] = {}
    for name, path in expected.parts.items():
        parts[name] = _text_at(value, path)
        if not parts[name]:
            raise ValidationFailedError(field=field, problem=f"has no {path}; paste the whole file that the provider gave you")
    return parts or {expected.name: value}


def _read(value: Secret) -> dict[str, Any] | None:
    return find_json_object(value.reveal().encode())


def _text_at(value: Secret, path: str) -> Secret:
    found = find_path(_read(value), path)
    # JSON can hold what can be neither stored nor sent: half of a surrogate pair, control characters.
    return Secret(found) if isinstance(found, str) and all(char.isprintable() or char in _IN_LINES for char in found) else Secret("")


def _find_problem(value: Secret, expected: Input) -> str | None:
    text = value.reveal()
    if len(text) > MAX_INPUT:
        return "is too long"
    if expected.form in {"json", "origin"}:
        return None
    if expected.form == "pem":
        return None if text.startswith("-----BEGIN ") and text.isascii() else "must be in PEM: it begins with -----BEGIN"
    # A line break inside a header's value would begin another header.
    if not (text.isascii() and text.isprintable()):
        return "must be one line of visible ASCII characters"
    if " " in text and not expected.spaces:
        return "must not hold spaces; enter the value alone"
    return None


def _text(value: Secret | str) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _in_words(names: Iterable[str]) -> str:
    return ", ".join(names)
