"""`cloud_integrations` as a FastAPI router: `create_router(manager, authorize=…)`."""

from .authorization import Authorize, Denied, Permission
from .router import create_router

__all__ = ["Authorize", "Denied", "Permission", "create_router"]
