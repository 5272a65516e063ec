"""The tables of freezes and incidents, which belong to the installation and not to one tenant."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, MetaData, PrimaryKeyConstraint, SmallInteger, Table

from .rows import ByteText, Id


def incident_tables(metadata: MetaData, options: dict[str, Any], /) -> tuple[Table, Table, Table]:
    """Return the tables of freezes, of incidents and of their items; *options* are those of every table."""
    freeze = Table(
        "ci_freeze",
        metadata,
        Column("freeze_id", Id, nullable=False),
        # What is frozen; each is NULL where it does not matter.
        Column("tenant_id", ByteText(255)),
        Column("provider_id", Id),
        Column("context_id", Id),
        Column("integration_id", Id),
        Column("actor_type", ByteText(32)),
        Column("actor_id", ByteText(255)),
        # 1: credentials are renewed meanwhile.
        Column("renewals", SmallInteger, nullable=False),
        Column("reason", ByteText(255), nullable=False),
        Column("begun_at", BigInteger, nullable=False),
        Column("beginner_type", ByteText(32), nullable=False),
        Column("beginner_id", ByteText(255), nullable=False),
        Column("lifted_at", BigInteger),
        Column("lifter_type", ByteText(32)),
        Column("lifter_id", ByteText(255)),
        Column("lift_reason", ByteText(255)),
        # A freeze belongs to the installation: it may be of one tenant, or of all.
        PrimaryKeyConstraint("freeze_id", name="ci_freeze_pk"),
        **options,
    )

    incident = Table(
        "ci_incident",
        metadata,
        Column("incident_id", Id, nullable=False),
        # Which uses are meant; each is NULL where it does not matter.
        Column("tenant_id", ByteText(255)),
        Column("provider_id", Id),
        Column("context_id", Id),
        Column("integration_id", Id),
        Column("actor_type", ByteText(32)),
        Column("actor_id", ByteText(255)),
        Column("since", BigInteger),
        Column("until", BigInteger),
        Column("reason", ByteText(255), nullable=False),
        Column("opened_at", BigInteger, nullable=False),
        Column("opener_type", ByteText(32), nullable=False),
        Column("opener_id", ByteText(255), nullable=False),
        PrimaryKeyConstraint("incident_id", name="ci_incident_pk"),
        **options,
    )

    incident_item = Table(
        "ci_incident_item",
        metadata,
        Column("tenant_id", ByteText(255), nullable=False),
        Column("incident_id", Id, nullable=False),
        Column("integration_id", Id, nullable=False),
        Column("records", BigInteger, nullable=False),
        Column("first_at", BigInteger, nullable=False),
        Column("last_at", BigInteger, nullable=False),
        Column("audit_seq", BigInteger, nullable=False),
        Column("state", ByteText(16), nullable=False),
        Column("receipt", ByteText()),
        Column("settled_at", BigInteger),
        PrimaryKeyConstraint("incident_id", "tenant_id", "integration_id", name="ci_incident_item_pk"),
        Index("ci_incident_item_state", "incident_id", "state", "tenant_id", "integration_id"),
        **options,
    )
    return freeze, incident, incident_item
