"""Find a missing table or a wrong key at the start, not at the first refresh."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from cloud_integrations.domain.envelope import KeyCheck
from cloud_integrations.errors import ConfigurationError, KeyringError
from cloud_integrations.ports.store import AddKeyCheck, StoreReport
from cloud_integrations.ports.wiring import Wiring


async def prepare(wiring: Wiring, /) -> None:
    """Check schema, settings and keys; remember the check value of each key seen for the first time.

    Raises `SchemaError`, `KeyringError` or `ConfigurationError`.
    """
    if not wiring.cipher.committing and len(await wiring.keys.checks()) != 1:
        raise ConfigurationError(setting="cipher", problem="does not commit to its key, so the keyring must hold exactly one")
    await wiring.store.prepare()
    held = await wiring.keys.checks()
    remembered = _compare(held, await wiring.store.list_key_checks())
    missing = set(await wiring.store.list_kek_ids()) - {check.kek_key_id for check in held}
    if missing:
        names = sorted(remembered[kek_id].kek_uri if kek_id in remembered else kek_id.hex() for kek_id in missing)
        raise KeyringError(key_id=", ".join(names), problem="is missing, and values are sealed under it")
    if new := [AddKeyCheck(check=check) for check in held if check.kek_key_id not in remembered]:
        await wiring.store.apply(*new)
        # Another process may have remembered another key of this name in the same moment; the first one stays.
        _compare(held, await wiring.store.list_key_checks())


async def report(wiring: Wiring, /) -> StoreReport:
    """Say what the store is."""
    return await wiring.store.report()


def _compare(held: Iterable[KeyCheck], known: Iterable[KeyCheck]) -> dict[bytes, KeyCheck]:
    """Return what is remembered by key id, or raise `KeyringError` if a held key is another one."""
    remembered = {check.kek_key_id: check for check in known}
    for check in held:
        first = remembered.get(check.kek_key_id)
        if first is not None and not hmac.compare_digest(first.check_value, check.check_value):
            raise KeyringError(key_id=check.kek_uri, problem="is not the key it was")
    return remembered
