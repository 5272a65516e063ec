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

from cloud_integrations import AccountFacts, Actor, AuthType, InputSummary, Integration, MethodSummary, ProviderSummary, VariableSummary
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.host import Access, Sessions, pages

HOSTILE = """<script>alert("1")</script>'>&"""


def session(*, actor="user:grace", tenants=frozenset({"acme"})):
    kind, _, name = actor.partition(":")
    sessions = Sessions(seconds=60)
    found = sessions.find(sessions.open(Access(actor=Actor(type=kind, id=name), tenants=tenants, permissions=frozenset(Permission))))
    assert found is not None
    return found


def method(*inputs: InputSummary, id_="key", **facts) -> MethodSummary:
    return MethodSummary(id=id_, auth_type=AuthType.API_KEY, inputs=inputs, manual_url=None, **facts)


SIGN_IN = MethodSummary(id="oauth2", auth_type=AuthType.OAUTH2, inputs=(), manual_url=None)


def provider(*methods: MethodSummary, name="Acme", variables=()) -> ProviderSummary:
    return ProviderSummary(
        id=uuid4(),
        slug="acme",
        name=name,
        category="cloud",
        active=True,
        auth_types=tuple(dict.fromkeys(each.auth_type for each in methods)),
        documentation="",
        methods=methods,
        variables=variables,
    )


def given(name, label, *, required=True, secret=True, form="text", one_of=None, hint=""):
    return InputSummary(name=name, label=label, hint=hint, required=required, secret=secret, form=form, one_of=one_of, argument=None)


def asked(name, *, choices=(), default=None, required=False, hint="", told_by=()):
    facts = {"hint": hint, "required": required, "pattern": None, "choices": choices, "default": default, "told_by": told_by}
    return VariableSummary(name=name, label=name.title(), **facts)


def integration(auth_type, *, name="Files of Acme", account="Ada", **facts):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Integration(
        id=uuid4(),
        tenant_id="acme",
        name=name,
        auth_type=auth_type,
        state_since=now,
        created_at=now,
        updated_at=now,
        account=AccountFacts(account_id="1", label=account),
        **{"provider_id": uuid4(), "method_id": "key"} | facts,
    )


def tenant_page(*providers, integrations=(), tenant="acme", problem="", slots=False):
    return pages.tenant_page(
        session(),
        tenant=tenant,
        api="/api/v1/tenants/acme",
        providers_api="/api/v1/providers",
        integrations=integrations,
        providers=providers,
        back="/?tenant=acme",
        slots=slots,
        problem=problem,
    )


KEY = given("token", "API <token>")
FORM = re.compile(r"<form data-call=.(?:authorize|connect).*?</form>", re.DOTALL)


def controls(html):
    """Return what the forms to connect ask for: the names, and the tags."""
    return dict(re.findall(r'(?=<(?:input|textarea|select)[^>]* data-(?:input|variable)="(\w+)")(<[^>]*>)', html))


def test_every_input_of_a_method_is_asked_for_by_its_label_and_hint_and_a_secret_is_hidden():
    html = tenant_page(provider(method(KEY, given("org", "Organisation", required=False, secret=False, hint="As in <its> address."))))
    [form] = FORM.findall(html)
    shown = controls(form)
    assert shown.keys() == {"token", "org"}
    assert 'type="password"' in shown["token"]
    assert " required" in shown["token"]
    assert 'type="text"' in shown["org"]
    assert " required" not in shown["org"]
    assert all('autocomplete="off"' in tag for tag in shown.values())
    assert not any(" name=" in tag for tag in shown.values()), "a browser without the script would put named fields into the address"
    assert "<span>API &lt;token&gt;</span>" in form
    assert '<span>Organisation <span class="soft">(optional)</span></span>' in form
    assert "As in &lt;its&gt; address." in form
    assert "<select" not in html


