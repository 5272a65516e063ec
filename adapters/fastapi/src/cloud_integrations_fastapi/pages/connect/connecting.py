"""Connect a provider: what it will be able to do, what a person enters, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from cloud_integrations import Actor, AsyncIntegrationManager, Authorization, Guide, Integration, ProviderSummary, Setup
from cloud_integrations.errors import (
    CloudIntegrationsError,
    IntegrationNotFoundError,
    ProviderInactiveError,
    ValidationFailedError,
    http_status,
)
from cloud_integrations_fastapi.browser import NEVER, BrowserCookies, Flow, check_host
from cloud_integrations_fastapi.pages.forms import read_own_form
from cloud_integrations_fastapi.pages.shell import Shell, session_of
from cloud_integrations_fastapi.results import refusal, result_of
from cloud_integrations_fastapi.route import Call

from .cards import is_connectable
from .fields import Entered, MethodForm, asked_variables, find_provider, problems_of
from .steps import STEPS, Failure, failure_of
from .windows import Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a person and the workspace that they act for are called in the host's product."""

    person: str
    workspace: str


NamesOf = Callable[[Request, Actor, str], Names]
"""Returns the names of a person and of a tenant, by its id."""


class Connecting:
    """The pages that connect a provider for the first time, in a slot."""

    def __init__(
        self,
        manager: AsyncIntegrationManager,
        shell: Shell,
        cookies: BrowserCookies,
        windows: Windows,
        *,
        rights: Mapping[str, Sequence[str]],
        names: NamesOf | None,
    ) -> None:
        self._manager = manager
        self._shell = shell
        self._cookies = cookies
        self._windows = windows
        self._rights = rights
        self._names = names

    async def show(self, request: Request) -> Response:
        """Show what a connection allows, and the form of the method that `?method=` names, or of the first."""
        provider = self._provider(request)
        return self._form(request, provider, Entered(method=request.query_params.get("method")))

    async def authorize(self, request: Request) -> Response:
        """Begin an OAuth2 connection, and send the browser to the provider."""
        provider = self._provider(request)
        entered = await self._entered(request)
        tenant_id, acting = request.path_params["tenantId"], self._acting(request)
        flow = Flow(tenant_id=tenant_id, provider_id=provider.id, slot=entered.slot, granted=NEVER)
        if self._windows.needed(request):
            return await self._windows.offer(request, provider, flow, "new", provider.slug, "authorize", **entered.open_fields())
        query = {"provider": provider.slug} | ({"slot": entered.slot} if entered.slot else {})
        try:
            check_host(request, provider.redirect_uri)
            await acting.limits.count("begin", tenant_id)
            begun = await acting.begin_oauth(
                tenant_id,
                provider.id,
                name=entered.name or provider.name,
                return_to=self._shell.url_in(request, tenant_id, "done", **query),
                method=entered.method,
                variables=entered.variables,
                slot=entered.slot,
            )
        except CloudIntegrationsError as error:
            return self._form(request, provider, entered, failure=failure_of(error))
        return leave(request, provider, begun, flow, shell=self._shell, cookies=self._cookies)

    async def set_up(self, request: Request) -> Response:
        """Make what the tenant sets up at the provider, and show how."""
        provider = self._provider(request)
        entered = await self._entered(request)
        try:
            acting = self._acting(request)
            await acting.limits.count("begin", request.path_params["tenantId"])
            setup = await acting.begin_setup(
                request.path_params["tenantId"],
                provider.id,
                name=entered.name or provider.name,
                method=entered.method,
                variables=entered.variables,
                slot=entered.slot,
            )
        except CloudIntegrationsError as error:
            return self._form(request, provider, entered, failure=failure_of(error))
        return self._form(request, provider, entered, setup=setup)

    async def connect(self, request: Request) -> Response:
        """Check what was entered with the provider, and store it."""
        provider = self._provider(request)
        entered = await self._entered(request)
        tenant_id, acting = request.path_params["tenantId"], self._acting(request)
        try:
            await acting.add(
                tenant_id,
                provider.id,
                name=entered.name or provider.name,
                inputs=entered.inputs,
                method=entered.method,
                variables=entered.variables,
                slot=entered.slot,
            )
        except CloudIntegrationsError as error:
            return self._form(request, provider, entered, failure=failure_of(error), setup=await self._setup(request, provider, entered))
        query = {"provider": provider.slug} | ({"slot": entered.slot} if entered.slot else {})
        # 303, so that a reload shows the result and sends nothing again (RFC 9110 §15.4.4).
        return RedirectResponse(self._shell.url_in(request, tenant_id, "done", **query), 303)

    async def show_result(self, request: Request) -> Response:
        """Show how a connection ended: by the integration as it is now, or by the `error` that the callback has added."""
        tenant_id, slug = request.path_params["tenantId"], request.query_params.get("provider", "")
        provider, session = self._known(request, slug), session_of(request)
        slot = request.query_params.get("slot", "") if session is None else session.slot
        integration = await self._find(tenant_id, provider, slot)
        ended = result_of(request.query_params.get("error", ""))
        if ended is None and integration is None:
            ended = result_of("closed")
        if ended is not None:
            result = refusal(ended, request_id=Call.of(request).request_id)
            return self._shell.render(
                request, "connect/failed.html", tenant=tenant_id, provider=provider, integration=integration, result=result
            )
        return self._shell.render(request, "connect/done.html", tenant=tenant_id, provider=provider, integration=integration)

    async def _entered(self, request: Request) -> Entered:
        """Return what was entered; a connect session has its own slot, whatever the form says."""
        entered, session = Entered.of(await read_own_form(request, self._shell)), session_of(request)
        return entered if session is None else replace(entered, slot=session.slot)

    def _form(
        self,
        request: Request,
        provider: ProviderSummary,
        entered: Entered,
        *,
        failure: Failure | None = None,
        setup: Setup | None = None,
    ) -> Response:
        forms = [MethodForm.of(provider, method) for method in provider.methods if is_connectable(method)]
        if not forms:
            raise ProviderInactiveError(provider_id=str(provider.id))
        form = next((each for each in forms if each.method.id == entered.method), forms[0])
        tenant_id = request.path_params["tenantId"]
        values: dict[str, Any] = {
            "tenant": tenant_id,
            "provider": provider,
            "forms": forms,
            "form": form,
            # Never a secret: what was entered as one is entered again.
            "entered": entered,
            "shown": {each.name: entered.inputs.get(each.name, "") for each in form.method.inputs if not each.secret},
            "rights": self._rights.get(provider.slug, ()),
            "names": self._names_in(request),
            "variables": asked_variables(provider),
            "slots": self._manager.settings.slots and session_of(request) is None,
            "setup": setup,
            "guide": setup.guide if setup is not None else self._guide(tenant_id, provider, form),
            "failure": failure,
            **problems_of(failure, form, provider.variables),
            "steps": STEPS,
            "request_id": Call.of(request).request_id,
        }
        status = HTTPStatus.OK if failure is None else http_status(failure.error)
        return self._shell.render(request, "connect/connect.html", status=status, **values)

    def _names_in(self, request: Request) -> Names:
        actor, tenant_id = Call.of(request).actor, request.path_params["tenantId"]
        return Names(person=actor.id, workspace=tenant_id) if self._names is None else self._names(request, actor, tenant_id)

    def _guide(self, tenant_id: str, provider: ProviderSummary, form: MethodForm) -> Guide | None:
        if form.kind != "enter":
            return None
        try:
            return self._manager.guide(provider.id, method=form.method.id, tenant_id=tenant_id)
        except (ValidationFailedError, ProviderInactiveError):
            return None  # the method has no guide, or the operator has not said which permissions it shows

    async def _setup(self, request: Request, provider: ProviderSummary, entered: Entered) -> Setup | None:
        """Return the setup that is under way, so that the page shows it again beside what went wrong."""
        method = next((each for each in provider.methods if each.id == entered.method), None)
        if method is None or not method.needs_setup:
            return None
        try:
            return await self._acting(request).begin_setup(
                request.path_params["tenantId"],
                provider.id,
                name=entered.name or provider.name,
                method=method.id,
                variables=entered.variables,
                slot=entered.slot,
            )
        except CloudIntegrationsError:
            return None

    async def _find(self, tenant_id: str, provider: ProviderSummary, slot: str) -> Integration | None:
        try:
            found = await self._manager.get_integration(tenant_id, provider.id, slot=slot)
        except (IntegrationNotFoundError, ValidationFailedError):
            return None
        return found.as_of(self._shell.now())

    def _provider(self, request: Request) -> ProviderSummary:
        return self._known(request, request.path_params["provider"])

    def _known(self, request: Request, slug: str) -> ProviderSummary:
        return find_provider(self._manager.list_providers(), slug, session_of(request))

    def _acting(self, request: Request) -> AsyncIntegrationManager:
        call = Call.of(request)
        return self._manager.acting_as(call.actor, request_id=call.request_id)


def leave(
    request: Request, provider: ProviderSummary, begun: Authorization, flow: Flow, /, *, shell: Shell, cookies: BrowserCookies
) -> Response:
    """Return the page that sends the browser to the provider.

    It is a page and no redirect: a browser follows the redirects of a form only to what `form-action` of the policy allows, and nobody
    knows where a provider redirects to next.
    """
    response = shell.render(request, "connect/leaving.html", provider=provider, leave_for=begun.url, tenant=flow.tenant_id)
    cookies.keep(request, response, begun, flow, actor=Call.of(request).actor)
    return response
