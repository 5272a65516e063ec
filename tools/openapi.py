"""Write docs/reference/openapi.json: what the router says of itself."""

from __future__ import annotations

import json
from pathlib import Path

from fastapi import FastAPI

from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, MemoryStore, Settings, __version__
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport
from cloud_integrations_fastapi import create_router

TARGET = Path(__file__).parents[1] / "docs/reference/openapi.json"


def main() -> None:
    """Write the file."""
    manager = IntegrationManager(
        store=MemoryStore(),
        transport=SimulatedTransport(SimulatedProvider()),
        keys=LocalKeyring([LocalKeyring.generate_key("none")]),
        cipher=AesGcmCipher(),
        providers=Catalogue.builtin(),
        settings=Settings(events=True),
    )
    app = FastAPI(title="cloud_integrations", version=__version__)
    app.include_router(create_router(manager, authorize=lambda *_: None, token_route=True))
    TARGET.write_text(json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
