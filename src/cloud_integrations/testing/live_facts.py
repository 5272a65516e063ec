"""What the answers to a check say about the facts of a provider file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from cloud_integrations.domain.clock_offset import LEAST
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.provider import LimitHeaders, Method, Provider, RateLimit, Verification
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.protocol.provider_time import read_date
from cloud_integrations.protocol.rate_limit import is_rate_limited, read_wait
from cloud_integrations.protocol.verification import CheckResult, find_account, read_body

Verdict = Literal["held", "not_held", "unseen"]
"""`held`: the provider did as the file says.  `not_held`: it did otherwise.  `unseen`: the answers do not show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFact:
    """One fact of a provider file, and whether it holds."""

    field: str
    """Where it stands in the file, or what it is about: `clock`."""
    verdict: Verdict
    said: str
    """What was seen, as the end of a sentence; it repeats no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A check that was answered."""

    request: HttpRequest
    response: HttpResponse
    result: CheckResult
    presented: Presented = field(repr=False)
    secrets: tuple[Secret, ...] = field(repr=False)
    """What may not be repeated."""


def judge_accepted(
    provider: Provider,
    method: Method,
    check: Verification,
    asked: Answered,
    /,
    *,
    where: str,
    variables: Mapping[str, str],
    now: datetime,
) -> list[LiveFact]:
    """Return what the answer to a check with a key that should work says; *where* is the check's place in the file."""
    facts = [_judge_tls(asked, where), _judge_clock(asked.response, now)]
    redirect = _find_redirect(asked.response, where)
    if redirect is not None:
        return [*facts, redirect]
    status = _judge_status(provider, check, asked, where)
    facts.append(status)
    if status.verdict == "held":
        facts += _judge_body(check, asked, where)
        if not any(fact.field.endswith(".format") and fact.verdict == "not_held" for fact in facts):
            facts += _judge_account(method, check, asked, where, variables)
    facts += _judge_limits(provider.rate_limit, asked.response, now)
    return facts


def judge_broken(check: Verification, asked: Answered, /, *, field: str) -> LiveFact:
    """Return whether a key that was broken on purpose is refused as the file says."""
    status, outcome = asked.response.status, asked.result.outcome
    if outcome == "dead":
        return LiveFact(field=field, verdict="held", said=f"a broken key is answered with {status}, which the file calls dead")
    if asked.result.accepted and status in check.statuses:
        return LiveFact(field=field, verdict="not_held", said=f"a broken key is accepted ({status}), so this request checks no key")
    if status == 429 or status >= 500:
        return LiveFact(field=field, verdict="unseen", said=f"the answer to a broken key was {status}, which says nothing of the key")
    said = f"a broken key is answered with {status}, which the file does not call dead ({outcome.replace('_', ' ')})"
    return LiveFact(field=field, verdict="not_held", said=said)


def _judge_tls(asked: Answered, where: str) -> LiveFact:
    field = f"{where}.url"
    if urlsplit(asked.request.url).scheme == "https":
        return LiveFact(field=field, verdict="held", said="the server answers, and its certificate is accepted")
    return LiveFact(field=field, verdict="unseen", said="the server answers; over plain http no certificate is seen")


def _judge_clock(response: HttpResponse, now: datetime) -> LiveFact:
    told = read_date(response)
    if told is None:
        return LiveFact(field="clock", verdict="unseen", said="the answer has no Date of its own")
    ahead = told - now
    if abs(ahead) < LEAST:
        return LiveFact(field="clock", verdict="held", said=f"the provider's clock and this one agree within {LEAST.seconds} seconds")
    direction = "ahead of" if ahead > timedelta() else "behind"
    seconds = int(abs(ahead).total_seconds())
    return LiveFact(field="clock", verdict="not_held", said=f"the provider's clock is {seconds} seconds {direction} this one")


def _find_redirect(response: HttpResponse, where: str) -> LiveFact | None:
    if not 300 <= response.status < 400:
        return None
    host = urlsplit(response.headers.get("location", "")).hostname or "the same host"
    said = f"the answer is a redirect ({response.status}) to {host}; the library follows none, so name the final URL"
    return LiveFact(field=f"{where}.url", verdict="not_held", said=said)


def _judge_status(provider: Provider, check: Verification, asked: Answered, where: str) -> LiveFact:
    status, outcome = asked.response.status, asked.result.outcome
    field, body = f"{where}.statuses", read_body(check, asked.response)
    if is_rate_limited(provider.rate_limit, asked.response, body):
        return LiveFact(field=field, verdict="unseen", said=f"the answer is a rate limit ({status}); try again later")
    if outcome == "dead":
        said = f"the key is refused ({status}): it is dead, or it stands elsewhere in a request than `present` says"
        return LiveFact(field=field, verdict="not_held", said=said)
    if outcome == "alive_but_denied":
        return LiveFact(field=field, verdict="unseen", said=f"the key works but may not do this ({status}); use one that may")
    if status in check.statuses:
        return LiveFact(field=field, verdict="held", said=f"a key that works is answered with {status}")
    if status >= 500:
        return LiveFact(field=field, verdict="unseen", said=f"the server fails ({status}); try again later")
    wanted = ", ".join(map(str, check.statuses))
    said = f"the answer is {status}; the file says {wanted} for a key that works, and does not say what {status} means"
    return LiveFact(field=field, verdict="not_held", said=said)


