"""Find a missing table or a wrong key at the start, not at the first refresh."""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from uuid import UUID

from cloud_integrations.domain.envelope import KEY_LENGTH, SUITE_AES_256_GCM, KeyCheck, KeyState, WrappedKey
from cloud_integrations.errors import ConfigurationError, DecryptError, KeyringError, KeyServiceUnavailableError
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.key_service import KekRef
from cloud_integrations.ports.store import AddKeyCheck, StoreReport

_CANARY: Final = b"cloud_integrations/1/CANARY".ljust(KEY_LENGTH, b"\x00")
"""A known value that is wrapped like a data key, for no tenant.  It seals nothing, so it need not be secret."""
_NOBODY: Final = ""
_NO_KEY: Final = UUID(int=0)


async def prepare(wiring: Wiring, /) -> None:
    """Check the schema, the wrapping keys, and the keys of our own issuer.

    Each wrapping key that was ever used here must still unwrap its check value, and each key of the issuer must be one that may be used;
    if the issuer's key service does not answer, that is left for later.
    Raises `SchemaError`, `KeyringError`, `ConfigurationError` or `KeyServiceUnavailableError`.
    """
    stored = {kek.kek_key_id: kek for kek in wiring.keys.keks()}
    if not wiring.cipher.committing and len(stored) != 1:
        raise ConfigurationError(setting="cipher", problem="does not commit to its key, so the keyring must hold exactly one")
    await wiring.store.prepare()
    checks = {check.kek_key_id: check for check in await wiring.store.list_key_checks()}
    missing = set(await wiring.store.list_kek_ids()) - stored.keys()
    if missing:
        names = sorted(checks[kek_id].kek_uri if kek_id in checks else kek_id.hex() for kek_id in missing)
        raise KeyringError(key_id=", ".join(names), problem="is missing, and values are sealed under it")
    for kek_id in stored.keys() & checks.keys():
        await _open_canary(wiring, checks[kek_id])
    if wiring.signing_keys is not None:
        with suppress(KeyServiceUnavailableError):
            await wiring.signing_keys.public_keys()
    primary = wiring.keys.primary(_NOBODY)
    if primary.kek_key_id not in checks:
        await _add_canary(wiring, primary)


async def report(wiring: Wiring, /) -> StoreReport:
    """Return the kind of the store and its schema."""
    return await wiring.store.report()


async def _add_canary(wiring: Wiring, primary: KekRef) -> None:
    kek, canary = await wiring.keys.wrap(_CANARY, tenant_id=_NOBODY, key_id=_NO_KEY, version=0)
    check = KeyCheck(kek_uri=kek.kek_uri, kek_key_id=kek.kek_key_id, canary=canary)
    await wiring.store.apply(AddKeyCheck(check=check))
    # Another process may have stored a check value for another key of this name at the same moment; the first one counts.
    for known in await wiring.store.list_key_checks():
        if known.kek_key_id == primary.kek_key_id:
            await _open_canary(wiring, known)


async def _open_canary(wiring: Wiring, check: KeyCheck) -> None:
    """Raise `KeyringError` if this key does not unwrap its check value, because another key has its name now."""
    wrapped = WrappedKey(
        key_id=_NO_KEY,
        tenant_id=_NOBODY,
        version=0,
        state=KeyState.DECRYPT_ONLY,
        suite=SUITE_AES_256_GCM,
        kek_uri=check.kek_uri,
        kek_key_id=check.kek_key_id,
        wrapped=check.canary,
        created_at=wiring.clock.now(),
        retired_at=None,
        destroyed_at=None,
    )
    try:
        opened = await wiring.keys.unwrap(wrapped)
    except DecryptError:
        opened = b""
    if opened != _CANARY:
        raise KeyringError(key_id=check.kek_uri, problem="is not the key it was")