@pytest.mark.parametrize(("form", "said"), [("pem", "PEM"), ("json", "JSON")])
@pytest.mark.parametrize("secret", [True, False])
def test_a_document_is_pasted_or_read_from_a_file_which_is_no_field_of_the_form(form, said, secret):
    html = tenant_page(provider(method(given("key_file", "Key file", form=form, secret=secret))))
    tag = controls(html)["key_file"]
    assert tag.startswith("<textarea")
    assert 'autocomplete="off"' in tag
    assert " name=" not in tag
    assert ('class="secret"' in tag) is secret
    [chooser] = re.findall(r'<input type="file"[^>]*>', html)
    assert "name=" not in chooser
    assert f"or its {said} file" in html


@pytest.mark.parametrize("needed", [True, False])
def test_of_a_group_one_is_chosen_and_only_that_one_is_a_field(needed):
    group = [given(name, name.title(), one_of="proof", required=needed) for name in ("password", "cert")]
    html = tenant_page(provider(method(KEY, *group)))
    picks = re.findall(r'<input type="radio" name="pick-proof" value="(\w*)" data-pick( checked)?>', html)
    assert picks == ([("password", " checked"), ("cert", "")] if needed else [("password", ""), ("cert", ""), ("", " checked")])
    states = re.findall(r'data-picked="(\w+)"( hidden disabled)?', html)
    assert states == [("password", "" if needed else " hidden disabled"), ("cert", " hidden disabled")]
    assert ("One of these" in html, "At most one of these" in html) == (needed, not needed)
    assert controls(html).keys() == {"token", "password", "cert"}


def test_variables_are_asked_for_and_those_with_choices_are_chosen():
    zone, region = asked("zone", choices=("eu", "us"), default="us"), asked("region", default="eu-1", hint="Where it lives.")
    html = tenant_page(provider(method(KEY), SIGN_IN, variables=(zone, region, asked("org", required=True, choices=("a",)))))
    forms = FORM.findall(html)
    assert len(forms) == 2
    for form in forms:
        shown = controls(form)
        assert shown.keys() >= {"zone", "region", "org"}
        assert re.findall("<option( selected)?>(.*?)</option>", form) == [("", "a"), ("", "eu"), (" selected", "us")]
        assert 'placeholder="eu-1"' in shown["region"]
        assert ["required" in shown[name] for name in ("zone", "region", "org")] == [False, False, True]
        assert '<option value=""></option>' in form
        assert "Where it lives." in form


@pytest.mark.requirement("Q56")
def test_nothing_is_chosen_beforehand_of_what_the_key_may_tell():
    zone, mode = asked("zone", choices=("eu", "us"), default="us", told_by=("token",)), asked("mode", choices=("live",), told_by=("token",))
    html = tenant_page(provider(method(KEY), variables=(zone, mode)))
    assert re.findall('<option value="">(.*?)</option>', html) == ["as the key tells, else us", "as the key tells"]
    assert " selected" not in html
    assert html.count("(optional)") == 2


def test_a_method_is_chosen_by_what_it_asks_for_and_its_form_alone_is_shown():
    pair = method(given("id", "Key ID", secret=False), given("key", "Secret key"), given("more", "More", required=False), id_="pair")
    same = [method(given("token", "Token"), id_=name) for name in ("user_token", "team_token")]
    optional = method(given("password", "Password", required=False), id_="no_need")
    unusable = method(id_="nothing")
    html = tenant_page(provider(pair, SIGN_IN, *same, optional, unusable))
    assert re.findall('<option value="(.*?)">(.*?)</option>', html) == [
        ("pair", "Key ID, Secret key"),
        ("oauth2", "Sign in at Acme"),
        ("user_token", "Token (User token)"),
        ("team_token", "Token (Team token)"),
        ("no_need", "No need"),
    ]
    forms = FORM.findall(html)
    assert [re.findall(r'data-call="(\w+)" data-method="(\w+)"', form)[0] for form in forms] == [
        ("connect", "pair"),
        ("authorize", "oauth2"),
        ("connect", "user_token"),
        ("connect", "team_token"),
        ("connect", "no_need"),
    ]
    assert [" hidden>" in form for form in forms] == [False, True, True, True, True]
    grouped = method(*[given(name, name.title(), one_of="proof") for name in ("password", "cert")])
    assert '<option value="key">Password or Cert</option>' in tenant_page(provider(grouped, SIGN_IN))


