"""What a request signature of your own is made from: a `Signer`, and `register`, which adds it under a name."""

from __future__ import annotations

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned
from cloud_integrations.protocol.signing import Signer, register

__all__ = ["Secret", "Signed", "Signer", "Unsigned", "register"]
