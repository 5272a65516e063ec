"""Read the arguments that callers pass: accept a value with one clear meaning, and refuse any other.

Each flow reads its arguments here, so that both managers and every store accept the same values.  `field` is the argument's name
as the public API writes it.  Every `read_…` function raises `ValidationFailedError`, which names the argument and never repeats
the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from cloud_integrations.errors import ValidationFailedError

from .audit import Actor, AuditHead, Caller
from .secret import Secret

LONGEST_ACTOR_TYPE = 32
LONGEST_TEXT = 255
"""The longest actor id, request id and reason, in characters."""
LONGEST_URL = 2_048
MOST_SECRETS = 5
"""The most client secrets of one application: a rotation needs two, and each one that is refused costs a request."""
LONGEST_SCOPES = 8_000
"""The longest length of all scopes together, in characters: more fits neither into a URL nor into every database."""
LONGEST_SEARCH = 100
"""The longest text that is searched for, in characters."""
LONGEST_TIME = timedelta(days=366)
HIGHEST = 2**63 - 1
"""The highest number that every database can compare."""

T = TypeVar("T")
Progress = Callable[[int], None]
"""A function that is called with the number of keys, rows or integrations done so far."""
CallbackParameters = str | Mapping[str, Any] | Iterable[tuple[str, str]]
"""The query of a callback: text, the mapping of a web framework, or pairs in order."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_HALF = re.compile(r"[\ud800-\udfff]")
"""Half of a surrogate pair: Python allows it in text, but such text cannot be encoded."""
_SLOT = re.compile(r"[a-z0-9._-]{1,64}")
_REPEATED = ("multi_items", "lists", "allitems")
"""Methods that return every value of a repeated parameter: of Starlette and httpx, of Werkzeug and Django, of Bottle."""
_MOST_PARAMETERS = 1_000


def read_text(field: str, value: object, /, *, most: int = LONGEST_TEXT) -> str:
    """Return text of 1 to *most* printable characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise ValidationFailedError(field=field, problem=f"must be text of 1 to {most} printable characters")
    return value


def read_text_or_none(field: str, value: object, /, *, most: int = LONGEST_TEXT) -> str | None:
    """Return text as `read_text` does; None for None."""
    return None if value is None else read_text(field, value, most=most)


def read_texts(field: str, value: object, /, *, most: int = LONGEST_TEXT) -> tuple[str, ...]:
    """Return several texts, each read as by `read_text`; None gives an empty tuple."""
    return tuple(read_text(field, item, most=most) for item in _items(field, value, of="texts"))


def read_id(field: str, value: object, /) -> UUID:
    """Return a UUID; *value* is a `UUID` or its text (RFC 9562 §4)."""
    found = find_id(value)
    if found is None:
        raise ValidationFailedError(field=field, problem="must be a UUID")
    return found


def read_ids(field: str, value: object, /) -> tuple[UUID, ...]:
    """Return several UUIDs, each read as by `read_id`; None gives an empty tuple."""
    return tuple(read_id(field, item) for item in _items(field, value, of="UUIDs"))


def find_id(value: object, /) -> UUID | None:
    """Return a UUID if *value* is a `UUID` or its text; None for any other value."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    return value if isinstance(value, UUID) else None


def read_integration(value: object, /) -> str | UUID:
    """Return the id of an integration, or the slug or UUID of its provider; the catalogue tells which of them it is."""
    if not isinstance(value, str | UUID):
        raise ValidationFailedError(field="integration", problem="must be an integration's id, or its provider's slug or UUID")
    return value


def read_provider(value: object, /) -> str | UUID:
    """Return a provider's slug or UUID; whether it exists is for the catalogue to say."""
    if not isinstance(value, str | UUID):
        raise ValidationFailedError(field="provider", problem="must be a slug, or a UUID")
    return value


def read_search(value: object, /) -> str:
    """Return what a person typed to search for: any text, also an empty one; None gives an empty one."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_SEARCH:
        raise ValidationFailedError(field="search", problem=f"must be text of at most {LONGEST_SEARCH} characters")
    return value


def read_slot(value: object, /) -> str:
    """Return a slot, which tells a tenant's integrations with one provider apart; the empty text is the default slot."""
    if not isinstance(value, str) or not (value == "" or _SLOT.fullmatch(value)):
        raise ValidationFailedError(
            field="slot", problem='must be 1 to 64 of the characters a-z, 0-9, ".", "_" and "-", or empty for the default slot'
        )
    return value


def read_actor(value: object, /, *, field: str = "actor") -> Actor:
    """Return the actor; *value* is an `Actor`, or a user's id as text.

    Text with a colon is refused, because it could also mean a type and an id.
    """
    if isinstance(value, str):
        if ":" in value:
            raise ValidationFailedError(field=field, problem="must be an Actor(type=…, id=…) if the id contains a colon")
        value = Actor(id=value)
    if not isinstance(value, Actor):
        raise ValidationFailedError(field=field, problem="must be an Actor, or a user's id as text")
    read_text(f"{field}.type", value.type, most=LONGEST_ACTOR_TYPE)
    read_text(f"{field}.id", value.id)
    return value


def read_caller(actor: object, request_id: object, reason: object = None, /) -> Caller:
    """Return the actor, the request id (text or a UUID) and the reason that they state; None: there is none."""
    acting = read_actor(actor)
    if isinstance(request_id, UUID):
        request_id = str(request_id)
    return Caller(actor=acting, request_id=read_text_or_none("requestId", request_id), reason=read_text_or_none("reason", reason))


