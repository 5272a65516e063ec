"""Look after one integration: its state, another name, a check, a new consent or key, and its removal."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from cloud_integrations import AsyncIntegrationManager, AuthType, Integration, ProviderSummary
from cloud_integrations.errors import CloudIntegrationsError, IntegrationNotFoundError, http_status
from cloud_integrations_fastapi.browser import BrowserCookies, check_host, flow_of
from cloud_integrations_fastapi.pages.forms import read_own_form
from cloud_integrations_fastapi.pages.shell import Shell
from cloud_integrations_fastapi.reading import read_integration_id
from cloud_integrations_fastapi.route import Call

from .cards import STATES
from .connecting import leave
from .fields import Entered, MethodForm, problems_of
from .steps import STEPS, Failure, failure_of
from .windows import Windows

_YES = "yes"


class Managing:
    """The pages of one integration."""

    def __init__(self, manager: AsyncIntegrationManager, shell: Shell, cookies: BrowserCookies, windows: Windows) -> None:
        self._manager = manager
        self._shell = shell
        self._cookies = cookies
        self._windows = windows

    async def show(self, request: Request) -> Response:
        """Show the integration: its state, since when, its rights, and what can be done."""
        return await self._page(request)

    async def rename(self, request: Request) -> Response:
        """Give the integration another name."""
        fields = await read_own_form(request, self._shell)
        try:
            await self._acting(request).edit_integration(self._tenant(request), self._id(request), name=fields.get("name", "").strip())
        except CloudIntegrationsError as error:
            return await self._page(request, failure=failure_of(error))
        return self._back(request)

    async def verify(self, request: Request) -> Response:
        """Ask the provider whether the access works, and show what it says."""
        await read_own_form(request, self._shell)
        try:
            await self._count_check(request)
            report = await self._acting(request).verify(self._tenant(request), self._id(request))
        except CloudIntegrationsError as error:
            return await self._page(request, failure=failure_of(error))
        return await self._page(request, report=report)

    async def show_reconnect(self, request: Request) -> Response:
        """Ask before the browser leaves for a new consent, or for another key."""
        return await self._form(request, "reconnect")

    async def reconnect(self, request: Request) -> Response:
        """Begin a new consent, or check and store another key in place of the old one."""
        entered = Entered.of(await read_own_form(request, self._shell))
        integration, provider = await self._load(request)
        tenant_id, acting = self._tenant(request), self._acting(request)
        is_grant = integration.auth_type is AuthType.OAUTH2
        if is_grant and self._windows.needed(request):
            segments = ("integrations", str(integration.id), "reconnect")
            return await self._windows.offer(request, provider, flow_of(integration), *segments)
        try:
            if is_grant:
                check_host(request, provider.redirect_uri)
                await acting.limits.count("begin", tenant_id)
                query = {"provider": provider.slug} | ({"slot": integration.slot} if integration.slot else {})
                begun = await acting.begin_reconnect(
                    tenant_id, integration.id, return_to=self._shell.url_in(request, tenant_id, "done", **query)
                )
                return leave(request, provider, begun, flow_of(integration), shell=self._shell, cookies=self._cookies)
            await acting.reconnect(tenant_id, integration.id, inputs=entered.inputs, method=entered.method)
        except CloudIntegrationsError as error:
            return await self._form(request, "reconnect", entered=entered, failure=failure_of(error))
        return self._back(request)

    async def show_replace(self, request: Request) -> Response:
        """Show the form for a new key that is stored beside the old one."""
        return await self._form(request, "replace")

    async def replace(self, request: Request) -> Response:
        """Check a new key, and store it beside the old one, which is still handed out."""
        entered = Entered.of(await read_own_form(request, self._shell))
        try:
            await self._acting(request).begin_key_rotation(
                self._tenant(request), self._id(request), inputs=entered.inputs, method=entered.method
            )
        except CloudIntegrationsError as error:
            return await self._form(request, "replace", entered=entered, failure=failure_of(error))
        return self._back(request)

    async def finish_replace(self, request: Request) -> Response:
        """Hand out the new key from now on."""
        await read_own_form(request, self._shell)
        try:
            await self._acting(request).finish_key_rotation(self._tenant(request), self._id(request))
        except CloudIntegrationsError as error:
            return await self._page(request, failure=failure_of(error))
        return self._back(request)

    async def cancel_replace(self, request: Request) -> Response:
        """Forget the new key, or hand out the old one again."""
        await read_own_form(request, self._shell)
        try:
            await self._acting(request).cancel_key_rotation(self._tenant(request), self._id(request))
        except CloudIntegrationsError as error:
            return await self._page(request, failure=failure_of(error))
        return self._back(request)

    async def show_resources(self, request: Request) -> Response:
        """Show what the credential reaches at the provider, so that one is chosen."""
        await self._count_check(request)
        found = await self._acting(request).resources(self._tenant(request), self._id(request))
        integration, provider = await self._load(request)
        return self._shell.render(
            request, "connect/choose.html", tenant=self._tenant(request), provider=provider, integration=integration, found=found
        )

    async def choose(self, request: Request) -> Response:
        """Let the integration be for one of the things that it reaches."""
        fields = await read_own_form(request, self._shell)
        await self._count_check(request)
        await self._acting(request).choose_resource(
            self._tenant(request), self._id(request), fields.get("other", "").strip() or fields.get("resource", "")
        )
        return self._back(request)

    async def show_remove(self, request: Request) -> Response:
        """Ask before the integration is removed."""
        integration, provider = await self._load(request)
        method = next((each for each in provider.methods if each.id == integration.method_id), None)
        return self._shell.render(
            request,
            "connect/remove.html",
            tenant=self._tenant(request),
            provider=provider,
            integration=integration,
            revokes_key=method is not None and method.revokes_key,
        )

    async def remove(self, request: Request) -> Response:
        """Remove the integration, and show the receipt: what happened to each token at the provider."""
        fields = await read_own_form(request, self._shell)
        integration, provider = await self._load(request)
        removal = await self._acting(request).delete(self._tenant(request), integration.id, revoke_key=fields.get("revoke_key") == _YES)
        return self._shell.render(
            request, "connect/removed.html", tenant=self._tenant(request), provider=provider, integration=integration, removal=removal
        )

    async def _count_check(self, request: Request) -> None:
        """Count a request that asks the provider.  Raises `TooManyRequestsError`."""
        await self._acting(request).limits.count("verify", self._tenant(request))

    async def _page(self, request: Request, *, failure: Failure | None = None, **more: Any) -> Response:
        integration, provider = await self._load(request)
        rotation = None
        if integration.auth_type is not AuthType.OAUTH2:
            rotation = await self._manager.find_key_rotation(self._tenant(request), integration.id)
        values: dict[str, Any] = {"report": None, "rotation": rotation, **more}
        return self._shell.render(
            request,
            "connect/manage.html",
            status=HTTPStatus.OK if failure is None else http_status(failure.error),
            tenant=self._tenant(request),
            provider=provider,
            integration=integration,
            state=STATES[integration.health],
            uses_recorded=self._manager.settings.use_window is not None,
            failure=failure,
            request_id=Call.of(request).request_id,
            **values,
        )

    async def _form(self, request: Request, action: str, *, entered: Entered | None = None, failure: Failure | None = None) -> Response:
        integration, provider = await self._load(request)
        method = next((each for each in provider.methods if each.id == integration.method_id), None)
        form = None if method is None else MethodForm.of(provider, method)
        problems: dict[str, Any] = {**problems_of(failure, form)}
        shown = {each.name: entered.inputs.get(each.name, "") for each in method.inputs if not each.secret} if method and entered else {}
        return self._shell.render(
            request,
            "connect/again.html",
            status=HTTPStatus.OK if failure is None else http_status(failure.error),
            tenant=self._tenant(request),
            provider=provider,
            integration=integration,
            action=action,
            form=form,
            shown=shown,
            failure=failure,
            steps=STEPS,
            **problems,
            request_id=Call.of(request).request_id,
        )

    async def _load(self, request: Request) -> tuple[Integration, ProviderSummary]:
        integration = await self._manager.get_integration(self._tenant(request), self._id(request))
        provider = next((each for each in self._manager.list_providers() if each.id == integration.provider_id), None)
        if provider is None:
            raise IntegrationNotFoundError  # the provider was taken out of the catalogue
        return integration.as_of(self._shell.now()), provider

    def _back(self, request: Request) -> Response:
        # 303, so that a reload shows the page and sends nothing again (RFC 9110 §15.4.4).
        return RedirectResponse(
            self._shell.url_in(request, self._tenant(request), "integrations", request.path_params["integrationId"]), 303
        )

    def _acting(self, request: Request) -> AsyncIntegrationManager:
        call = Call.of(request)
        return self._manager.acting_as(call.actor, request_id=call.request_id)

    def _tenant(self, request: Request) -> str:
        found: str = request.path_params["tenantId"]
        return found

    def _id(self, request: Request) -> Any:
        return read_integration_id(request.path_params["integrationId"])
