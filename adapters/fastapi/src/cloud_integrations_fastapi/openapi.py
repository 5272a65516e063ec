"""What the OpenAPI document says about each route: bodies, answers, and an example of every error as it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import Response
from pydantic import BaseModel

from cloud_integrations.documents import (
    ApplicationOut,
    AuditOut,
    AuthorizationOut,
    CheckOut,
    DeviceAuthorizationOut,
    DevicePendingOut,
    GuideOut,
    IntegrationDetailOut,
    IntegrationOut,
    NewWebhookOut,
    ProviderOut,
    ProviderReadinessOut,
    PushedAuthorizationOut,
    ResourcesOut,
    SetupOut,
    TokenOut,
    WebhookOut,
    WebhookTestOut,
)
from cloud_integrations.errors import (
    ApplicationInUseError,
    ApplicationNotFoundError,
    AppMisconfiguredError,
    CloudIntegrationsError,
    ForbiddenError,
    GrantRefusedError,
    IntegrationExistsError,
    IntegrationFrozenError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    ProviderInactiveError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    RefreshInProgressError,
    StorageUnavailableError,
    TenantNotFoundError,
    TooManyRequestsError,
    ValidationFailedError,
    WebhookNotFoundError,
)

from . import examples
from .answers import CloudIntegrationsErrorOut, Done, KeyDone, Many, One
from .authorization import Permission
from .bodies import (
    AddWebhook,
    BeginAuthorization,
    ChooseResource,
    CreateIntegration,
    EditIntegration,
    EditWebhook,
    Reconnect,
    RevealToken,
    RotateSecret,
    SaveApplication,
    schema_of,
)
from .catalogue import SVG
from .errors import INTERNAL, Problem, problem_of
from .reading import FORM
from .route import PERMISSION, RELAYED
from .slots import NO_SLOT, SLOT_SCHEMA, answer_with_slot, example_with_slot

_ERRORS = (
    ValidationFailedError(field="name", problem="must have at least 3 characters"),
    ForbiddenError(),
    TooManyRequestsError(use="begin", retry_after=timedelta(seconds=6)),
    TenantNotFoundError(tenant_id="acme"),
    ProviderNotFoundError(provider=examples.PROVIDER),
    ProviderInactiveError(provider_id=examples.PROVIDER),
    IntegrationNotFoundError(),
    IntegrationExistsError(tenant_id="acme", provider_id=examples.PROVIDER),
    ApplicationNotFoundError(),
    ApplicationInUseError(application_id=examples.CONTEXT),
    WebhookNotFoundError(),
    InvalidCredentialsError(provider_id=examples.PROVIDER, reason="dead"),
    ReconnectRequiredError(integration_id=examples.INTEGRATION, reason="expired"),
    IntegrationInactiveError(integration_id=examples.INTEGRATION),
    IntegrationFrozenError(integration_id=examples.INTEGRATION, freeze_id=examples.CONTEXT),
    RefreshInProgressError(integration_id=examples.INTEGRATION, retry_after=timedelta(seconds=2)),
    GrantRefusedError(reason="access_denied"),
    ProviderUnavailableError(provider_id=examples.PROVIDER),
    AppMisconfiguredError(provider_id=examples.PROVIDER, reason="invalid_client"),
    StorageUnavailableError(),
)
_GUIDE = {
    "providerId": examples.PROVIDER,
    "provider": "aws",
    "method": "access_key",
    "title": "An access key of an IAM user",
    "steps": ["Sign in to the AWS console as an administrator."],
    "links": [{"title": "Users in the IAM console", "url": "https://console.aws.amazon.com/iam/home#/users"}],
    "documents": [{"name": "permissions.json", "title": "What the user may do", "form": "json", "text": "{}\n"}],
    "undo": ["Delete the access key."],
    "missing": [],
}
_OURS = (ForbiddenError, ValidationFailedError)
_STORED = (*_OURS, StorageUnavailableError, TenantNotFoundError)
_LIMITED = (TooManyRequestsError,)
_HELD = (*_STORED, IntegrationNotFoundError)
_OFFER = (ProviderNotFoundError, ProviderInactiveError)
_ASKED = (ProviderUnavailableError, AppMisconfiguredError)
_CREDENTIAL = (ReconnectRequiredError, IntegrationInactiveError, IntegrationFrozenError, RefreshInProgressError)
_SETS_COOKIE = {"Set-Cookie": {"description": "Ties the authorization to this browser.", "schema": {"type": "string"}}}
_REQUEST_ID = {
    "X-Request-ID": {
        "description": "The request's own if valid, else a new one.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    }
}
_WHO = {
    "description": "Not authenticated: the host's own answer",
    "headers": {"WWW-Authenticate": {"description": "As the host sets it.", "schema": {"type": "string"}}},
}
# FastAPI builds a validator for each `model`, twice, which takes a host's start some tenths of a second.  So one answer of a route has
# the model, and the others refer to it; its name is one that no model of a host has.
_ERROR = {"$ref": f"#/components/schemas/{CloudIntegrationsErrorOut.__name__}"}
_CACHED = {
    "ETag": {"description": "Send it as `If-None-Match` to ask for a newer icon alone.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "How long the icon may be cached.", "schema": {"type": "string"}},
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds until another attempt, where known.", "schema": {"type": "integer", "minimum": 1}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    answer: Any
    example: Any
    errors: tuple[type[CloudIntegrationsError], ...]
    status: int = 200
    body: type[BaseModel] | None = None
    bodies: Mapping[str, Any] | None = None
    needs_body: bool = True
    headers: Mapping[str, Any] | None = None
    media: str | None = None
    """The media type of an answer that is no JSON."""


_OPERATIONS = {
    "list_integrations": _Operation(answer=Many[IntegrationOut], example={"data": [examples.SHOWN]}, errors=_STORED),
    "create_integration": _Operation(
        answer=One[IntegrationOut],
        example={"data": examples.SHOWN},
        status=201,
        body=CreateIntegration,
        bodies=examples.CREATE_EXAMPLES,
        errors=(*_STORED, *_OFFER, IntegrationExistsError, InvalidCredentialsError, GrantRefusedError, *_ASKED),
    ),
    "get_integration": _Operation(answer=One[IntegrationDetailOut], example={"data": examples.DETAIL}, errors=_HELD),
    "edit_integration": _Operation(
        answer=One[IntegrationOut],
        example={"data": examples.SHOWN},
        body=EditIntegration,
        bodies={"rename": {"name": "Staging"}, "switchOff": {"status": "inactive"}},
        errors=(*_HELD, ReconnectRequiredError),
    ),
    "delete_integration": _Operation(answer=Done | KeyDone, example={"success": True}, errors=_HELD),
    "reconnect": _Operation(
        answer=One[AuthorizationOut] | One[PushedAuthorizationOut] | One[DeviceAuthorizationOut] | One[IntegrationOut],
        example={"data": examples.BEGUN},
        body=Reconnect,
        bodies={
            "oauth2": {"scopes": ["read"], "returnTo": "/settings"},
            "device": {"device": True},
            "apiKey": {"credentials": {"apiKey": "…"}},
            "inputs": {"method": "service_account", "credentials": {"inputs": {"key_file": "…", "project": "acme"}}},
        },
        headers=_SETS_COOKIE,
        errors=(*_HELD, *_OFFER, IntegrationInactiveError, InvalidCredentialsError, GrantRefusedError, *_ASKED, *_LIMITED),
    ),
    "verify": _Operation(
        answer=One[CheckOut], example={"data": examples.CHECK}, errors=(*_LIMITED, *_HELD, *_OFFER, *_CREDENTIAL, *_ASKED)
    ),
    "list_resources": _Operation(
        answer=One[ResourcesOut], example={"data": examples.RESOURCES}, errors=(*_LIMITED, *_HELD, *_OFFER, *_CREDENTIAL, *_ASKED)
    ),
    "choose_resource": _Operation(
        answer=One[IntegrationDetailOut],
        example={"data": examples.DETAIL},
        body=ChooseResource,
        bodies={"choose": {"resource": examples.RESOURCES["chosen"]}},
        errors=(*_LIMITED, *_HELD, *_OFFER, *_CREDENTIAL, *_ASKED),
    ),
    "list_audit": _Operation(answer=Many[AuditOut], example={"data": [examples.RECORD]}, errors=_STORED),
    "list_tenant_audit": _Operation(answer=Many[AuditOut], example={"data": [examples.RECORD]}, errors=_STORED),
    "begin_authorization": _Operation(
        answer=One[AuthorizationOut] | One[PushedAuthorizationOut] | One[DeviceAuthorizationOut] | One[SetupOut],
        example={"data": examples.BEGUN},
        status=201,
        body=BeginAuthorization,
        bodies={
            "connect": {"providerId": examples.PROVIDER, "name": "Production", "scopes": ["read"], "returnTo": "/settings"},
            "device": {"providerId": examples.PROVIDER, "name": "Production", "device": True},
        },
        headers=_SETS_COOKIE,
        errors=(*_LIMITED, *_STORED, *_OFFER, IntegrationExistsError, GrantRefusedError, *_ASKED),
    ),
    "poll_device": _Operation(
        answer=One[IntegrationOut] | One[DevicePendingOut],
        example={"data": examples.SHOWN},
        errors=(*_STORED, *_OFFER, IntegrationExistsError, GrantRefusedError, *_ASKED),
    ),
    "list_applications": _Operation(answer=Many[ApplicationOut], example={"data": [examples.APPLICATION]}, errors=_STORED),
    "save_application": _Operation(
        answer=One[ApplicationOut],
        example={"data": examples.APPLICATION},
        body=SaveApplication,
        bodies={"register": {"providerId": examples.PROVIDER, "clientId": "Iv1.acme", "clientSecret": "…"}},
        errors=(*_STORED, *_OFFER),
    ),
    "remove_application": _Operation(
        answer=Done, example={"success": True}, errors=(*_STORED, ApplicationNotFoundError, ApplicationInUseError)
    ),
    "list_webhooks": _Operation(answer=Many[WebhookOut], example={"data": [examples.WEBHOOK]}, errors=_STORED),
    "add_webhook": _Operation(
        answer=One[NewWebhookOut],
        example={"data": examples.WEBHOOK | {"secret": "whsec_…"}},
        status=201,
        body=AddWebhook,
        bodies={"reconnects": {"url": "https://hooks.example.com/cloud", "events": ["credential.reconnect_required"]}},
        errors=(*_STORED, ProviderNotFoundError),
    ),
    "edit_webhook": _Operation(
        answer=One[WebhookOut],
        example={"data": examples.WEBHOOK},
        body=EditWebhook,
        bodies={"off": {"enabled": False}},
        errors=(*_STORED, ProviderNotFoundError, WebhookNotFoundError),
    ),
    "remove_webhook": _Operation(answer=Done, example={"success": True}, errors=(*_STORED, WebhookNotFoundError)),
    "rotate_webhook_secret": _Operation(
        answer=One[NewWebhookOut],
        example={"data": examples.WEBHOOK | {"secret": "whsec_…", "secrets": 2}},
        body=RotateSecret,
        bodies={"leak": {"overlap": 0}},
        needs_body=False,
        errors=(*_STORED, WebhookNotFoundError),
    ),
    "test_webhook": _Operation(
        answer=One[WebhookTestOut],
        example={"data": {"webhookId": examples.CONTEXT, "messageId": examples.INTEGRATION, "taken": False, "reason": "status_500"}},
        errors=(*_STORED, WebhookNotFoundError),
    ),
    "complete_authorization": _Operation(
        answer=One[IntegrationOut],
        example={"data": examples.SHOWN},
        errors=(*_LIMITED, *_OURS, StorageUnavailableError, *_OFFER, IntegrationExistsError, GrantRefusedError, *_ASKED),
    ),
    "complete_posted_authorization": _Operation(
        answer=One[IntegrationOut],
        example={"data": examples.SHOWN},
        errors=(*_LIMITED, *_OURS, StorageUnavailableError, *_OFFER, IntegrationExistsError, GrantRefusedError, *_ASKED),
    ),
    "show_result": _Operation(answer=None, example=None, errors=(*_OURS, StorageUnavailableError)),
    "list_providers": _Operation(answer=Many[ProviderOut], example={"data": [examples.OFFERED]}, errors=_OURS),
    "report_ageing": _Operation(
        answer=Many[ProviderReadinessOut], example={"data": [examples.READINESS]}, errors=(ForbiddenError, StorageUnavailableError)
    ),
    "show_icon": _Operation(answer=None, example=None, errors=(*_OURS, ProviderNotFoundError), headers=_CACHED, media=SVG),
    "show_guide": _Operation(answer=One[GuideOut], example={"data": _GUIDE}, errors=(*_OURS, *_OFFER)),
    "reveal_token": _Operation(
        answer=One[TokenOut],
        example={"data": examples.TOKEN},
        errors=(*_LIMITED, *_HELD, *_OFFER, *_CREDENTIAL, *_ASKED),
        body=RevealToken,
        bodies={"narrowed": {"narrow": {"permissions": {"contents": "read"}, "repositories": ["website"]}}},
        needs_body=False,
    ),
}


def describe(name: str, permission: Permission, /, *, slots: bool) -> dict[str, Any]:
    """Return FastAPI's arguments for the operation *name*, with the permission that it needs; *slots* is the manager's setting."""
    operation = _OPERATIONS[name]
    if slots:
        operation = replace(operation, answer=answer_with_slot(operation.answer), example=example_with_slot(operation.example))
    extra: dict[str, Any] = {PERMISSION: permission.value}
    if operation.body is not None:
        examples = {key: {"value": value} for key, value in (operation.bodies or {}).items()}
        schema = schema_of(operation.body)
        if not slots and "slot" in schema["properties"]:
            schema["properties"]["slot"] = NO_SLOT
        extra["requestBody"] = {"required": operation.needs_body, "content": {"application/json": {"schema": schema, "examples": examples}}}
    if name == "list_integrations":
        told = "Only the integrations in this slot, of every provider."
        extra["parameters"] = [_parameter("slot", told) | {"schema": SLOT_SCHEMA if slots else NO_SLOT}]
    if name == "complete_authorization":
        extra["parameters"] = [_parameter(named, told) for named, told in _CALLBACK.items()]
    if name == "complete_posted_authorization":
        extra["parameters"] = [_parameter(RELAYED, "Marks the second post, which comes from a page of this API.")]
        fields = {named: {"type": "string", "description": told} for named, told in _CALLBACK.items()}
        form = {"type": "object", "properties": fields, "required": ["state"]}
        extra["security"] = [{}]  # the first of the two posts comes from the provider's site, without cookies
        extra["requestBody"] = {"required": True, "content": {FORM: {"schema": form, "examples": _CALLBACK_EXAMPLES}}}
    # A response class without a media type: FastAPI would add JSON to a route that answers only with pages.
    return ({"response_class": Response} if operation.answer is None else {}) | {
        "response_model": operation.answer,
        "status_code": operation.status,
        "operation_id": name,
        "openapi_extra": extra,
        "responses": _answers(operation, pages=name in _PAGES, redirects=name in _CALLBACKS),
    }


_CALLBACKS = {"complete_authorization", "complete_posted_authorization"}
_PAGES = {*_CALLBACKS, "show_result"}
_CALLBACK = {
    "state": "Names the authorization; required.",
    "code": "The authorization code; it works once.",
    "iss": "The issuer identifier of the provider (RFC 9207).",
    "error": "The provider's error code (RFC 6749 §4.1.2.1).",
    "error_description": "The provider's explanation; it is never shown.",
}
_CALLBACK_EXAMPLES = {"code": {"value": {"state": "…", "code": "…"}}}


def _parameter(name: str, told: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": told, "schema": {"type": "string"}}


def _answers(operation: _Operation, *, pages: bool, redirects: bool) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {} if operation.answer is None else {"application/json": {"example": operation.example}}
    page: dict[str, Any] = {"text/html": {"schema": {"type": "string"}}} if pages else {}
    answers: dict[int | str, dict[str, Any]] = {
        operation.status: {
            "description": _phrase(operation.status),
            "content": content | page,
            "headers": _REQUEST_ID | dict(operation.headers or {}),
        }
    }
    if operation.media is not None:
        answers[operation.status]["content"] = {operation.media: {"schema": {"type": "string"}}}
        answers[304] = {"description": _phrase(304), "headers": _REQUEST_ID | dict(operation.headers or {})}
    if redirects:
        told = "The `returnTo` of the authorization, with `error` if nothing was connected. Without one, a browser gets a page of this API."
        location = {"Location": {"description": told, "schema": {"type": "string"}}}
        answers[303] = {"description": "Back to the application", "headers": _REQUEST_ID | location}
    answers[401] = _WHO
    problems = [problem_of(error) for error in _ERRORS if isinstance(error, operation.errors)]
    for problem in (*problems, INTERNAL):
        answer = answers.setdefault(
            problem.status,
            {
                "description": _phrase(problem.status),
                "content": {"application/json": {"examples": {}, "schema": dict(_ERROR)}} | page,
                "headers": _REQUEST_ID | (_RETRY_AFTER if problem.status in {429, 502, 503} else {}),
            },
        )
        examples = answer["content"]["application/json"]["examples"]
        examples[_example_name(problem, examples)] = {"value": _envelope(problem)}
    answers[INTERNAL.status]["model"] = CloudIntegrationsErrorOut
    return dict(sorted(answers.items(), key=lambda item: int(item[0])))


def _example_name(problem: Problem, taken: Mapping[str, Any]) -> str:
    return problem.code if problem.code not in taken else f"{problem.code} ({problem.details['reason']})"


def _envelope(problem: Problem) -> dict[str, Any]:
    return {"success": False, "error": {"code": problem.code, "message": problem.message, "details": dict(problem.details)}}


def _phrase(status: int) -> str:
    # Python before 3.13 has an older phrase for 422 (RFC 9110 §15.5.21).
    return "Unprocessable Content" if status == HTTPStatus.UNPROCESSABLE_ENTITY else HTTPStatus(status).phrase
