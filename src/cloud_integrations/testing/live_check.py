"""Compare a provider file with the provider itself: which of its facts hold for a real key.

The key is used for two checks, once as it is and once broken.  Nothing is stored, and no fact repeats a secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import MemoryStore
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.entered import EnteredInputs
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.outcome import Refused, Rejected
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Input, Method, Provider, Verification
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ProviderUnavailableError, ProviderUnreachableError, ValidationFailedError
from cloud_integrations.flows.shared.entered import ReadInputs, read_entered
from cloud_integrations.flows.shared.minting import FailedMint, mint
from cloud_integrations.flows.shared.verification import check_credential, shown
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.manager.parts import wire
from cloud_integrations.ports.catalogue import Providers
from cloud_integrations.ports.clock import Clock
from cloud_integrations.ports.transport import Transport
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.protocol.verification import CheckResult, find_check
from cloud_integrations.runtime.clock import SystemEntropy, SystemPause
from cloud_integrations.runtime.concurrency import InlineConcurrency
from cloud_integrations.runtime.platform import PlatformCredentials
from cloud_integrations.runtime.single_flight import ThreadSingleFlight
from cloud_integrations.runtime.sync import AwaitableKeyService, awaitable_pause, awaitable_store, awaitable_transport, run_inline

from .live_facts import Answered, LiveFact, judge_accepted, judge_broken

KeyVerdict = Literal["accepted", "refused", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveReport:
    """Which facts of a provider file hold."""

    provider: str
    """The provider's slug."""
    method: str
    """The id of the method whose key was used."""
    key: KeyVerdict
    """Whether the provider accepts the key; `unknown`: no answer that says it."""
    facts: tuple[LiveFact, ...]

    @property
    def not_held(self) -> tuple[LiveFact, ...]:
        """The facts that the provider contradicts."""
        return tuple(fact for fact in self.facts if fact.verdict == "not_held")


