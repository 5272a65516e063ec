"""`cloud_integrations` as a FastAPI router: `create_router(manager, authorize=…)`."""

from .authorization import Authorize, Denied, Permission
from .issuer import create_issuer_router
from .pages import Pages, StandardPages
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
