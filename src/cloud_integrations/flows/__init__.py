"""One use case per file, each a coroutine over ports; both managers run the same ones.

A flow is loaded when it is first used, or by `load`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .connect.add_api_key import add_api_key, replace_api_key
    from .connect.add_oauth_code import add_oauth_code
    from .connect.begin_oauth import begin_oauth, begin_reconnect, find_authorization
    from .connect.complete_oauth import complete_oauth
    from .connect.import_credential import import_credential
    from .operate.audit_trail import list_audit, record_denied, record_event, verify_audit
    from .operate.erase_tenant import erase_tenant, find_returned
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
    "Wiring": "shared.wiring",
    "add_api_key": "connect.add_api_key",
    "add_oauth_code": "connect.add_oauth_code",
    "begin_oauth": "connect.begin_oauth",
    "begin_reconnect": "connect.begin_oauth",
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
    "import_credential": "connect.import_credential",
    "index_applications": "shared.applications",
    "key_report": "operate.rekey",
    "list_audit": "operate.audit_trail",
    "list_integrations": "use.list_integrations",
    "list_providers": "shared.applications",
    "prepare": "operate.prepare",
    "record_denied": "operate.audit_trail",
    "record_event": "operate.audit_trail",
    "refresh_due": "renew.refresh_due",
    "refresh_refused": "renew.refresh_refused",
    "refuse_keys": "operate.rekey",
    "replace_api_key": "connect.add_api_key",
    "replace_refused": "use.refresh",
    "report": "operate.prepare",
    "reseal": "operate.rekey",
    "retry_revocations": "operate.retry_revocations",
    "rewrap_keys": "operate.rekey",
    "rotate_keys": "operate.rekey",
    "run_worker": "operate.run_worker",
    "verify": "use.verify",
    "verify_audit": "operate.audit_trail",
}

__all__ = [
    "Wiring",
    "add_api_key",
    "add_oauth_code",
    "begin_oauth",
    "begin_reconnect",
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
    "import_credential",
    "index_applications",
    "key_report",
    "list_audit",
    "list_integrations",
    "list_providers",
    "load",
    "prepare",
    "record_denied",
    "record_event",
    "refresh_due",
    "refresh_refused",
    "refuse_keys",
    "replace_api_key",
    "replace_refused",
    "report",
    "reseal",
    "retry_revocations",
    "rewrap_keys",
    "rotate_keys",
    "run_worker",
    "verify",
    "verify_audit",
]


def load() -> None:
    """Load every flow."""
    for name in _HOMES:
        __getattr__(name)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
