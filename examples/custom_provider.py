"""Add a provider that is not built in, from a TOML file, and connect to it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, MemoryStore
from cloud_integrations.errors import InvalidCredentialsError
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport

# The simulated provider lives at this address; yours has its own.
ACME_CLOUD = """
id = "acme_cloud"
name = "Acme Cloud"
documentation = "https://docs.acme.example/keys"

[[methods]]
id = "key"
kind = "key"
inputs = [{ name = "token", label = "API key", patterns = ["^fake-key-.+$"] }]

[[verifications]]
url = "https://simulated.example/me"
identity = ["json:id"]
label = ["json:label"]
"""

provider = SimulatedProvider()

with tempfile.TemporaryDirectory() as temporary:
    file = Path(temporary) / "acme_cloud.toml"
    file.write_text(ACME_CLOUD, encoding="utf-8")
    catalogue = Catalogue.load(file)

with IntegrationManager(
    store=MemoryStore(),
    transport=SimulatedTransport(provider),
    keys=LocalKeyring([LocalKeyring.generate_key("example")]),
    cipher=AesGcmCipher(),
    providers=catalogue,
) as opened:
    manager = opened.acting_as("ada")
    acme = next(summary for summary in manager.list_providers() if summary.slug == "acme_cloud")
    print(f"the catalogue   has {len(catalogue)} providers; {acme.name} connects by {', '.join(acme.auth_types)}")

    try:
        manager.add_api_key("acme", "acme_cloud", name="Acme Cloud", api_key=provider.invalid_api_key)
    except InvalidCredentialsError as error:
        print(f"a wrong key     {error} ({error.code})")

    integration = manager.add_api_key("acme", "acme_cloud", name="Acme Cloud", api_key=provider.valid_api_key)
    print(f"a right key     {integration.name} is {integration.status}, account {integration.account.account_id}")
