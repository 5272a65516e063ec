"""Credentials and their checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self
from uuid import UUID

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.check import CheckOutcome, CheckReport, Trust
from cloud_integrations.domain.credential import Credential

from .base import Document
from .integrations import AccountOut


@dataclass(slots=True, kw_only=True)
class CheckOut(Document):
    """The result of a check of a credential at its provider."""

    works: bool
    outcome: CheckOutcome
    verified: bool
    account: AccountOut
    account_changed: bool
    checked_at: datetime
    trust: Trust | None

    @classmethod
    def of(cls, report: CheckReport, /) -> Self:
        """Return the document of a report."""
        return cls._shown(report, account=AccountOut.of(report.account))


@dataclass(slots=True, kw_only=True)
class CredentialOut(Document):
    """A credential without its secrets."""

    integration_id: UUID
    provider_id: UUID
    auth_type: AuthType
    expires_at: datetime | None
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    narrowed: tuple[str, ...]
    warning: str | None

    @classmethod
    def of(cls, token: Credential, /) -> Self:
        """Return the document of a credential."""
        return cls._shown(token)


@dataclass(slots=True, kw_only=True)
class TokenOut(CredentialOut):
    """A credential with its secrets in the open, and the headers and query parameters that carry it."""

    value: str = field(repr=False)
    secret: str | None = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, token: Credential, /) -> Self:
        """Return the document of a credential, with its secrets revealed."""
        return cls._shown(
            token,
            value=token.value.reveal(),
            secret=None if token.secret is None else token.secret.reveal(),
            headers=token.headers() if "headers" in token.forms else {},
            params=token.params() if "params" in token.forms else {},
        )
