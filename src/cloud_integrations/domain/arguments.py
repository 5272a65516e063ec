"""What people pass, read: accepted where its meaning is plain, else refused by the argument's name.

Each flow reads its arguments here, so that both managers and every store take the same.  `field` is the argument's name as the
public API writes it.  Every function raises `ValidationFailedError`, and none repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from cloud_integrations.errors import ValidationFailedError

from .audit import Actor, AuditHead, Caller
from .secret import Secret

LONGEST_ACTOR_TYPE = 32
LONGEST_TEXT = 255
"""Of an actor's id, a request id and a reason, in characters."""
LONGEST_URL = 2_048
LONGEST_SCOPES = 8_000
"""Of all scopes together, in characters: more fits neither an address line nor every database."""
LONGEST_TIME = timedelta(days=366)
HIGHEST = 2**63 - 1
"""The highest number that every database can compare."""

T = TypeVar("T")
Progress = Callable[[int], None]
"""Is told how many keys, rows or integrations were dealt with."""
CallbackParameters = str | Mapping[str, Any] | Iterable[tuple[str, str]]
"""The query of a callback: as text, as the host's web framework gives it, or as pairs in order."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_HALF = re.compile(r"[\ud800-\udfff]")
"""Half of a surrogate pair: Python holds it in text, and nothing can be encoded with it."""
_REPEATED = ("multi_items", "lists", "allitems")
"""How a mapping gives every value of a repeated parameter: Starlette and httpx, Werkzeug and Django, Bottle."""
_MOST_PARAMETERS = 1_000


def read_text(field: str, value: object, /, *, most: int = LONGEST_TEXT) -> str:
    """Return text of 1 to *most* printable characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise ValidationFailedError(field=field, problem=f"must be text of 1 to {most} printable characters")
    return value


def read_text_or_none(field: str, value: object, /, *, most: int = LONGEST_TEXT) -> str | None:
    """Return text as `read_text` does; None stays None."""
    return None if value is None else read_text(field, value, most=most)


def read_texts(field: str, value: object, /, *, most: int = LONGEST_TEXT) -> tuple[str, ...]:
    """Return several texts, each as `read_text` does."""
    return tuple(read_text(field, item, most=most) for item in _items(field, value, of="texts"))


def read_id(field: str, value: object, /) -> UUID:
    """Return a UUID that was given as such, or as text (RFC 9562 §4)."""
    found = find_id(value)
    if found is None:
        raise ValidationFailedError(field=field, problem="must be a UUID")
    return found


def read_ids(field: str, value: object, /) -> tuple[UUID, ...]:
    """Return several UUIDs, each given as such or as text."""
    return tuple(read_id(field, item) for item in _items(field, value, of="UUIDs"))


def find_id(value: object, /) -> UUID | None:
    """Return the UUID that *value* is, as such or as text; None: it is something else."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    return value if isinstance(value, UUID) else None


def read_integration(value: object, /) -> str | UUID:
    """Return what names one integration: its id, or its provider's slug or UUID; the catalogue says which of them it is."""
    if not isinstance(value, str | UUID):
        raise ValidationFailedError(field="integration", problem="must be an integration's id, or its provider's slug or UUID")
    return value


def read_provider(value: object, /) -> str | UUID:
    """Return what names a provider: a slug or UUID; the catalogue says whether there is one."""
    if not isinstance(value, str | UUID):
        raise ValidationFailedError(field="provider", problem="must be a slug, or a UUID")
    return value


def read_actor(value: object, /) -> Actor:
    """Return who acts: an `Actor`, or a user's id as text.

    Text with a colon is refused: it could be read as a type and an id, and who acts is not guessed.
    """
    if isinstance(value, str):
        if ":" in value:
            raise ValidationFailedError(field="actor", problem="must be an Actor(type=…, id=…) where its id holds a colon")
        value = Actor(id=value)
    if not isinstance(value, Actor):
        raise ValidationFailedError(field="actor", problem="must be an Actor, or a user's id as text")
    read_text("actor.type", value.type, most=LONGEST_ACTOR_TYPE)
    read_text("actor.id", value.id)
    return value


def read_caller(actor: object, request_id: object, /) -> Caller:
    """Return who acts, and under which request id; None: under none."""
    acting = read_actor(actor)
    if isinstance(request_id, UUID):
        request_id = str(request_id)
    return Caller(actor=acting, request_id=read_text_or_none("requestId", request_id))


def read_secret(field: str, value: object, /) -> Secret:
    """Return a secret that is not empty; text is wrapped at once."""
    secret = Secret(value) if isinstance(value, str) else value
    if not isinstance(secret, Secret) or not secret:
        raise ValidationFailedError(field=field, problem="must be a Secret, or text, and not empty")
    if _HALF.search(secret.reveal()):
        raise ValidationFailedError(field=field, problem="holds half of a surrogate pair, which cannot be encoded")
    return secret


def read_secret_or_none(field: str, value: object, /) -> Secret | None:
    """Return a secret as `read_secret` does; None stays None."""
    return None if value is None else read_secret(field, value)


def read_scopes(value: object, /) -> tuple[str, ...]:
    """Return scopes, given one by one or as text with spaces between them (RFC 6749 §3.3)."""
    found = tuple(value.split()) if isinstance(value, str) else _items("scopes", value, of="scopes")
    scopes = tuple(read_text("scopes", scope) for scope in found)
    if sum(map(len, scopes)) > LONGEST_SCOPES:
        raise ValidationFailedError(field="scopes", problem=f"must have at most {LONGEST_SCOPES} characters in all")
    return scopes


