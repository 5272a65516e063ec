"""The reference page says what the data says."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.provider.tokens import RefreshTokenFacts
from cloud_integrations.oauth import StandardOAuthBackend
from cloud_integrations.providers import Catalogue
from cloud_integrations.providers.page import build_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "providers.md"


def test_the_committed_page_is_the_one_that_the_data_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == build_page(Catalogue.builtin())


def test_the_page_is_printed_by_its_module() -> None:
    command = [sys.executable, "-W", "error", "-m", "cloud_integrations.providers.page"]
    printed = subprocess.run(command, cwd=ROOT / "src", check=True, capture_output=True).stdout
    assert printed.decode("utf-8") == PAGE.read_text(encoding="utf-8")


def test_a_provider_without_check_and_revocation_has_a_section() -> None:
    plain = Method(id="oauth2", kind="code", authorize_url="https://a.example/authorize", token_url="https://a.example/token")
    page = build_page(Catalogue.of(Provider(id="plain", name="Plain", methods=(plain,))))
    assert "| `oauth2` | code | S256 | basic | rotates: unknown; an old one never works | – |" in page


def test_each_method_stands_in_the_overview() -> None:
    page = build_page(Catalogue.builtin())
    rows = [line for line in page.partition("## Methods")[2].partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(provider.methods) for provider in Catalogue.builtin().list_providers())
    assert "| `aws` | `access_key` | yes | account | if asked | keep | create | – | yes | corroborated | 2026-11-29 | – |" in rows
    plain = Method(id="oauth2", kind="code", authorize_url="https://a.example/authorize", token_url="https://a.example/token")
    alone = build_page(Catalogue.of(Provider(id="plain", name="Plain", methods=(plain,))))
    assert "| `plain` | `oauth2` | no | – | – | refresh | – | – | – | – | – |" in alone


@pytest.mark.requirement("Q41")
def test_how_many_grants_of_one_account_live_stands_on_the_page() -> None:
    google = build_page(Catalogue.builtin()).partition("\n## Google Cloud\n")[2].partition("\n## ")[0]
    assert "at most 100 of one account live, the oldest ends" in google


def test_a_provider_with_a_backend_of_its_own_says_so() -> None:
    standard = Provider(id="plain", name="Plain", methods=())
    strays = Provider(id="acme", name="Acme", backend="acme", methods=())
    page = build_page(Catalogue.of(standard, strays, backends={"acme": StandardOAuthBackend()}))
    assert page.count("- OAuth backend `acme`") == page.count("OAuth backend") == 1


@pytest.mark.parametrize(
    ("idle", "shown"),
    [({"days": 1}, "1 day"), ({"days": 2}, "2 days"), ({"days": 1, "hours": 1}, "1 day 3600 s"), ({"seconds": 30}, "30 s")],
)
def test_a_length_of_time_is_written_in_full(idle, shown) -> None:
    refresh = RefreshTokenFacts(idle=timedelta(**idle))
    plain = Method(
        id="oauth2", kind="code", authorize_url="https://a.example/authorize", token_url="https://a.example/token", refresh_token=refresh
    )
    page = build_page(Catalogue.of(Provider(id="plain", name="Plain", methods=(plain,))))
    assert f"dies after {shown} unused" in page


def test_what_ends_is_told_with_its_source() -> None:
    page = build_page(Catalogue.builtin())
    assert "**`api_token` ends on 2027-04-30.** Connect by OAuth2. [Source](https://developer.zendesk.com/" in page
    [row] = [line for line in page.splitlines() if line.startswith("| `zendesk` | `api_token`")]
    assert row.endswith(" | 2027-04-30 |")
