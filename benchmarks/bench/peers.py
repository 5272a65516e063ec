"""What an application without this library would write: a table of accounts, a table of events, AES-GCM."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import DateTime, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Its tables."""


class Account(Base):
    """A tenant's account with a provider."""

    __tablename__ = "bench_account"
    __table_args__ = (UniqueConstraint("tenant_id", "provider_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[str] = mapped_column(String(255))
    provider_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(String(50))
    status: Mapped[str] = mapped_column(String(16), default="active")
    auth_type: Mapped[str] = mapped_column(String(16), default="oauth2")
    scopes: Mapped[str] = mapped_column(Text, default="read write")
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))
    access_token: Mapped[bytes | None] = mapped_column(LargeBinary)
    refresh_token: Mapped[bytes | None] = mapped_column(LargeBinary)


class Event(Base):
    """Something that happened to an account."""

    __tablename__ = "bench_event"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[str] = mapped_column(String(255))
    account_id: Mapped[UUID]
    actor: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(64))
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))
    hash: Mapped[bytes | None] = mapped_column(LargeBinary)


class Head(Base):
    """The end of a tenant's chain of events, where an application chains them."""

    __tablename__ = "bench_head"

    tenant_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class Box:
    """AES-256-GCM with a random nonce in front, under one key for everything."""

    def __init__(self) -> None:
        self._cipher = AESGCM(os.urandom(32))

    def seal(self, plaintext: bytes, /) -> bytes:
        """Seal."""
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, plaintext, None)

    def open(self, sealed: bytes, /) -> bytes:
        """Open."""
        return self._cipher.decrypt(sealed[:12], sealed[12:], None)
