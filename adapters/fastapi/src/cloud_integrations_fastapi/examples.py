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
    "lastUsedAt": TIME,
    "health": {"state": "ok", "since": TIME, "reason": None, "advice": "Nothing to do."},
    "account": ACCOUNT,
}
SITE = "1324a887-45db-1bf4-1e99-ef0ff456d421"
RESOURCES = {
    "variable": "cloud_id",
    "chosen": SITE,
    "complete": True,
    "resources": [{"id": SITE, "label": "Acme", "url": "https://acme.atlassian.net"}],
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
WEBHOOK = {
    "id": CONTEXT,
    "tenantId": "acme",
    "url": "https://hooks.example.com/cloud",
    "events": ["credential.reconnect_required"],
    "providers": [],
    "format": "standard",
    "enabled": True,
    "offReason": None,
    "failingSince": None,
    "secrets": 1,
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
    "providerId": PROVIDER,
    "contextId": CONTEXT,
    "details": {"provider": "github"},
    "hash": "9f" * 32,
}
OFFERED = {
    "id": PROVIDER,
    "slug": "github",
    "name": "GitHub",
    "category": "devtools",
    "description": "Git repositories, reviews, packages and automation",
    "aliases": ["GH", "GitHub Actions"],
    "icon": {"letters": "GH", "background": "#7d37be"},
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
            "makesKey": None,
            "manualUrl": "https://github.com/settings/applications",
            "deprecated": None,
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
                    "patterns": ["^ghp_[A-Za-z0-9]{36}$", r"^github_pat_\w{82}$"],
                }
            ],
            "needsSetup": False,
            "revokesKey": True,
            "makesKey": None,
            "manualUrl": "https://github.com/settings/tokens",
            "deprecated": None,
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
    "deprecated": None,
}
READINESS = {
    "id": PROVIDER,
    "slug": "github",
    "name": "GitHub",
    "active": True,
    "redirectUri": "https://app.example.com/api/v1/oauth/callback/5d9bd5a6-5c1e-5a06-8a4f-0d3a9a0f6b1e",
    "checked": "2026-07-01",
    "isOld": False,
    "application": {"clientId": "Iv1.fake", "clientSecrets": 1, "secretSince": "2026-03-01", "isOld": False},
    "methods": [
        {
            "id": "pat",
            "authType": "apikey",
            "ready": True,
            "missing": [],
            "idleSeconds": None,
            "absoluteSeconds": None,
            "deprecated": None,
            "integrations": 12,
            "endingSoon": 1,
            "firstEnd": LATER,
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
    "narrowed": [],
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
