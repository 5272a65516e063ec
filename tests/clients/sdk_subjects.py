"""The SDKs that only the session `clients` has, each made and used as its own documentation says."""

from __future__ import annotations

from urllib.parse import urlsplit

from .conftest import TENANT
from .packages import ANTHROPIC, GITHUBKIT, HTTPX, MCP, OPENAI, SLACK
from .subject import Subject, auth


def by_openai(made, url):
    http_client = OPENAI.DefaultHttpx2Client(auth=made, verify=False)
    with OPENAI.OpenAI(api_key="held by the manager", base_url=url, http_client=http_client) as client:
        try:
            client.models.list()
        except OPENAI.APIStatusError as error:
            return error.status_code
        return 200


async def by_async_openai(made, url):
    http_client = OPENAI.DefaultAsyncHttpx2Client(auth=made, verify=False)
    async with OPENAI.AsyncOpenAI(api_key="held by the manager", base_url=url, http_client=http_client) as client:
        try:
            await client.models.list()
        except OPENAI.APIStatusError as error:
            return error.status_code
        return 200


def by_anthropic(made, url):
    from cloud_integrations.clients import anthropic_errors

    with ANTHROPIC.Anthropic(
        api_key="",
        base_url=url,
        default_headers={"Authorization": ANTHROPIC.Omit()},
        http_client=ANTHROPIC.DefaultHttpxClient(auth=made, follow_redirects=False, verify=False),
        middleware=[anthropic_errors],
    ) as client:
        try:
            client.models.list()
        except ANTHROPIC.APIStatusError as error:
            return error.status_code
        return 200


async def by_async_anthropic(made, url):
    from cloud_integrations.clients import async_anthropic_errors

    async with ANTHROPIC.AsyncAnthropic(
        api_key="",
        base_url=url,
        default_headers={"Authorization": ANTHROPIC.Omit()},
        http_client=ANTHROPIC.DefaultAsyncHttpxClient(auth=made, follow_redirects=False, verify=False),
        middleware=[async_anthropic_errors],
    ) as client:
        try:
            await client.models.list()
        except ANTHROPIC.APIStatusError as error:
            return error.status_code
        return 200


async def by_mcp(made, url):
    """Send one message over the transport, as a session of mcp does."""
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared.message import SessionMessage
    from mcp_types import JSONRPCError, JSONRPCRequest

    ping = SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method="ping"))
    async with (
        HTTPX["httpx2"].AsyncClient(auth=made, verify=False) as http_client,
        streamable_http_client(url, http_client=http_client) as (read, write),
    ):
        await write.send(ping)
        answer = await read.receive()
        return 401 if isinstance(answer.message, JSONRPCError) else 200


def slack_client(manager, url):
    from cloud_integrations.clients import slack_client

    return slack_client(manager, TENANT, "simulated", base_url=url)


def async_slack_client(manager, url):
    from cloud_integrations.clients import async_slack_client

    return async_slack_client(manager, TENANT, "simulated", base_url=url)


def by_slack(made, url):
    from slack_sdk.errors import SlackApiError

    try:
        made.api_call(urlsplit(url).path)
    except SlackApiError as error:
        return 401 if error.response["error"] == "token_expired" else error.response.status_code
    return 200


async def by_async_slack(made, url):
    from slack_sdk.errors import SlackApiError

    try:
        await made.api_call(urlsplit(url).path)
    except SlackApiError as error:
        return 401 if error.response["error"] == "token_expired" else error.response.status_code
    return 200


def githubkit_auth(manager, url):
    from cloud_integrations.clients import githubkit_auth

    return githubkit_auth(manager, TENANT, "simulated")


def async_githubkit_auth(manager, url):
    from cloud_integrations.clients import async_githubkit_auth

    return async_githubkit_auth(manager, TENANT, "simulated")


def by_githubkit(made, url):
    from githubkit.exception import RequestFailed

    try:
        return GITHUBKIT.GitHub(made, base_url=url, ssl_verify=False).request("GET", url).status_code
    except RequestFailed as error:
        return error.response.status_code


async def by_async_githubkit(made, url):
    from githubkit.exception import RequestFailed

    try:
        return (await GITHUBKIT.GitHub(made, base_url=url, ssl_verify=False).arequest("GET", url)).status_code
    except RequestFailed as error:
        return error.response.status_code


PONG = {"jsonrpc": "2.0", "id": 1, "result": {}}
LIST = {"object": "list", "data": []}
OF_SLACK = {"body": {"ok": True}, "refusal": (200, {"ok": False, "error": "token_expired"})}

SDK_SUBJECTS = {
    **(
        {}
        if OPENAI is None
        else {
            "openai": Subject(make=auth, send=by_openai, body=LIST),
            "openai.AsyncOpenAI": Subject(make=auth, send=by_async_openai, awaits=True, body=LIST),
        }
    ),
    **(
        {}
        if ANTHROPIC is None
        else {
            "anthropic": Subject(make=auth, send=by_anthropic, body=LIST),
            "anthropic.AsyncAnthropic": Subject(make=auth, send=by_async_anthropic, awaits=True, body=LIST),
        }
    ),
    **({} if MCP is None else {"mcp": Subject(make=auth, send=by_mcp, awaits=True, body=PONG)}),
    **(
        {}
        if SLACK is None
        else {
            "slack": Subject(make=slack_client, send=by_slack, **OF_SLACK),
            "slack.AsyncWebClient": Subject(make=async_slack_client, send=by_async_slack, awaits=True, **OF_SLACK),
        }
    ),
    **(
        {}
        if GITHUBKIT is None
        else {
            "githubkit": Subject(make=githubkit_auth, send=by_githubkit),
            "githubkit.arequest": Subject(make=async_githubkit_auth, send=by_async_githubkit, awaits=True),
        }
    ),
}
