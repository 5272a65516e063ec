"""`cloud_integrations` as a FastAPI router: `create_router(manager, authorize=…)`."""

from .authorization import Authorize, Denied, Permission
from .callback_pages import Pages, StandardPages
from .issuer import create_issuer_router
from .results import ConnectionResult, Note, ResultCode, result_text
from .router import create_router

__all__ = [
    "Authorize",
    "ConnectionResult",
    "Denied",
    "Note",
    "Pages",
    "Permission",
    "ResultCode",
    "StandardPages",
    "create_issuer_router",
    "create_router",
    "result_text",
]
