"""Whoever chooses a provider finds it in the manager's list."""

from __future__ import annotations

import inspect

import pytest

from cloud_integrations import CATEGORIES, Catalogue, ProviderIcon
from cloud_integrations.errors import ProviderNotFoundError, ValidationFailedError


@pytest.fixture
def manager(world):
    return world.open(providers=Catalogue.builtin().list_providers(), applications=[]).manager


def _slugs(manager, **asked):
    return [summary.slug for summary in manager.list_providers(**asked)]


def test_the_list_is_the_catalogue_in_its_order(manager):
    assert _slugs(manager) == _slugs(manager, search="") == _slugs(manager, search="  ") == sorted(_slugs(manager))


def test_search_and_category_work_together(manager):
    assert _slugs(manager, search="gcp") == ["google_cloud"]
    assert set(_slugs(manager, search="databases", category="paas")) >= {"heroku", "railway", "render"}
    assert _slugs(manager, search="databases", category="payments") == []
    assert set(_slugs(manager, category="database")) < set(_slugs(manager, search="database"))
    assert _slugs(manager, search="no such provider") == []


def test_the_categories_divide_the_catalogue(manager):
    assert sorted(slug for category in CATEGORIES for slug in _slugs(manager, category=category)) == _slugs(manager)
    assert _slugs(manager, category="other") == []


def test_a_category_that_nothing_has_is_refused_and_one_of_the_hosts_own_is_not(world, manager):
    with pytest.raises(ValidationFailedError, match="must be one of cloud, paas") as caught:
        manager.list_providers(category="clouds")
    assert caught.value.field == "category"
    assert _slugs(world.door.manager, category="other") == ["simulated", "simulated_keys"]


def test_one_provider_is_shown_as_in_the_list(manager):
    (listed,) = manager.list_providers(search="linode")
    assert manager.get_provider("linode") == manager.get_provider(listed.id) == manager.get_provider(str(listed.id)) == listed
    assert not inspect.isawaitable(manager.get_provider("linode"))
    assert "Akamai Cloud" in listed.aliases
    assert listed.description
    assert listed.documentation.startswith("https://")
    assert listed.icon == ProviderIcon.of(slug="linode", name="Linode")
    with pytest.raises(ProviderNotFoundError):
        manager.get_provider("nowhere")
