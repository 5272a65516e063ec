"""Answers of each request of a provider, made from its own file, and what is read of them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from cloud_integrations.domain.provider import (
    ErrorRule,
    Input,
    KeyRevocation,
    LimitHeaders,
    Method,
    NewKey,
    Predicate,
    Provider,
    Revoke,
    Step,
    Verification,
)
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError
from cloud_integrations.kinds import auth_type_of, by_consent, kind_of
from cloud_integrations.protocol.authorize import read_callback
from cloud_integrations.protocol.device import read_device_code
from cloud_integrations.protocol.http import HttpResponse, find_path
from cloud_integrations.protocol.installation import find_installed, read_page
from cloud_integrations.protocol.key_revocation import read_key_revocation
from cloud_integrations.protocol.minting import read_step
from cloud_integrations.protocol.new_key import read_new_key
from cloud_integrations.protocol.rate_limit import is_rate_limited, read_wait
from cloud_integrations.protocol.scopes import scopes_to_request
from cloud_integrations.protocol.verification import find_claim, read_check

from .fake_values import NOW, STATE, client_of, entered, example, inputs_of, jwt, put, variables_of
from .requesting import IDENTITY, Section, checks_of, presented_by
from .showing import answer, show_answer, words

PAGE = "<html><body>Sign in</body></html>"
XML = "<Response><Status>done</Status></Response>"
_FAILURES = (401, 403, 404, 500)
_OTHER = 418
"""A status that no file names."""
Answer = tuple[int, Any, dict[str, str]]
"""Status, body and headers."""


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """A request whose answers are read."""

    name: str
    at: tuple[str, ...]
    """The rules that are for its answers."""
    read: Callable[[HttpResponse], Any]
    good: list[Answer]
    xml: bool = False
    tests: tuple[Predicate, ...] = ()
    statuses: tuple[int, ...] = ()
    """Statuses that mean something of their own."""
    bodies: list[Answer] = field(default_factory=list)
    """Further answers that mean something of their own."""
    check: Verification | None = None


def answer_sections(provider: Provider, method: Method, /) -> Iterator[Section]:
    """Return what is read of the answers to each request of *method*."""
    if by_consent(auth_type_of(method)) and method.authorize_url is not None:
        yield "answer to authorize", list(_callbacks(method, client_of(provider, method).issuer))
    for reader in _readers(provider, method):
        yield f"answers to {reader.name}", list(_read(provider, method, reader))
    if method.installation is not None and method.installation.claim is not None:
        token = Secret(jwt(put({}, method.installation.claim, "fake-installation")))
        yield "installation", [f"the claim {method.installation.claim} -> {find_claim(token, method.installation.claim)}"]


def _read(provider: Provider, method: Method, reader: _Reader) -> Iterator[str]:
    answers = [*reader.good, *reader.bodies]
    if reader.good:
        status, body, headers = reader.good[0]
        answers += [(status, _failing(body, test) or {"other": "fake"}, headers) for test in reader.tests]
    answers += [(status, {} if not reader.xml else None, {}) for status in dict.fromkeys((*reader.statuses, *_FAILURES))]
    answers += [(429, {}, _limit_headers(provider.rate_limit)), (200, PAGE, {})]
    yield from dict.fromkeys(_line(reader, status, body, headers) for status, body, headers in answers)
    if reader.check is not None and len(reader.check.label) > 1:
        status, body, headers = reader.good[0]
        yield from _labels(provider, method, reader.check, answer(status, body, headers=headers, xml=reader.xml))
    for index, rule in enumerate(provider.error_rules, start=1):
        if rule.at in reader.at and (not rule.for_methods or method.id in rule.for_methods):
            status, body, headers = rule_answer(rule)
            yield f"rule {index}: {_line(reader, status, body, headers)}"
            if rule.status is not None and body:
                yield f"rule {index} is not for: {_line(reader, _OTHER, body, headers)}"


def _line(reader: _Reader, status: int, body: Any, headers: dict[str, str]) -> str:
    response = answer(status, body or None, headers=headers, xml=reader.xml)
    shown = response.body.decode() if reader.xml and not isinstance(body, str) else body
    return f"{show_answer(response, shown or None)} -> {words(reader.read(response))}"


def rule_answer(rule: ErrorRule, /) -> Answer:
    """Return an answer that *rule* fits."""
    body: Any = {}
    if rule.path is not None:
        body = put(body, rule.path, rule.equals if rule.matches is None else example(rule.matches))
    return rule.status or 400, body, {}


def passing(tests: tuple[Predicate, ...], /, body: Any = None) -> Any:
    """Return *body* with what *tests* want."""
    for test in tests:
        if test.matches is not None:
            body = put(body, test.path, example(test.matches))
        elif test.equals is not None:
            body = put(body, test.path, test.equals)
        elif test.exists or test.not_null or test.absent is False:
            body = put(body, test.path, f"fake-{_last(test.path)}")
    return {} if body is None else body


def _failing(body: Any, test: Predicate) -> Any:
    wants = test.matches is not None or test.equals is not None or test.exists or test.not_null or test.absent is False
    other: Any = not test.equals if isinstance(test.equals, bool) else "no"
    if test.exists or test.not_null or test.absent is False:
        return put(body, test.path.rpartition(".")[0], {}) if "." in test.path else {k: v for k, v in body.items() if k != test.path}
    return put(body, test.path, other if wants else "fake")


def _last(path: str) -> str:
    return next((step for step in reversed(path.split(".")) if not step.isdigit() and step != "*"), "value")


def _filled(body: Any, paths: Iterator[str]) -> Any:
    """Return *body* with a text at each of *paths* at which there is nothing yet."""
    for path in paths:
        if isinstance(body, list) or find_path(body, path) is None:
            body = put(body, path, f"fake-{_last(path)}") if not _there(body, path) else body
    return body


def _there(body: Any, path: str) -> bool:
    for step in path.split("."):
        if isinstance(body, list) and step.isdigit() and int(step) < len(body):
            body = body[int(step)]
        elif isinstance(body, dict) and step in body:
            body = body[step]
        else:
            return False
    return True


def _callbacks(method: Method, issuer: str | None) -> Iterator[str]:
    facts = method.callback
    usual = {"state": STATE.reveal(), facts.code: "fake-code"}
    usual |= {name: "fake-value" for name in (facts.site_from, facts.installation_from) if name is not None}
    asked = [
        usual,
        *([{**usual, "iss": issuer}] if issuer else []),
        {**usual, "iss": "https://fake-issuer.example.com"},
        {**usual, "id_token": "fake"},
    ]
    asked += [{**usual, name: value} for name, value in facts.requested.items()]
    asked.append({"state": STATE.reveal(), "error": "access_denied"})
    for params in asked:
        told = " ".join(f"{name}={value}" for name, value in params.items() if name != "state")
        try:
            read = words(read_callback(params.items(), issuer=issuer, facts=facts))
        except GrantRefusedError as error:
            read = f"refused: {error.reason}"
        yield f"{told} -> {read.replace(STATE.reveal(), '…')}"


def _readers(provider: Provider, method: Method) -> Iterator[_Reader]:
    if by_consent(auth_type_of(method)):
        yield from _of_consent(provider, method)
    for index, step in enumerate(method.mint, start=1):
        yield _of_step(provider, method, step, f"step {index} of the mint")
    if method.exchange is not None:
        yield _of_step(provider, method, method.exchange, "the exchange of a narrowing")
    for index, check in checks_of(provider, method):
        yield _of_check(provider, method, check, index)
    if method.key_revocation is not None:
        yield _of_key_revocation(provider, method.key_revocation)
    if method.rotation is not None:
        yield _of_new_key(provider, method, method.rotation)


def _token_body(provider: Provider, method: Method) -> Any:
    names, facts = method.reply.map, method.access_token
    body = passing(method.reply.success)
    body = put(body, names.get("access_token", "access_token"), "fake-access")
    body = put(body, names.get("refresh_token", "refresh_token"), "fake-refresh")
    body = put(body, names.get("token_type", "token_type"), method.reply.token_types[0])
    lifetime = facts.expiry_field or names.get("expires_in", "expires_in")
    body = put(body, lifetime, _time(method.reply.encodings.get("expires_in", facts.expiry_encoding), 3600))
    if method.refresh_token.lifetime_field is not None:
        encoding = method.reply.encodings.get("refresh_token_expires_in", "seconds")
        body = put(body, method.refresh_token.lifetime_field, _time(encoding, 86400))
    separator = method.scopes.reply_separator or method.scopes.separator
    body = put(body, method.scopes.reply_field, separator.join(["fake:read", "fake:write"]))
    known = variables_of(provider, method)
    for variable in provider.variables:
        if variable.source == "token_reply":
            body = put(body, names.get(variable.name, variable.name), known[variable.name])
    return body


def _time(encoding: str, seconds: int) -> Any:
    at = NOW + timedelta(seconds=seconds)
    times: dict[str, Any] = {"epoch_s": int(at.timestamp()), "epoch_ms": int(at.timestamp()) * 1000, "iso8601": at.isoformat()}
    return times.get(encoding, seconds)


def _without(body: Any, path: str) -> Any:
    first, _, rest = path.partition(".")
    if not isinstance(body, dict) or first not in body:
        return body
    return {**body, first: _without(body[first], rest)} if rest else {name: value for name, value in body.items() if name != first}


def _of_consent(provider: Provider, method: Method) -> Iterator[_Reader]:
    client, names = client_of(provider, method), method.reply.map
    scopes, backend = scopes_to_request(client), client.backend
    body = _token_body(provider, method)
    short = _without(body, method.access_token.expiry_field or names.get("expires_in", "expires_in"))
    kind_at = names.get("token_type", "token_type")
    other: list[Answer] = [(200, put(body, kind_at, kind), {}) for kind in (*method.reply.token_types[1:], "mac")]
    replied = [variable.name for variable in provider.variables if variable.source == "token_reply"]
    other += [(200, _without(body, names.get(name, name)), {}) for name in replied]
    grant = partial(backend.read_grant, client, requested_scopes=scopes, now=NOW)
    yield _Reader(
        name="exchange", at=("token",), read=grant, good=[(200, body, {})], tests=method.reply.success, bodies=[(200, short, {}), *other]
    )
    if not method.mint:
        renew = partial(backend.read_renewal, client, now=NOW)
        yield _Reader(
            name="refresh", at=("token",), read=renew, good=[(200, _without(body, names.get("refresh_token", "refresh_token")), {})]
        )
    if client.device_url is not None:
        page = {
            "device_code": "fake-device-code",
            "user_code": "FAKE-CODE",
            "verification_uri": "https://example.com/device",
            "expires_in": 900,
        }
        yield _Reader(name="device code", at=(), read=partial(read_device_code, client, now=NOW), good=[(200, {**page, "interval": 5}, {})])
    if method.installation is not None and (listing := method.installation.listing) is not None:
        one: Any = put(put({}, listing.id, "fake-id"), listing.account, "fake-account")
        one = one if listing.label is None else put(one, listing.label, "Fake")
        one = one if listing.permissions is None else put(one, listing.permissions, {"fake": "read"})

        def find(response: HttpResponse) -> Any:
            entries = read_page(listing, response)
            return "no list" if entries is None else find_installed(listing, entries, "fake-id")

        yield _Reader(name="list of installations", at=(), read=find, good=[(200, put({}, listing.at, [one]), {})])
    if method.revoke is not None and client.revoke_url is not None:
        yield _of_revocation(method.revoke, partial(backend.read_revocation, client))


def _of_revocation(facts: Revoke, read: Callable[[HttpResponse], Any]) -> _Reader:
    done = passing(facts.success)
    at: tuple[str, ...] = ("token", "api") if facts.auth == "bearer" else ("token",)
    gone: list[Answer] = [(400, passing((test,)), {}) for test in facts.gone]
    return _Reader(
        name="revoke", at=at, read=read, good=[(status, done, {}) for status in facts.statuses], tests=facts.success,
        statuses=facts.gone_statuses, bodies=[*gone, (204, None, {}), (202, None, {}), (200, {"error": "fake"}, {})],
    )  # fmt: skip


def _of_step(provider: Provider, method: Method, step: Step, name: str) -> _Reader:
    reply = step.reply
    body = passing(step.success)
    for given, path in reply.gives.items():
        body = put(body, reply.path_of(path), f"fake-{given}")
    without_map = body
    for variable, path in reply.map.items():
        body = put(body, reply.path_of(path), variables_of(provider, method)[variable])
    without_end = body
    body = put(body, reply.path_of(reply.expires.path), _time(reply.expires.encoding, 3600))
    typed: list[Answer] = [(200, put(body, reply.path_of("token_type"), kind), {}) for kind in (*reply.token_types, "mac")]
    read = partial(
        read_step,
        step,
        provider=provider,
        method_id=method.id,
        access_token=method.access_token,
        owned=method.application == "owner",
        now=NOW,
    )
    good: list[Answer] = [(status, body, {}) for status in step.statuses or (200,)]
    statuses = [*(step.statuses or (200,))]
    typed = [(statuses[0], shown, headers) for _, shown, headers in typed]
    typed += [(statuses[0], without_map, {})] if reply.map else []
    typed += [(statuses[0], without_end, {}), (202, body, {}), (400, {"error": "invalid_client"}, {})]
    return _Reader(name=name, at=("mint",), read=read, good=good, xml=reply.format == "xml", tests=step.success, bodies=typed)


def _labels(provider: Provider, method: Method, check: Verification, response: HttpResponse) -> Iterator[str]:
    """Say what each place of the label gives by itself."""
    for path in check.label:
        alone = check.model_copy(update={"label": (path,)})
        known, shown = variables_of(provider, method), presented_by(provider, method)
        label = read_check(provider, method, alone, response, presented=shown, variables=known, now=NOW).account.label
        yield f"label by {path}: {words(label)}"


def _of_check(provider: Provider, method: Method, check: Verification, index: int) -> _Reader:
    body = passing(check.success)
    body = _filled(body, (path.removeprefix("json:") for path in (*check.identity, *check.label) if path.startswith("json:")))
    if check.expires is not None:
        body = put(body, check.expires.path, _time(check.expires.encoding, 86400))
    headers = {path.removeprefix("header:"): "fake-header" for path in (*check.identity, *check.label) if path.startswith("header:")}
    read = partial(
        read_check, provider, method, check, presented=presented_by(provider, method), variables=variables_of(provider, method), now=NOW
    )
    labels = [path.removeprefix("json:") for path in check.label if path.startswith("json:")]
    fewer: list[Answer] = [(check.statuses[0], _without(body, path), headers) for path in labels[:1] if isinstance(body, dict)]
    return _Reader(
        name=f"check {index}", at=("verify",), read=read, good=[(status, body, headers) for status in check.statuses],
        xml=check.format == "xml", tests=check.success, statuses=tuple(check.status_rules), bodies=[*fewer, (check.statuses[0], {}, {})],
        check=check,
    )  # fmt: skip


def _of_key_revocation(provider: Provider, facts: KeyRevocation) -> _Reader:
    statuses = (*facts.gone_statuses, *facts.unsupported_statuses)
    read = partial(read_key_revocation, provider, facts)
    good: list[Answer] = [(status, None, {}) for status in facts.statuses]
    return _Reader(
        name="revoke the key", at=(), read=read, good=good, xml=facts.format == "xml", statuses=statuses,
        bodies=[*((status, None, {}) for status in (200, 202, 204) if status not in facts.statuses), (facts.statuses[0], XML, {})],
    )  # fmt: skip


def _of_new_key(provider: Provider, method: Method, facts: NewKey) -> _Reader:
    body: Any = {}
    inputs = {given.name: given for given in method.inputs}
    for name, path in facts.gives.items():
        body = put(body, facts.path_of(path), _encoded(_new_value(method, inputs[name]), facts.encodings.get(name)))
    if facts.identity is not None:
        body = put(body, facts.path_of(facts.identity), IDENTITY)
    read = partial(read_new_key, provider, method, facts, old=inputs_of(method), read=partial(kind_of(method).read_inputs, method), now=NOW)
    return _Reader(
        name="new key", at=(), read=read, good=[(status, body, {}) for status in facts.statuses],
        xml=facts.format == "xml", bodies=[(202, body, {})],
    )  # fmt: skip


def _new_value(method: Method, given: Input) -> str:
    return entered(method, given).replace("fake-", "fresh-")


def _encoded(text: str, encoding: Literal["base64"] | None) -> str:
    return text if encoding is None else b64encode(text.encode()).decode()


def _limit_headers(family: LimitHeaders) -> dict[str, str]:
    return {family.retry_after: "7"} if family.remaining is None or family.reset is None else _nothing_left(family)


def _nothing_left(family: LimitHeaders, left: str = "0") -> dict[str, str]:
    headers = {}
    at = NOW + timedelta(seconds=42)
    texts = {
        "epoch_s": str(int(at.timestamp())), "epoch_ms": str(int(at.timestamp()) * 1000), "delta_s": "42", "iso8601": at.isoformat(),
        "http_date": at.strftime("%a, %d %b %Y %H:%M:%S GMT"), "structured": '"default";t=42', "duration_text": "42s",
    }  # fmt: skip
    if family.remaining is not None:
        headers[family.remaining] = f'"default";r={left};t=42' if family.reset_format == "structured" else left
    if family.reset is not None:
        headers[family.reset] = headers.get(family.reset, texts[family.reset_format])
    return headers


def rate_limit_lines(provider: Provider, /) -> Iterator[str]:
    """Say for answers of each kind whether they are a rate limit of *provider*, and how long the wait is."""
    limits = provider.rate_limit
    other = next((status for status in limits.statuses if status != 429), 429)
    answers: list[Answer] = [(status, None, {}) for status in dict.fromkeys((429, *limits.statuses))]
    for family in (limits, *limits.also):
        answers += [(other, None, {family.retry_after: "7"}), (other, None, _nothing_left(family)), (429, None, _nothing_left(family))]
        answers.append((other, None, _nothing_left(family, "5")))
    answers += [(other, passing((test,)), {}) for test in limits.body]
    if limits.wait_path is not None:
        answers.append((429, put({}, limits.wait_path, 9), {}))
    lines = []
    for status, body, headers in answers:
        response = answer(status, body, headers=headers)
        limited = is_rate_limited(limits, response, body)
        wait = read_wait(limits, response, body, now=NOW)
        lines.append(f"{show_answer(response, body)} -> {'rate limit' if limited else 'no rate limit'}, wait: {words(wait)}")
    yield from dict.fromkeys(lines)
