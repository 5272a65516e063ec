"""slack_sdk: `WebClient` and `AsyncWebClient` with the token of an integration.

Slack refuses a token with status 200 and an error in the body.  A client here has no token: each request gets one on its way out, so that
responses and errors, which hold what was asked, hold none.  Sources: https://docs.slack.dev/tools/python-slack-sdk/web,
https://docs.slack.dev/reference/methods/auth.test#errors.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.request import Request
from uuid import UUID

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.client import WebClient

from cloud_integrations.errors import ValidationFailedError

from .source import AsyncCredentialSource, AsyncManager, CredentialSource, Manager, Named

_REFUSALS: Final = ("account_inactive", "invalid_auth", "token_expired", "token_revoked")
_BEARER: Final = "Authorization"


def slack_client(manager: Manager, tenant_id: str, provider: str | UUID = "slack", *, slot: str = "", **options: Any) -> SlackClient:
    """Return a `WebClient` of slack_sdk with the token of an integration, which is renewed by itself.

    *provider* and *slot* are as in `IntegrationManager.credential`, and the calls raise as there; *options* go to `WebClient`.  When Slack
    refuses a token, it is replaced once and the request repeated.  A call with a `token=` or an `auth=` of its own is sent with that.
    Raises `ValidationFailedError` for a name that cannot be one and for *options* with a token.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return SlackClient(source, **_without_token(options))


def async_slack_client(
    manager: AsyncManager, tenant_id: str, provider: str | UUID = "slack", *, slot: str = "", **options: Any
) -> AsyncSlackClient:
    """Return an `AsyncWebClient` of slack_sdk with the token of an integration; see `slack_client`."""
    source = AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return AsyncSlackClient(source, **_without_token(options))


class SlackClient(Named, WebClient):
    """A `WebClient` that asks the manager for the token of each request.  Made by `slack_client`."""

    def __init__(self, source: CredentialSource, /, **options: Any) -> None:
        super().__init__(**options)
        self._source = source

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        """Send *req*, which `WebClient` does here for each attempt and for each page."""
        if not url.startswith(self.base_url) or _BEARER in req.headers:
            return self._sent(url, req)
        credential = self._source.credential()
        _show(req, credential.headers())
        answer = self._sent(url, req)
        if not _is_refused(answer["body"]):
            return answer
        _show(req, self._source.replace_refused(credential).headers())
        return self._sent(url, req)

    def _sent(self, url: str, req: Request) -> dict[str, Any]:
        answer: dict[str, Any] = super()._perform_urllib_http_request_internal(url, req)
        return answer


class AsyncSlackClient(Named, AsyncWebClient):
    """As `SlackClient`, for awaiting callers.  Made by `async_slack_client`."""

    def __init__(self, source: AsyncCredentialSource, /, **options: Any) -> None:
        super().__init__(**options)
        self._source = source

    async def _request(self, *, http_verb: str, api_url: str, req_args: dict[str, Any]) -> dict[str, Any]:
        """Send a request, which `AsyncWebClient` does here for each call and for each page."""
        if not api_url.startswith(self.base_url) or _BEARER in req_args["headers"]:
            return await self._sent(http_verb, api_url, req_args)
        credential = await self._source.credential()
        answer = await self._sent(http_verb, api_url, req_args, credential.headers())
        if not _is_refused(answer["data"]) or not _can_repeat(req_args.get("data")):
            return answer
        replaced = await self._source.replace_refused(credential)
        return await self._sent(http_verb, api_url, req_args, replaced.headers())

    async def _sent(self, http_verb: str, api_url: str, req_args: dict[str, Any], shown: dict[str, str] | None = None) -> dict[str, Any]:
        arguments = {**req_args, "headers": {**req_args["headers"], **(shown or {})}}
        answer: dict[str, Any] = await super()._request(http_verb=http_verb, api_url=api_url, req_args=arguments)
        return answer


def _without_token(options: dict[str, Any]) -> dict[str, Any]:
    if "token" in options:
        raise ValidationFailedError(field="token", problem="names a credential beside that of the integration")
    return options


def _show(req: Request, headers: dict[str, str]) -> None:
    # urllib copies other headers for a redirect, whichever server it leads to.
    for name, value in headers.items():
        req.add_unredirected_header(name, value)


def _is_refused(body: Any) -> bool:
    """Whether *body*, as text or read, says that Slack refuses the token."""
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return False
    return isinstance(body, dict) and body.get("error") in _REFUSALS


def _can_repeat(data: Any) -> bool:
    # Files have been read by the first request.
    return data is None or (isinstance(data, dict) and all(isinstance(value, bytes | str) for value in data.values()))
