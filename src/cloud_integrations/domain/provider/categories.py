"""The categories by which providers are grouped."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CATEGORIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cloud": "Cloud platforms and clusters: servers, storage and more from one provider",
        "paas": "Platforms that run applications and host websites",
        "database": "Managed databases",
        "data": "Warehouses, streams, search and analysis",
        "storage": "Storage of files and objects",
        "network": "Content delivery, DNS and private networks",
        "security": "Secrets and protection",
        "identity": "Users, groups and sign-on",
        "observability": "Metrics, logs, errors, alerts and on-call duty",
        "devtools": "Source code, builds, packages, infrastructure as code and feature flags",
        "communications": "E-mail, text messages and calls that software sends",
        "payments": "Payments, subscriptions and invoices",
        "work": "Chat, documents, tasks and support tickets of teams",
        "ai": "Models by API",
        "other": "Everything else",
    }
)
"""Category → what belongs to it."""
