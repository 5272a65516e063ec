"""Every error of the library as an answer."""

from __future__ import annotations

import inspect
import json
import logging
from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations import errors
from cloud_integrations.errors import (
    AnswerLostError,
    ApplicationInUseError,
    ApplicationNotFoundError,
    AppMisconfiguredError,
    CloudIntegrationsError,
    CommitUnknownError,
    ConfigurationError,
    CredentialFormError,
    DamagedRowError,
    DecryptError,
    ForbiddenError,
    FreezeNotFoundError,
    GrantRefusedError,
    IncidentNotApprovedError,
    IncidentNotFoundError,
    IntegrationExistsError,
    IntegrationFrozenError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    KeyRetiredError,
    KeyringError,
    KeyRotationError,
    KeyServiceUnavailableError,
    NotNarrowedError,
    OAuthBackendError,
    ProviderInactiveError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    RefreshInProgressError,
    SchemaError,
    SessionNotFoundError,
    SessionRefusedError,
    StaleWriteError,
    StorageUnavailableError,
    TenantNotFoundError,
    TooManyRequestsError,
    TrustTooOpenError,
    UnstorableValueError,
    ValidationFailedError,
    http_status,
)
from cloud_integrations_fastapi.errors import problem_of

PROVIDER = str(uuid4())
SECRET = "fake-secret-in-a-message"
NEUTRAL = {"code": "internal", "message": "something went wrong on our side", "details": {}}
CASES = [
    (ValidationFailedError(field="name", problem="is bad"), 422, "integration/validation-failed", None),
    (ForbiddenError(), 403, "auth/forbidden", None),
    (TooManyRequestsError(use="begin", retry_after=timedelta(seconds=5.5)), 429, "request/too-many", "6"),
    (TenantNotFoundError(tenant_id="acme"), 404, "tenant/not-found", None),
    (errors.WebhookNotFoundError(), 404, "webhook/not-found", None),
    (errors.ResourceNotChosenError(integration_id="x", variable="cloud_id"), 409, "integration/resource-not-chosen", None),
    (ProviderNotFoundError(provider=PROVIDER), 404, "provider/not-found", None),
    (ProviderInactiveError(provider_id=PROVIDER), 409, "provider/inactive", None),
    (IntegrationNotFoundError(), 404, "integration/not-found", None),
    (IntegrationExistsError(tenant_id="acme", provider_id=PROVIDER), 409, "integration/already-exists", None),
    (ApplicationNotFoundError(), 404, "application/not-found", None),
    (ApplicationInUseError(application_id="1"), 409, "application/in-use", None),
    (SessionNotFoundError(), 404, "session/not-found", None),
    (SessionRefusedError(session_id="1", reason="host"), 403, "session/refused", None),
    (InvalidCredentialsError(provider_id=PROVIDER), 422, "integration/invalid-credentials", None),
    (TrustTooOpenError(provider_id=PROVIDER, mend="add the condition"), 422, "integration/invalid-credentials", None),
    (ReconnectRequiredError(integration_id="1", reason="expired"), 409, "integration/reconnect-required", None),
    (IntegrationInactiveError(integration_id="1"), 409, "integration/inactive", None),
    (IntegrationFrozenError(integration_id="1", freeze_id="2"), 423, "integration/frozen", None),
    (FreezeNotFoundError(), 404, "freeze/not-found", None),
    (IncidentNotApprovedError(incident_id="id"), 403, "incident/not-approved", None),
    (IncidentNotFoundError(), 404, "incident/not-found", None),
    (KeyRotationError(integration_id="1", reason="open"), 409, "integration/key-rotation", None),
    (RefreshInProgressError(integration_id="1", retry_after=timedelta(milliseconds=200)), 503, "integration/busy", "1"),
    (GrantRefusedError(reason="denied"), 400, "integration/oauth-error", None),
    (ProviderUnavailableError(provider_id=PROVIDER, retry_after=timedelta(seconds=29.5)), 502, "integration/oauth-error", "30"),
    (ProviderUnreachableError(provider_id=PROVIDER), 502, "integration/oauth-error", None),
    (AnswerLostError(provider_id=PROVIDER), 502, "integration/oauth-error", None),
    (AppMisconfiguredError(provider_id=PROVIDER, reason="invalid_client"), 502, "integration/oauth-error", None),
    (NotNarrowedError(provider_id=PROVIDER, name="policy"), 502, "integration/oauth-error", None),
    (OAuthBackendError(provider_id="p", backend="acme", problem=SECRET), 502, "integration/oauth-error", None),
    (StorageUnavailableError(), 503, "storage/unavailable", "5"),
    (CommitUnknownError(), 503, "storage/unavailable", "5"),
    (KeyServiceUnavailableError(), 503, "storage/unavailable", "5"),
    (StaleWriteError(), 500, "internal", None),
    (KeyRetiredError(), 500, "internal", None),
    (ConfigurationError(setting=SECRET, problem="is odd"), 500, "internal", None),
    (SchemaError(found=SECRET, expected="2"), 500, "internal", None),
    (KeyringError(key_id=SECRET, problem="is missing"), 500, "internal", None),
    (DecryptError(), 500, "internal", None),
    (DamagedRowError(table="ci_key", row="1"), 500, "internal", None),
    (UnstorableValueError(), 500, "internal", None),
    (CredentialFormError(form="params", fits=("headers",)), 500, "internal", None),
    (RuntimeError(SECRET), 500, "internal", None),
]


@pytest.mark.requirement("ISO-16")
@pytest.mark.parametrize(("error", "status", "code", "retry_after"), [pytest.param(*case, id=type(case[0]).__name__) for case in CASES])
async def test_each_error_has_one_status_and_one_form(api, alice, monkeypatch, caplog, error, status, code, retry_after):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(api.manager, "list_integrations", fail)
    with caplog.at_level(logging.ERROR):
        answer = await alice.get("/tenants/acme/integrations", headers={"X-Request-ID": "req-1"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get("retry-after") == retry_after
    body = answer.json()
    assert body.keys() == {"success", "error"}
    assert body["success"] is False
    assert body["error"]["code"] == code
    if status == 500:
        assert body["error"] == NEUTRAL
        said = error.message if isinstance(error, DamagedRowError) else type(error).__name__
        assert caplog.messages == [f"request req-1 failed: {said}"]
        assert caplog.records[0].exc_info is None
    assert SECRET not in answer.text + caplog.text


def test_every_class_was_thought_of():
    classes = {value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, CloudIntegrationsError)}
    parents = {CloudIntegrationsError, errors.CredentialError, errors.OAuthError, errors.SetupError, errors.SealingError}
    assert classes - parents == {type(error) for error, *_ in CASES if isinstance(error, CloudIntegrationsError)}


def test_the_core_says_which_status_an_error_has():
    for error, status, *_ in CASES:
        assert http_status(error) == status

    class HostError(IntegrationInactiveError):
        """A subclass of somebody else's."""

    assert http_status(HostError(integration_id="1")) == 409
    assert http_status(KeyboardInterrupt()) == 500


@pytest.mark.requirement("ISO-16")
def test_details_that_are_no_json_are_still_written():
    problem = problem_of(GrantRefusedError(reason=object()))
    assert json.loads(problem.body())["error"]["details"]["reason"].startswith("<object")
