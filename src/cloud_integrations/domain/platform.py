"""The operator's own credential at a provider, with which the roles of tenants are assumed, or installations used."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cloud_integrations.domain.secret import Secret

LONGEST_TAG: Final = 64
"""The longest value of `tenant_tag`: AWS, Alibaba Cloud and Huawei Cloud allow 2 to 64 characters in a source identity."""
_TAG = re.compile(r"[A-Za-z0-9_=,.@-]{2,64}")
_OTHER = re.compile(r"[^A-Za-z0-9_=,.@-]")
_HASH_LENGTH: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCredential:
    """The operator's own credential at a provider.

    `parts` are secrets by the names that the provider's signature reads: for AWS `access_key_id`, `secret_access_key` and, for a
    temporary key, `session_token`; for a GitHub App `private_key`, in PEM.  `principal` is the name that tenants trust, such as the ARN
    of the operator's role; setups show it.
    """

    parts: Mapping[str, Secret] = field(repr=False)
    principal: str | None = None


PlatformSource = PlatformCredential | Callable[[], PlatformCredential]
"""A credential, or a function that returns the one to use now.  It is called for each mint, so that temporary keys may change."""


def tenant_tag(tenant_id: str, /) -> str:
    """Return *tenant_id* as 2 to 64 characters of `A-Za-z0-9_=,.@-`, for names that a provider writes into its log.

    A shorter or longer id, or one with other characters, is cut to fit and ends in 16 hexadecimal digits of its SHA-256.
    """
    if _TAG.fullmatch(tenant_id):
        return tenant_id
    beginning = _OTHER.sub("-", tenant_id)[: LONGEST_TAG - _HASH_LENGTH - 1]
    return f"{beginning}-{hashlib.sha256(tenant_id.encode()).hexdigest()[:_HASH_LENGTH]}"
