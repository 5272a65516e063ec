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
    from .connect.begin_key_rotation import begin_key_rotation
    from .connect.begin_oauth import begin_oauth, begin_reconnect, find_authorization
    from .connect.begin_setup import begin_setup
    from .connect.complete_oauth import complete_oauth
    from .connect.connect_sessions import (
        create_connect_session,
        find_connect_link,
        hand_over_connect_session,
        join_connect_session,
        list_connect_sessions,
        open_connect_session,
        resume_connect_session,
        revoke_connect_session,
    )
    from .connect.finish_key_rotation import cancel_key_rotation, find_key_rotation, finish_key_rotation
    from .connect.guide import check_guide_settings, guide
    from .connect.import_credential import import_credential
    from .connect.make_key import make_key
    from .connect.poll_device import poll_device, wait_for_device
    from .connect.reconnect import reconnect
    from .connect.tenant_applications import list_applications, remove_application, save_application
    from .operate.approving import approve_incident
    from .operate.audit_proof import list_checkpoint_keys, take_checkpoint, verify_audit, verify_checkpoint
    from .operate.audit_trail import list_audit, record_denied, record_event
    from .operate.deliver_events import deliver_events
    from .operate.deliveries import list_deliveries, retry_deliveries
    from .operate.erase_actor import erase_actor
    from .operate.erase_tenant import erase_tenant, find_returned
    from .operate.export_audit import export_audit
    from .operate.freezes import freeze, list_freezes, unfreeze
    from .operate.incidents import find_scope, get_incident, list_incidents, open_incident, report_incident, rotate_incident
    from .operate.issuer import check_issuer, issuer_configuration, issuer_key_set
    from .operate.limiting import count_address, count_use
    from .operate.overview import (
        count_ends,
        count_errors,
        count_matching,
        count_renewals,
        count_renewals_by_provider,
        find_circuit,
        overview,
        report_renewal,
        search_integrations,
    )
    from .operate.prepare import prepare, report
    from .operate.prune_audit import prune_audit
    from .operate.readiness import report_ageing, report_providers
    from .operate.rekey import destroy_keys, key_report, refuse_keys, reseal, rewrap_keys, rotate_keys
    from .operate.retry_revocations import retry_revocations
    from .operate.revoke_incident import revoke_incident
    from .operate.run_worker import run_worker
    from .operate.webhooks import add_webhook, edit_webhook, list_webhooks, ping_webhook, remove_webhook, rotate_webhook_secret
    from .operate.work_report import work_report
    from .renew.refresh_due import refresh_due
    from .renew.refresh_refused import refresh_refused
    from .shared.applications import get_provider, index_applications, list_providers
    from .shared.wiring import Wiring
    from .use.disconnect import disconnect
    from .use.edit_integration import edit_integration
    from .use.get_token import get_token
    from .use.inject import Approvals, authorize_injection, draft_injection, refuse_injection, replace_injection
    from .use.list_integrations import get_integration, list_integrations
    from .use.refresh import force_refresh, replace_refused
    from .use.resources import choose_resource, list_resources
    from .use.sessions import get_session, list_sessions, open_session, revoke_session
    from .use.verify import verify

