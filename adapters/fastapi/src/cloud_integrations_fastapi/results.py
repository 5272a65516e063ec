"""How a connection ended, in words for the person whose browser comes back from a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Literal, NamedTuple

from cloud_integrations import Health, Integration
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    ForbiddenError,
    GrantRefusedError,
    IntegrationExistsError,
    ProviderInactiveError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    StorageUnavailableError,
    TooManyRequestsError,
    ValidationFailedError,
)

ResultCode = Literal[
    "connected",
    "already_connected",
    "declined",
    "requested",
    "not_confirmed",
    "other_account",
    "expired",
    "not_yours",
    "closed",
    "refused",
    "misconfigured",
    "provider_unavailable",
    "unavailable",
    "forbidden",
    "invalid",
    "too_many",
    "internal",
]
Note = Literal["account_changed", "shared", "several_grants"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionResult:
    """The result that a page shows.  `title` and `paragraphs` are plain English text; pages in other languages use `code`.

    `integration` is set only for `connected` and `already_connected`; `notes` are warnings about it.  `request_id` is for the person to
    tell the operator; `retry_after` is the time until another attempt, where it is known.
    """

    code: ResultCode
    status: int
    title: str
    paragraphs: tuple[str, ...]
    request_id: str
    integration: Integration | None = None
    notes: tuple[Note, ...] = ()
    retry_after: timedelta | None = None


class _Words(NamedTuple):
    status: int
    title: str
    paragraphs: tuple[str, ...] = ()


_AGAIN = "Start the connection again."
_WORDS: Mapping[ResultCode, _Words] = MappingProxyType(
    {
        "connected": _Words(200, "Connected"),
        "already_connected": _Words(200, "Already connected"),
        "declined": _Words(
            400, "You declined", ("You declined at the provider, so nothing was connected.", "You can start again at any time.")
        ),
        "requested": _Words(
            400,
            "Waiting for an owner",
            (
                "Your request was sent to an owner of the organization at the provider. Nothing is connected yet.",
                "When the owner has agreed, start the connection again.",
            ),
        ),
        "not_confirmed": _Words(
            400,
            "Not confirmed",
            (
                "The provider does not say that this installation is yours, or gives no access to it. Nothing was connected.",
                "Sign in at the provider with an account that manages it, see that it is neither suspended nor removed, and start again.",
            ),
        ),
        "other_account": _Words(
            400,
            "Another account",
            (
                "You signed in at the provider with another account than the one that is connected here. Nothing was changed.",
                "Sign out at the provider, then reconnect with the account that you used before.",
            ),
        ),
        "expired": _Words(
            400,
            "This link has expired",
            (
                "A connection must be finished within a few minutes, and each link works once. Nothing was connected by this one.",
                f"{_AGAIN} If you have just agreed at the provider, reload this page first.",
            ),
        ),
        "not_yours": _Words(
            400,
            "Not your link",
            (
                "This connection was begun in another browser or by another person, or it is no longer valid. Nothing was connected.",
                "Start the connection yourself, in this browser.",
            ),
        ),
        "closed": _Words(
            400, "No longer connected", ("This integration was removed or switched off meanwhile, or its access has ended.", _AGAIN)
        ),
        "refused": _Words(400, "The provider refused", ("The provider gave no access that can be used. Nothing was connected.", _AGAIN)),
        "misconfigured": _Words(
            502,
            "A mistake in our configuration",
            (
                "The provider does not accept the way this site is set up with it. You did nothing wrong, and nothing was connected.",
                "Tell the operator of this site; starting again does not help.",
            ),
        ),
        "provider_unavailable": _Words(
            502,
            "The provider is not available",
            ("The provider has a problem and did not answer as it should. Nothing was connected.", "Start the connection again later."),
        ),
        "unavailable": _Words(
            503,
            "Not available right now",
            ("This site cannot finish the connection right now.", "Start the connection again in a few minutes."),
        ),
        "forbidden": _Words(
            403,
            "Not allowed",
            ("You are not signed in, or you may not connect anything here.", "Sign in, then start the connection again."),
        ),
        "invalid": _Words(422, "Not a valid link", ("This address is not one that a provider sends anybody to.", _AGAIN)),
        "too_many": _Words(
            429,
            "One moment, please",
            (
                "Too many connections come from your network right now. Nothing is lost, and nothing was connected yet.",
                "Wait for a few seconds, then reload this page.",
            ),
        ),
        "internal": _Words(
            500,
            "Something went wrong on our side",
            ("It is not known whether anything was connected.", "Tell the operator of this site the request named below."),
        ),
    }
)

_CODES: Mapping[type[CloudIntegrationsError], ResultCode] = MappingProxyType(
    {
        IntegrationExistsError: "already_connected",
        AppMisconfiguredError: "misconfigured",
        ProviderInactiveError: "misconfigured",
        ProviderNotFoundError: "misconfigured",
        ProviderUnavailableError: "provider_unavailable",
        StorageUnavailableError: "unavailable",
        ForbiddenError: "forbidden",
        TooManyRequestsError: "too_many",
        ValidationFailedError: "invalid",
    }
)
_REASONS: Mapping[ResultCode, frozenset[str]] = MappingProxyType(
    {
        "declined": frozenset({"access_denied"}),
        "requested": frozenset({"installation_requested"}),
        "not_confirmed": frozenset({"installation_missing", "installation_not_yours", "installation_refused"}),
        "other_account": frozenset({"other_account"}),
        "not_yours": frozenset({"state_not_valid"}),
        "closed": frozenset({"integration_closed", "changed_meanwhile"}),
        # The provider refused the code when it was exchanged.
        "expired": frozenset({"invalid_grant", "code_refused", "grant_dead"}),
        "provider_unavailable": frozenset({"server_error", "temporarily_unavailable"}),
        "misconfigured": frozenset({
            "application_changed", "provider_removed", "site_unknown", "wrong_region",
            "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_grant_type", "unsupported_response_type",
            "invalid_request_object", "invalid_request_uri", "registration_not_supported", "request_not_supported",
            "request_uri_not_supported",
        }),
    }
)  # fmt: skip
"""The codes by `GrantRefusedError.reason`; every other reason is `refused`."""


TEXTS = tuple(dict.fromkeys(text for words in _WORDS.values() for text in (words.title, *words.paragraphs)))
"""Every text of a result that names no value, for those who translate them."""


def code_of(error: Exception, /) -> ResultCode:
    """Return the code of the result in which *error* ended a connection."""
    found: ResultCode = "internal"
    if isinstance(error, GrantRefusedError):
        found = "refused"
        for code, reasons in _REASONS.items():
            if error.reason in reasons:
                found = code
        return found
    for kind in reversed(type(error).__mro__):
        found = _CODES.get(kind, found)
    return found


def result_text(code: str, /) -> str | None:
    """Return a text for the `error` that a `returnTo` address was given; None for a code that names no failure here."""
    words = next((words for known, words in _WORDS.items() if known == code and words.status != HTTPStatus.OK), None)
    return None if words is None else " ".join(words.paragraphs)


def result_of(code: str, /) -> ResultCode | None:
    """Return the code of a failure that a `returnTo` address was given as `error`; None for a word that names none."""
    return next((known for known, words in _WORDS.items() if known == code and words.status != HTTPStatus.OK), None)


def refusal(code: ResultCode, /, *, request_id: str, retry_after: timedelta | None = None) -> ConnectionResult:
    """Return the result of a connection that failed."""
    status, title, paragraphs = _WORDS[code]
    return ConnectionResult(code=code, status=status, title=title, paragraphs=paragraphs, request_id=request_id, retry_after=retry_after)


def success(code: ResultCode, integration: Integration, /, *, request_id: str, notes: tuple[Note, ...] = ()) -> ConnectionResult:
    """Return the result for *integration*, which is connected."""
    status, title, _ = _WORDS[code]
    account = integration.account.label
    told = (
        f"“{integration.name}” is connected{f' as {account}' if account else ''}.",
        "This is another account than before." if "account_changed" in notes else "",
        "It reaches several things at the provider: choose which of them is meant." if integration.health is Health.CHOOSE_RESOURCE else "",
        "Another customer holds the same token: removing one of the two does not revoke it." if "shared" in notes else "",
        "This account is connected more than once, and the provider ends the oldest connection when there are too many."
        if "several_grants" in notes
        else "",
    )
    return ConnectionResult(
        code=code,
        status=status,
        title=title,
        paragraphs=tuple(text for text in told if text),
        request_id=request_id,
        integration=integration,
        notes=notes,
    )
