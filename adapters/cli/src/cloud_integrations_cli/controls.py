"""Controls of standards and laws, and which facts and commands show what this software does for each.

`docs/explanation/compliance.md` says in words what the software does, and what remains the work of its host.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One control: its name in its standard, the facts of the report that concern it, and the commands that show more."""

    name: str
    about: str
    facts: tuple[str, ...]
    commands: tuple[str, ...]


CONTROLS = (
    Control(
        name="SOC 2 CC6.1",
        about="logical access, and keys",
        facts=("sealing", "wrappingKeys", "dataKeys", "rowSecurity", "tokens"),
        commands=("keys status", "keys list"),
    ),
    Control(
        name="SOC 2 CC6.2",
        about="access is registered and ended",
        facts=("integrations",),
        commands=("integrations list --tenant TENANT", "integrations delete ID --tenant TENANT"),
    ),
    Control(
        name="SOC 2 CC6.3",
        about="least privilege, separate duties",
        facts=("fourEyes", "tokens"),
        commands=("sessions list --tenant TENANT", "incident approve ID --reason TEXT"),
    ),
    Control(
        name="SOC 2 CC6.5",
        about="data is destroyed",
        facts=("dataKeys", "retention"),
        commands=("tenants erase --tenant TENANT --receipt FILE", "tenants verify-erasure FILE"),
    ),
    Control(
        name="SOC 2 CC6.6",
        about="threats from outside",
        facts=("limits",),
        commands=("doctor --production",),
    ),
    Control(
        name="SOC 2 CC6.7",
        about="data in transmission",
        facts=("database",),
        commands=("doctor --production",),
    ),
    Control(
        name="SOC 2 CC7.1",
        about="changes of configuration are noticed",
        facts=("installation", "limits"),
        commands=("doctor --production", "providers doctor"),
    ),
    Control(
        name="SOC 2 CC7.2",
        about="monitoring",
        facts=("uses", "events", "work"),
        commands=("audit list --tenant TENANT", "events list"),
    ),
    Control(
        name="SOC 2 CC7.3",
        about="events are evaluated",
        facts=("operatorLog", "tenantLogs"),
        commands=("incident scope --tenant TENANT", "audit verify --operator"),
    ),
    Control(
        name="SOC 2 CC7.4",
        about="response to incidents",
        facts=("fourEyes",),
        commands=("incident freeze --tenant TENANT --reason TEXT", "incident open --tenant TENANT --reason TEXT", "incident revoke ID"),
    ),
    Control(
        name="SOC 2 CC7.5",
        about="recovery from incidents",
        facts=("work",),
        commands=("incident report ID", "incident unfreeze ID --reason TEXT"),
    ),
    Control(
        name="ISO 27001 A.5.17",
        about="authentication information",
        facts=("sealing", "integrations", "tokens"),
        commands=("integrations rotate-key ID --tenant TENANT", "providers doctor"),
    ),
    Control(
        name="ISO 27001 A.8.15",
        about="logging",
        facts=("operatorLog", "tenantLogs", "checkpointKeys", "retention", "uses"),
        commands=(
            "audit verify --operator",
            "audit verify --against FILE",
            "audit export --tenant TENANT --format ocsf",
            "audit checkpoint",
        ),
    ),
    Control(
        name="ISO 27001 A.8.24",
        about="use of cryptography",
        facts=("sealing", "wrappingKeys", "dataKeys", "checkpointKeys", "database"),
        commands=("keys status --tenant TENANT", "keys rotate --data-keys"),
    ),
    Control(
        name="GDPR 17",
        about="right to erasure",
        facts=("dataKeys", "retention"),
        commands=("tenants erase --tenant TENANT --receipt FILE", "audit erase-actor user:NAME --tenant TENANT", "audit prune --days 400"),
    ),
    Control(
        name="GDPR 30",
        about="records of processing",
        facts=("integrations", "operatorLog", "tenantLogs", "retention"),
        commands=("audit export --tenant TENANT", "integrations list --tenant TENANT"),
    ),
    Control(
        name="GDPR 32",
        about="security of processing",
        facts=("sealing", "wrappingKeys", "rowSecurity", "database", "work"),
        commands=("doctor --production --checkpoint FILE", "keys status"),
    ),
    Control(
        name="DORA 9",
        about="protection and prevention",
        facts=("sealing", "wrappingKeys", "database", "fourEyes", "limits"),
        commands=("doctor --production", "keys rotate", "incident freeze --tenant TENANT --reason TEXT"),
    ),
    Control(
        name="DORA 28",
        about="risk from third parties",
        facts=("integrations", "wrappingKeys"),
        commands=("providers list", "providers doctor", "incident scope --provider PROVIDER"),
    ),
)
