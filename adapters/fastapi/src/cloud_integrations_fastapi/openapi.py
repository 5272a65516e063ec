"""What the OpenAPI document says of each route: bodies, answers, and every error as it really looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import Response
from pydantic import BaseModel

from cloud_integrations.documents import AuditOut, AuthorizationOut, CheckOut, IntegrationDetailOut, IntegrationOut, ProviderOut, TokenOut
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CloudIntegrationsError,
    ForbiddenError,
    GrantRefusedError,
    IntegrationExistsError,
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
    ValidationFailedError,
)

from .answers import Done, ErrorOut, Many, One
from .authorization import Permission
from .bodies import BeginAuthorization, CreateIntegration, EditIntegration, Reconnect
from .errors import INTERNAL, Problem, problem_of
from .reading import FORM
from .route import PERMISSION, RELAYED

_PROVIDER = "0f0c7f2e-8a53-5f4e-9f43-3d1f0f6d2b11"
_INTEGRATION = "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b"
_EVENT = "019ab3c4-5d6f-7a21-8b3c-4d5e6f708192"
_TIME = "2026-01-31T09:30:00Z"
_LATER = "2026-01-31T10:30:00Z"
_URL = "https://provider.example/authorize?client_id=…&state=…"
_SHOWN = {
    "id": _INTEGRATION,
    "tenantId": "acme",
    "providerId": _PROVIDER,
    "name": "Production",
    "status": "active",
    "authType": "oauth2",
    "createdAt": _TIME,
    "updatedAt": _TIME,
}
_ACCOUNT = {"id": "acct-1", "label": "Acme Ltd"}
_DETAIL = _SHOWN | {
    "scopes": ["read"],
    "requestedScopes": ["read", "write"],
    "missingScopes": ["write"],
    "expiresAt": _LATER,
    "reconnectBefore": None,
    "health": {"state": "ok", "since": _TIME, "reason": None, "advice": "Nothing to do."},
    "account": _ACCOUNT,
}
_BEGUN = {"authorizationUrl": _URL, "state": "…", "expiresAt": _LATER}
_CHECK = {"works": True, "outcome": "alive", "verified": True, "account": _ACCOUNT, "accountChanged": False, "checkedAt": _TIME}
_RECORD = {
    "seq": 7,
    "eventId": _EVENT,
    "occurredAt": _TIME,
    "actor": {"type": "user", "id": "alice"},
    "action": "integration.connected",
    "resource": f"integration:{_INTEGRATION}",
    "outcome": "success",
    "reason": None,
    "requestId": "req-1",
    "details": {"provider": "github"},
    "hash": "9f" * 32,
}
_OFFERED = {
    "id": _PROVIDER,
    "slug": "github",
    "name": "GitHub",
    "category": "code",
    "active": True,
    "authTypes": ["oauth2", "apikey"],
    "documentation": "https://docs.github.com",
    "redirectUri": "https://app.example.com/api/v1/oauth/callback/5d9bd5a6-5c1e-5a06-8a4f-0d3a9a0f6b1e",
    "methods": [
        {"id": "oauth_app", "authType": "oauth2", "inputs": [], "manualUrl": "https://github.com/settings/applications"},
        {
            "id": "pat",
            "authType": "apikey",
            "inputs": [
                {
                    "name": "token",
                    "label": "Personal access token",
                    "hint": "Fine-grained tokens end at a date and may wait for the organisation's approval.",
                    "required": True,
                    "secret": True,
                    "field": "apiKey",
                }
            ],
            "manualUrl": "https://github.com/settings/tokens",
        },
    ],
}
_TOKEN = {
    "integrationId": _INTEGRATION,
    "providerId": _PROVIDER,
    "authType": "oauth2",
    "value": "…",
    "headers": {"Authorization": "Bearer …"},
    "params": {},
    "secret": None,
    "expiresAt": _LATER,
    "scopes": ["read"],
    "missingScopes": [],
    "warning": None,
}
_CREATE_EXAMPLES = {
    "apiKey": {"providerId": _PROVIDER, "name": "Production", "credentials": {"apiKey": "…"}},
    "oauth2": {
        "providerId": _PROVIDER,
        "name": "Production",
        "code": "…",
        "redirectUri": "https://app.example.com/connected",
        "state": "…",
    },
}

_ERRORS = (
    ValidationFailedError(field="name", problem="must have at least 3 characters"),
    ForbiddenError(),
    TenantNotFoundError(tenant_id="acme"),
    ProviderNotFoundError(provider=_PROVIDER),
    ProviderInactiveError(provider_id=_PROVIDER),
    IntegrationNotFoundError(),
    IntegrationExistsError(tenant_id="acme", provider_id=_PROVIDER),
    InvalidCredentialsError(provider_id=_PROVIDER, reason="dead"),
    ReconnectRequiredError(integration_id=_INTEGRATION, reason="expired"),
    IntegrationInactiveError(integration_id=_INTEGRATION),
    RefreshInProgressError(integration_id=_INTEGRATION, retry_after=timedelta(seconds=2)),
    GrantRefusedError(reason="access_denied"),
    ProviderUnavailableError(provider_id=_PROVIDER),
    AppMisconfiguredError(provider_id=_PROVIDER, reason="invalid_client"),
    StorageUnavailableError(),
)
_OURS = (ForbiddenError, ValidationFailedError)
_STORED = (*_OURS, StorageUnavailableError, TenantNotFoundError)
_HELD = (*_STORED, IntegrationNotFoundError)
_OFFER = (ProviderNotFoundError, ProviderInactiveError)
_ASKED = (ProviderUnavailableError, AppMisconfiguredError)
_CREDENTIAL = (ReconnectRequiredError, IntegrationInactiveError, RefreshInProgressError)
_SETS_COOKIE = {"Set-Cookie": {"description": "Ties the flow to this browser.", "schema": {"type": "string"}}}
_REQUEST_ID = {
    "X-Request-ID": {"description": "Taken from the request, or made.", "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}}
}
_WHO = {
    "description": "The host's own answer where it does not know who asks",
    "headers": {"WWW-Authenticate": {"description": "As the host says it.", "schema": {"type": "string"}}},
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds, where it is known.", "schema": {"type": "integer", "minimum": 1}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    answer: Any
    example: Any
    errors: tuple[type[CloudIntegrationsError], ...]
    status: int = 200
    body: type[BaseModel] | None = None
    bodies: Mapping[str, Any] | None = None
    headers: Mapping[str, Any] | None = None


_OPERATIONS = {
    "list_integrations": _Operation(answer=Many[IntegrationOut], example={"data": [_SHOWN]}, errors=_STORED),
    "create_integration": _Operation(
        answer=One[IntegrationOut],
        example={"data": _SHOWN},
        status=201,
        body=CreateIntegration,
        bodies=_CREATE_EXAMPLES,
        errors=(*_STORED, *_OFFER, IntegrationExistsError, InvalidCredentialsError, GrantRefusedError, *_ASKED),
    ),
    "get_integration": _Operation(answer=One[IntegrationDetailOut], example={"data": _DETAIL}, errors=_HELD),
    "edit_integration": _Operation(
        answer=One[IntegrationOut],
        example={"data": _SHOWN},
        body=EditIntegration,
        bodies={"rename": {"name": "Staging"}, "switchOff": {"status": "inactive"}},
        errors=(*_HELD, ReconnectRequiredError),
    ),
    "delete_integration": _Operation(answer=Done, example={"success": True}, errors=_HELD),
    "reconnect": _Operation(
        answer=One[AuthorizationOut] | One[IntegrationOut],
        example={"data": _BEGUN},
        body=Reconnect,
        bodies={"oauth2": {"scopes": ["read"], "returnTo": "/settings"}, "apiKey": {"credentials": {"apiKey": "…"}}},
        headers=_SETS_COOKIE,
        errors=(*_HELD, *_OFFER, IntegrationInactiveError, InvalidCredentialsError, *_ASKED),
    ),
    "verify": _Operation(answer=One[CheckOut], example={"data": _CHECK}, errors=(*_HELD, *_OFFER, *_CREDENTIAL, *_ASKED)),
    "list_audit": _Operation(answer=Many[AuditOut], example={"data": [_RECORD]}, errors=_STORED),
    "begin_authorization": _Operation(
        answer=One[AuthorizationOut],
        example={"data": _BEGUN},
        status=201,
        body=BeginAuthorization,
        bodies={"connect": {"providerId": _PROVIDER, "name": "Production", "scopes": ["read"], "returnTo": "/settings"}},
        headers=_SETS_COOKIE,
        errors=(*_STORED, *_OFFER, IntegrationExistsError),
    ),
    "complete_authorization": _Operation(
        answer=One[IntegrationOut],
        example={"data": _SHOWN},
        errors=(*_OURS, StorageUnavailableError, *_OFFER, IntegrationExistsError, GrantRefusedError, *_ASKED),
    ),
    "complete_posted_authorization": _Operation(
        answer=One[IntegrationOut],
        example={"data": _SHOWN},
        errors=(*_OURS, StorageUnavailableError, *_OFFER, IntegrationExistsError, GrantRefusedError, *_ASKED),
    ),
    "show_result": _Operation(answer=None, example=None, errors=(*_OURS, StorageUnavailableError)),
    "list_providers": _Operation(answer=Many[ProviderOut], example={"data": [_OFFERED]}, errors=_OURS),
    "reveal_token": _Operation(answer=One[TokenOut], example={"data": _TOKEN}, errors=(*_HELD, *_OFFER, *_CREDENTIAL, *_ASKED)),
}


def describe(name: str, permission: Permission, /) -> dict[str, Any]:
    """Return what FastAPI is told of the operation *name*, the permission it needs included."""
    operation = _OPERATIONS[name]
    extra: dict[str, Any] = {PERMISSION: permission.value}
    if operation.body is not None:
        examples = {key: {"value": value} for key, value in (operation.bodies or {}).items()}
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _inlined(operation.body.model_json_schema()), "examples": examples}},
        }
    if name == "complete_authorization":
        extra["parameters"] = [_parameter(named, told) for named, told in _CALLBACK.items()]
    if name == "complete_posted_authorization":
        extra["parameters"] = [_parameter(RELAYED, "Marks the second post, which comes from our own page.")]
        fields = {named: {"type": "string", "description": told} for named, told in _CALLBACK.items()}
        form = {"type": "object", "properties": fields, "required": ["state"]}
        extra["security"] = [{}]  # the first of the two posts comes from another site, without cookies
        extra["requestBody"] = {"required": True, "content": {FORM: {"schema": form, "examples": _CALLBACK_EXAMPLES}}}
    # A response without a media type of its own: FastAPI would write down JSON where there are pages alone.
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
    "state": "Names the authorization; without it nothing is done.",
    "code": "What the provider gave; spent once.",
    "iss": "Who the provider says it is (RFC 9207).",
    "error": "Why the provider refused (RFC 6749 §4.1.2.1).",
    "error_description": "The provider's prose; never shown.",
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
    if redirects:
        told = "The `returnTo` of the beginning, with `error` where nothing was connected; without one, for a browser, a page of ours."
        location = {"Location": {"description": told, "schema": {"type": "string"}}}
        answers[303] = {"description": "Back to the application", "headers": _REQUEST_ID | location}
    answers[401] = _WHO
    problems = [problem_of(error) for error in _ERRORS if isinstance(error, operation.errors)]
    for problem in (*problems, INTERNAL):
        answer = answers.setdefault(
            problem.status,
            {
                "model": ErrorOut,
                "description": _phrase(problem.status),
                "content": {"application/json": {"examples": {}}} | page,
                "headers": _REQUEST_ID | (_RETRY_AFTER if problem.status in {502, 503} else {}),
            },
        )
        examples = answer["content"]["application/json"]["examples"]
        examples[_example_name(problem, examples)] = {"value": _envelope(problem)}
    return dict(sorted(answers.items(), key=lambda item: int(item[0])))


def _example_name(problem: Problem, taken: Mapping[str, Any]) -> str:
    return problem.code if problem.code not in taken else f"{problem.code} ({problem.details['reason']})"


def _envelope(problem: Problem) -> dict[str, Any]:
    return {"success": False, "error": {"code": problem.code, "message": problem.message, "details": dict(problem.details)}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Put the parts of a body's schema in their places: its references would point to nowhere in the document."""
    parts = schema.pop("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return walk(parts[node["$ref"].rpartition("/")[2]])
            return {key: walk(value) for key, value in node.items() if key != "title"}
        return [walk(item) for item in node] if isinstance(node, list) else node

    walked: dict[str, Any] = walk(schema)
    return walked


def _phrase(status: int) -> str:
    # Pythons before 3.13 have an older name for 422 (RFC 9110 §15.5.21).
    return "Unprocessable Content" if status == HTTPStatus.UNPROCESSABLE_ENTITY else HTTPStatus(status).phrase
