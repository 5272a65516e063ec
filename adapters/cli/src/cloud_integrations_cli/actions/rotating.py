"""The command that rotates the key of an integration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cloud_integrations import Integration, IntegrationManager, KeyRotation, Provider
from cloud_integrations.errors import KeyRotationError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.inputs import read_inputs
from cloud_integrations_cli.prompts import confirm
from cloud_integrations_cli.render import Screen, moment
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.times import in_utc

_STATES = {
    "sent": "the provider is being asked for a new key, or the process that asked has ended",
    "staged": "the old key is in use, and the new one waits",
    "switched": "the new key is in use, and the old one waits for its end",
    "replaced": "a reconnect has replaced the new key, and the old one waits for its end",
    "cancelled": "the old key is in use",
    "rolled": "the key has a new value, which is in use",
}
_ENDS = {
    "revoke": "is revoked at the provider",
    "unsupported": "is forgotten here and goes on working at the provider, until somebody ends it there",
    "not_asked": "is forgotten here and goes on working at the provider",
    "unused": "is forgotten here and goes on working at the provider",
    "unknown": "may have been made at the provider, and then nobody knows it: somebody ends it there",
    "ended": "was ended by the provider",
}
"""What becomes of the key that is not in use."""
_WAITING = "was made by the provider for you; if nobody switches to it, it is revoked there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The options that say how a rotation goes on."""

    finish: bool
    now: bool
    cancel: bool

    @property
    def begins(self) -> bool:
        """Whether a rotation begins.  Raises `CommandLineError` for options that exclude each other."""
        if self.finish and self.cancel:
            raise CommandLineError("--finish and --cancel exclude each other")
        if self.now and not self.finish:
            raise CommandLineError("--now goes with --finish")
        return not (self.finish or self.cancel)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """The options of a rotation that begins."""

    method: str | None
    inputs: Sequence[str]
    ends_at: datetime | None
    create: bool
    roll: bool
    overlap: float
    revoke: bool
    yes: bool

    @property
    def making(self) -> Literal["create", "roll"] | None:
        """How the provider makes the new key; None: a person enters it.  Raises `CommandLineError` for options that exclude each other."""
        if self.create and self.roll:
            raise CommandLineError("--create and --roll exclude each other")
        if (self.create or self.roll) and (self.inputs or self.method is not None or self.ends_at is not None):
            raise CommandLineError("with --create or --roll the provider makes the key: leave out --input, --method and --ends-at")
        return "create" if self.create else "roll" if self.roll else None


def rotate(screen: Screen, configuration: Configuration, tenant: str, which: str, /, *, slot: str, step: Step, new_key: NewKey) -> None:
    """Begin a rotation, hand out its new key, or go back to the old one."""
    begins, making = step.begins, new_key.making
    if making is not None and not begins:
        raise CommandLineError(f"--{making} begins a rotation: leave out --finish and --cancel")
    with wiring.open_manager(configuration) as manager:
        if begins:
            integration = manager.get_integration(tenant, which, slot=slot)
            entry = wiring.find_provider(configuration, integration.provider_id)
            begin = _enter if making is None else _make
            rotation = begin(screen, entry, manager, integration, new_key)
        elif step.cancel:
            rotation = manager.cancel_key_rotation(tenant, which, slot=slot)
        else:
            rotation = manager.finish_key_rotation(tenant, which, slot=slot, now=step.now)
    _show(screen, rotation)
    if begins and rotation.state == "staged":
        screen.note("`--finish` hands out the new key; `--cancel` forgets it")


def _enter(screen: Screen, entry: Provider, manager: IntegrationManager, integration: Integration, new_key: NewKey) -> KeyRotation:
    """Ask a person for the new key."""
    found = manager.find_key_rotation(integration.tenant_id, integration.id)
    if found is not None and not new_key.inputs:
        # Nobody is asked for a key that could not be taken.
        raise KeyRotationError(integration_id=str(integration.id), reason="open")
    entered = read_inputs(screen, manager.get_provider(entry.id), new_key.inputs, method=new_key.method, current=integration.method_id)
    screen.note(f"asking {entry.name} whether it works …")
    return manager.begin_key_rotation(
        integration.tenant_id,
        integration.id,
        inputs=entered.inputs,
        method=entered.method,
        ends_at=in_utc(new_key.ends_at),
        overlap=timedelta(hours=new_key.overlap),
        revoke_key=new_key.revoke,
    )


def _make(screen: Screen, entry: Provider, manager: IntegrationManager, integration: Integration, new_key: NewKey) -> KeyRotation:
    """Have the provider make the new key."""
    if new_key.roll:
        what = f"Roll the key of {integration.name} ({integration.id}) of {integration.tenant_id}"
        confirm(f"{what}? Its old value ends at once; whatever else uses it stops working", yes=new_key.yes)
    screen.note(f"asking {entry.name} for a new key …")
    return manager.begin_key_rotation(
        integration.tenant_id,
        integration.id,
        new_key=new_key.making,
        overlap=timedelta(hours=new_key.overlap),
        revoke_key=new_key.revoke,
    )


def _show(screen: Screen, rotation: KeyRotation) -> None:
    if screen.as_json:
        screen.json({"data": rotation.as_json()})
    else:
        _tell(screen, rotation)


def _tell(screen: Screen, rotation: KeyRotation) -> None:
    which = "New key" if rotation.state in {"sent", "staged", "cancelled"} else "Old key"
    facts = {
        "Rotation": _STATES[rotation.state],
        "Begun": moment(rotation.begun_at),
        "Ends": "" if rotation.state in {"cancelled", "rolled"} else moment(rotation.ends_at),
        which: _WAITING if rotation.state == "staged" and rotation.key_end == "revoke" else _ENDS[rotation.key_end],
        "End it at": rotation.manual_url or "",
    }
    screen.facts({name: text for name, text in facts.items() if text})
