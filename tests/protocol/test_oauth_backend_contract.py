"""The standard backend keeps the promises of the protocol, also when somebody else stands before it."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_integrations.protocol.guarded_backend import GuardedBackend
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.standard_backend import StandardOAuthBackend
from cloud_integrations.testing.contracts.oauth_backend import CONTENT_TYPES, NOW, STATUSES, OAuthBackendContract, read_everything


class TestStandardOAuthBackend(OAuthBackendContract):
    @pytest.fixture
    def backend(self):
        return StandardOAuthBackend()


class TestGuardedBackend(OAuthBackendContract):
    @pytest.fixture
    def backend(self):
        return GuardedBackend("standard", StandardOAuthBackend())


bodies = st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["access_token", "error", "expires_in", "scope"]) | st.text(), inner),
    max_leaves=10,
).map(lambda value: json.dumps(value).encode())


@pytest.mark.requirement("TST-08")
@pytest.mark.parametrize("backend", [StandardOAuthBackend(), GuardedBackend("standard", StandardOAuthBackend())], ids=["plain", "guarded"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies, status=st.sampled_from(STATUSES), content_type=st.sampled_from(CONTENT_TYPES))
def test_whatever_comes_is_read(make_client, backend, body, status, content_type):
    headers = {"content-type": content_type}
    read_everything(backend, make_client(), HttpResponse(status=status, headers=headers, body=body, sent_at=NOW))
