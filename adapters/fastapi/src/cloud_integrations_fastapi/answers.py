"""The envelopes of answers; `cloud_integrations.documents` has their contents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, Literal, TypeVar

from fastapi import Response
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from cloud_integrations import Authorization, Integration, Removal, RevocationOutcome
from cloud_integrations.documents import (
    AuthorizationOut,
    IntegrationDetailOut,
    IntegrationOut,
    PushedAuthorizationOut,
    SlottedIntegrationDetailOut,
    SlottedIntegrationOut,
)

T = TypeVar("T")


class _Answer(BaseModel):
    """The base of all answers."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class One(_Answer, Generic[T]):
    """An answer with one object."""

    data: T


class Many(_Answer, Generic[T]):
    """An answer with a list of objects."""

    data: tuple[T, ...]


class Done(_Answer):
    """An answer without data: the request succeeded."""

    success: Literal[True] = True


class KeyDone(Done):
    """The integration is deleted, and this happened to its key at the provider.

    `apiKey` is one of `revoked`, `unsupported`, `failed` (it is kept sealed, and tried again), `shared` (another customer's integration
    has the same key) and `skipped` (there was no key, the provider had refused it before, or `keyReason` is set).  `manualUrl` is the
    page where a person can withdraw a key that is `unsupported`.  `keyReason` is `held` if the tenant has the same key in another slot.
    """

    api_key: RevocationOutcome
    key_reason: Literal["held"] | None
    manual_url: str | None


class ErrorFacts(_Answer):
    """The code, the message and the details of an error."""

    code: str
    message: str
    details: dict[str, Any]


class CloudIntegrationsErrorOut(_Answer):
    """An answer with an error."""

    success: Literal[False]
    error: ErrorFacts


def key_done(removal: Removal, /) -> KeyDone:
    """Return the answer to a removal that was asked to revoke the key."""
    reason: Literal["held"] | None = "held" if removal.key_reason == "held" else None
    return KeyDone(api_key=removal.api_key, key_reason=reason, manual_url=removal.manual_url)


def begun(authorization: Authorization, /, *, status: int) -> Response:
    """Return the URL to open; if the request was pushed, with the time before which it must be opened."""
    if authorization.open_before is None:
        return as_json(One[AuthorizationOut](data=AuthorizationOut.of(authorization)), status=status)
    return as_json(One[PushedAuthorizationOut](data=PushedAuthorizationOut.of(authorization)), status=status)


def as_json(answer: BaseModel, /, *, status: int = 200) -> Response:
    """Return *answer* as a response."""
    return Response(answer.model_dump_json(by_alias=True), status, media_type="application/json")


class IntegrationAnswers:
    """The answers with integrations; with *slots*, each integration is shown with its slot."""

    def __init__(self, *, slots: bool) -> None:
        self._out: type[IntegrationOut] = SlottedIntegrationOut if slots else IntegrationOut
        self._detail_out: type[IntegrationDetailOut] = SlottedIntegrationDetailOut if slots else IntegrationDetailOut

    def one(self, integration: Integration, /, *, status: int = 200) -> Response:
        """Return one integration, as a list has it."""
        return as_json(One[self._out](data=self._out.of(integration)), status=status)  # type: ignore[name-defined]  # chosen by the host

    def detail(self, integration: Integration, /) -> Response:
        """Return one integration with its details."""
        return as_json(One[self._detail_out](data=self._detail_out.of(integration)))  # type: ignore[name-defined]  # as above

    def many(self, integrations: Iterable[Integration], /) -> Response:
        """Return a list of integrations."""
        return as_json(Many[self._out](data=tuple(map(self._out.of, integrations))))  # type: ignore[name-defined]  # as above
