"""The parameters of paths and queries, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query

from cloud_integrations import CATEGORIES

from .bodies import VISIBLE, Time
from .slots import SLOT

TenantPath = Annotated[
    str,
    Path(
        alias="tenantId",
        min_length=1,
        max_length=255,
        description="The host's own id of the tenant: visible characters, no spaces.",
        json_schema_extra={"pattern": VISIBLE},
    ),
]
ApplicationPath = Annotated[str, Path(alias="applicationId", json_schema_extra={"format": "uuid"})]
WebhookPath = Annotated[str, Path(alias="webhookId", json_schema_extra={"format": "uuid"})]
IntegrationPath = Annotated[str, Path(alias="integrationId", json_schema_extra={"format": "uuid"})]
EverPath = Annotated[str, Path(alias="integrationId", description="Also the id of a deleted integration; an unknown id has no events.")]
ProviderPath = Annotated[str, Path(description="The provider's slug or UUID.")]
SearchQuery = Annotated[str, Query(max_length=100, description="What a person typed; empty: every provider.")]
CategoryQuery = Annotated[
    str | None, Query(min_length=1, max_length=255, description=f"Only the providers of a category: {', '.join(CATEGORIES)}.")
]
GuidedMethod = Annotated[str | None, Query(max_length=64, description="The id of a method; left out: the first one that has a guide.")]
GuidedTenant = Annotated[
    str | None, Query(alias="tenantId", max_length=255, description="The tenant for whom the guide is: it shows the subject of its tokens.")
]
AuthorizationPath = Annotated[str, Path(alias="authorizationId", json_schema_extra={"format": "uuid"})]
ContextPath = Annotated[str, Path(alias="contextId", json_schema_extra={"format": "uuid"})]
RevokeKey = Annotated[
    bool,
    Query(
        alias="revokeKey",
        description="Also revoke a pasted key at the provider, if its method has `revokesKey`.  The key may serve elsewhere, so the "
        "default is not to.  The answer then has `apiKey`.",
    ),
]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only events with a lower number: the `seq` of the last one seen.")]
Limit = Annotated[int, Query(ge=1, le=200)]
ByActor = Annotated[
    str | None,
    Query(
        alias="actor",
        min_length=1,
        max_length=255,
        description="Only the events of the actor with this id.",
        json_schema_extra={"pattern": VISIBLE},
    ),
]
ByActorType = Annotated[
    str,
    Query(alias="actorType", min_length=1, max_length=32, description="The type of `actor`.", pattern=VISIBLE),
]
OfAction = Annotated[
    str | None, Query(max_length=64, pattern=r"^[\x20-\x7E]+$", description="Only events with this action, such as `credential.used`.")
]
OfProvider = Annotated[UUID | None, Query(alias="providerId", description="Only events that concern this provider.")]
Since = Annotated[Time | None, Query(description="Only events of this time or later.")]
Until = Annotated[Time | None, Query(description="Only events before this time.")]
Granted = Annotated[str, Query(pattern=r"^(never|[0-9]{1,20})$", description="The tenant's earlier consent, or `never`.")]
InSlot = Annotated[str, Query(pattern=SLOT, description="The slot that the tenant's integration is in; empty: the default slot.")]
CallbackRequest = Annotated[str | None, Query(alias="requestId", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="That of the callback.")]
