"""The requests that give a narrowed credential, and what their answers say of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import JsonValue

from cloud_integrations.domain.arguments import LONGEST_SCOPES
from cloud_integrations.domain.narrowing import Narrow, read_json_text
from cloud_integrations.domain.provider import Method, Narrowing, Scopes, Step
from cloud_integrations.errors import ValidationFailedError

from .scopes import is_scope

_LONGEST_TEXT: Final = 2_048
_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowedRequests:
    """What is sent for a narrowed credential: a mint or a refresh, or neither, and then an exchange, or none."""

    narrowings: Mapping[str, tuple[Narrowing, JsonValue]] = field(repr=False)
    """What is asked, by name."""
    minting: Method | None
    """The method whose mint gives the credential."""
    exchanging: Method | None
    """The method whose mint is the exchange."""
    scopes: tuple[str, ...] = ()
    """The scopes of a refresh; empty: there is none."""


def read_narrowing(method: Method, narrow: Narrow, /) -> NarrowedRequests:
    """Return the requests for what *narrow* asks of *method*.

    Raises `ValidationFailedError`, which names what the method cannot narrow, or what has not the form that it takes.
    """
    asked: dict[str, tuple[Narrowing, JsonValue]] = {}
    for name, value in narrow.values.items():
        if name not in method.narrow:
            takes = ", ".join(method.narrow)
            problem = (
                f"names what this method cannot narrow by: it takes {takes}" if takes else "cannot be given: nothing narrows this method"
            )
            raise ValidationFailedError(field="narrow", problem=problem)
        asked[name] = method.narrow[name], _read_value(f"narrow.{name}", method.narrow[name], value)
    scopes = next((value for each, value in asked.values() if each.to == "refresh"), None)
    return NarrowedRequests(
        narrowings=asked,
        minting=_with_step(method, asked, "mint", method.mint),
        exchanging=_with_step(method, asked, "exchange", (method.exchange,) if method.exchange is not None else ()),
        scopes=_read_scopes(method.scopes, scopes),
    )


def find_excess(requests: NarrowedRequests, told: Mapping[str, Sequence[Any]], /) -> str | None:
    """Return the name of what the provider gave more of than was asked, or did not say; None: it gave what was asked.

    *told* is what the answers say, by name.
    """
    for name, (each, value) in requests.narrowings.items():
        if each.answer is not None and not _is_within(each, value, told.get(name, ())):
            return name
    return None


def covers(scopes: Scopes, /, *, asked: Iterable[str], granted: Iterable[str]) -> bool:
    """Whether the *granted* scopes of an answer are no more than the *asked* ones."""
    return not scopes.missing(requested=granted, granted=asked)


def _with_step(
    method: Method, asked: Mapping[str, tuple[Narrowing, JsonValue]], to: Literal["mint", "exchange"], steps: tuple[Step, ...]
) -> Method | None:
    """Return *method* with *steps* as its mint, the first of which sends what goes *to* it; None: nothing does."""
    sent = {name: given for name, given in asked.items() if given[0].to == to}
    if not sent:
        return None
    literals: dict[str, JsonValue] = {}
    for each, value in sent.values():
        literals |= _write(each, value, in_form=steps[0].body == "form")
    told = {name: each.answer for name, (each, _) in sent.items() if each.answer is not None}
    return method.model_copy(update={"mint": (steps[0].adding(literals, told=told), *steps[1:])})


def _write(each: Narrowing, value: JsonValue, *, in_form: bool) -> dict[str, JsonValue]:
    name = each.field or ""
    if each.within is not None:
        value = {each.within: value}
    if not in_form:
        return {name: value}
    if isinstance(value, list):
        return {each.numbered(name, index): text for index, text in enumerate(value)}
    if each.form == "map" and isinstance(value, dict):
        names = {each.numbered(name, index): text for index, text in enumerate(value)}
        return names | {each.numbered(each.value_field or "", index): text for index, text in enumerate(value.values())}
    text = _dump(value)
    return {name: quote(text) if each.escaped else text}


def _dump(value: JsonValue) -> str:
    return json.dumps(value, separators=(",", ":"))


def _read_value(field: str, each: Narrowing, value: JsonValue) -> JsonValue:
    if each.form == "object":
        return _read_object(field, each, value)
    texts = list(value.values()) if isinstance(value, dict) and each.form == "map" else value if each.form == "list" else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValidationFailedError(field=field, problem="must be a list of text" if each.form == "list" else "must be text by names")
    _check_texts(field, each, [str(text) for text in texts], names=list(value) if isinstance(value, dict) else [])
    return value


def _read_object(field: str, each: Narrowing, value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        value = read_json_text(field, value)
    if not isinstance(value, dict) or not value:
        raise ValidationFailedError(field=field, problem="must be a JSON object that is not empty, or its text")
    if each.longest is not None and len(_dump(value)) > each.longest:
        raise ValidationFailedError(field=field, problem=f"must be at most {each.longest} characters of JSON")
    return value


def _check_texts(field: str, each: Narrowing, texts: list[str], *, names: list[str]) -> None:
    longest, most = each.longest or _LONGEST_TEXT, each.most or _MOST
    if not 1 <= len(texts) <= most:
        # Without members the parameter would not be sent, and nothing would be narrowed.
        raise ValidationFailedError(field=field, problem=f"must have 1 to {most} members")
    if not all(1 <= len(text) <= longest and text.isprintable() for text in (*texts, *names)):
        raise ValidationFailedError(field=field, problem=f"must be text of 1 to {longest} printable characters")
    found = [text.lower() for text in (names if each.form == "map" else texts)]
    if len(set(found)) != len(found):
        raise ValidationFailedError(field=field, problem="has a member twice")
    if taken := {name.lower() for name in each.reserved} & set(found):
        raise ValidationFailedError(field=field, problem=f"may not set {', '.join(sorted(taken))}, which the library sets")
    if each.levels and not set(texts) <= set(each.levels):
        raise ValidationFailedError(field=field, problem=f"must have values from {', '.join(each.levels)}")


def _read_scopes(scopes: Scopes, value: JsonValue) -> tuple[str, ...]:
    texts = tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
    if any(not is_scope(scope) or scopes.separator in scope for scope in texts):
        raise ValidationFailedError(field="narrow.scopes", problem="hold a character that no scope may have")
    if sum(map(len, texts)) > LONGEST_SCOPES:
        raise ValidationFailedError(field="narrow.scopes", problem=f"must have at most {LONGEST_SCOPES} characters in all")
    return texts


def _is_within(each: Narrowing, value: JsonValue, told: Sequence[Any]) -> bool:
    if each.form == "map":
        asked = {**each.implied, **(value if isinstance(value, dict) else {})}
        return (
            len(told) == 1 and isinstance(told[0], dict) and all(_is_level(each, asked.get(name), given) for name, given in told[0].items())
        )
    return bool(told) and isinstance(value, list) and {_cased(each, text) for text in told} <= {_cased(each, text) for text in value}


def _is_level(each: Narrowing, asked: JsonValue, given: Any) -> bool:
    """Whether *given* is one of the levels that *asked* includes."""
    return asked in each.levels and given in each.levels[: each.levels.index(str(asked)) + 1]


def _cased(each: Narrowing, text: Any) -> Any:
    return text.lower() if each.ignore_case and isinstance(text, str) else str(text)
