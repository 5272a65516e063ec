"""`providers doctor` says what works here, what is missing and what ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cloud_integrations import AuthType, MethodReadiness, ProviderReadiness
from cloud_integrations.domain.identifiers import provider_id
from cloud_integrations_cli.actions import provider_doctor
from cloud_integrations_cli.actions.doctor import Result

JSON = ("-o", "json")


def test_every_provider_is_shown_with_what_it_needs(run, home):
    ran = run("providers", "doctor")
    assert ran.code == 0, ran.err
    assert "github" in ran.out
    assert "web_identity needs the issuer" in ran.out
    assert "equinix_metal" in ran.out
    assert "register the redirect URI http://127.0.0.1:8000/api/v1/oauth/callback/" in ran.out
    assert "simulated.toml: your own" in ran.out
    assert "end of api_token: 2027-04-30" in ran.out


def test_programs_get_the_same(run, home):
    data = run("providers", "doctor", *JSON).data()
    by_slug = {each["slug"]: each for each in data["providers"]}
    assert data["ok"]
    assert by_slug["simulated"]["redirectUri"].startswith("http://127.0.0.1:8000/")
    assert {method["id"]: method["ready"] for method in by_slug["aws"]["methods"]}["access_key"]
    assert {"what": "platform", "name": "aws"} in [part for method in by_slug["aws"]["methods"] for part in method["missing"]]
    assert any(check["result"] == "warning" and check["name"] == "zendesk" for check in data["checks"])


def test_an_application_that_cannot_work_is_a_problem(run, home):
    settings = home / "cloud-integrations.toml"
    settings.write_text(
        settings.read_text() + "\n[[applications]]\nprovider = 'github'\nmethod_id = 'app_installation'\nclient_id = 'x'\n"
        "client_secret = 'fake-secret'\nvariables = { app_slug = 'acme' }\n"
    )
    settings.chmod(0o600)
    ran = run("providers", "doctor")
    assert ran.code == 8
    assert "app_installation lacks platform.github, so nobody can be connected" in ran.out


def test_grants_that_end_by_age_are_told(run, home):
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text() + "\n[[applications]]\nprovider = 'zendesk'\nclient_id = 'x'\nclient_secret = 'fake-secret'\n")
    settings.chmod(0o600)
    assert "a grant of oauth2 ends after 30 days without a renewal" in run("providers", "doctor").out


def test_a_file_that_was_not_compared_for_a_year_is_told(run, home):
    file = home / "simulated.toml"
    file.write_text("checked = 2020-01-01\n" + file.read_text())
    assert "on 2020-01-01, more than a year ago" in run("providers", "doctor").out


def test_the_stored_integrations_that_something_ends_for_are_counted(run, home, added):
    file = home / "simulated_keys.toml"
    file.write_text(
        "checked = 2020-01-01\ndeprecations = [{ends = 2030-01-02, instead = 'Use another.', source = 'https://simulated.example/end'}]\n"
        + file.read_text()
    )
    ran = run("providers", "doctor")
    assert ran.code == 0, ran.err
    assert "end of key: 2030-01-02. Use another. https://simulated.example/end It concerns 1 integration." in ran.out
    assert "on 2020-01-01, more than a year ago. It concerns 1 integration." in ran.out
    by_slug = {each["slug"]: each for each in run("providers", "doctor", *JSON).data()["providers"]}
    (method,) = by_slug["simulated_keys"]["methods"]
    assert (method["integrations"], method["endingSoon"], method["firstEnd"]) == (1, 0, None)


def test_a_client_secret_of_more_than_a_year_is_told(run, home):
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text() + "secret_since = 2020-01-31\n")  # its last table is the application's
    ran = run("providers", "doctor")
    assert ran.code == 0, ran.err
    assert "its client secret was made on 2020-01-31, more than a year ago" in ran.out
    by_slug = {each["slug"]: each for each in run("providers", "doctor", *JSON).data()["providers"]}
    assert by_slug["simulated"]["application"]["secretSince"] == "2020-01-31"
    assert by_slug["simulated_keys"]["application"] is None


def test_without_a_database_nothing_is_counted_and_the_rest_is_told(run, home):
    (home / "cloud-integrations.db").unlink()
    ran = run("providers", "doctor", *JSON)
    assert ran.code == 0
    checks = {check["name"]: check for check in ran.data()["checks"]}
    assert checks["integrations"]["result"] == "warning"
    assert {method["integrations"] for each in ran.data()["providers"] for method in each["methods"]} == {None}


@pytest.mark.parametrize(
    ("idle", "absolute", "sign", "advice"),
    [(60, None, "✓", "By disuse"), (60, 90, "!", "must reconnect"), (None, None, "!", "must reconnect")],
)
def test_what_ends_soon_is_told_with_its_number_and_its_first_day(idle, absolute, sign, advice):
    end = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
    method = MethodReadiness(
        id="token",
        auth_type=AuthType.API_KEY,
        idle_seconds=idle,
        absolute_seconds=absolute,
        integrations=7,
        ending_soon=2,
        first_end=end,
    )
    provider = ProviderReadiness(
        id=provider_id("acme"),
        slug="acme",
        name="Acme",
        active=True,
        redirect_uri=None,
        checked=None,
        is_old=False,
        application=None,
        methods=(method,),
    )
    (finding,) = provider_doctor._ending_soon(provider, method)
    assert finding.message == "2 integrations by token end within 30 days, the first at 2030-01-02 03:04Z"
    assert (finding.result is Result.OK) is (sign == "✓")
    assert advice in finding.advice