def check_live(
    providers: Providers,
    provider: Provider,
    transport: Transport,
    /,
    *,
    inputs: Mapping[str, Secret],
    method: str | None = None,
    variables: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> LiveReport:
    """Send the provider's check with a key, and with the same key broken, and return which facts of *provider* hold.

    *providers* is the catalogue that *provider* is in; *inputs* are values by the names of the method's inputs.
    Raises `ValidationFailedError` for inputs or variables that cannot be those of *provider*, and `ProviderInactiveError` if it takes no
    inputs.
    """
    recorder = _Recorder(transport)
    wiring = _wiring(providers, recorder, clock)
    entered = EnteredInputs(inputs=dict(inputs), method_id=method)
    read = read_entered(wiring, provider, entered, variables=variables or {})
    return _LiveCheck(wiring=wiring, recorder=recorder, read=read).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _LiveCheck:
    wiring: Wiring
    recorder: _Recorder
    read: ReadInputs

    def run(self) -> LiveReport:
        provider, method = self.read.provider, self.read.method
        facts = _judge_forms(method, self.read.parts)
        check = find_check(provider, method, variables=self.read.variables)
        if check is None:
            unseen = LiveFact(field="verifications", verdict="unseen", said="the file has no check that fits this method and its variables")
            return self._report("unknown", [*facts, unseen])
        where = f"verifications.{provider.verifications.index(check)}"
        asked = self._ask(self.read.parts)
        if not isinstance(asked, Answered):
            return self._report(asked[0], [*facts, _failed(method, where, asked[1])])
        facts += judge_accepted(provider, method, check, asked, where=where, variables=self.read.variables, now=self.wiring.clock.now())
        key: KeyVerdict = "accepted" if asked.result.accepted else "refused" if asked.result.outcome == "dead" else "unknown"
        if asked.result.accepted:
            facts.append(self._break(method, check, where))
        facts += _unseen(method)
        return self._report(key, facts)

    def _report(self, key: KeyVerdict, facts: list[LiveFact]) -> LiveReport:
        return LiveReport(provider=self.read.provider.id, method=self.read.method.id, key=key, facts=tuple(facts))

    def _break(self, method: Method, check: Verification, where: str) -> LiveFact:
        """Ask once more with a broken key, which the provider must refuse as the file says."""
        field_ = f"{where}.status_rules"
        broken = break_key(method, self.read.parts)
        if broken is None:
            return LiveFact(field=field_, verdict="unseen", said="this key is a document or too short, so no broken one was made of it")
        try:
            asked = self._ask(broken)
        except ValidationFailedError:
            return LiveFact(field=field_, verdict="unseen", said="no request can be made from a broken key")
        if isinstance(asked, Answered):
            return judge_broken(check, asked, field=field_)
        _, failed = asked
        if not isinstance(failed, FailedMint):
            return LiveFact(field=field_, verdict="unseen", said="no answer came to the broken key")
        if isinstance(failed.failure, Refused):
            return LiveFact(field="mint", verdict="held", said="a broken key is refused where the token is made, as the file says")
        said = f"a broken key is refused where the token is made, and the file does not call that a dead key ({failed.failure.reason})"
        return LiveFact(field="mint", verdict="not_held" if isinstance(failed.failure, Rejected) else "unseen", said=said)

    def _ask(self, parts: Parts) -> Answered | tuple[KeyVerdict, FailedMint | ProviderUnavailableError]:
        """Make the token, where one is made, and send the check."""
        try:
            return run_inline(self._check(parts))
        except ProviderUnavailableError as error:
            return "unknown", error

    async def _check(self, parts: Parts) -> Answered | tuple[KeyVerdict, FailedMint]:
        wiring, provider, method, variables = self.wiring, self.read.provider, self.read.method, self.read.variables
        if method.mint:
            subject = Subject(tenant_id=TenantId("live-check"), provider_id=provider.provider_id)
            made = await mint(wiring, provider, method, parts, variables=variables, subject=subject)
            if isinstance(made, FailedMint):
                return ("refused" if isinstance(made.failure, Refused) else "unknown"), made
            parts = made.parts
        presented: list[Presented] = []

        async def show() -> Presented:
            presented.append(await shown(wiring, provider, method, parts, variables=variables))
            return presented[-1]

        result = await check_credential(wiring, provider, method, presented=await show(), variables=variables, again=show)
        request, response = self.recorder.last()
        public = {name for each in method.inputs for name in each.public_names}
        named = [*self.read.parts.items(), *parts.items(), *presented[-1].parts.items()]
        return Answered(
            request=request,
            response=response,
            result=result or CheckResult(outcome="unknown"),
            presented=presented[-1],
            secrets=tuple(secret for name, secret in named if name not in public),
        )


def break_key(method: Method, parts: Parts, /) -> Parts | None:
    """Return *parts* with one character of the first secret changed, in its middle; None if none of them can be broken so.

    The new character is of the same class, so that the key keeps its form.
    """
    breakable = {given.name for given in method.inputs if given.secret and given.form == "text"}
    for name, secret in parts.items():
        text = secret.reveal()
        place = next((place for place in range(len(text) // 2, len(text)) if text[place].isalnum()), None)
        if name in breakable and len(text) >= _SHORTEST and place is not None:
            return {**parts, name: Secret(text[:place] + _other(text[place]) + text[place + 1 :])}
    return None


_SHORTEST = 4


def _other(char: str) -> str:
    first, second = ("0", "1") if char.isdigit() else ("a", "b") if char.islower() else ("A", "B")
    return second if char == first else first


def _judge_forms(method: Method, parts: Parts) -> list[LiveFact]:
    """Compare the key with the forms of keys in the file."""
    return [_judge_form(method, given, parts[given.name]) for given in method.entered_inputs if given.patterns and given.name in parts]


def _judge_form(method: Method, given: Input, value: Secret) -> LiveFact:
    fits = given.looks_right(value.reveal())
    said = "the value has this form" if fits else "the value does not have this form"
    return LiveFact(field=f"methods.{method.id}.inputs.{given.name}.patterns", verdict="held" if fits else "not_held", said=said)


_CERTIFICATE = "the server's certificate is not accepted: it is for another name, of an unknown authority, or has ended"


def _failed(method: Method, where: str, error: FailedMint | ProviderUnavailableError) -> LiveFact:
    """Say why there is no answer to the check."""
    if isinstance(error, FailedMint):
        verdict: Literal["not_held", "unseen"] = "not_held" if isinstance(error.failure, Refused | Rejected) else "unseen"
        return LiveFact(field=f"methods.{method.id}.mint", verdict=verdict, said=f"no token was made: {_say(error.failure.reason)}")
    if not isinstance(error, ProviderUnreachableError):
        return LiveFact(field=f"{where}.url", verdict="unseen", said=f"no usable answer came: {_say(error.reason)}")
    if error.reason == "certificate_refused":
        return LiveFact(field=f"{where}.url", verdict="not_held", said=_CERTIFICATE)
    said = "nobody can be reached there: the host has no address, does not answer, or may not be asked"
    return LiveFact(field=f"{where}.url", verdict="unseen", said=said)


def _say(reason: str | None) -> str:
    return re.sub(r"[^a-z0-9]+", " ", reason or "unknown")


def _unseen(method: Method) -> list[LiveFact]:
    """List what no check shows."""
    if method.revoke is None:
        return []
    return [LiveFact(field=f"methods.{method.id}.revoke", verdict="unseen", said="a check ends no key; end one to see it")]


class _Recorder:
    """A transport that remembers the last request that was answered."""

    def __init__(self, transport: Transport, /) -> None:
        self._transport = transport
        self._last: tuple[HttpRequest, HttpResponse] | None = None

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        response = self._transport.send(request, deadline=deadline)
        self._last = (request, response)
        return response

    def close(self) -> None:
        """Leave the transport open: it is the caller's."""

    def last(self) -> tuple[HttpRequest, HttpResponse]:
        assert self._last is not None  # noqa: S101  # for the type checker: a check was answered
        return self._last


def _wiring(providers: Providers, transport: Transport, clock: Clock | None) -> Wiring:
    entropy = SystemEntropy()
    key = base64.b64encode(entropy.bytes(32)).decode()
    return wire(
        store=awaitable_store(MemoryStore()),
        transport=awaitable_transport(transport),
        keys=AwaitableKeyService(LocalKeyring([f"live:{key}"]), in_thread=False),
        tenants=None,
        pause=awaitable_pause(SystemPause()),
        single_flight=ThreadSingleFlight(),
        concurrency=InlineConcurrency(),
        cipher=AesGcmCipher(),
        providers=providers,
        applications=(),
        platform=PlatformCredentials({}, in_thread=False),
        settings=None,
        issuer=None,
        signing_keys=None,
        rate_limiter=None,
        checkpoint_keys=None,
        observer=None,
        telemetry=(),
        handlers={},
        clock=clock,
        entropy=entropy,
    )
