"""The commands about tenants as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import Any
from uuid import UUID

import typer

from cloud_integrations import Erasure, IntegrationManager
from cloud_integrations.errors import TenantNotFoundError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CONFLICT, CommandLineError
from cloud_integrations_cli.files import append_private, write_private
from cloud_integrations_cli.prompts import confirm
from cloud_integrations_cli.render import Screen, moment, timestamp
from cloud_integrations_cli.settings import Configuration


def erase(screen: Screen, configuration: Configuration, tenant: str, /, *, yes: bool, receipt: Path | None) -> None:
    """Remove a tenant's integrations, revoke its tokens and destroy its data keys; the receipt's file is created before that."""
    if receipt is not None and receipt.exists():
        raise CommandLineError("--receipt names a file that exists already")
    with wiring.open_manager(configuration) as manager:
        require_known(manager, tenant)
        held = len(manager.list_integrations(tenant))
        confirm(f"Revoke {held} integration{'' if held == 1 else 's'} of {tenant} and destroy its keys? Nothing brings them back.", yes=yes)
        if receipt is not None:
            write_private(receipt, "")
        try:
            erasure = manager.erase_tenant(tenant)
        except BaseException:
            if receipt is not None:
                receipt.unlink()
            raise
    document = _erasure_out(erasure)
    if receipt is not None:
        append_private(receipt, json.dumps(document, indent=2) + "\n")
    if screen.as_json:
        screen.json({"data": document})
        return
    screen.facts(
        {
            "Tenant": erasure.tenant_id,
            "Integrations removed": str(erasure.integrations),
            "Tokens revoked": str(erasure.revoked),
            "Tokens left alone": str(erasure.left_alone),
            "Tokens and keys not revoked": str(erasure.not_revoked),
            **({"Withdraw them at": ", ".join(erasure.manual_urls)} if erasure.manual_urls else {}),
            "Data keys destroyed": str(len(erasure.key_ids)),
            "Holds everywhere from": moment(erasure.effective_at),
            "Audit checkpoint": f"{erasure.audit_seq}:{erasure.audit_hash.hex()}",
        }
    )
    if receipt is None:
        screen.note(
            "\nwith --receipt FILE, `tenants verify-erasure` can tell later whether a backup has brought something back:"
            " run this once more with it"
        )


def require_known(manager: IntegrationManager, tenant: str, /) -> None:
    """Raise `TenantNotFoundError` for a tenant that never had anything here: its name may be mistyped.  Records nothing.

    An erased tenant has no data key any more, but its audit log is kept.
    """
    if not manager.keys.report(tenant_id=tenant).usage and not manager.audit.verify(tenant).checked:
        raise TenantNotFoundError(tenant_id=tenant)


def verify_erasure(screen: Screen, configuration: Configuration, receipt: Path, /) -> None:
    """Show whether data keys that an erasure destroyed exist again; ends with the exit code `CONFLICT` if they do."""
    tenant, key_ids = _read_receipt(receipt)
    if not key_ids:
        raise CommandLineError("the receipt names no data key, so it can prove nothing: the tenant had none")
    with wiring.open_manager(configuration) as manager:
        returned = manager.keys.find_returned(tenant, key_ids)
    if screen.as_json:
        screen.json({"data": {"tenantId": tenant, "erased": not returned, "returned": [str(key_id) for key_id in returned]}})
    elif returned:
        screen.finding("✗", f"{len(returned)} data keys of {tenant} are there again: a backup was restored")
        screen.note(f"`cloud-integrations tenants erase --tenant {quote(tenant)}` destroys them again")
    else:
        screen.finding("✓", f"nothing of {tenant} has come back")
    if returned:
        raise typer.Exit(CONFLICT)


def _erasure_out(erasure: Erasure) -> dict[str, Any]:
    return {
        "tenantId": erasure.tenant_id,
        "erasedAt": timestamp(erasure.erased_at),
        "effectiveAt": timestamp(erasure.effective_at),
        "integrations": erasure.integrations,
        "revoked": erasure.revoked,
        "leftAlone": erasure.left_alone,
        "notRevoked": erasure.not_revoked,
        "manualUrls": list(erasure.manual_urls),
        "keyIds": [str(key_id) for key_id in erasure.key_ids],
        "auditHead": {"seq": erasure.audit_seq, "hash": erasure.audit_hash.hex()},
    }


def _read_receipt(receipt: Path) -> tuple[str, tuple[UUID, ...]]:
    try:
        document = json.loads(receipt.read_text(encoding="utf-8"))
        return str(document["tenantId"]), tuple(UUID(key_id) for key_id in document["keyIds"])
    except OSError as error:
        raise CommandLineError(f"the receipt cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandLineError("the receipt is not one that `tenants erase --receipt` wrote") from None
