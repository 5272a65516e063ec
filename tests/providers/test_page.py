"""The reference page says what the data says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cloud_integrations.domain.provider import Method, Provider
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


def test_a_provider_with_a_backend_of_its_own_says_so() -> None:
    standard = Provider(id="plain", name="Plain", methods=())
    strays = Provider(id="acme", name="Acme", backend="acme", methods=())
    page = build_page(Catalogue.of(standard, strays, backends={"acme": StandardOAuthBackend()}))
    assert page.count("- OAuth backend `acme`") == page.count("OAuth backend") == 1
