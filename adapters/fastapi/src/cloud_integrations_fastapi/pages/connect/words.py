"""The texts that pages choose by a value, in English; templates translate them with `_`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    IntegrationExistsError,
    InvalidCredentialsError,
    ProviderInactiveError,
    ProviderUnavailableError,
    StorageUnavailableError,
    TrustTooOpenError,
    ValidationFailedError,
)

from .cards import CardState
from .steps import Step, Turn


def mark(text: str, /) -> str:
    """Return *text*; the word by which the tool that collects texts finds it."""
    return text


STATES: Final[Mapping[CardState, str]] = MappingProxyType({
    "connected": mark("Connected"),
    "choose": mark("Choose one"),
    "needs_you": mark("Needs you"),
    "trouble": mark("Has trouble"),
    "off": mark("Switched off"),
    "not_connected": mark("Not connected"),
})  # fmt: skip
ADVICE: Final[Mapping[CardState, str]] = MappingProxyType({
    "connected": mark("Nothing to do."),
    "choose": mark("It works. Choose which of the things that it reaches is meant."),
    "needs_you": mark("The access has ended. Reconnect it to use it again."),
    "trouble": mark("Nothing to do for you: the provider or this site has a problem, and it is tried again by itself."),
    "off": mark("It was switched off here. The access at the provider is still there."),
    "not_connected": mark("Not connected yet."),
})  # fmt: skip
STEPS: Final[Mapping[Step, str]] = MappingProxyType({
    "form": mark("What you entered can be right"),
    "reached": mark("The provider answered"),
    "accepted": mark("The provider accepted it"),
    "account": mark("It is the right account"),
    "rights": mark("It reaches something that can be used"),
    "trust": mark("Nobody else can use it"),
    "stored": mark("It is stored, sealed"),
})  # fmt: skip
TURNS: Final[Mapping[Turn, str]] = MappingProxyType({
    "you": mark("It is your turn."),
    "administrator": mark("It is the turn of an administrator of the account at the provider."),
    "operator": mark("It is the turn of the people who run this site. You did nothing wrong."),
    "nobody": mark("Nobody has to do anything. Try again in a few minutes."),
})  # fmt: skip
CAUSES: Final[Mapping[type[CloudIntegrationsError], str]] = MappingProxyType({
    ValidationFailedError: mark("Something that you entered cannot be right. It was not sent anywhere."),
    InvalidCredentialsError: mark("The provider refused it: it is mistyped, has ended, or belongs to another account."),
    IntegrationExistsError: mark("This provider is already connected here. Nothing was changed."),
    ProviderUnavailableError: mark("The provider did not answer as it should. Nothing was changed."),
    ProviderInactiveError: mark("This provider is not set up on this site."),
    AppMisconfiguredError: mark("The provider does not accept the way this site is set up with it."),
    TrustTooOpenError: mark("What was set up at the provider lets others in, too. Nothing was stored."),
    StorageUnavailableError: mark("This site cannot store anything right now."),
})  # fmt: skip
REASONS: Final[Mapping[str, str]] = MappingProxyType({
    "clock_skew": mark("The clock of this site is wrong, so the provider could not be asked."),
    "wrong_region": mark("It belongs to another region or site of the provider."),
    "other_account": mark("It belongs to another account than the one that is connected here. Nothing was changed."),
    "no_resource": mark("It reaches nothing at the provider that could be connected. Nothing was changed."),
    "resource_not_reached": mark("It does not reach what was chosen here before. Nothing was changed."),
})  # fmt: skip
"""The same for reasons that say more than their error."""
_OTHERWISE: Final = mark("It could not be done, and nothing was changed.")
OUTCOMES: Final[Mapping[str, str]] = MappingProxyType({
    "alive": mark("The provider accepts it."),
    "alive_but_denied": mark("The provider accepts it, but it may not do everything that is needed."),
    "dead": mark("The provider refuses it. Reconnect it to use it again."),
    "wrong_region": REASONS["wrong_region"],
    "clock_skew": REASONS["clock_skew"],
    "unknown": mark("The provider gave no answer that says anything about it. Try again in a few minutes."),
})  # fmt: skip
REVOCATIONS: Final[Mapping[str, str]] = MappingProxyType({
    "revoked": mark("Ended at the provider."),
    "unsupported": mark("Still works at the provider, which cannot end it by a request. End it there by hand."),
    "failed": mark("Not ended at the provider yet. It is tried again by itself."),
    "shared": mark("Not ended, because somebody else uses the same one here."),
    "skipped": mark("There was nothing to end."),
})  # fmt: skip
REVOKED_KINDS: Final[Mapping[str, str]] = MappingProxyType({
    "refresh_token": mark("Refresh token"),
    "access_token": mark("Access token"),
    "api_key": mark("Key"),
    "other_key": mark("Other key of the rotation"),
    "installation": mark("Installation"),
})  # fmt: skip


PROBLEMS: Final[Mapping[str, str]] = MappingProxyType({
    "auth/forbidden": mark("You are not signed in, or you may not do this here."),
    "integration/already-exists": CAUSES[IntegrationExistsError],
    "integration/busy": mark("It is being renewed right now. Try again in a moment."),
    "integration/frozen": mark("The people who run this site have stopped the use of this access for now."),
    "integration/inactive": mark("It is switched off, so the provider cannot be asked."),
    "integration/key-rotation": mark("The key that is being replaced is not in a state for this. Go back and reload the page."),
    "integration/not-found": mark("There is no such connection here, or not any more."),
    "integration/oauth-error": mark("The provider did not answer as it should. Nothing was changed."),
    "integration/reconnect-required": mark("The access has ended. Reconnect it to use it again."),
    "integration/validation-failed": mark("This page cannot be asked for like that, or nothing was chosen. Go back and try again."),
    "provider/inactive": CAUSES[ProviderInactiveError],
    "provider/not-found": mark("There is no such provider here."),
    "request/too-many": mark("That was often, in a short time. Wait a minute, then try again."),
    "session/not-found": mark("It was used already, has ended, or belongs to another browser. Ask for a new one where you got it."),
    "storage/unavailable": CAUSES[StorageUnavailableError],
    "tenant/not-found": mark("There is nothing at this address."),
})  # fmt: skip
FIELDS: Final[Mapping[str, str]] = MappingProxyType({
    "does not have the form this provider asks for": mark("It does not have the form that this provider asks for."),
    "is required": mark("Enter something here."),
    "is required by this provider": mark("This provider needs it."),
    "must be 3 to 50 visible characters, without space at either end": mark("A name has 3 to 50 characters, without space at either end."),
    "must be a whole JSON document": mark("It must be the whole file, as the provider gave it to you."),
    "must be at most 255 visible characters": mark("It is too long."),
    "must not be empty": mark("Enter something here."),
})  # fmt: skip
"""What is wrong with a field, by the library's text; other texts of the library are shown as they are, in English."""
_BROKEN: Final = mark("Something went wrong on our side. Tell the people who run this site the request named below.")


def problem_text(code: str, /) -> str:
    """Return why a page cannot be shown, by the code of the error."""
    return PROBLEMS.get(code, _BROKEN)


def cause_of(error: CloudIntegrationsError, /) -> str:
    """Return why a connection failed, in words for a person."""
    reason = REASONS.get(getattr(error, "reason", ""))
    return reason or next((CAUSES[kind] for kind in type(error).__mro__ if kind in CAUSES), _OTHERWISE)
