"""What a provider file says, in short, for a test to change."""

from __future__ import annotations

from cloud_integrations.domain.provider import Provider


def code(**fields) -> dict:
    urls = {"authorize_url": "https://a.example/authorize", "token_url": "https://a.example/token"}
    return {"id": "oauth2", "kind": "code", **urls, **fields}


def key(**fields) -> dict:
    return {"id": "key", "kind": "key", "inputs": [{"name": "token"}], **fields}


def provider(*methods: dict, **fields) -> Provider:
    return Provider.model_validate({"id": "acme", "name": "Acme", "methods": methods or [code()], **fields})
