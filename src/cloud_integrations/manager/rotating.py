"""Rotating the key of an integration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.entered import read_inputs
from cloud_integrations.domain.key_rotation import KeyMaking, KeyRotation
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .parts import AsyncPart, Part


class Rotating(Part):
    """The methods of `IntegrationManager` that rotate the key of an integration."""

    def begin_key_rotation(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        inputs: Mapping[str, Secret | str] | None = None,
        new_key: KeyMaking | None = None,
        method: str | None = None,
        ends_at: datetime | None = None,
        slot: str = "",
        overlap: timedelta | float = 86_400,
        revoke_key: bool = True,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> KeyRotation:
        """Store a new key beside the old one, which is handed out until the rotation is finished.

        Give either *inputs* (with *method* and *ends_at*), a key that a person has made, as in `reconnect`; the provider checks it
        first.  Or *new_key*, and the provider makes the key by a request that the stored key shows: `create` makes another one; `roll`
        gives the key a new value, which is handed out at once, because the old value ends.  `MethodSummary.makes_key` says which of them a
        provider has.

        *overlap* (seconds or a timedelta) is how long the old key is stored after the switch, at least `Settings.token_cache`; then the
        worker revokes it where the provider can, unless *revoke_key* is false.  A rotation that is not finished within seven days is
        cancelled.  The same call, for a key with the same key, returns the open rotation.
        Raises as `reconnect`, `KeyRotationError` if another rotation is open, or if the provider made no key or its answer was lost, and
        `GrantRefusedError` if the new key belongs to another account.
        """
        caller = self._acting(actor, request_id)
        if new_key is not None:
            _require_alone(inputs, method, ends_at)
            return self._run(
                flows.make_key(
                    self._wiring,
                    tenant_id,
                    integration,
                    slot=slot,
                    making=new_key,
                    overlap=overlap,
                    revoke_key=revoke_key,
                    caller=caller,
                )
            )
        return self._run(
            flows.begin_key_rotation(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                entered=read_inputs(inputs, method, ends_at),
                overlap=overlap,
                revoke_key=revoke_key,
                caller=caller,
            )
        )

    def finish_key_rotation(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        now: bool = False,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> KeyRotation:
        """Hand out the new key from now on, once the provider has accepted it again; the old one is stored until the overlap ends.

        A rotation that was switched already is returned as it is.  With *now* the old key ends as soon as no process can hand it out from
        memory (`Settings.token_cache`).
        Raises `IntegrationNotFoundError`, `KeyRotationError` if no rotation is open, and what `begin_key_rotation` raises for a key that
        is not accepted.
        """
        caller = self._acting(actor, request_id)
        return self._run(flows.finish_key_rotation(self._wiring, tenant_id, integration, slot=slot, now=now, caller=caller))

    def cancel_key_rotation(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> KeyRotation:
        """Forget the new key, or after the switch hand out the old key again, once the provider has accepted it.

        A new key that was handed out is then revoked as the old one would have been.
        Raises `IntegrationNotFoundError`, `KeyRotationError` if no rotation is open or a reconnect has replaced the new key, and what
        `begin_key_rotation` raises for a key that is not accepted.
        """
        caller = self._acting(actor, request_id)
        return self._run(flows.cancel_key_rotation(self._wiring, tenant_id, integration, slot=slot, caller=caller))

    def find_key_rotation(self, tenant_id: str, integration: UUID | str, *, slot: str = "") -> KeyRotation | None:
        """Return the open rotation of an integration's key, or None.  Raises `IntegrationNotFoundError`."""
        return self._run(flows.find_key_rotation(self._wiring, tenant_id, integration, slot=slot))


class AsyncRotating(AsyncPart):
    """The methods of `AsyncIntegrationManager` that rotate the key of an integration."""

    async def begin_key_rotation(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        inputs: Mapping[str, Secret | str] | None = None,
        new_key: KeyMaking | None = None,
        method: str | None = None,
        ends_at: datetime | None = None,
        slot: str = "",
        overlap: timedelta | float = 86_400,
        revoke_key: bool = True,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> KeyRotation:
        """Store a new key beside the old one, which is handed out until the rotation is finished.

        Give either *inputs* (with *method* and *ends_at*), a key that a person has made, as in `reconnect`; the provider checks it
        first.  Or *new_key*, and the provider makes the key by a request that the stored key shows: `create` makes another one; `roll`
        gives the key a new value, which is handed out at once, because the old value ends.  `MethodSummary.makes_key` says which of them a
        provider has.

        *overlap* (seconds or a timedelta) is how long the old key is stored after the switch, at least `Settings.token_cache`; then the
        worker revokes it where the provider can, unless *revoke_key* is false.  A rotation that is not finished within seven days is
        cancelled.  The same call, for a key with the same key, returns the open rotation.
        Raises as `reconnect`, `KeyRotationError` if another rotation is open, or if the provider made no key or its answer was lost, and
        `GrantRefusedError` if the new key belongs to another account.
        """
        caller = self._acting(actor, request_id)
        if new_key is not None:
            _require_alone(inputs, method, ends_at)
            return await self._run(
                flows.make_key(
                    self._wiring,
                    tenant_id,
                    integration,
                    slot=slot,
                    making=new_key,
                    overlap=overlap,
                    revoke_key=revoke_key,
                    caller=caller,
                )
            )
        return await self._run(
            flows.begin_key_rotation(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                entered=read_inputs(inputs, method, ends_at),
                overlap=overlap,
                revoke_key=revoke_key,
                caller=caller,
            )
        )

    async def finish_key_rotation(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        now: bool = False,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> KeyRotation:
        """Hand out the new key from now on, once the provider has accepted it again; the old one is stored until the overlap ends.

        A rotation that was switched already is returned as it is.  With *now* the old key ends as soon as no process can hand it out from
        memory (`Settings.token_cache`).
        Raises `IntegrationNotFoundError`, `KeyRotationError` if no rotation is open, and what `begin_key_rotation` raises for a key that
        is not accepted.
        """
        caller = self._acting(actor, request_id)
        return await self._run(flows.finish_key_rotation(self._wiring, tenant_id, integration, slot=slot, now=now, caller=caller))

    async def cancel_key_rotation(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> KeyRotation:
        """Forget the new key, or after the switch hand out the old key again, once the provider has accepted it.

        A new key that was handed out is then revoked as the old one would have been.
        Raises `IntegrationNotFoundError`, `KeyRotationError` if no rotation is open or a reconnect has replaced the new key, and what
        `begin_key_rotation` raises for a key that is not accepted.
        """
        caller = self._acting(actor, request_id)
        return await self._run(flows.cancel_key_rotation(self._wiring, tenant_id, integration, slot=slot, caller=caller))

    async def find_key_rotation(self, tenant_id: str, integration: UUID | str, *, slot: str = "") -> KeyRotation | None:
        """Return the open rotation of an integration's key, or None.  Raises `IntegrationNotFoundError`."""
        return await self._run(flows.find_key_rotation(self._wiring, tenant_id, integration, slot=slot))


def _require_alone(inputs: object, method: str | None, ends_at: datetime | None) -> None:
    if inputs is not None or method is not None or ends_at is not None:
        raise ValidationFailedError(field="newKey", problem="cannot be given together with inputs, a method or endsAt")
