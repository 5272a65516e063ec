"""A short-lived credential is minted from what the tenant entered: up to three requests, which can be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cloud_integrations.domain.identifiers import context_id
from cloud_integrations.domain.outcome import Misconfigured, NotProcessed, Rejected, TokenFailure, Unknown
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.platform import tenant_tag
from cloud_integrations.domain.provider.minting import APPLICATION, PLATFORM
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AppMisconfiguredError,
    ConfigurationError,
    KeyringError,
    KeyServiceUnavailableError,
    ProviderUnavailableError,
)
from cloud_integrations.kinds import shown_parts
from cloud_integrations.protocol.client_secrets import MintingClient, accepts_client, refuses_client
from cloud_integrations.protocol.error_text import clean_prose
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.minting import Minted, build_step, find_platform_proofs, find_steps, read_step, sign_step

from .client_secrets import Answer, ask, preferred
from .events import tell_of
from .platform_proofs import sign_proofs
from .sending import send
from .wiring import Wiring

if TYPE_CHECKING:
    from cloud_integrations.domain.events import Subject
    from cloud_integrations.domain.identifiers import TenantId
    from cloud_integrations.domain.platform import PlatformCredential
    from cloud_integrations.domain.provider import Method, Provider
    from cloud_integrations.domain.provider.minting import Step
    from cloud_integrations.protocol.http import HttpRequest

_KEY: Final = "private_key"
_REST: Final = timedelta(seconds=5)
_LONGEST_REST: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedCredential:
    """What a mint gave."""

    parts: Parts = field(repr=False)
    """What requests show; the first is the token."""
    expires_at: datetime | None
    """None: unknown, or never."""
    told: Mapping[str, Sequence[Any]] = field(default_factory=dict, repr=False)
    """What the answers say that was given, by the names of a narrowing."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The variables that the answers give, by name; they are stored with the integration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedMint:
    """Why a mint gave nothing."""

    failure: TokenFailure
    said: str | None = None
    """The provider's own words, without secrets."""


