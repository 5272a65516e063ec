"""The requests and answers of every built-in provider are those in its golden file."""

from __future__ import annotations

from difflib import unified_diff

import pytest

from cloud_integrations.domain.provider import Provider
from cloud_integrations.providers import Catalogue

from .texts import FOLDER, golden_file, golden_text

PROVIDERS = Catalogue.builtin().list_providers()


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.id)
def test_the_golden_file_is_what_the_provider_file_gives(provider: Provider) -> None:
    file = golden_file(provider.id)
    kept = file.read_text(encoding="utf-8") if file.is_file() else ""
    changes = "\n".join(
        unified_diff(kept.splitlines(), golden_text(provider).splitlines(), file.name, "the provider file", lineterm="", n=1)
    )
    assert not changes, f"{changes}\n\nIf that is meant, write the file anew with `python -m tests.golden {provider.id}`."


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.id)
def test_every_method_has_a_request_and_an_answer_in_it(provider: Provider) -> None:
    titles = [line for line in golden_file(provider.id).read_text(encoding="utf-8").splitlines() if line.startswith("=== ")]
    for method in provider.methods:
        own = [title.removeprefix(f"=== {method.id}: ") for title in titles if title.startswith(f"=== {method.id}: ")]
        assert any(title.startswith(("authorize", "device code", "mint", "check")) for title in own), method.id
        assert any(title.startswith("answers to ") for title in own), method.id


def test_every_golden_file_has_a_provider() -> None:
    assert {file.stem for file in FOLDER.glob("*.txt")} == {provider.id for provider in PROVIDERS}
