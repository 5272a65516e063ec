"""Ask a provider for a new key, by its own request, and read the key in the answer."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.json_paths import find_all
from cloud_integrations.domain.outcome import NotProcessed, Rejected, Unknown
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import IDENTITY, Method, NewKey, Provider, fill_all, places
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .http import HttpRequest, HttpResponse, find_json_object, merge_headers
from .inputs import normalise
from .minting import write_body
from .rate_limit import is_rate_limited, read_wait
from .revoke import says_error
from .shown_request import build_shown, public_inputs
from .xml_body import find_xml_object

_TYPES: Final = {"form": "application/x-www-form-urlencoded", "json": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """A key that the provider has made."""

    parts: Parts = field(repr=False)
    """What is stored of it, as if it had been entered."""
    identity: str | None
    """Its id at the provider; None: the answer does not say."""


def build_new_key(
    provider: Provider,
    method: Method,
    facts: NewKey,
    /,
    *,
    presented: Presented,
    variables: Mapping[str, str],
    identity: str | None,
    product: str,
    now: datetime,
    private_servers: Collection[str] = (),
) -> HttpRequest | None:
    """Return the request for a new key, shown by the old one; None if it needs an *identity*, the account id, that is not known.

    *variables* are all those of the integration, *product* is the name of the host, and *now* is aware.
    Raises `ValidationFailedError` if a part that a template names is missing.
    """
    named = {place for _, text in facts.templates() for place in places(text)}
    if identity is None and IDENTITY in named.union(places(facts.url)):
        return None
    known = {**variables, **public_inputs(method, presented), **_told(facts, product=product, now=now)}
    if identity is not None:
        known[IDENTITY] = identity
    if missing := sorted(named - known.keys()):
        raise ValidationFailedError(field=f"variables.{missing[0]}", problem="is required to make a new key")
    headers = {"Accept": "application/json"}
    if facts.body != "none":
        headers["Content-Type"] = _TYPES[facts.body]
    return build_shown(
        provider,
        method,
        facts.method,
        facts.url,
        headers=merge_headers(headers, facts.headers),
        body=write_body(facts.body, {name: fill_all(value, known) for name, value in facts.fields.items()}),
        presented=presented,
        variables=known,
        private_servers=private_servers,
        options=facts.options,
    )


def read_new_key(
    provider: Provider,
    method: Method,
    facts: NewKey,
    response: HttpResponse,
    /,
    *,
    old: Parts,
    read: Callable[[Parts], Parts],
    now: datetime,
) -> MadeKey | Rejected | NotProcessed | Unknown:
    """Return the key in an answer to `build_new_key`, or what it means that there is none.  Never raises, whatever a server sends.

    *old* is what is stored of the old key; what is no secret of it, and is not in the answer, stays.  *read* makes the parts to store
    from cleaned inputs (`Kind.read_inputs`).
    """
    body = find_json_object(response.body) if facts.format == "json" else find_xml_object(response)
    if is_rate_limited(provider.rate_limit, response, body):
        return NotProcessed("rate_limited", read_wait(provider.rate_limit, response, body, now=now))
    if response.status not in facts.statuses:
        return _failure(response.status)
    parts = None if body is None or says_error(response, body) else _parts(method, facts, body, old=old, read=read)
    # The old key itself is no new one: if it were switched to, its own end would follow.
    if body is None or parts is None or dict(parts) == dict(old):
        return Unknown("unusable_body")
    found = None if facts.identity is None else _first(body, facts.path_of(facts.identity))
    return MadeKey(parts=parts, identity=str(found) if isinstance(found, str | int) and not isinstance(found, bool) else None)


def _failure(status: int) -> Rejected | Unknown:
    if 400 <= status < 500:
        return Rejected("refused")
    if status >= 500:
        return Unknown("server_error")
    return Unknown("redirect" if status >= 300 else "unexpected_status")


def _told(facts: NewKey, *, product: str, now: datetime) -> dict[str, str]:
    """Return what the library knows of the new key: who asks for it and when, and how long it shall live."""
    ends = now + (facts.lifetime or timedelta())
    return {
        "product": product,
        "made_at": now.strftime("%Y%m%dT%H%M%SZ"),
        "ends_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ends_on": ends.strftime("%Y-%m-%d"),
        "ends_in": str(int((ends - now).total_seconds())),
    }


def _parts(method: Method, facts: NewKey, body: Mapping[str, Any], *, old: Parts, read: Callable[[Parts], Parts]) -> Parts | None:
    """Return what is stored of the new key; None if it is not in the answer, or could not be used."""
    inputs: dict[str, Secret | str] = {
        given.name: old[given.name] for given in method.entered_inputs if not given.secret and given.name in old
    }
    for name, path in facts.gives.items():
        value = _first(body, facts.path_of(path))
        text = _decoded(value, facts.encodings.get(name)) if isinstance(value, str) else None
        if not text:
            return None
        inputs[name] = Secret(text)
    try:
        return read(normalise(method, inputs))
    except ValidationFailedError:
        return None


def _first(body: Mapping[str, Any], path: str) -> Any:
    return next(iter(find_all(body, path)), None)


def _decoded(text: str, encoding: str | None) -> str | None:
    if encoding is None:
        return text
    try:
        return b64decode(text, validate=True).decode()
    except ValueError:
        return None
