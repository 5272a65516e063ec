"""One use case per file, each a coroutine over ports; both doors run the same ones."""

from __future__ import annotations

from cloud_integrations.flows.connect.add_api_key import add_api_key, replace_api_key
from cloud_integrations.flows.connect.add_oauth_code import add_oauth_code
from cloud_integrations.flows.connect.begin_oauth import begin_oauth, begin_reconnect, find_authorization
from cloud_integrations.flows.connect.complete_oauth import complete_oauth
from cloud_integrations.flows.connect.import_credential import import_credential
from cloud_integrations.flows.operate.applications import index_applications, list_providers
from cloud_integrations.flows.operate.audit_trail import list_audit, record_denied, verify_audit
from cloud_integrations.flows.operate.erase_tenant import erase_tenant, find_returned
from cloud_integrations.flows.operate.prepare import prepare, report
from cloud_integrations.flows.operate.rekey import destroy_keys, key_report, refuse_keys, reseal, rewrap_keys, rotate_keys
from cloud_integrations.flows.operate.retry_revocations import retry_revocations
from cloud_integrations.flows.renew.force_refresh import force_refresh, replace_refused
from cloud_integrations.flows.renew.refresh_due import refresh_due
from cloud_integrations.flows.renew.refresh_refused import refresh_refused
from cloud_integrations.flows.use.disconnect import disconnect
from cloud_integrations.flows.use.edit_integration import edit_integration
from cloud_integrations.flows.use.get_token import get_token
from cloud_integrations.flows.use.list_integrations import get_integration, list_integrations
from cloud_integrations.flows.use.verify import verify

__all__ = [
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
    "prepare",
    "record_denied",
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
    "verify",
    "verify_audit",
]