def test_a_provider_is_offered_by_what_works_here_while_it_is_not_connected():
    both = provider(method(KEY), SIGN_IN)
    html = tenant_page(both)
    assert re.findall(r'data-call="(\w+)"', html) == ["connect", "authorize"]
    assert html.count(f'data-provider="{both.id}"') == 2
    connected = tenant_page(both, integrations=[integration(AuthType.API_KEY, provider_id=both.id)])
    for page in (connected, *map(tenant_page, (provider(), provider(method()), dataclasses.replace(both, active=False)))):
        assert "Everything is connected." in page
        assert FORM.findall(page) == []
    in_a_slot = tenant_page(both, integrations=[integration(AuthType.API_KEY, provider_id=both.id, slot="production")])
    assert len(FORM.findall(in_a_slot)) == 2, "the default slot is free"
    assert 'name="slot"' not in in_a_slot + html
    assert "production" not in in_a_slot


@pytest.mark.parametrize(("slot", "needed"), [("", True), ("production", False)])
def test_with_slots_another_account_can_be_connected_and_each_is_shown_with_its_slot(slot, needed):
    one = provider(method(KEY), SIGN_IN)
    html = tenant_page(one, integrations=[integration(AuthType.API_KEY, provider_id=one.id, slot=slot)], slots=True)
    assert f'<td data-label="Slot">{slot or "–"}</td>' in html
    forms = FORM.findall(html)
    assert len(forms) == 2
    for form in forms:
        [tag] = re.findall('<input name="slot"[^>]*>', form)
        assert (" required" in tag) is needed


def test_a_role_is_set_up_first_and_what_completes_it_is_asked_for_afterwards():
    one = provider(method(given("role_arn", "ARN of the role", secret=False), id_="role", needs_setup=True), variables=(asked("region"),))
    html = tenant_page(one)
    [form] = re.findall(r"<form data-call=.setup.*?</form>", html, re.DOTALL)
    first, later = form.split('<fieldset class="picked" data-later hidden disabled>')
    assert 'action="/api/v1/tenants/acme/authorizations" data-then="/api/v1/tenants/acme/integrations"' in first
    assert (controls(first).keys(), controls(later).keys()) == ({"region"}, {"role_arn"})
    assert ("Show what to set up</button>" in first, "Connect</button>" in later) == (True, True)
    assert "data-guide hidden></div>" in first
    connected = tenant_page(one, integrations=[integration(AuthType.API_KEY, provider_id=one.id, method_id="role")])
    assert "What was set up at the provider stays until it is removed there." in connected
    assert "Its key goes on working" not in connected


def test_a_method_without_secrets_shows_its_guide_and_one_with_secrets_does_not():
    trust, key = method(given("role_arn", "ARN", secret=False), id_="web_identity"), method(KEY)
    shown = re.findall(r'data-show="(.*?)"', tenant_page(one := provider(trust, key), tenant="a&b"))
    assert [unescape(each) for each in shown] == [f"/api/v1/providers/{one.id}/guide?method=web_identity&tenantId=a%26b"]


def test_a_long_list_of_providers_can_be_searched():
    few, many = ([provider(method(KEY), name=f"Cloud {number}") for number in range(count)] for count in (8, 9))
    assert ["data-find" in tenant_page(*each).partition("<script>")[0] for each in (few, many)] == [False, True]


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
            provider(
                method(
                    *[given(f"k_{form}", text, form=form, hint=text) for form in ("text", "pem", "json")],
                    *[given(f"o_{form}", text, form=form, hint=text, one_of=text) for form in ("text", "pem")],
                ),
                SIGN_IN,
                name=text,
                variables=(asked(text, hint=text, default=text), asked(text, choices=(text,), default=text)),
            ),
            slots=True,
            tenant=text,
            problem=text,
            integrations=[integration(each, name=text, account=text, slot=text) for each in AuthType],
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
