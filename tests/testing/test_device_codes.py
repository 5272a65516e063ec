"""The simulated provider's device codes (RFC 8628)."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from cloud_integrations.protocol.device import GRANT_TYPE
from cloud_integrations.testing import FixedClock, SimulatedProvider

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def provider():
    return SimulatedProvider(device_codes=True, clock=FixedClock())


def _post(provider, path, **form):
    application = provider.application()
    form |= {"client_id": application.client_id, "client_secret": application.client_secret.reveal()}
    answer = provider.handle("POST", path, headers=FORM, body=urlencode(form).encode())
    return answer.status, json.loads(answer.body)


def _begin(provider):
    status, begun = _post(provider, "/device", scope="read")
    assert status == 200
    return begun


def _poll(provider, begun):
    return _post(provider, "/token", grant_type=GRANT_TYPE, device_code=begun["device_code"])


def test_a_code_gives_tokens_once_after_the_person_approved(provider):
    begun = _begin(provider)
    assert _poll(provider, begun) == (400, {"error": "authorization_pending"})
    provider.enter_code(begun["user_code"])
    status, tokens = _poll(provider, begun)
    assert (status, tokens["scope"]) == (200, "read")
    assert provider.is_alive(tokens["access_token"])
    assert provider.is_alive(tokens["refresh_token"])
    assert _poll(provider, begun) == (400, {"error": "invalid_grant"})
    assert (provider.count("device"), provider.count("poll"), provider.count("token")) == (1, 3, 0)
    assert provider.requests[-1].grant_type == GRANT_TYPE


def test_a_code_that_the_person_refused_gives_nothing(provider):
    begun = _begin(provider)
    provider.enter_code(begun["user_code"], approve=False)
    assert _poll(provider, begun) == (400, {"error": "access_denied"})


def test_a_code_ends(provider):
    begun = _begin(provider)
    provider.clock.advance(timedelta(seconds=begun["expires_in"]))
    assert _poll(provider, begun) == (400, {"error": "expired_token"})
    with pytest.raises(ValueError, match="no such code"):
        provider.enter_code(begun["user_code"])


def test_without_device_codes_there_is_no_endpoint():
    provider = SimulatedProvider()
    assert _post(provider, "/device") == (404, {"error": "not_found"})
    assert provider.catalogue_entries()[0].methods[0].device is None
