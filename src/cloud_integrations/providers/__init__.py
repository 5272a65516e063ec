"""The built-in provider files, one per provider, and the catalogue that reads them."""

from __future__ import annotations

from cloud_integrations.providers.catalogue import Catalogue

__all__ = ["Catalogue"]
