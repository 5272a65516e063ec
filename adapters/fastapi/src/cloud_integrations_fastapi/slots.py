"""What the OpenAPI document says about slots, which a host may switch on (`Settings.slots`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloud_integrations.documents import (
    AuthorizationOut,
    DeviceAuthorizationOut,
    DevicePendingOut,
    IntegrationDetailOut,
    IntegrationOut,
    PushedAuthorizationOut,
    SlottedIntegrationDetailOut,
    SlottedIntegrationOut,
)

from .answers import Many, One

SLOT = "^[a-z0-9._-]{0,64}$"
SLOT_SCHEMA = {
    "type": "string",
    "pattern": SLOT,
    "description": "Tells a tenant's integrations with one provider apart: 1 to 64 characters. Empty: the default slot.",
}
NO_SLOT = {"type": "string", "enum": [""], "description": "Slots are switched off here: there is only the default slot, the empty text."}

_EXAMPLE = "production"
_WITH_SLOT: Mapping[Any, Any] = {
    One[IntegrationOut]: One[SlottedIntegrationOut],
    Many[IntegrationOut]: Many[SlottedIntegrationOut],
    One[IntegrationDetailOut]: One[SlottedIntegrationDetailOut],
    One[AuthorizationOut] | One[PushedAuthorizationOut] | One[DeviceAuthorizationOut] | One[IntegrationOut]: One[AuthorizationOut]
    | One[PushedAuthorizationOut]
    | One[DeviceAuthorizationOut]
    | One[SlottedIntegrationOut],
    One[IntegrationOut] | One[DevicePendingOut]: One[SlottedIntegrationOut] | One[DevicePendingOut],
}


def answer_with_slot(answer: Any, /) -> Any:
    """Return the type of an answer as it is where slots are switched on: integrations have a slot."""
    return _WITH_SLOT.get(answer, answer)


def example_with_slot(example: Any, /) -> Any:
    """Return the example of an answer with a slot in every integration."""
    match example:
        case {"authType": _, "tenantId": _}:
            return example | {"slot": _EXAMPLE}
        case {"data": data}:
            return {"data": example_with_slot(data)}
        case list():
            return [example_with_slot(each) for each in example]
        case _:
            return example
