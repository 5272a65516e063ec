"""One use case per file, each a coroutine over ports; both doors run the same ones."""

from __future__ import annotations

from .add_api_key import add_api_key, replace_api_key
from .add_oauth_code import add_oauth_code
from .applications import index_applications, list_providers
from .audit_trail import list_audit, record_denied, verify_audit
from .begin_oauth import begin_oauth, begin_reconnect, find_authorization
from .complete_oauth import complete_oauth
from .disconnect import disconnect
from .edit_integration import edit_integration
from .force_refresh import force_refresh, replace_refused
from .get_token import get_token
from .list_integrations import get_integration, list_integrations
from .prepare import prepare, report
from .refresh_due import refresh_due
from .retry_revocations import retry_revocations
from .verify import verify

__all__ = [
    "add_api_key",
    "add_oauth_code",
    "begin_oauth",
    "begin_reconnect",
    "complete_oauth",
    "disconnect",
    "edit_integration",
    "find_authorization",
    "force_refresh",
    "get_integration",
    "get_token",
    "index_applications",
    "list_audit",
    "list_integrations",
    "list_providers",
    "prepare",
    "record_denied",
    "refresh_due",
    "replace_api_key",
    "replace_refused",
    "report",
    "retry_revocations",
    "verify",
    "verify_audit",
]
