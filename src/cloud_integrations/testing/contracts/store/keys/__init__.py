"""What a store promises about data keys: their life, what they seal, lists of them and their end."""

from __future__ import annotations

from .data_keys import DataKeysContract
from .erasure import ErasureContract
from .listing import ListingContract
from .resealing import ResealingContract
from .sealing import SealingContract


class KeysContract(DataKeysContract, SealingContract, ResealingContract, ListingContract, ErasureContract):
    """The life of data keys, what they seal, lists of them and their end."""