def read_secret(field: str, value: object, /) -> Secret:
    """Return a secret that is not empty; text is wrapped in a `Secret` at once."""
    secret = Secret(value) if isinstance(value, str) else value
    if not isinstance(secret, Secret) or not secret:
        raise ValidationFailedError(field=field, problem="must be a Secret, or text, and not empty")
    if _HALF.search(secret.reveal()):
        raise ValidationFailedError(field=field, problem="contains half of a surrogate pair, which cannot be encoded")
    return secret


def read_secret_or_none(field: str, value: object, /) -> Secret | None:
    """Return a secret as `read_secret` does; None for None."""
    return None if value is None else read_secret(field, value)


def read_secrets(field: str, value: object, /) -> tuple[Secret, ...]:
    """Return one secret or several, each read as by `read_secret`; None and an empty tuple give none."""
    if value is None or value == ():
        return ()
    items: tuple[object, ...] = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not 1 <= len(items) <= MOST_SECRETS:
        raise ValidationFailedError(field=field, problem=f"must be a list of 1 to {MOST_SECRETS} secrets")
    secrets = tuple(read_secret(field, item) for item in items)
    if any(secret in secrets[:place] for place, secret in enumerate(secrets)):
        raise ValidationFailedError(field=field, problem="has the same secret twice")
    return secrets


def read_scopes(value: object, /) -> tuple[str, ...]:
    """Return scopes; *value* is a list of them, or text with spaces between them (RFC 6749 §3.3)."""
    found = tuple(value.split()) if isinstance(value, str) else _items("scopes", value, of="scopes")
    scopes = tuple(read_text("scopes", scope) for scope in found)
    if sum(map(len, scopes)) > LONGEST_SCOPES:
        raise ValidationFailedError(field="scopes", problem=f"must have at most {LONGEST_SCOPES} characters in all")
    return scopes


def read_variables(value: object, /) -> dict[str, str]:
    """Return variables by name; None gives none.  `Provider.fill_variables` checks the names and the values."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise ValidationFailedError(field="variables", problem="must be a mapping of names to text")
    return dict(value)


def read_facts(field: str, value: object, /) -> dict[str, str]:
    """Return facts by name; names and values are read as by `read_text`, and None gives none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValidationFailedError(field=field, problem="must be a mapping of names to text")
    return {read_text(field, name): read_text(field, fact) for name, fact in value.items()}


def read_moment(field: str, value: object, /) -> datetime:
    """Return an aware datetime, converted to UTC."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise ValidationFailedError(field=field, problem="must be an aware datetime: one with a time zone, as datetime.now(UTC) gives it")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        # An aware time at the edge of the calendar can fall outside it when it is converted to UTC.
        raise ValidationFailedError(field=field, problem="is not between the years 1 and 9999 in UTC") from None


def read_moment_or_none(field: str, value: object, /) -> datetime | None:
    """Return a time as `read_moment` does; None for None."""
    return None if value is None else read_moment(field, value)


def read_day_or_none(field: str, value: object, /) -> date | None:
    """Return a day, which is a `date` without a time; None for None."""
    if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
        raise ValidationFailedError(field=field, problem="must be a date, as date(2026, 1, 31) gives it")
    return value


def read_duration(field: str, value: object, /) -> timedelta:
    """Return a length of time of 0 to 366 days; *value* is a `timedelta` or a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and abs(value) <= LONGEST_TIME.total_seconds():
        value = timedelta(seconds=value)
    elif not isinstance(value, timedelta):
        raise ValidationFailedError(field=field, problem="must be a timedelta or a number of seconds, at most 366 days")
    if not timedelta() <= value <= LONGEST_TIME:
        raise ValidationFailedError(field=field, problem="must be from 0 to 366 days long")
    return value


def read_count(field: str, value: object, /, *, least: int = 1, most: int = HIGHEST) -> int:
    """Return a whole number from *least* to *most*."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValidationFailedError(field=field, problem=f"must be a whole number from {least} to {most}")
    return value


def read_share(field: str, value: object, /, *, least: float) -> float:
    """Return a fraction from *least* to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= 1:
        raise ValidationFailedError(field=field, problem=f"must be a number from {least} to 1")
    return float(value)


def read_flag(field: str, value: object, /) -> bool:
    """Return True or False; any other value is refused, because Python would take the text "false" for true."""
    if not isinstance(value, bool):
        raise ValidationFailedError(field=field, problem="must be True or False")
    return value


def read_listener(field: str, value: Callable[[T], None] | None, /) -> Callable[[T], None] | None:
    """Return a function of one argument that is told the progress of some work; None: there is none."""
    if value is not None and not callable(value):
        raise ValidationFailedError(field=field, problem="must be a function of one argument")
    return value


def read_instance(field: str, value: object, kind: type[T], /) -> T:
    """Return *value* if it is an instance of *kind*."""
    if not isinstance(value, kind):
        raise ValidationFailedError(field=field, problem=f"must be a value of the class {kind.__name__}")
    return value


def read_checkpoint(value: object, /) -> AuditHead | None:
    """Return a checkpoint: the head of a tenant's chain, stored outside the database; None: there is none."""
    if value is None:
        return None
    head = read_instance("checkpoint", value, AuditHead)
    read_count("checkpoint.seq", head.seq)
    if not isinstance(head.hash, bytes):
        raise ValidationFailedError(field="checkpoint.hash", problem="must be bytes")
    return head


def read_callback(value: object, /) -> tuple[tuple[str, str], ...]:
    """Return the parameters of a callback as pairs, in order; a repeated parameter is repeated here too.

    *value* is the query as text (or a whole URL), pairs, or a mapping of names to one or several values.  In a mapping, None as a
    value means that the parameter is missing.
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
    # `items` of such a mapping returns one value per name and would hide a repeated parameter (RFC 6749 §3.1).
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
