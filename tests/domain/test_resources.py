"""Which resource an integration is for, once the provider has said what the credential reaches."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.resources import Choice, Resource, ResourceList, settle_choice

pytestmark = pytest.mark.requirement("Q05")


def listed(*ids, whole=True):
    return ResourceList(variable="site", resources=tuple(Resource(id=name, label=name) for name in ids), is_complete=whole)


@pytest.mark.parametrize(
    ("found", "named", "before", "choice"),
    [
        (listed("a"), None, None, Choice(value="a")),
        (listed("a", "b"), None, None, Choice()),
        (listed(), None, None, Choice(refused="no_resource")),
        (listed(), "a", None, Choice(refused="no_resource")),
        (listed(), None, "a", Choice(refused="no_resource")),
        (listed("a", "b"), "b", None, Choice(value="b")),
        (listed("a"), "b", None, Choice(refused="resource_not_reached")),
        (listed("a", "b"), None, "b", Choice(value="b")),
        (listed("a", "c"), None, "b", Choice()),
        (listed("a"), None, "b", Choice(value="a")),
        (listed("a"), None, "", Choice(value="a")),
        (None, None, None, Choice()),
        (None, "a", None, Choice(value="a")),
        (None, None, "a", Choice(value="a")),
        (None, None, "", Choice()),
        (listed("a", whole=False), None, None, Choice()),
        (listed("a", whole=False), "b", None, Choice(value="b")),
        (listed(whole=False), None, None, Choice()),
        (listed(whole=False), None, "b", Choice(value="b")),
    ],
)
def test_one_is_taken_of_several_the_tenant_chooses_and_only_a_whole_list_refuses(found, named, before, choice):
    assert settle_choice(found, named=named, before=before) == choice
