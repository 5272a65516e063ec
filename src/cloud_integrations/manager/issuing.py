"""Our own issuer: what it publishes, and whether providers can read it."""

from __future__ import annotations

from typing import Any

from cloud_integrations import flows
from cloud_integrations.domain.issuing import IssuerReport
from cloud_integrations.runtime.sync import run_inline

from .parts import AsyncPart, Part


class Issuing(Part):
    """Our own issuer: `manager.issuer`.  Nothing here needs the database or shows anything of a tenant."""

    @property
    def url(self) -> str | None:
        """The address of the issuer; None if the manager has none."""
        return None if self._wiring.issuer is None else self._wiring.issuer.url

    def configuration(self) -> dict[str, Any]:
        """Return the discovery document, which belongs at `/.well-known/openid-configuration` below the issuer's URL.

        `issuer` is the issuer's URL.  Raises `ConfigurationError` if the manager has no issuer.
        """
        return run_inline(flows.issuer_configuration(self._wiring))

    def key_set(self) -> dict[str, Any]:
        """Return the public keys as a JWK Set (RFC 7517 §5), which belongs at `/.well-known/jwks.json`; the first one signs.

        Raises `ConfigurationError` if the manager has no issuer, `KeyringError` if a key may not be used, and
        `KeyServiceUnavailableError` if the service that keeps them does not answer.
        """
        return run_inline(flows.issuer_key_set(self._wiring))

    def check(self) -> IssuerReport:
        """Read both documents at the issuer's URL, as a provider does, and return what is wrong with them.

        Requests are sent from here: an address that only an inner network reaches is reported as unreachable where it has a private
        address, and not where a firewall lets only this machine pass.  Raises as `key_set` does.
        """
        return run_inline(flows.check_issuer(self._wiring))


class AsyncIssuing(AsyncPart):
    """Our own issuer: `manager.issuer`.  Nothing here needs the database or shows anything of a tenant."""

    @property
    def url(self) -> str | None:
        """The address of the issuer; None if the manager has none."""
        return None if self._wiring.issuer is None else self._wiring.issuer.url

    async def configuration(self) -> dict[str, Any]:
        """Return the discovery document, which belongs at `/.well-known/openid-configuration` below the issuer's URL.

        `issuer` is the issuer's URL.  Raises `ConfigurationError` if the manager has no issuer.
        """
        return await flows.issuer_configuration(self._wiring)

    async def key_set(self) -> dict[str, Any]:
        """Return the public keys as a JWK Set (RFC 7517 §5), which belongs at `/.well-known/jwks.json`; the first one signs.

        Raises `ConfigurationError` if the manager has no issuer, `KeyringError` if a key may not be used, and
        `KeyServiceUnavailableError` if the service that keeps them does not answer.
        """
        return await flows.issuer_key_set(self._wiring)

    async def check(self) -> IssuerReport:
        """Read both documents at the issuer's URL, as a provider does, and return what is wrong with them.

        Requests are sent from here: an address that only an inner network reaches is reported as unreachable where it has a private
        address, and not where a firewall lets only this machine pass.  Raises as `key_set` does.
        """
        return await flows.check_issuer(self._wiring)
