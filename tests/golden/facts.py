"""What a provider file says of variables, inputs, scopes, tokens and programs, shown by the functions that read it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.freshness import due_at, lease_and_deadline, reconnect_before, takeover_delay
from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.integration import Integration, RefreshMarks, SealedCredential, StoredIntegration
from cloud_integrations.domain.issuing import subject_of
from cloud_integrations.domain.outcome import Unknown
from cloud_integrations.domain.provider import (
    AccessTokenFacts,
    Input,
    KeyFormat,
    Login,
    Method,
    Programs,
    Proof,
    Provider,
    Scopes,
    Variable,
)
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.settlement import Attempted, settlement
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.kinds import auth_type_of, by_consent
from cloud_integrations.protocol.derivation import find_told, require_agreement
from cloud_integrations.protocol.inputs import normalise
from cloud_integrations.protocol.pasted_keys import require_not_foreign
from cloud_integrations.protocol.scopes import join_scopes, scopes_to_request
from cloud_integrations.protocol.token_answer import read_variable

from .fake_values import NOW, client_of, entered, example, example_around, host_under, put, shorten, variables_of
from .requesting import INTEGRATION, Section, presented_by
from .showing import words

_SECOND, _HOUR, _DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def provider_sections(provider: Provider, /) -> Iterator[Section]:
    """Return what is not of one method: the variables and the sites."""
    for number, each in enumerate(provider.formats, start=1):
        yield f"form {number}: {each.name}", list(_form(provider, each))
    for variable in provider.variables:
        yield f"variable {variable.name}", list(_variable(provider, variable))
    for site, values in provider.sites.items():
        yield f"site {site}", [f"{name} = {value}" for name, value in values.items()]


def _form(provider: Provider, each: KeyFormat) -> Iterator[str]:
    """Say what becomes of such a key, and of its beginning alone, where another provider's is asked for."""
    other = Provider.model_validate(
        {"id": "other", "name": "Other", "methods": [{"id": "key", "kind": "key", "inputs": [{"name": "token"}]}]}
    )
    for prefix in each.prefixes or ("",):
        for text in filter(None, (prefix + example(each.rest), prefix)):
            try:
                require_not_foreign(Secret(text), other, [provider], field="credentials.token")
                yield f"{shorten(text)}: taken"
            except ValidationFailedError as error:
                yield f"{shorten(text)}: {error.problem}"
    if each.checksum is not None:
        yield f"checksum {each.checksum}"


def fact_sections(provider: Provider, method: Method, /) -> Iterator[Section]:
    """Return what the file says of *method* beside its requests and answers."""
    for given in method.inputs:
        yield f"input {given.name}", [*_input(method, given), *_derived(provider, method, given)]
    if by_consent(auth_type_of(method)):
        two = join_scopes(client_of(provider, method), ("fake:read", "fake:write"))
        asked = words(scopes_to_request(client_of(provider, method), ("fake:read",)))
        yield "scopes", [f"two of them: {two!r}", f"asked for fake:read: {asked}", *_scopes(method.scopes)]
        yield "tokens", list(_tokens(method))
    elif method.mint:
        yield "tokens", [_handed_out(method.access_token)]
    yield from _disuse(method)
    if method.installation is not None:
        yield "sign-in", [f"by {method.installation.sign_in}"]
    for name, proof in method.proofs.items():
        if proof.by_platform:
            yield f"proof {name}", [f"for a tenant with a long id: {_longest(proof)}"]
    if narrower := method.variables:
        yield "variables", [f"{name}: for example {shorten(example(pattern))}" for name, pattern in narrower.items()]
    known = variables_of(provider, method)
    for number, each in enumerate(provider.programs, start=1):
        if each.fits(method.id, {**known, **each.when}):
            limits = [f"if {name} is {value}" for name, value in each.when.items()]
            yield f"programs {number}", [*limits, *_programs(provider, method, each)]


def _longest(proof: Proof) -> str:
    try:
        return subject_of(TenantId("t" * 300), longest=proof.longest_sub)
    except ValidationFailedError as error:
        return str(error.problem)