async def mint(
    wiring: Wiring,
    provider: Provider,
    method: Method,
    inputs: Parts,
    /,
    *,
    variables: Mapping[str, str],
    subject: Subject,
    vouches_for: TenantId | None = None,
) -> MintedCredential | FailedMint:
    """Make the requests of the method's mint, one after the other, until one fails.

    *vouches_for*: whom the tokens of our own issuer are for, in a mint that must fail; else it is the tenant of *subject*.
    Raises `ValidationFailedError` naming an input that is missing or cannot sign.
    """
    values: dict[str, Secret | str] = {**variables, **inputs, **_of_issuer(wiring), **_told(wiring, subject)}
    platform = await _platform_parts(wiring, provider, method)
    if isinstance(platform, FailedMint):
        return platform
    if method.uses_application_key:
        values[APPLICATION] = platform[_KEY]
    client = _client(wiring, provider, method)
    secrets = [] if client is None else list(client.application.client_secrets)
    minted = Minted(values={}, expires_at=None)
    told: dict[str, Sequence[Any]] = {}
    given: dict[str, str] = {}
    for step in find_steps(method.mint, values=values):
        sending = _Sending(wiring=wiring, provider=provider, method=method, step=step, values=values, platform=platform)
        answer = await sending.sign_and_ask(client, tenant_id=subject.tenant_id, vouches_for=vouches_for or subject.tenant_id)
        if isinstance(answer, FailedMint):
            return answer
        outcome = answer.result
        if not isinstance(outcome, Minted):
            secrets += [*platform.values(), *(value for value in values.values() if isinstance(value, Secret))]
            said = None if outcome.said is None else clean_prose(outcome.said, request=answer.request, secrets=secrets)
            if answer.is_cut_short:
                # Not every secret was tried, so the application is not known to be refused.
                return FailedMint(failure=NotProcessed("retry"), said=said)
            return FailedMint(failure=replace(outcome, said=None), said=said)
        if outcome.unread:
            tell_of(wiring, "credential.answer_unread", subject, members=",".join(outcome.unread))
        minted = outcome
        values |= outcome.values
        told |= outcome.told
        given |= outcome.variables
    parts = shown_parts(method, inputs, minted.values)
    return MintedCredential(parts=parts, expires_at=minted.expires_at, told=told, variables=given)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sending:
    """One step to send, with what is known when it is sent."""

    wiring: Wiring
    provider: Provider
    method: Method
    step: Step
    values: Mapping[str, Secret | str] = field(repr=False)
    made: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    """The proofs that our own issuer has signed."""
    platform: Parts = field(repr=False)
    """The operator's own credential at the provider, if the method uses it."""

    async def sign_and_ask(
        self, client: MintingClient | None, /, *, tenant_id: TenantId, vouches_for: TenantId
    ) -> Answer[Minted | TokenFailure] | FailedMint:
        """Have our own issuer sign what the step needs, and send it."""
        known = {**self.values, **_of_application(client)}
        try:
            made = await sign_proofs(self.wiring, self.step, values=known, proofs=self.method.proofs, tenant_id=vouches_for)
        except KeyServiceUnavailableError:
            return FailedMint(failure=NotProcessed("signing_unavailable"))
        except (KeyringError, ConfigurationError):
            return FailedMint(failure=Misconfigured("signing_key"))
        try:
            return await replace(self, made=made).ask(client, tenant_id=tenant_id)
        except ConfigurationError as error:
            # What the operator gave cannot sign.
            return FailedMint(failure=Misconfigured("platform_config"), said=str(error))

    async def ask(self, client: MintingClient | None, /, *, tenant_id: TenantId) -> Answer[Minted | TokenFailure]:
        """Send the step; if the operator's application is refused, with the next of its secrets."""
        deadline = self.wiring.settings.deadline
        if client is None or not self.step.sends_client_secret:
            return await self._send(client, self._build(client), deadline)
        client = preferred(self.wiring, client)
        return await ask(
            self.wiring, client, self._build(client), tenant_id=tenant_id, deadline=deadline, build=self._build, send=self._send
        )  # fmt: skip

    def _build(self, client: MintingClient | None) -> HttpRequest:
        values = {**self.values, **_of_application(client)}
        now = self.wiring.clock.now()
        request = build_step(
            self.step,
            values=values,
            proofs=self.method.proofs,
            provider_id=str(self.provider.provider_id),
            loopback=self.provider.loopback,
            private_host=self.provider.on_private_host({name: text for name, text in self.values.items() if isinstance(text, str)}),
            now=now,
            jti=self.wiring.new_id().hex,
            made=self.made,
        )
        return sign_step(self.step, request, platform=self.platform, values=values, now=now, nonce=self.wiring.moments.nonce())

    async def _send(self, _: MintingClient | None, request: HttpRequest, deadline: timedelta) -> Answer[Minted | TokenFailure]:
        sent_at = self.wiring.clock.now()
        response = await send(self.wiring, request, deadline=deadline)
        if not isinstance(response, HttpResponse):
            return Answer(result=response, request=request)
        outcome = read_step(
            self.step,
            response,
            provider=self.provider,
            method_id=self.method.id,
            access_token=self.method.access_token,
            owned=self.method.application == "owner",
            now=sent_at,
            known=self.values.keys(),
        )
        if isinstance(outcome, Minted):
            return Answer(result=outcome, request=request, is_accepted=True)
        refused = refuses_client(outcome, response)
        return Answer(result=outcome, request=request, is_refused=refused, is_accepted=accepts_client(outcome))


