"""A route whose answers are pages: guarded as every route of ours, and its errors are pages, too."""

from __future__ import annotations

import logging
from typing import ClassVar

from fastapi import Request, Response

from cloud_integrations_fastapi.errors import INTERNAL, problem_of
from cloud_integrations_fastapi.route import GuardedRoute

from .shell import Shell

_log = logging.getLogger("cloud_integrations.http")


class PageRoute(GuardedRoute):
    """A route that takes forms and answers with pages."""

    shell: ClassVar[Shell]
    forms: ClassVar[bool] = True

    def _sent(self, response: Response, request_id: str) -> Response:
        # The pages bring their own headers.
        response.headers["X-Request-Id"] = request_id
        return response

    async def _shown(self, request: Request, error: Exception, request_id: str) -> Response:
        problem = problem_of(error)
        if problem is INTERNAL:
            _log.error("request %s failed: %s", request_id, type(error).__name__)  # a traceback may hold secrets
        return self.shell.problem(request, problem, request_id=request_id)