def _variable(provider: Provider, variable: Variable) -> Iterator[str]:
    choices = ", ".join(variable.choices) or shorten(_allowed(variable))
    yield f"for example {choices}"
    least = {each.name: _allowed(each) for each in provider.variables if each.source == "input" and each.required and each.default is None}
    operators = {each.name: _allowed(each) for each in provider.variables if each.source == "application" and each.default is None}
    for what, value in (("left out", None), ("from the tenant", _allowed(variable))):
        given = {name: text for name, text in least.items() if name != variable.name}
        operator = {name: text for name, text in operators.items() if name != variable.name}
        try:
            filled = provider.fill_variables(given if value is None else {**given, variable.name: value}, operator=operator)
            yield f"{what}: {filled.get(variable.name, 'no value')}"
        except ValidationFailedError as error:
            yield f"{what}: {error}"
    if variable.in_host:
        elsewhere = {**variables_of(provider, provider.methods[0]), variable.name: "elsewhere.example.com"}
        if variable.source == "application":
            yield f"another host of the operator's may have a private address: {words(provider.on_private_host(elsewhere))}"
        yield "may be part of a host name"
    if variable.source == "token_reply":
        yield "is read from the token answer"
    for domain in variable.domains:
        said = (f"https://api.{domain}", f"{domain}.example.com", f"https://fake@{domain}", f"https://{domain}:444")
        yield f"answers with {', '.join(said)}: {', '.join(read_variable(variable, text) or 'not used' for text in said)}"


def _allowed(variable: Variable) -> str:
    return variable.default or next(iter(variable.choices), None) or host_under(variable) or example(variable.pattern or "")


def _disuse(method: Method) -> Iterator[Section]:
    if method.idle is not None:
        yield "disuse", [f"checked before: {words(due_at(expires_at=None, now=NOW, chance=0.5, idle=method.idle))} of {words(method.idle)}"]


def _input(method: Method, given: Input) -> Iterator[str]:
    kind = "secret" if given.secret else "no secret"
    yield f"{kind}; {given.form}; {'made by the library' if given.made_by else 'entered'}"
    yield from (f"usual form: {shorten(example(pattern))}" for pattern in given.patterns)
    yield from (f"no secret of it: {name}" for name in given.public)
    if given not in method.entered_inputs:
        return
    usual = {each.name: entered(method, each) for each in method.entered_inputs if each is given or _is_alone(method, given, each.name)}
    if given.form == "text":
        for pasted in ('  "Bearer Fake-Value"  ', ' "Fake-Value" ', "Fake Value"):
            yield f"entered as {pasted!r}: {_normalised(method, {**usual, given.name: pasted}, given)}"
    if given.form == "json":
        yield f"read: {_normalised(method, usual, given)}"
        for path in (*given.must, *given.parts.values()):
            document = put(json.loads(usual[given.name]), path, 7)
            yield f"with another {path}: {_normalised(method, {**usual, given.name: json.dumps(document)}, given)}"
    yield f"left out: {_normalised(method, {name: text for name, text in usual.items() if name != given.name}, given)}"
    for other in method.entered_inputs:
        if given.one_of is not None and other.one_of == given.one_of and other is not given:
            yield f"with {other.name}: {_normalised(method, {**usual, other.name: entered(method, other)}, given)}"


def _derived(provider: Provider, method: Method, given: Input) -> Iterator[str]:
    """Say what keys tell, and which values may be named beside them."""
    for rule in given.derives:
        variable = next(each for each in provider.variables if each.name == rule.variable)
        yield f"a key like {example_around(rule.pattern, '…')} tells {variable.name}{f' at {rule.path}' if rule.path else ''}"
        for text in (*(rule.values or variable.choices or (_allowed(variable),)), "Elsewhere!"):
            inner = text if rule.path is None else b64encode(json.dumps(put({}, rule.path, text)).encode()).decode()
            inputs = {given.name: Secret(example_around(rule.pattern, inner))}
            told = find_told(provider, method, inputs, fields={given.name: given.name})
            yield f"{text}: {', '.join(each.value for each in told.values()) or 'nothing'}"
            for named in dict.fromkeys((*variable.choices, *rule.fits_all)):
                try:
                    require_agreement(provider, told, named={variable.name: named}, operator={}, fields={given.name: given.name})
                    yield f"  {named} is named: taken"
                except ValidationFailedError as error:
                    yield f"  {named} is named: {error.problem}"


def _is_alone(method: Method, given: Input, name: str) -> bool:
    """Whether the input *name* may be entered beside *given*, and is not one of several of which one is entered."""
    other = next(each for each in method.entered_inputs if each.name == name)
    if other.one_of is None:
        return True
    if other.one_of == given.one_of:
        return False
    return other is next(each for each in method.entered_inputs if each.one_of == other.one_of)


def _normalised(method: Method, texts: dict[str, str], given: Input) -> str:
    try:
        parts = normalise(method, {name: Secret(text) for name, text in texts.items()})
    except ValidationFailedError as error:
        return str(error.problem)
    return words({name: parts[name] for name in given.part_names if name in parts})


