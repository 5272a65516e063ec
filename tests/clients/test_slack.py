"""The clients of slack_sdk beyond what every client promises: pages, files, redirects, Slack's refusals, calls with their own token."""

from __future__ import annotations

import asyncio
import io
import logging

import pytest

from cloud_integrations.errors import ReconnectRequiredError, ValidationFailedError
from cloud_integrations.testing import token_id

from .conftest import TENANT
from .packages import SLACK

pytestmark = pytest.mark.skipif(SLACK is None, reason="slack_sdk is in the session clients")

REFUSED = {"ok": False, "error": "invalid_auth"}


@pytest.fixture
def api(world):
    world.api.body, world.api.refusal = {"ok": True}, (200, REFUSED)
    return world.api


def blocking(world, **options):
    from cloud_integrations.clients import slack_client

    return slack_client(world.manager, TENANT, "simulated", **{"base_url": world.api.url, **options})


def awaiting(world, **options):
    from cloud_integrations.clients import async_slack_client

    return async_slack_client(world.awaiting, TENANT, "simulated", **{"base_url": world.api.url, **options})


def blocking_pages(client, **options):
    return [page["name"] for page in client.users_list(**options)]


def awaited_pages(client, **options):
    async def inside():
        return [page["name"] async for page in await client.users_list(**options)]

    return asyncio.run(inside())


def call(client, method, *args, **options):
    """Call a method of either client."""
    called = getattr(client, method)(*args, **options)
    return asyncio.run(awaited(called)) if asyncio.iscoroutine(called) else called


async def awaited(called):
    return await called


MAKERS = pytest.mark.parametrize("make", [blocking, awaiting])


@pytest.mark.parametrize(("make", "pages"), [(blocking, blocking_pages), (awaiting, awaited_pages)])
def test_a_token_that_ends_between_two_pages_is_replaced(world, api, monkeypatch, make, pages):
    answers, named = api.answer, iter(["first", "second"])

    def answer(method, path, headers, body):
        before = len(api.seen)
        sent = answers(method, path, headers, body)
        if api.seen[before].status == 401:
            return sent
        name = next(named)
        if name == "first":
            world.end_token()
            return 200, b'{"ok": true, "name": "first", "response_metadata": {"next_cursor": "more"}}'
        return 200, b'{"ok": true, "name": "second"}'

    monkeypatch.setattr(api, "answer", answer)
    assert pages(make(world)) == ["first", "second"]
    assert (api.statuses, world.provider.refresh_count) == ([200, 401, 200], 1)


@pytest.mark.parametrize("error", ["account_inactive", "invalid_auth", "token_expired", "token_revoked"])
@MAKERS
def test_each_refusal_of_a_token_is_healed_once(world, api, make, error):
    api.refusal = (200, {"ok": False, "error": error})
    world.end_token()
    assert call(make(world), "auth_test")["ok"]
    assert api.statuses == [401, 200]


@MAKERS
def test_another_error_of_slack_spends_no_renewal(world, api, make):
    from slack_sdk.errors import SlackApiError

    api.body = {"ok": False, "error": "channel_not_found"}
    with pytest.raises(SlackApiError, match="channel_not_found"):
        call(make(world), "chat_postMessage", channel="C1", text="Hi")
    assert (api.statuses, world.provider.refresh_count) == ([200], 0)


@MAKERS
def test_an_answer_that_is_no_json_is_slack_sdks_own_error(world, api, make):
    from slack_sdk.errors import SlackApiError

    api.body = b"<html>"
    with pytest.raises(SlackApiError):
        call(make(world), "auth_test")
    assert world.provider.refresh_count == 0


@MAKERS
def test_a_message_is_sent_again_as_it_was(world, api, make):
    world.end_token()
    call(make(world), "chat_postMessage", channel="C1", text="Hi")
    assert api.statuses == [401, 200]
    assert api.seen[0].body == api.seen[1].body != b""


def test_a_file_is_sent_again_where_it_is_in_memory(world, api):
    world.end_token()
    call(blocking(world), "api_call", "files.upload", files={"file": io.BytesIO(b"content")})
    assert [b"content" in seen.body for seen in api.seen] == [True, True]