_HOMES = {
    "revoke_connect_session": "connect.connect_sessions",
    "resume_connect_session": "connect.connect_sessions",
    "open_connect_session": "connect.connect_sessions",
    "list_connect_sessions": "connect.connect_sessions",
    "find_connect_link": "connect.connect_sessions",
    "hand_over_connect_session": "connect.connect_sessions",
    "join_connect_session": "connect.connect_sessions",
    "create_connect_session": "connect.connect_sessions",
    "add_webhook": "operate.webhooks",
    "edit_webhook": "operate.webhooks",
    "list_webhooks": "operate.webhooks",
    "remove_webhook": "operate.webhooks",
    "rotate_webhook_secret": "operate.webhooks",
    "ping_webhook": "operate.webhooks",
    "list_deliveries": "operate.deliveries",
    "retry_deliveries": "operate.deliveries",
    "issuer_key_set": "operate.issuer",
    "issuer_configuration": "operate.issuer",
    "check_issuer": "operate.issuer",
    "Approvals": "use.inject",
    "Wiring": "shared.wiring",
    "add": "connect.add",
    "add_oauth_code": "connect.add_oauth_code",
    "authorize_injection": "use.inject",
    "begin_device": "connect.begin_device",
    "begin_device_reconnect": "connect.begin_device",
    "begin_key_rotation": "connect.begin_key_rotation",
    "begin_oauth": "connect.begin_oauth",
    "begin_reconnect": "connect.begin_oauth",
    "cancel_key_rotation": "connect.finish_key_rotation",
    "check_guide_settings": "connect.guide",
    "choose_resource": "use.resources",
    "begin_setup": "connect.begin_setup",
    "count_address": "operate.limiting",
    "count_use": "operate.limiting",
    "count_matching": "operate.overview",
    "count_ends": "operate.overview",
    "count_errors": "operate.overview",
    "count_renewals": "operate.overview",
    "count_renewals_by_provider": "operate.overview",
    "find_circuit": "operate.overview",
    "overview": "operate.overview",
    "report_renewal": "operate.overview",
    "search_integrations": "operate.overview",
    "complete_oauth": "connect.complete_oauth",
    "deliver_events": "operate.deliver_events",
    "destroy_keys": "operate.rekey",
    "disconnect": "use.disconnect",
    "draft_injection": "use.inject",
    "edit_integration": "use.edit_integration",
    "erase_actor": "operate.erase_actor",
    "erase_tenant": "operate.erase_tenant",
    "export_audit": "operate.export_audit",
    "find_authorization": "connect.begin_oauth",
    "find_key_rotation": "connect.finish_key_rotation",
    "find_returned": "operate.erase_tenant",
    "finish_key_rotation": "connect.finish_key_rotation",
    "force_refresh": "use.refresh",
    "freeze": "operate.freezes",
    "approve_incident": "operate.approving",
    "find_scope": "operate.incidents",
    "get_incident": "operate.incidents",
    "list_incidents": "operate.incidents",
    "open_incident": "operate.incidents",
    "report_incident": "operate.incidents",
    "rotate_incident": "operate.incidents",
    "revoke_incident": "operate.revoke_incident",
    "get_integration": "use.list_integrations",
    "get_provider": "shared.applications",
    "get_session": "use.sessions",
    "get_token": "use.get_token",
    "guide": "connect.guide",
    "import_credential": "connect.import_credential",
    "index_applications": "shared.applications",
    "key_report": "operate.rekey",
    "list_applications": "connect.tenant_applications",
    "list_audit": "operate.audit_trail",
    "list_freezes": "operate.freezes",
    "list_integrations": "use.list_integrations",
    "list_providers": "shared.applications",
    "list_resources": "use.resources",
    "list_sessions": "use.sessions",
    "make_key": "connect.make_key",
    "open_session": "use.sessions",
    "poll_device": "connect.poll_device",
    "prepare": "operate.prepare",
    "prune_audit": "operate.prune_audit",
    "reconnect": "connect.reconnect",
    "record_denied": "operate.audit_trail",
    "record_event": "operate.audit_trail",
    "refresh_due": "renew.refresh_due",
    "refresh_refused": "renew.refresh_refused",
    "refuse_injection": "use.inject",
    "refuse_keys": "operate.rekey",
    "remove_application": "connect.tenant_applications",
    "replace_injection": "use.inject",
    "replace_refused": "use.refresh",
    "report": "operate.prepare",
    "report_ageing": "operate.readiness",
    "report_providers": "operate.readiness",
    "reseal": "operate.rekey",
    "retry_revocations": "operate.retry_revocations",
    "revoke_session": "use.sessions",
    "rewrap_keys": "operate.rekey",
    "rotate_keys": "operate.rekey",
    "run_worker": "operate.run_worker",
    "save_application": "connect.tenant_applications",
    "unfreeze": "operate.freezes",
    "verify": "use.verify",
    "wait_for_device": "connect.poll_device",
    "list_checkpoint_keys": "operate.audit_proof",
    "take_checkpoint": "operate.audit_proof",
    "verify_audit": "operate.audit_proof",
    "verify_checkpoint": "operate.audit_proof",
    "work_report": "operate.work_report",
}

__all__ = [
    "Approvals",
    "Wiring",
    "add",
    "add_oauth_code",
    "add_webhook",
    "approve_incident",
    "authorize_injection",
    "begin_device",
    "begin_device_reconnect",
    "begin_key_rotation",
    "begin_oauth",
    "begin_reconnect",
    "begin_setup",
    "cancel_key_rotation",
    "check_guide_settings",
    "check_issuer",
    "choose_resource",
    "complete_oauth",
    "count_address",
    "count_ends",
    "count_errors",
    "count_matching",
    "count_renewals",
    "count_renewals_by_provider",
    "count_use",
    "create_connect_session",
    "deliver_events",
    "destroy_keys",
    "disconnect",
    "draft_injection",
    "edit_integration",
    "edit_webhook",
    "erase_actor",
    "erase_tenant",
    "export_audit",
    "find_authorization",
    "find_circuit",
    "find_connect_link",
    "find_key_rotation",
    "find_returned",
    "find_scope",
    "finish_key_rotation",
    "force_refresh",
    "freeze",
    "get_incident",
    "get_integration",
    "get_provider",
    "get_session",
    "get_token",
    "guide",
    "hand_over_connect_session",
    "import_credential",
    "index_applications",
    "issuer_configuration",
    "issuer_key_set",
    "join_connect_session",
    "key_report",
    "list_applications",
    "list_audit",
    "list_checkpoint_keys",
    "list_connect_sessions",
    "list_deliveries",
    "list_freezes",
    "list_incidents",
    "list_integrations",
    "list_providers",
    "list_resources",
    "list_sessions",
    "list_webhooks",
    "load",
    "make_key",
    "open_connect_session",
    "open_incident",
    "open_session",
    "overview",
    "ping_webhook",
    "poll_device",
    "prepare",
    "prune_audit",
    "reconnect",
    "record_denied",
    "record_event",
    "refresh_due",
    "refresh_refused",
    "refuse_injection",
    "refuse_keys",
    "remove_application",
    "remove_webhook",
    "replace_injection",
    "replace_refused",
    "report",
    "report_ageing",
    "report_incident",
    "report_providers",
    "report_renewal",
    "reseal",
    "resume_connect_session",
    "retry_deliveries",
    "retry_revocations",
    "revoke_connect_session",
    "revoke_incident",
    "revoke_session",
    "rewrap_keys",
    "rotate_incident",
    "rotate_keys",
    "rotate_webhook_secret",
    "run_worker",
    "save_application",
    "search_integrations",
    "take_checkpoint",
    "unfreeze",
    "verify",
    "verify_audit",
    "verify_checkpoint",
    "wait_for_device",
    "work_report",
]


def load() -> None:
    """Import every flow now, so that no later call has to."""
    for name in _HOMES.keys() - globals().keys():
        __getattr__(name)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