def is_by_issuer(wiring: Wiring, provider: Provider, method: Method, inputs: Parts, /, *, variables: Mapping[str, str]) -> bool:
    """Return whether the mint from *inputs* sends a token of our own issuer.

    Raises `ValidationFailedError` if none of the ways to authenticate the client has its value.
    """
    values: dict[str, Secret | str] = {**variables, **inputs, **_of_issuer(wiring), **_of_application(_client(wiring, provider, method))}
    return any(find_platform_proofs(step, values=values, proofs=method.proofs) for step in find_steps(method.mint, values=values))


async def require_platform(wiring: Wiring, provider: Provider, method: Method, /) -> PlatformCredential | None:
    """Return the operator's own credential at *provider*, if *method* uses it; None if not.

    Raises `AppMisconfiguredError` if there is none, so that no tenant sets anything up in vain.
    """
    if not method.uses_platform:
        return None
    credential = await wiring.platform.find(provider.id)
    if credential is None:
        problem = _no_platform_credential(provider.id)
        raise AppMisconfiguredError(provider_id=str(provider.provider_id), reason="platform_config", error_description=problem)
    return credential


async def _platform_parts(wiring: Wiring, provider: Provider, method: Method) -> Parts | FailedMint:
    """Return the operator's own credential at *provider*, as far as *method* uses it."""
    if not method.uses_platform:
        return {}
    credential = await wiring.platform.find(provider.id)
    if credential is None:
        return FailedMint(failure=Misconfigured("platform_config"), said=_no_platform_credential(provider.id))
    if method.uses_application_key and _KEY not in credential.parts:
        return FailedMint(failure=Misconfigured("platform_config"), said=f"the operator's credential at {provider.id} has no {_KEY}")
    return credential.parts


def _no_platform_credential(slug: str) -> str:
    return f"the operator has no credential at {slug}: give the manager platform={{'{slug}': PlatformCredential(…)}}"


def _told(wiring: Wiring, subject: Subject) -> dict[str, Secret | str]:
    """Return what the provider is told for its own log."""
    return {
        "integration_id": str(subject.integration_id),
        "product": wiring.settings.product,
        "tenant_tag": tenant_tag(subject.tenant_id),
    }


def _client(wiring: Wiring, provider: Provider, method: Method) -> MintingClient | None:
    """Return the operator's application, where the method uses it."""
    application = wiring.applications.get(provider.id) if method.application == "platform" else None
    if application is None:
        return None
    # Secrets are remembered for the application as a whole: its steps may go to several hosts.
    known_as = context_id(provider.provider_id, authorize_url="", token_url="", client_id=application.client_id)
    return MintingClient(provider=provider, application=application, context_id=known_as)


def _of_application(client: MintingClient | None) -> dict[str, Secret | str]:
    if client is None:
        return {}
    known: dict[str, Secret | str] = {"client_id": client.application.client_id}
    secret = client.application.client_secret
    return known if secret is None else {**known, "client_secret": secret}


def _of_issuer(wiring: Wiring) -> dict[str, Secret | str]:
    """Return what says that our own issuer can sign."""
    return {} if wiring.issuer is None else {PLATFORM: wiring.issuer.url}


def minting_failed(
    provider_id: str, failed: FailedMint, /
) -> ProviderUnavailableError | AppMisconfiguredError | KeyServiceUnavailableError:
    """Return the error of a mint that failed for a reason that is not the tenant's."""
    match failed.failure:
        case NotProcessed(reason="signing_unavailable" as reason):
            return KeyServiceUnavailableError(reason=reason)
        case Misconfigured(reason):
            return AppMisconfiguredError(provider_id=provider_id, reason=reason, error_description=failed.said)
        case failure:
            return ProviderUnavailableError(
                provider_id=provider_id, reason=failure.reason, retry_after=rest_after(failure), error_description=failed.said
            )


def rest_after(failure: TokenFailure, /) -> timedelta:
    """Return how long to wait before the next attempt: what the provider asks for, from 5 seconds to 5 minutes."""
    asked = failure.retry_after if isinstance(failure, NotProcessed | Rejected | Unknown) else None
    return min(max(asked or _REST, _REST), _LONGEST_REST)
