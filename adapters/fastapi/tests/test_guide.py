"""The setup guide over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cloud_integrations import Catalogue, Settings
from cloud_integrations.testing import SimulatedProvider

pytestmark = pytest.mark.requirement("Q73")


def _aws(_: SimulatedProvider) -> Any:
    return Catalogue.builtin().require("aws")


@pytest.fixture
def api(make_api: Callable[..., Any]) -> Any:
    policies = {"aws": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}}
    settings = Settings(callback_url="https://app.example.com/api/v1/oauth/callback", policies=policies)
    builtin = Catalogue.builtin()
    return make_api(more=_aws, guides=[builtin.guides_of(builtin.require("aws"))], settings=settings)


async def test_a_front_end_gets_the_guide_of_a_method(api: Any, alice: httpx.AsyncClient) -> None:
    answer = await alice.get("/providers/aws/guide", params={"method": "access_key"})
    assert answer.status_code == 200, answer.text
    guide = answer.json()["data"]
    assert set(guide) == {"providerId", "provider", "method", "title", "steps", "links", "documents", "undo", "missing"}
    assert (guide["provider"], guide["method"]) == ("aws", "access_key")
    assert {document["form"] for document in guide["documents"]} == {"json", "shell"}
    by_id = await alice.get(f"/providers/{guide['providerId']}/guide")
    assert by_id.json()["data"]["provider"] == "aws"


async def test_the_guide_of_a_tenant_shows_the_subject_of_its_tokens(api: Any, alice: httpx.AsyncClient) -> None:
    answer = await alice.get("/providers/aws/guide", params={"method": "web_identity", "tenantId": "acme"})
    assert answer.status_code == 200, answer.text
    guide = answer.json()["data"]
    assert any("tenant:acme" in document["text"] for document in guide["documents"])
    assert guide["missing"] == ["issuer", "issuer_host"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/providers/nowhere/guide", 404, "provider/not-found"),
        ("/providers/simulated/guide", 422, "integration/validation-failed"),
        ("/providers/aws/guide?method=fake-nothing", 422, "integration/validation-failed"),
        ("/providers/aws/guide?tenantId=fake-nothing%0A", 422, "integration/validation-failed"),
    ],
)
async def test_what_has_no_guide_says_so(alice: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    answer = await alice.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "fake-nothing" not in answer.text


async def test_a_guide_needs_the_permission_for_providers(api: Any) -> None:
    async with api.client("nobody") as stranger:
        assert (await stranger.get("/providers/aws/guide")).status_code in {401, 403}
