"""The same router over the blocking manager, for an application whose code blocks: each call runs in a thread.

`python examples/fastapi_blocking.py` plays a user against it, in memory; `uvicorn --app-dir examples fastapi_blocking:app` serves it.
"""

from __future__ import annotations

import asyncio
import secrets

import httpx
from fastapi import FastAPI, Request

from cloud_integrations import Actor, AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, MemoryStore
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport
from cloud_integrations_fastapi import Permission, create_router

SERVICE_KEY = f"fake-{secrets.token_hex(16)}"

# A real application has a `SqlAlchemyStore` over its own engine, an `HttpxTransport`, keys that stay, and `Catalogue.builtin()`.
provider = SimulatedProvider()
manager = IntegrationManager(
    store=MemoryStore(provider.clock),
    transport=SimulatedTransport(provider),
    keys=LocalKeyring([LocalKeyring.generate_key("example")]),
    cipher=AesGcmCipher(),
    providers=Catalogue.of(*provider.catalogue_entries()),
    clock=provider.clock,
)


def authorize(request: Request, permission: Permission, _tenant_id: str | None) -> Actor | None:
    """Let one other service of ours act for every tenant, but not take credentials away; this may block, so it runs in a thread."""
    given = request.headers.get("authorization", "").encode()
    known = secrets.compare_digest(given, f"Bearer {SERVICE_KEY}".encode())
    return Actor(type="service", id="console") if known and permission is not Permission.REVEAL else None


app = FastAPI()
app.include_router(create_router(manager, authorize=authorize, prefix="/internal/v1"))


@app.post("/jobs/{tenant_id}")
def run_job(tenant_id: str) -> dict[str, bool]:
    """Use the tenant's key in an endpoint that blocks."""
    token = manager.acting_as(Actor(type="service", id="jobs")).credential(tenant_id, "simulated_keys")
    return {"works": provider.is_alive(token.value)}


async def main() -> None:
    """Play the other service: connect a tenant by its API key, and use it."""
    headers = {"Authorization": f"Bearer {SERVICE_KEY}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com", headers=headers) as client:
        providers = (await client.get("/internal/v1/providers")).json()["data"]
        chosen = next(offer for offer in providers if "apikey" in offer["authTypes"])
        body = {"providerId": chosen["id"], "name": "Production", "credentials": {"apiKey": "fake-key-with-a-typo"}}
        refused = await client.post("/internal/v1/tenants/acme/integrations", json=body)
        print("a wrong key:", refused.status_code, refused.json()["error"]["code"])
        body["credentials"] = {"apiKey": provider.valid_api_key.reveal()}
        created = await client.post("/internal/v1/tenants/acme/integrations", json=body)
        print("the right one:", created.status_code, created.json()["data"]["status"])
        print("job:", (await client.post("/jobs/acme")).json())
        deleted = await client.delete(f"/internal/v1/tenants/acme/integrations/{created.json()['data']['id']}")
        print("deleted:", deleted.json())


if __name__ == "__main__":
    with manager:
        asyncio.run(main())
