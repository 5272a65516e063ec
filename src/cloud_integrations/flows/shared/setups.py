"""Setups that have begun: how they are found again, and what was made for them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final

from cloud_integrations.domain.entered import Entered, EnteredInputs
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.pending import PendingAuthorization
from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.inputs import find_input_method

from .applications import require_input_methods
from .entered import ReadInputs, read_entered, tell_hints
from .wiring import Wiring

# No state begins with this byte, because a state is UTF-8: no callback can name a setup.
_LABEL: Final = b"\xffcloud_integrations/1/SETUP"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSetup:
    """A setup that has begun and is not completed."""

    pending: PendingAuthorization
    made: Parts = field(repr=False)


def require_setup_method(provider: Provider, method_id: str | None, /) -> Method:
    """Return the method with this id, or the first one, for which the library makes something.  Raises `ValidationFailedError`."""
    methods = [method for method in require_input_methods(provider) if method.made_inputs]
    found = next((method for method in methods if method_id in {None, method.id}), None)
    if found is None:
        known = ", ".join(method.id for method in methods)
        raise ValidationFailedError(field="method", problem=f"must be one of {known}" if known else "has nothing to set up beforehand")
    return found


def setup_hash(tenant_id: TenantId, provider_id: ProviderId, method_id: str, slot: str, /) -> bytes:
    """Return the key of the one setup that a tenant can have for this method and slot."""
    digest = hashlib.sha256(_LABEL)
    for part in (tenant_id.encode(), provider_id.bytes, method_id.encode(), slot.encode()):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


async def find_setup(wiring: Wiring, tenant_id: TenantId, provider_id: ProviderId, method: Method, /, *, slot: str) -> OpenSetup | None:
    """Return the open setup of a tenant for this method and slot, or None."""
    pending = await wiring.store.find_pending(setup_hash(tenant_id, provider_id, method.id, slot))
    if pending is None or pending.awaits != "setup":
        return None
    return OpenSetup(pending=pending, made=await wiring.sealer.open_pending(pending))


async def find_setup_of(wiring: Wiring, tenant_id: TenantId, provider: Provider, entered: Entered, /, *, slot: str) -> OpenSetup | None:
    """Return the open setup that *entered* completes, or None.

    Raises `ValidationFailedError` for inputs that fit no method of *provider*.
    """
    # What was set up has no key of its own, so the shorthand for keys is never for it.
    if not isinstance(entered, EnteredInputs):
        return None
    method = find_input_method(provider, require_input_methods(provider), entered, variables={})
    return await find_setup(wiring, tenant_id, provider.provider_id, method, slot=slot) if method.made_inputs else None


async def _made_for(wiring: Wiring, stored: StoredIntegration, method: Method, /) -> Parts:
    """Return what was made for a stored integration, which stays until it is removed.

    Raises `ValidationFailedError` if it is connected by another method, for which nothing was made.
    """
    if stored.facts.method_id != method.id or stored.credential.renewal is None:
        raise ValidationFailedError(field="method", problem=f"{method.id} needs a setup: delete this integration, then call begin_setup")
    parts = await wiring.sealer.open_column(stored, "renewal")
    return {each.name: parts[each.name] for each in method.made_inputs if each.name in parts}


def with_made(read: ReadInputs, made: Parts, /) -> ReadInputs:
    """Return what was entered together with what was made."""
    return replace(read, parts={**read.parts, **made})


async def read_next(wiring: Wiring, stored: StoredIntegration, entered: Entered, /) -> ReadInputs:
    """Return what was entered in place of a stored credential, with what was made for the integration; tell the hints about it.

    Raises as `read_entered`, and `ValidationFailedError` for a method for which nothing was made.
    """
    provider = wiring.providers.require(stored.facts.provider_id)
    read = read_entered(wiring, provider, entered, variables={}, before=stored.facts.variables, current=stored.facts.method_id)
    if read.method.made_inputs:
        read = with_made(read, await _made_for(wiring, stored, read.method))
    tell_hints(wiring, read, Subject.of(stored.facts))
    return read