def test_a_file_that_is_read_while_it_is_sent_is_sent_once(world, api):
    from slack_sdk.errors import SlackApiError

    world.end_token()
    with pytest.raises(SlackApiError, match="invalid_auth"):
        call(awaiting(world), "api_call", "files.upload", files={"file": io.BytesIO(b"content")}, data={})
    assert (api.statuses, world.provider.refresh_count) == ([401], 0)


@MAKERS
def test_a_call_with_a_token_of_its_own_is_sent_with_that(world, api, make):
    from slack_sdk.errors import SlackApiError

    with pytest.raises(SlackApiError):
        call(make(world), "auth_test", token="fake-other-token")
    assert (api.tokens, world.provider.refresh_count) == ([token_id("fake-other-token")], 0)


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")  # of aiohttp, by slack_sdk
@MAKERS
def test_a_call_with_the_applications_secret_shows_no_token(world, api, make):
    from slack_sdk.errors import SlackApiError

    with pytest.raises(SlackApiError):
        call(make(world), "oauth_v2_access", client_id="app", client_secret="fake-secret", code="code")
    assert (api.tokens, world.provider.refresh_count) == ([""], 0)


@MAKERS
def test_another_server_is_shown_no_token(world, api, make):
    from slack_sdk.errors import SlackApiError

    client = make(world, base_url="https://slack.example/api/")
    with pytest.raises(SlackApiError):
        call(client, "api_call", f"{api.url}/things")
    assert api.tokens == [""]


@MAKERS
def test_a_redirect_to_another_server_carries_no_token(world, api, monkeypatch, make):
    answers = api.answer

    def answer(method, path, headers, body):
        status, text = answers(method, path, headers, body)
        return (302, b"") if path != "/elsewhere" else (status, text)

    api.redirect = f"http://localhost:{api.url.rpartition(':')[2]}/elsewhere"
    monkeypatch.setattr(api, "answer", answer)
    with pytest.raises(Exception):  # noqa: B017  # whatever becomes of the other server's refusal
        call(make(world), "auth_test")
    assert [seen.path for seen in api.seen[:2]] == ["/auth.test", "/elsewhere"]
    assert api.seen[0].token
    assert not api.seen[1].token


@MAKERS
def test_neither_responses_nor_errors_nor_logs_hold_the_token(world, api, caplog, make):
    from slack_sdk.errors import SlackApiError

    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("tests.slack")
    logger.setLevel(logging.DEBUG)
    client, token = make(world, logger=logger), world.token
    answer = call(client, "auth_test")
    api.body = {"ok": False, "error": "channel_not_found"}
    with pytest.raises(SlackApiError) as caught:
        call(client, "chat_postMessage", channel="C1", text="Hi")
    shown = [repr(vars(answer)), repr(vars(caught.value.response)), *(record.getMessage() for record in caplog.records)]
    assert len(caplog.records) > 2
    assert [text for text in shown if token in text] == []
    assert client.token is None


@MAKERS
def test_a_revoked_grant_is_not_tried_again(world, api, make):
    from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
    from slack_sdk.http_retry.builtin_handlers import ConnectionErrorRetryHandler

    handler = ConnectionErrorRetryHandler if make is blocking else AsyncConnectionErrorRetryHandler
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        call(make(world, retry_handlers=[handler(max_retry_count=3)]), "auth_test")
    assert api.statuses == [401]


def test_another_try_of_the_sdk_shows_the_token_of_then(world, api):
    from slack_sdk.http_retry.handler import RetryHandler

    class RenewingHandler(RetryHandler):
        def _can_retry(self, *, response=None, **_):
            return response.status_code == 503

        def prepare_for_next_attempt(self, *, state, **_):
            state.next_attempt_requested = True
            world.manager.acting_as("ada").refresh(TENANT, world.integration.id)

    api.refusal, api.refuses, first = (503, {}), 1, world.token
    call(blocking(world, retry_handlers=[RenewingHandler()]), "auth_test")
    assert api.tokens == [token_id(first), token_id(world.token)]


@MAKERS
def test_a_token_beside_that_of_the_integration_is_refused(world, make):
    with pytest.raises(ValidationFailedError, match="token"):
        make(world, token="fake-other-token")


@pytest.mark.parametrize("name", ["slack_client", "async_slack_client"])
def test_a_name_that_cannot_be_one_is_refused_at_once(world, name):
    from cloud_integrations import clients

    with pytest.raises(ValidationFailedError):
        getattr(clients, name)(world.manager if name == "slack_client" else world.awaiting, "")
