"""Write tests/backends/corpus/<release>: values that this release seals, for all later ones to open.

Run it once, when the release is made.  It refuses to write what is already there.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

from cloud_integrations import AesGcmCipher, LocalKeyring, __version__
from cloud_integrations.domain.envelope import SealingContext

CORPUS = Path(__file__).parents[1] / "tests/backends/corpus"
KEKS = {"fake-2026-02": b"fake-wrapping-key-2-of-32-bytes.", "fake-2026-01": b"fake-wrapping-key-1-of-32-bytes."}
"""Newest first, as a keyring has them."""
DATA_KEYS = {1: b"fake-data-key-1-with-32-bytes...", 2: b"fake-data-key-2-with-32-bytes..."}
CANARY = b"cloud_integrations/1/CANARY".ljust(32, b"\x00")
TENANTS = ("acme", "ténant/ü")
FIELDS = {
    "ci_integration": ("presented", "renewal"),
    "ci_authorization": ("parts",),
    "ci_outbox": ("payload",),
}
PLAINTEXTS = ("", "fake", "fake-token-of-a-corpus-" * 3, "fake-sécret-✓", "fake-large-token-" * 90)


def _id(name: str, /) -> UUID:
    return UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4)


def _entries() -> list[str]:
    return [f"{kid}:{base64.b64encode(key).decode()}" for kid, key in KEKS.items()]


def _wrapped(entry: str, data_key: bytes, /, *, tenant: str, key_id: UUID, version: int) -> dict[str, Any]:
    kek, wrapped = LocalKeyring([entry]).wrap(data_key, tenant_id=tenant, key_id=key_id, version=version)
    return {
        "tenant": tenant,
        "key_id": str(key_id),
        "version": version,
        "kek_uri": kek.kek_uri,
        "kek_key_id": kek.kek_key_id.hex(),
        "wrapped": wrapped.hex(),
        "opens_to": data_key.hex(),
    }


def _value(tenant: str, version: int, table: str, field: str, number: int) -> dict[str, Any]:
    plaintext = PLAINTEXTS[number % len(PLAINTEXTS)]
    row = str(_id(f"row {number}"))
    context = SealingContext(tenant=tenant, table=table, row=row, field=field, gen=number if table == "ci_integration" else 0)
    key_id = _id(f"{tenant} {version}")
    sealed = AesGcmCipher().seal(plaintext.encode(), key=DATA_KEYS[version], key_id=key_id.bytes, context=context.pairs())
    return {"context": dict(context.pairs()), "key_id": str(key_id), "sealed": sealed.hex(), "opens_to": plaintext}


def _contents() -> dict[str, Any]:
    places = [
        (tenant, version, table, field)
        for tenant in TENANTS
        for version in DATA_KEYS
        for table, fields in FIELDS.items()
        for field in fields
    ]
    oldest_first = _entries()[::-1]
    return {
        "release": __version__,
        "canaries": [_wrapped(entry, CANARY, tenant="", key_id=UUID(int=0), version=0) for entry in _entries()],
        "keys": [
            _wrapped(entry, data_key, tenant=tenant, key_id=_id(f"{tenant} {version}"), version=version)
            for tenant in TENANTS
            for entry, (version, data_key) in zip(oldest_first, DATA_KEYS.items(), strict=True)
        ],
        "values": [_value(*place, number) for number, place in enumerate(places, start=1)],
    }


def main() -> None:
    """Write the release's folder and add its sums."""
    folder = CORPUS / ".".join(__version__.split(".")[:2])
    folder.mkdir(parents=True)
    files = {
        "keyring": "# Fake keys, for tests alone; newest first.\n" + "\n".join(_entries()) + "\n",
        "sealed.json": json.dumps(_contents(), indent=1, ensure_ascii=True) + "\n",
    }
    with (CORPUS / "SHA256SUMS").open("a", encoding="utf-8") as sums:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            sums.write(f"{hashlib.sha256(text.encode()).hexdigest()}  {folder.name}/{name}\n")
    print(folder)


if __name__ == "__main__":
    main()