def read_variables(value: object, /) -> dict[str, str]:
    """Return variables by name; None: there are none.  The provider's data says which there are, and how long they may be."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise ValidationFailedError(field="variables", problem="must be a mapping of names to text")
    return dict(value)


def read_facts(field: str, value: object, /) -> dict[str, str]:
    """Return facts by name, each as `read_text` does; None: there are none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValidationFailedError(field=field, problem="must be a mapping of names to text")
    return {read_text(field, name): read_text(field, fact) for name, fact in value.items()}


def read_moment(field: str, value: object, /) -> datetime:
    """Return an aware time, in UTC."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise ValidationFailedError(field=field, problem="must be an aware datetime: one with a time zone, as datetime.now(UTC) gives it")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        # An aware time at the edge of the calendar may lie beyond it in UTC, and could not be read back.
        raise ValidationFailedError(field=field, problem="is not between the years 1 and 9999 in UTC") from None


def read_moment_or_none(field: str, value: object, /) -> datetime | None:
    """Return a time as `read_moment` does; None stays None."""
    return None if value is None else read_moment(field, value)


def read_duration(field: str, value: object, /) -> timedelta:
    """Return a length of time, given as `timedelta` or as a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and abs(value) <= LONGEST_TIME.total_seconds():
        value = timedelta(seconds=value)
    elif not isinstance(value, timedelta):
        raise ValidationFailedError(field=field, problem="must be a timedelta or a number of seconds, at most 366 days")
    if not timedelta() <= value <= LONGEST_TIME:
        raise ValidationFailedError(field=field, problem="must be from 0 to 366 days long")
    return value


def read_count(field: str, value: object, /, *, most: int = HIGHEST) -> int:
    """Return a whole number from 1 to *most*."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValidationFailedError(field=field, problem=f"must be a whole number from 1 to {most}")
    return value


def read_share(field: str, value: object, /, *, least: float) -> float:
    """Return a part of the whole, from *least* to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= 1:
        raise ValidationFailedError(field=field, problem=f"must be a number from {least} to 1")
    return float(value)


def read_flag(field: str, value: object, /) -> bool:
    """Return True or False; what merely counts as true is refused, the text "false" above all."""
    if not isinstance(value, bool):
        raise ValidationFailedError(field=field, problem="must be True or False")
    return value


def read_listener(field: str, value: Callable[[T], None] | None, /) -> Callable[[T], None] | None:
    """Return the function that is told how far some work has come; None: there is none."""
    if value is not None and not callable(value):
        raise ValidationFailedError(field=field, problem="must be a function of one argument")
    return value


def read_instance(field: str, value: object, kind: type[T], /) -> T:
    """Return a value of a class of ours, which no other value can stand for."""
    if not isinstance(value, kind):
        raise ValidationFailedError(field=field, problem=f"must be a value of the class {kind.__name__}")
    return value


def read_checkpoint(value: object, /) -> AuditHead | None:
    """Return the head of a tenant's chain that was kept elsewhere; None: there is none."""
    if value is None:
        return None
    head = read_instance("checkpoint", value, AuditHead)
    read_count("checkpoint.seq", head.seq)
    if not isinstance(head.hash, bytes):
        raise ValidationFailedError(field="checkpoint.hash", problem="must be bytes")
    return head


def read_callback(value: object, /) -> tuple[tuple[str, str], ...]:
    """Return the parameters of a callback as pairs, in order; one that is repeated is there as often as it came.

    *value* is the query as text (a whole URL will do), pairs, or a mapping of names to one or several values; None: it is not there.
    """
    if isinstance(value, str):
        return _parsed(value)
    if isinstance(value, Mapping):
        return tuple(_pair(pair) for name, found in _pairs_of(value) for pair in _each(name, found))
    return tuple(_pair(pair) for pair in _items("params", value, of="pairs"))


def _parsed(text: str) -> tuple[tuple[str, str], ...]:
    query = urlsplit(text).query if "://" in text.partition("=")[0] else text.removeprefix("?")
    try:
        return tuple(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS))
    except ValueError:
        raise ValidationFailedError(field="params", problem=f"must be at most {_MOST_PARAMETERS} parameters") from None


def _pairs_of(mapping: Mapping[Any, Any]) -> Iterable[tuple[object, object]]:
    # `items` of such a mapping would give one value of each, and hide that the parameter was repeated (RFC 6749 §3.1).
    every = next((found for name in _REPEATED if callable(found := getattr(mapping, name, None))), mapping.items)
    return cast("Iterable[tuple[object, object]]", every())


def _each(name: object, found: object) -> Iterable[tuple[object, object]]:
    values = found if isinstance(found, list | tuple) else [found]
    return ((name, value) for value in values if value is not None)


def _pair(pair: object) -> tuple[str, str]:
    match pair:
        case (str(name), str(value)):
            return name, value
        case _:
            raise ValidationFailedError(field="params", problem="must be the callback's query: text, a mapping, or pairs of text")


def _items(field: str, value: object, /, *, of: str) -> tuple[object, ...]:
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValidationFailedError(field=field, problem=f"must be a list of {of}")
    return tuple(value)