def _scopes(scopes: Scopes) -> Iterator[str]:
    listed = [scopes.default, scopes.always, scopes.offline, scopes.unlisted, *scopes.includes.values()]
    known = list(dict.fromkeys([scope for group in listed for scope in group] + [*scopes.includes, *scopes.aliases.values()]))
    cases = [("nothing", ()), *((name, (name,)) for name in scopes.includes), *((name, (name,)) for name in scopes.aliases)]
    cases += [] if scopes.everything is None else [(scopes.everything, (scopes.everything,))]
    for what, granted in cases:
        missing = scopes.missing(requested=known, granted=granted)
        yield f"granted {what}: covers {words([scope for scope in known if scope not in missing])}"
    for prefix in scopes.prefixes:
        yield f"granted {prefix}fake: misses {words(scopes.missing(requested=['fake'], granted=[prefix + 'fake']))} of [fake]"
    yield f"granted FAKE: misses {words(scopes.missing(requested=['fake'], granted=['FAKE']))} of [fake]"
    yield f"a reconnect: {scopes.on_reconnect}"
    yield from (f"further list: {name}" for name in scopes.extra_lists)


def _tokens(method: Method) -> Iterator[str]:
    facts, access = method.refresh_token, method.access_token
    stored = _stored()
    lost = settlement(
        Unknown("answer_lost", over=False),
        Attempted(
            before=stored.facts, marks=stored.marks, behaviour=facts, unresolved_before=False, now=NOW, store_now=NOW, chance=0.5,
            refusal_limit=3 * _DAY,
        ),
    )  # fmt: skip
    yield f"an answer to a refresh is lost: {words(lost)}"
    yield f"a worker that takes over waits: {words(takeover_delay(stored, facts, now=NOW, lease=30 * _SECOND))}"
    yield f"lease and deadline: {words(lease_and_deadline(facts, lease=30 * _SECOND, deadline=15 * _SECOND))}"
    yield f"with a lease of an hour: {words(lease_and_deadline(facts, lease=_HOUR, deadline=_HOUR / 2))}"
    yield f"consent now: reconnect before {words(reconnect_before(facts, granted_at=NOW, now=NOW, told=None))}"
    yield f"consent a day ago: reconnect before {words(reconnect_before(facts, granted_at=NOW - _DAY, now=NOW, told=None))}"
    yield f"consent five years ago: reconnect before {words(reconnect_before(facts, granted_at=NOW - 1826 * _DAY, now=NOW, told=None))}"
    yield f"renewed ahead: {words(due_at(expires_at=NOW + _HOUR, now=NOW, chance=0.5, idle=facts.idle))}"
    yield f"renewed ahead of disuse: {words(due_at(expires_at=None, now=NOW, chance=0.5, idle=facts.idle))}"
    yield f"a refresh token is {'always' if facts.issued else 'not always'} issued; a refresh replaces it: {facts.rotates}"
    yield f"a spent one that is sent again ends the grant: {words(facts.replay_kills_family)}"
    yield f"grants of one account: {words(facts.max_live)} {facts.max_live_of}"
    yield _handed_out(access)
    if method.revoke is not None and method.revoke.url is not None:
        yield f"a revocation may end the whole grant: {words(method.revoke.may_end_grant)}"
    yield f"PKCE: {method.pkce}"


def _handed_out(access: AccessTokenFacts) -> str:
    return f"an access token's end is told: {access.expires_in}; handed out with at least {words(access.min_remaining)} left"


def _stored() -> StoredIntegration:
    facts = Integration(
        id=INTEGRATION, tenant_id=TenantId("tenant-1"), provider_id=ProviderId(INTEGRATION), name="fake", auth_type=AuthType.OAUTH2,
        state_since=NOW, created_at=NOW, updated_at=NOW, expires_at=NOW + timedelta(minutes=10), method_id="fake", renewal_rule="refresh",
    )  # fmt: skip
    marks = RefreshMarks(attempts=1, sent_at=NOW, lease_until=NOW + 30 * _SECOND)
    return StoredIntegration(
        facts=facts, credential=SealedCredential(generation=1, key_id=UUID(int=1), presented=b""), marks=marks, read_at=NOW
    )


def _programs(provider: Provider, method: Method, each: Programs) -> Iterator[str]:
    shown = presented_by(provider, method)
    for name, template in each.environment.items():
        try:
            yield f"{name} = {shown.fill_in(template)}"
        except ValidationFailedError as error:
            yield f"{name}: {error}"
    if each.endpoint is not None:
        yield f"endpoint {each.endpoint}{'' if each.audience is None else ' for ' + shown.fill_in(each.audience)}"
    yield from (f"removes {name}" for name in each.removes)
    logins: dict[str, Login | None] = {"git": each.git, "docker": each.docker}
    for tool, login in logins.items():
        if login is not None:
            hosts = " ".join(map(shown.fill_in, login.hosts))
            yield f"{tool} at {hosts}: {shown.fill_in(login.user)} / {shown.fill_in(login.password)}"
    if each.kubernetes is not None:
        yield f"clusters: {'any' if each.kubernetes.server is None else shown.fill_in(each.kubernetes.server)}"
