"""The host's pages: they offer what a provider takes and no more, and show what people wrote as text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import subprocess
import sys
from datetime import UTC, datetime
from html import unescape
from uuid import uuid4

import pytest

from cloud_integrations import AccountFacts, Actor, AuthType, InputSummary, Integration, MethodSummary, ProviderSummary
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.host import Access, Sessions, pages

FIELD = re.compile(r'<label>.*?<input [^>]*type="password"[^>]*></label>')
HOSTILE = """<script>alert("1")</script>'>&"""


def session(*, actor="user:grace", tenants=frozenset({"acme"})):
    kind, _, name = actor.partition(":")
    sessions = Sessions(seconds=60)
    found = sessions.find(sessions.open(Access(actor=Actor(type=kind, id=name), tenants=tenants, permissions=frozenset(Permission))))
    assert found is not None
    return found


def provider(*inputs: InputSummary, name="Acme", auth_types=(AuthType.API_KEY,)) -> ProviderSummary:
    method = MethodSummary(id="key", auth_type=AuthType.API_KEY, inputs=inputs, manual_url=None)
    return ProviderSummary(
        id=uuid4(),
        slug="acme",
        name=name,
        category="cloud",
        active=True,
        auth_types=auth_types,
        documentation="",
        methods=(method,),
    )


def given(name, label, argument, *, required=True):
    return InputSummary(name=name, label=label, hint="", required=required, secret=True, argument=argument)


def integration(auth_type, *, name="Files of Acme", account="Ada"):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Integration(
        id=uuid4(),
        tenant_id="acme",
        provider_id=uuid4(),
        name=name,
        auth_type=auth_type,
        state_since=now,
        created_at=now,
        updated_at=now,
        account=AccountFacts(account_id="1", label=account),
        method_id="key",
    )


def tenant_page(*providers, integrations=(), tenant="acme", problem=""):
    return pages.tenant_page(
        session(),
        tenant=tenant,
        api="/api/v1/tenants/acme",
        integrations=integrations,
        providers=providers,
        back="/?tenant=acme",
        problem=problem,
    )


KEY = given("token", "API <token>", "api_key")


@pytest.mark.parametrize(
    ("inputs", "fields"),
    [
        ((KEY,), ['<label>API &lt;token&gt;<input name="api_key" type="password" autocomplete="off" required></label>']),
        (
            (KEY, given("half", "Second half", "secret_key", required=False), given("third", "Third", None)),
            [
                '<label>API &lt;token&gt;<input name="api_key" type="password" autocomplete="off" required></label>',
                '<label>Second half<input name="secret_key" type="password" autocomplete="off"></label>',
            ],
        ),
    ],
)
def test_a_second_half_is_offered_only_where_one_is_taken(inputs, fields):
    assert FIELD.findall(tenant_page(provider(*inputs))) == fields


def test_a_provider_is_offered_by_what_works_here_while_it_is_not_connected():
    both = provider(KEY, auth_types=(AuthType.API_KEY, AuthType.OAUTH2))
    html = tenant_page(both)
    assert re.findall(r'data-call="(\w+)"', html) == ["authorize", "key"]
    assert html.count(f'data-provider="{both.id}"') == 2
    for unusable in (provider(auth_types=()), dataclasses.replace(both, active=False)):
        assert "Everything is connected." in tenant_page(unusable)


def test_only_what_was_connected_by_sign_in_is_reconnected_here_and_a_deletion_says_what_it_does():
    by_key, by_sign_in = (tenant_page(integrations=[integration(each)]) for each in (AuthType.API_KEY, AuthType.OAUTH2))
    assert re.findall(r'data-call="(\w+)"', by_key) == ["DELETE"]
    assert "Its key goes on working until it is withdrawn at the provider." in by_key
    assert re.findall(r'data-call="(\w+)"', by_sign_in) == ["reconnect", "DELETE"]
    assert "and revoke its access?" in by_sign_in


def page_of_everything(text):
    return [
        pages.sign_in_page(form_token=text, refused=True),
        pages.tenants_page(session(actor=f"user:{text}", tenants=frozenset({text}))),
        pages.problem_page(session(), title=text, text=text),
        tenant_page(
            provider(given("k", text, "api_key"), name=text),
            tenant=text,
            problem=text,
            integrations=[integration(each, name=text, account=text) for each in AuthType],
        ),
    ]


def test_what_people_wrote_is_text_and_nothing_else():
    for html in page_of_everything(HOSTILE):
        assert html.count("<script>") == html.count("</script>") == 1
        assert HOSTILE not in html
        assert HOSTILE in unescape(html)
        assert all("'" not in tag and tag.count('"') % 2 == 0 for tag in re.findall(r"<[a-z][^>]*>", html))


@pytest.mark.parametrize("html", [pages.sign_in_page(form_token="fake"), tenant_page(), pages.problem_page(None, title="No", text="no")])
def test_the_policy_allows_the_pages_own_style_and_script_alone(html):
    policy = pages.HEADERS["Content-Security-Policy"]
    for tag in ("style", "script"):
        [content] = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|\sstyle=|https?://|<link|<img", html)


def test_the_host_names_its_extra_where_it_is_not_installed():
    program = "import sys; sys.modules['jinja2'] = None; import cloud_integrations_fastapi; import cloud_integrations_fastapi.host"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: cloud_integrations_fastapi.host needs the extra host: pip install 'cloud-integrations-fastapi[host]'"
    )


def test_the_router_alone_loads_no_host():
    program = "import sys, cloud_integrations_fastapi; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"jinja2", "cloud_integrations_fastapi.host"} & set(done.stdout.split()) == set()
