"""Check the values that an OAuth backend returns, because anybody may have written it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.outcome import (
    Granted,
    Misconfigured,
    MisconfiguredReason,
    NotProcessed,
    NotProcessedReason,
    Refused,
    RefusedReason,
    Rejected,
    RejectedReason,
    TokenFailure,
    TokenOutcome,
    Unknown,
    UnknownReason,
    UnreadMember,
    Unusable,
)
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .authorize import KNOWN_ERRORS, REQUESTED, read_code
from .client import CallbackAnswer, Client, check_endpoint
from .error_text import shows_secret
from .http import MAX_TOKEN_BODY, HttpRequest
from .rate_limit import MAX_WAIT
from .scopes import is_scope
from .token_answer import MAX_LIFETIME, UNKNOWN_LIFETIME, ReadTokens, read_token, read_variable

_HTTP_METHOD = re.compile(r"[A-Z]{1,16}\Z")
_HEADER = re.compile(r"[\x20-\x7e]*\Z")
_REASONS: Mapping[type[TokenFailure], tuple[str, ...]] = {
    Refused: get_args(RefusedReason),
    Rejected: get_args(RejectedReason),
    NotProcessed: get_args(NotProcessedReason),
    Misconfigured: get_args(MisconfiguredReason),
    Unknown: get_args(UnknownReason),
}
_MEMBERS: tuple[UnreadMember, ...] = get_args(UnreadMember)


class WrongValueError(ValueError):
    """A backend returned a value that is not allowed; the text describes it and never repeats it."""


def checked_url(client: Client, url: Any, /, *, state: Secret, hidden: Iterable[Secret | None]) -> str:
    """Return *url* if a browser may be sent there: https, with *state* in it and none of the *hidden* secrets.

    Raises `WrongValueError` otherwise.
    """
    if not isinstance(url, str):
        raise _wrong_type(url, "text")
    _check_url(client, url, hidden=hidden)
    if state.reveal() not in url:
        raise WrongValueError("returned a URL without the state")
    return url


def checked_request(client: Client, request: Any, /, *, hidden: Iterable[Secret | None]) -> HttpRequest:
    """Return *request* if it may be sent: by https, to a host of the client's URLs, with none of the *hidden* secrets in its URL.

    Raises `WrongValueError` otherwise.
    """
    if not isinstance(request, HttpRequest):
        raise _wrong_type(request, "an HttpRequest")
    if not isinstance(request.url, str) or not isinstance(request.body, bytes) or not isinstance(request.max_body, int):
        raise WrongValueError("returned an HttpRequest with a part of a wrong type")
    if not _HTTP_METHOD.match(request.method) or not all(_HEADER.match(text) for pair in request.headers.items() for text in pair):
        raise WrongValueError("returned an HttpRequest with a method or header that cannot be sent")
    _check_url(client, request.url, hidden=hidden)
    own = (client.authorize_url, client.token_url, client.refresh_url, client.revoke_url)
    # A token is sent only to the server that issued it, even if the backend builds another request.
    if urlsplit(request.url).hostname not in {urlsplit(url).hostname for url in own if url is not None}:
        raise WrongValueError("returned an HttpRequest to a host that is none of the client's")
    return replace(
        request,
        provider_id=str(client.provider.provider_id),
        loopback=client.provider.loopback,
        private_host=client.private_host,
        tenant_server=False,
        max_body=min(request.max_body, MAX_TOKEN_BODY),
    )


def checked_callback(answer: Any, /) -> CallbackAnswer:
    """Return *answer*, with a code or an error.

    Raises `WrongValueError` for a value of a wrong type, and `GrantRefusedError` for a code that cannot be used.
    """
    if not isinstance(answer, CallbackAnswer):
        raise _wrong_type(answer, "a CallbackAnswer")
    if answer.error is not None:
        return replace(answer, code=None, error=answer.error if answer.error in {*KNOWN_ERRORS, REQUESTED} else "other")
    if not isinstance(answer.code, Secret) or not isinstance(answer.site, str | None) or not isinstance(answer.installation, str | None):
        raise WrongValueError("returned a CallbackAnswer with a part of a wrong type")
    return replace(answer, code=read_code(answer.code.reveal()))


def checked_revocation(answer: Any, /) -> Literal["revoked", "failed"]:
    """Return *answer* if it is `revoked` or `failed`.  Raises `WrongValueError` otherwise."""
    if answer == "revoked":
        return "revoked"
    if answer == "failed":
        return "failed"
    raise WrongValueError('returned neither "revoked" nor "failed"')


def checked_outcome(client: Client, outcome: Any, /, *, since: datetime, failed: Callable[[str], Unknown]) -> TokenOutcome:
    """Return *outcome* with only the values that are valid; no token that can be read is lost.

    A value beside the tokens that is not valid is left unknown and named in `unread`.  If *outcome* is no outcome at all, *failed*
    makes one from a description of the problem.  *since* is when the request was sent; times before it are not valid.
    """
    match outcome:
        case Granted() if isinstance(outcome.grant, Grant):
            return _granted(client, outcome, outcome.grant, since=since, failed=failed)
        case Unusable():
            return _unusable(outcome, since=since, failed=failed)
        case _ if (failure := _failure(outcome)) is not None:
            return failure
        case _:
            return failed(f"returned {type(outcome).__name__}, no outcome of the closed list")


def _check_url(client: Client, url: str, *, hidden: Iterable[Secret | None]) -> None:
    try:
        check_endpoint(url, loopback=client.provider.loopback)
    except ValidationFailedError as error:
        raise WrongValueError("returned a URL that is not plain https") from error
    if shows_secret(url, hidden):
        raise WrongValueError("returned a URL that shows a secret")


def _wrong_type(value: object, wanted: str) -> WrongValueError:
    return WrongValueError(f"returned {type(value).__name__}, not {wanted}")


def _granted(client: Client, outcome: Granted, grant: Grant, *, since: datetime, failed: Callable[[str], Unknown]) -> TokenOutcome:
    tokens = ReadTokens(access=_token(grant.access_token), refresh=_token(grant.refresh_token))
    unread = outcome.unread if isinstance(outcome.unread, tuple) else ()
    ends, refresh_ends = _time(grant.expires_at, since), _time(grant.refresh_expires_at, since)
    if tokens.access is None:
        problem = failed("returned a grant without an access token that a header can carry")
        return Unusable(problem, refresh_token=tokens.refresh, refresh_expires_at=refresh_ends, tokens=tokens.all())
    scopes, variables = _scopes(grant.scopes, tokens), _variables(client, grant.variables, tokens)
    odd: dict[UnreadMember, bool] = {
        "refresh_token": tokens.refresh is None and grant.refresh_token is not None,
        "expires_in": ends is None and grant.expires_at is not None,
        "refresh_token_expires_in": refresh_ends is None and grant.refresh_expires_at is not None,
        "scope": scopes is None and grant.scopes is not None,
        "variables": variables != grant.variables,
    }
    checked = Grant(
        access_token=tokens.access,
        refresh_token=tokens.refresh,
        expires_at=since + UNKNOWN_LIFETIME if odd["expires_in"] else ends,
        scopes=scopes,
        refresh_expires_at=refresh_ends,
        variables=variables,
    )
    return Granted(checked, tuple(member for member in _MEMBERS if member in unread or odd.get(member)))


def _unusable(outcome: Unusable, *, since: datetime, failed: Callable[[str], Unknown]) -> Unusable:
    failure = _failure(outcome.failure) or failed("returned an Unusable without a failure of the closed list")
    tokens = ReadTokens(access=_named("access", outcome.tokens), refresh=_named("refresh", outcome.tokens))
    return Unusable(
        failure,
        refresh_token=_token(outcome.refresh_token),
        refresh_expires_at=_time(outcome.refresh_expires_at, since),
        tokens=tokens.all(),
    )


def _failure(outcome: Any) -> TokenFailure | None:
    """Return *outcome* if it is a failure with a known reason, without values that are not valid; None otherwise."""
    if not isinstance(outcome, TokenFailure) or outcome.reason not in _REASONS[type(outcome)]:
        return None
    said = outcome.said if isinstance(outcome.said, Secret) else None
    if isinstance(outcome, Refused | Misconfigured):
        return replace(outcome, said=said)
    wait = outcome.retry_after
    return replace(outcome, said=said, retry_after=wait if isinstance(wait, timedelta) and timedelta() <= wait <= MAX_WAIT else None)


def _token(value: Any) -> Secret | None:
    return read_token(value.reveal() if isinstance(value, Secret) else value)


def _named(kind: str, tokens: Any) -> Secret | None:
    pairs = [pair for pair in tokens if isinstance(pair, tuple) and len(pair) == 2] if isinstance(tokens, tuple | list) else []
    return next((found for name, token in pairs if name == kind and (found := _token(token)) is not None), None)


def _time(value: Any, since: datetime) -> datetime | None:
    if not isinstance(value, datetime) or value.utcoffset() is None or not since <= value <= since + MAX_LIFETIME:
        return None
    return value.astimezone(UTC)


def _scopes(value: Any, tokens: ReadTokens) -> tuple[str, ...] | None:
    listed: tuple[Any, ...] = tuple(value) if isinstance(value, tuple | list) else (None,)
    if not all(isinstance(scope, str) and is_scope(scope) and not tokens.show_in(scope) for scope in listed):
        return None
    return tuple(dict.fromkeys(listed))


def _variables(client: Client, value: Any, tokens: ReadTokens) -> dict[str, str]:
    """Return the valid values of variables with the source `token_reply`."""
    given: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    found = {
        variable.name: read_variable(variable, given.get(variable.name))
        for variable in client.provider.variables
        if variable.source == "token_reply"
    }
    return {name: text for name, text in found.items() if text is not None and not tokens.show_in(text)}
