"""The groups of a manager's methods, by audience: `manager.keys`, `manager.audit` and the others."""

from __future__ import annotations

from cloud_integrations.domain.audit import Caller

from .applications import Applications, AsyncApplications
from .audit import AsyncAuditLog, AuditLog
from .connect_sessions import AsyncConnectSessions, ConnectSessions
from .incidents import AsyncIncidents, Incidents
from .issuing import AsyncIssuing, Issuing
from .keys import AsyncKeys, Keys
from .limits import AsyncLimits, Limits
from .overview import AsyncOverviews, Overviews
from .parts import AsyncFlowRunner, AsyncPart, FlowRunner, Part
from .sessions import AsyncSessions, Sessions
from .webhooks import AsyncEvents, AsyncWebhooks, Events, Webhooks
from .worker import AsyncWorker, Worker


class Groups(Part):
    """The groups of `IntegrationManager`."""

    _runner: FlowRunner

    def _bind(self, runner: FlowRunner, caller: Caller | None) -> None:
        """Make the manager and its groups act for *caller*; None: for nobody yet."""
        super().__init__(runner, caller)
        self._runner = runner
        self.applications = Applications(runner, caller)
        self.audit = AuditLog(runner, caller)
        self.connect_sessions = ConnectSessions(runner, caller)
        self.events = Events(runner, caller)
        self.incidents = Incidents(runner, caller)
        self.issuer = Issuing(runner, caller)
        self.keys = Keys(runner, caller)
        self.limits = Limits(runner, caller)
        self.overview = Overviews(runner, caller)
        self.sessions = Sessions(runner, caller)
        self.webhooks = Webhooks(runner, caller)
        self.worker = Worker(runner, caller)


class AsyncGroups(AsyncPart):
    """The groups of `AsyncIntegrationManager`."""

    _runner: AsyncFlowRunner

    def _bind(self, runner: AsyncFlowRunner, caller: Caller | None) -> None:
        """Make the manager and its groups act for *caller*; None: for nobody yet."""
        super().__init__(runner, caller)
        self._runner = runner
        self.applications = AsyncApplications(runner, caller)
        self.audit = AsyncAuditLog(runner, caller)
        self.connect_sessions = AsyncConnectSessions(runner, caller)
        self.events = AsyncEvents(runner, caller)
        self.incidents = AsyncIncidents(runner, caller)
        self.issuer = AsyncIssuing(runner, caller)
        self.keys = AsyncKeys(runner, caller)
        self.limits = AsyncLimits(runner, caller)
        self.overview = AsyncOverviews(runner, caller)
        self.sessions = AsyncSessions(runner, caller)
        self.webhooks = AsyncWebhooks(runner, caller)
        self.worker = AsyncWorker(runner, caller)