def _judge_body(check: Verification, asked: Answered, where: str) -> Iterator[LiveFact]:
    reads = bool(check.success) or any(path.startswith("json:") for path in (*check.identity, *check.label))
    if not reads:
        return
    body = read_body(check, asked.response)
    kind = check.format.upper()
    said = f"the body is {kind}" if body is not None else f"the body is no {kind}, or not an object"
    yield LiveFact(field=f"{where}.format", verdict="held" if body is not None else "not_held", said=said)
    for index, test in enumerate(check.success if body is not None else ()):
        holds = test.holds(body)
        said = f"the test of {test.path} {'passes' if holds else 'fails'} for a key that works"
        yield LiveFact(field=f"{where}.success.{index}", verdict="held" if holds else "not_held", said=said)


def _judge_account(method: Method, check: Verification, asked: Answered, where: str, variables: Mapping[str, str]) -> Iterator[LiveFact]:
    body = read_body(check, asked.response)
    found = find_account(method, check, asked.response, body, presented=asked.presented, variables=variables)
    for index, path in enumerate(check.identity):
        missing: Verdict = "not_held" if index == 0 else "unseen"
        yield _judge_path(f"{where}.identity.{index}", path, found[path], asked.secrets, missing=missing)
    if not check.identity:
        yield LiveFact(field=f"{where}.identity", verdict="unseen", said="none is named; a fingerprint of the key stands in")
    # The first label with a value counts, so the others may be missing.
    has_label = any(found[path] for path in check.label)
    for index, path in enumerate(check.label):
        yield _judge_path(f"{where}.label.{index}", path, found[path], asked.secrets, missing="unseen" if has_label else "not_held")


def _judge_path(field: str, path: str, value: str, secrets: tuple[Secret, ...], *, missing: Verdict) -> LiveFact:
    if not value:
        return LiveFact(field=field, verdict=missing, said=f"{path} has no value that can be a name")
    if any(_repeats(value, secret.reveal()) for secret in secrets):
        return LiveFact(field=field, verdict="not_held", said=f"{path} holds the key or a part of it, which is no name of an account")
    return LiveFact(field=field, verdict="held", said=f"{path} is {value}")


def _repeats(value: str, secret: str) -> bool:
    """Say whether a value holds a secret, or is the greater part of one; a small part may be an id that the key has in it, too."""
    return secret in value or (value in secret and 2 * len(value) >= len(secret))


def _judge_limits(limits: RateLimit, response: HttpResponse, now: datetime) -> Iterator[LiveFact]:
    families: tuple[LimitHeaders, ...] = (limits, *limits.also)
    known: set[str] = set()
    for place, family in enumerate(families):
        where = "rate_limit" if place == 0 else f"rate_limit.also.{place - 1}"
        for name, header in (("remaining", family.remaining), ("reset", family.reset)):
            if header is None:
                continue
            known.add(header.lower())
            is_there = header.lower() in response.headers
            said = f"the answer has {header}" if is_there else f"the answer has no {header}"
            yield LiveFact(field=f"{where}.{name}", verdict="held" if is_there else "not_held", said=said)
        if family.reset is not None and family.reset.lower() in response.headers:
            yield _judge_reset(family, response, now, where)
    others = sorted(name for name in response.headers.keys() - known if "ratelimit" in name.replace("-", ""))
    if others:
        yield LiveFact(field="rate_limit", verdict="unseen", said=f"the answer also has {', '.join(others)}, which the file does not name")


def _judge_reset(family: LimitHeaders, response: HttpResponse, now: datetime, where: str) -> LiveFact:
    """Say whether the time in the header can be read, as it would be if nothing were left."""
    header = family.reset or ""
    alone = {header.lower(): response.headers[header.lower()]}
    limits = RateLimit(reset=header, reset_format=family.reset_format)
    wait = read_wait(limits, replace(response, status=429, headers=alone), None, now=now)
    field = f"{where}.reset_format"
    if wait is None:
        return LiveFact(field=field, verdict="not_held", said=f"{header} is not written as {family.reset_format}")
    if timedelta() < wait < timedelta(hours=1):
        return LiveFact(field=field, verdict="held", said=f"{header} can be read as {family.reset_format}")
    said = f"{header} can be read as {family.reset_format}, as no wait or one of an hour or more; look at it"
    return LiveFact(field=field, verdict="unseen", said=said)
