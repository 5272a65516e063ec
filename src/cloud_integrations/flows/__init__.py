"""One use case per file, each a coroutine over ports; both managers run the same coroutines.

A flow is imported when it is first used, or by `load`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .connect.add import add
    from .connect.add_oauth_code import add_oauth_code
    from .connect.begin_device import begin_device, begin_device_reconnect
    from .connect.begin_oauth import begin_oauth, begin_reconnect, find_authorization
    from .connect.begin_setup import begin_setup
    from .connect.complete_oauth import complete_oauth
    from .connect.guide import check_guide_settings, guide
    from .connect.import_credential import import_credential
    from .connect.poll_device import poll_device, wait_for_device
    from .connect.reconnect import reconnect
    from .connect.tenant_applications import list_applications, remove_application, save_application
    from .operate.audit_trail import list_audit, record_denied, record_event, verify_audit
    from .operate.erase_tenant import erase_tenant, find_returned
    from .operate.issuer import check_issuer, issuer_configuration, issuer_key_set
    from .operate.prepare import prepare, report
    from .operate.rekey import destroy_keys, key_report, refuse_keys, reseal, rewrap_keys, rotate_keys
    from .operate.retry_revocations import retry_revocations
    from .operate.run_worker import run_worker
    from .renew.refresh_due import refresh_due
    from .renew.refresh_refused import refresh_refused
    from .shared.applications import index_applications, list_providers
    from .shared.wiring import Wiring
    from .use.disconnect import disconnect
    from .use.edit_integration import edit_integration
    from .use.get_token import get_token
    from .use.list_integrations import get_integration, list_integrations
    from .use.refresh import force_refresh, replace_refused
    from .use.verify import verify

_HOMES = {
    "issuer_key_set": "operate.issuer",
    "issuer_configuration": "operate.issuer",
    "check_issuer": "operate.issuer",
    "Wiring": "shared.wiring",
    "add": "connect.add",
    "add_oauth_code": "connect.add_oauth_code",
    "begin_device": "connect.begin_device",
    "begin_device_reconnect": "connect.begin_device",
    "begin_oauth": "connect.begin_oauth",
    "begin_reconnect": "connect.begin_oauth",
    "check_guide_settings": "connect.guide",
    "begin_setup": "connect.begin_setup",
    "complete_oauth": "connect.complete_oauth",
    "destroy_keys": "operate.rekey",
    "disconnect": "use.disconnect",
    "edit_integration": "use.edit_integration",
    "erase_tenant": "operate.erase_tenant",
    "find_authorization": "connect.begin_oauth",
    "find_returned": "operate.erase_tenant",
    "force_refresh": "use.refresh",
    "get_integration": "use.list_integrations",
    "get_token": "use.get_token",
    "guide": "connect.guide",
    "import_credential": "connect.import_credential",
    "index_applications": "shared.applications",
    "key_report": "operate.rekey",
    "list_applications": "connect.tenant_applications",
    "list_audit": "operate.audit_trail",
    "list_integrations": "use.list_integrations",
    "list_providers": "shared.applications",
    "poll_device": "connect.poll_device",
    "prepare": "operate.prepare",
    "reconnect": "connect.reconnect",
    "record_denied": "operate.audit_trail",
    "record_event": "operate.audit_trail",
    "refresh_due": "renew.refresh_due",
    "refresh_refused": "renew.refresh_refused",
    "refuse_keys": "operate.rekey",
    "remove_application": "connect.tenant_applications",
    "replace_refused": "use.refresh",
    "report": "operate.prepare",
    "reseal": "operate.rekey",
    "retry_revocations": "operate.retry_revocations",
    "rewrap_keys": "operate.rekey",
    "rotate_keys": "operate.rekey",
    "run_worker": "operate.run_worker",
    "save_application": "connect.tenant_applications",
    "verify": "use.verify",
    "wait_for_device": "connect.poll_device",
    "verify_audit": "operate.audit_trail",
}

__all__ = [
    "Wiring",
    "add",
    "add_oauth_code",
    "begin_device",
    "begin_device_reconnect",
    "begin_oauth",
    "begin_reconnect",
    "begin_setup",
    "check_guide_settings",
    "check_issuer",
    "complete_oauth",
    "destroy_keys",
    "disconnect",
    "edit_integration",
    "erase_tenant",
    "find_authorization",
    "find_returned",
    "force_refresh",
    "get_integration",
    "get_token",
    "guide",
    "import_credential",
    "index_applications",
    "issuer_configuration",
    "issuer_key_set",
    "key_report",
    "list_applications",
    "list_audit",
    "list_integrations",
    "list_providers",
    "load",
    "poll_device",
    "prepare",
    "reconnect",
    "record_denied",
    "record_event",
    "refresh_due",
    "refresh_refused",
    "refuse_keys",
    "remove_application",
    "replace_refused",
    "report",
    "reseal",
    "retry_revocations",
    "rewrap_keys",
    "rotate_keys",
    "run_worker",
    "save_application",
    "verify",
    "verify_audit",
    "wait_for_device",
]


def load() -> None:
    """Import every flow now, so that no later call has to."""
    for name in _HOMES:
        __getattr__(name)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
