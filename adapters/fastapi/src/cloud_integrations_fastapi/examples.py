"""The examples of the OpenAPI document."""

from __future__ import annotations

PROVIDER = "0f0c7f2e-8a53-5f4e-9f43-3d1f0f6d2b11"
INTEGRATION = "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b"
EVENT = "019ab3c4-5d6f-7a21-8b3c-4d5e6f708192"
CONTEXT = "5d9bd5a6-5c1e-5a06-8a4f-0d3a9a0f6b1e"
TIME = "2026-01-31T09:30:00Z"
LATER = "2026-01-31T10:30:00Z"
URL = "https://provider.example/authorize?client_id=…&state=…"
SHOWN = {
    "id": INTEGRATION,
    "tenantId": "acme",
    "providerId": PROVIDER,
    "name": "Production",
    "status": "active",
    "authType": "oauth2",
    "createdAt": TIME,
    "updatedAt": TIME,
}
ACCOUNT = {"id": "acct-1", "label": "Acme Ltd"}
DETAIL = SHOWN | {
    "scopes": ["read"],
    "requestedScopes": ["read", "write"],
    "missingScopes": ["write"],
    "expiresAt": LATER,
    "reconnectBefore": None,
    "health": {"state": "ok", "since": TIME, "reason": None, "advice": "Nothing to do."},
    "account": ACCOUNT,
}
APPLICATION = {
    "id": CONTEXT,
    "tenantId": "acme",
    "providerId": PROVIDER,
    "method": "oauth_app",
    "clientId": "Iv1.acme",
    "secrets": 1,
    "scopes": [],
    "issuer": None,
    "variables": {},
    "redirectUri": f"https://app.example.com/api/v1/oauth/callback/{CONTEXT}",
    "createdAt": TIME,
    "updatedAt": TIME,
}
BEGUN = {"authorizationUrl": URL, "state": "…", "expiresAt": LATER}
CHECK = {"works": True, "outcome": "alive", "verified": True, "account": ACCOUNT, "accountChanged": False, "checkedAt": TIME}
RECORD = {
    "seq": 7,
    "eventId": EVENT,
    "occurredAt": TIME,
    "actor": {"type": "user", "id": "alice"},
    "action": "integration.connected",
    "resource": f"integration:{INTEGRATION}",
    "outcome": "success",
    "reason": None,
    "requestId": "req-1",
    "details": {"provider": "github"},
    "hash": "9f" * 32,
}
OFFERED = {
    "id": PROVIDER,
    "slug": "github",
    "name": "GitHub",
    "category": "code",
    "active": True,
    "authTypes": ["oauth2", "apikey"],
    "documentation": "https://docs.github.com",
    "redirectUri": "https://app.example.com/api/v1/oauth/callback/5d9bd5a6-5c1e-5a06-8a4f-0d3a9a0f6b1e",
    "methods": [
        {
            "id": "oauth_app",
            "authType": "oauth2",
            "inputs": [],
            "needsSetup": False,
            "revokesKey": False,
            "manualUrl": "https://github.com/settings/applications",
        },
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
                    "form": "text",
                    "oneOf": None,
                    "field": "apiKey",
                }
            ],
            "needsSetup": False,
            "revokesKey": True,
            "manualUrl": "https://github.com/settings/tokens",
        },
    ],
    "variables": [
        {
            "name": "organisation",
            "label": "Organisation",
            "hint": "As it stands in its address.",
            "required": False,
            "pattern": "[a-z0-9-]{1,39}",
            "choices": [],
            "default": None,
        }
    ],
}
TOKEN = {
    "integrationId": INTEGRATION,
    "providerId": PROVIDER,
    "authType": "oauth2",
    "value": "…",
    "headers": {"Authorization": "Bearer …"},
    "params": {},
    "secret": None,
    "expiresAt": LATER,
    "scopes": ["read"],
    "missingScopes": [],
    "warning": None,
}
CREATE_EXAMPLES = {
    "apiKey": {"providerId": PROVIDER, "name": "Production", "credentials": {"apiKey": "…"}},
    "inputs": {
        "providerId": PROVIDER,
        "name": "Production",
        "method": "service_account",
        "variables": {"region": "eu"},
        "credentials": {"inputs": {"key_file": "…", "project": "acme"}},
    },
    "oauth2": {
        "providerId": PROVIDER,
        "name": "Production",
        "code": "…",
        "redirectUri": "https://app.example.com/connected",
        "state": "…",
    },
}
