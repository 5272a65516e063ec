"""`doctor`: checks of the settings, the keys, the database and the rest of the installation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import typer
from sqlalchemy import Engine, literal_column, select
from sqlalchemy.exc import SQLAlchemyError

from cloud_integrations import AuthType, IntegrationManager, ProviderSummary, SqlAlchemyStore
from cloud_integrations.backends.sqlalchemy.databases import database_of
from cloud_integrations.errors import CloudIntegrationsError, KeyringError, KeyServiceUnavailableError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.engines import open_engine
from cloud_integrations_cli.exits import SETUP, advise, sentence
from cloud_integrations_cli.files import is_open_to_others
from cloud_integrations_cli.key_services import LOCAL, SYSTEM, open_key_service
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import PREFIX, Configuration, find_file, is_loopback, load, unknown_variables
from cloud_integrations_cli.transports import ssl_context

from .db import find_revision
from .issuer import ISSUER_PROBLEMS
from .keys import left_to_do

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


_SIGNS = {Result.OK: "✓", Result.WARNING: "!", Result.PROBLEM: "✗"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found, and what to do about it."""

    name: str
    message: str
    result: Result = Result.OK
    advice: str = ""


def examine(screen: Screen, config: Path | None, /) -> None:
    """Run all checks and show their results; ends with the exit code `SETUP` when one found a problem."""
    show_findings(screen, list(find_all(config)))


def show_findings(screen: Screen, findings: Sequence[Finding], /, **others: object) -> None:
    """Show what was found, and in JSON *others*; ends with the exit code `SETUP` when something is a problem."""
    wrong = any(finding.result is Result.PROBLEM for finding in findings)
    if screen.as_json:
        checks = [
            {"name": each.name, "result": each.result.value, "message": each.message, "advice": each.advice or None} for each in findings
        ]
        screen.json({"data": {"ok": not wrong, "checks": checks, **others}})
    else:
        width = max((len(each.name) for each in findings), default=0)
        for each in findings:
            screen.finding(_SIGNS[each.result], f"{each.name:<{width}}  {each.message}")
            if each.advice:
                screen.finding(" ", f"{'':<{width}}  → {each.advice}")
        screen.note("\nsomething is wrong" if wrong else "\nready")
    if wrong:
        raise typer.Exit(SETUP)


def find_all(config: Path | None, /) -> Iterator[Finding]:
    """Run all checks that hold everywhere."""
    try:
        configuration = load(config)
    except CloudIntegrationsError as error:
        yield _problem("settings", error)
        return
    yield from _settings(configuration, find_file(config))
    yield from _network(configuration)
    yield from _keys(configuration)
    yield from _providers(configuration)
    yield from _database(configuration)
    yield from _serving(configuration)


def _settings(configuration: Configuration, file: Path | None) -> Iterator[Finding]:
    if file is None:
        yield Finding(name="settings", message="no file; the environment alone")
    elif _holds_secrets(configuration) and is_open_to_others(file):
        advice = f"chmod 600 {file}"
        yield Finding(name="settings", message=f"{file} holds secrets and others may read it", result=Result.PROBLEM, advice=advice)
    else:
        yield Finding(name="settings", message=str(file))
    if unknown := unknown_variables():
        advice = "Look for a typing mistake."
        yield Finding(name="environment", message=f"{', '.join(unknown)}: not a setting", result=Result.WARNING, advice=advice)
    if configuration.require_state:
        yield Finding(name="require_state", message="a posted code must bring its state")
    else:
        yield Finding(
            name="require_state",
            message="a posted code is accepted without its state",
            result=Result.WARNING,
            advice="Set require_state = true unless a front end cannot send the state.",
        )


def _holds_secrets(configuration: Configuration) -> bool:
    url = configuration.database_url.reveal() if configuration.database_url and f"{PREFIX}DATABASE_URL" not in os.environ else ""
    with_password = "@" in url and ":" in url.partition("://")[2].partition("@")[0]
    proxy = configuration.proxy.reveal() if configuration.proxy and f"{PREFIX}PROXY" not in os.environ else ""
    keys = bool(configuration.keys) and f"{PREFIX}KEYS" not in os.environ
    return (
        with_password
        or urlsplit(proxy).password is not None
        or keys
        or any(application.client_secret for application in configuration.applications)
    )


def _network(configuration: Configuration) -> Iterator[Finding]:
    if configuration.proxy is not None:
        url = urlsplit(configuration.proxy.reveal())
        yield Finding(name="proxy", message=f"{url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else ""))
    elif names := _set_in_environment(_PROXIES):
        advice = "Set proxy in the settings if providers are reached through it."
        yield Finding(name="proxy", message=f"{names} in the environment: not used", result=Result.WARNING, advice=advice)
    if configuration.ca_file is not None:
        try:
            ssl_context(configuration)
        except CloudIntegrationsError as error:
            yield _problem("certificates", error)
        else:
            yield Finding(name="certificates", message=f"the usual ones, and those of {configuration.ca_file}")
    elif names := _set_in_environment(_CERTIFICATES):
        advice = "Set ca_file in the settings if providers, or the proxy, have certificates of your own."
        yield Finding(name="certificates", message=f"{names} in the environment: not used", result=Result.WARNING, advice=advice)


def _set_in_environment(names: Sequence[str]) -> str:
    return ", ".join(name for name in (*names, *map(str.lower, names)) if os.environ.get(name))


def _keys(configuration: Configuration) -> Iterator[Finding]:
    try:
        primary, *older = (kek.kek_uri for kek in open_key_service(configuration).keks())
    except CloudIntegrationsError as error:
        yield _problem("keys", error, _advice_for_keys(configuration, error))
        return
    rest = f", {len(older)} older" if older else ""
    yield Finding(name="keys", message=f"{primary} is the primary{rest}")


def _advice_for_keys(configuration: Configuration, error: CloudIntegrationsError) -> str:
    if configuration.keyring_file is None:
        missing = error.details.get("setting") == "keyring_file"
        return "`cloud-integrations keys generate --file keyring`, and keyring_file in the settings." if missing else ""
    file = configuration.folder / configuration.keyring_file
    if error.details.get("setting") != str(file):
        return ""
    restore = "Restore the keyring from its backup: what it sealed opens with nothing else."
    if file.exists():
        return "" if is_open_to_others(file) else restore
    return f"{restore} Only where nothing was sealed yet, `cloud-integrations keys generate --file {configuration.keyring_file}`."


def _providers(configuration: Configuration) -> Iterator[Finding]:
    try:
        providers = wiring.catalogue(configuration).list_providers()
    except CloudIntegrationsError as error:
        yield _problem("providers", error)
        return
    yield Finding(name="providers", message=f"{len(providers)} known, {sum(not each.active for each in providers)} switched off")
    for each in providers:
        if each.backend != "standard":
            yield Finding(name=f"provider {each.id}", message=f"the OAuth backend {each.backend} speaks with it")


def _database(configuration: Configuration) -> Iterator[Finding]:
    try:
        revision = find_revision(configuration)
    except CloudIntegrationsError as error:
        yield _problem("database", error)
        return
    if revision is None:
        yield Finding(name="database", message="has no schema", result=Result.PROBLEM, advice="`cloud-integrations db upgrade`")
        return
    yield Finding(name="database", message=f"answers; schema {revision}")
    yield from _pooler(configuration)
    yield from _clock(configuration)
    yield from _idle_transactions(configuration)
    try:
        # Opening the manager checks the version of the schema, and that each key is still the same.
        with wiring.open_manager(configuration) as manager:
            yield Finding(name="keys in use", message="each is there and is the key it was")
            for line in left_to_do(manager.keys.report()):
                message, _, advice = line.partition(": ")
                yield Finding(name="keys in use", message=message, result=Result.WARNING, advice=advice)
            yield from _applications(configuration, manager)
            yield from _issuer(manager)
    except CloudIntegrationsError as error:
        yield _problem("start", error, _advice_at_start(configuration, error))
        return
    yield from _outbox(configuration)


def _advice_at_start(configuration: Configuration, error: CloudIntegrationsError) -> str:
    if isinstance(error, KeyServiceUnavailableError):
        uris = dict.fromkeys([*configuration.key_services, *configuration.tenant_keys.values()])
        asked = ", ".join(uri for uri in uris if uri not in {LOCAL, SYSTEM})
        return f"Does the service of {asked} run, and can it be reached from here?"
    if isinstance(error, KeyringError) and configuration.vault is not None:
        file = configuration.folder / configuration.vault.token_file
        if not file.is_file():
            return f"Put a token for Vault where vault.token_file says: {file}"
    return ""


def _applications(configuration: Configuration, manager: IntegrationManager) -> Iterator[Finding]:
    configured = {application.provider: application.secret_count for application in configuration.applications}
    if not configured:
        yield Finding(
            name="applications",
            message="none, so only API keys can be connected",
            result=Result.WARNING,
            advice="Add [[applications]] to the settings for OAuth2.",
        )
    for summary in manager.list_providers():
        if summary.slug in configured:
            yield from _platform(configuration, summary)
            where = (
                f"register the redirect URI {summary.redirect_uri}" if summary.redirect_uri else "the redirect URI depends on the tenant"
            )
            # The number of secrets, never their text; two are usual only while a secret is rotated.
            secrets = "" if configured[summary.slug] < 2 else f"; {configured[summary.slug]} client secrets"
            yield Finding(name=f"application {summary.slug}", message=where + secrets)


def _platform(configuration: Configuration, summary: ProviderSummary) -> Iterator[Finding]:
    """Say whether an application lacks the operator's own credential, with which its method makes tokens."""
    entry = wiring.find_provider(configuration, summary.slug)
    offered = (entry.method_named(method.id) for method in summary.methods if method.auth_type is AuthType.OAUTH2)
    if any(method is not None and method.uses_platform for method in offered) and entry.id not in configuration.platform:
        yield Finding(
            name=f"platform {entry.id}",
            message=f"platform.{entry.id} is missing, so nobody can be connected",
            result=Result.PROBLEM,
            advice=f"Give your own credential in [platform.{entry.id}].",
        )


def _issuer(manager: IntegrationManager) -> Iterator[Finding]:
    if manager.issuer.url is None:
        return
    try:
        report = manager.issuer.check()
    except CloudIntegrationsError as error:
        yield _problem("issuer", error)
        return
    if not report.problems:
        signs, *others = report.key_ids
        older = f", {len(others)} more published" if others else ""
        yield Finding(name="issuer", message=f"{report.url} is read as it should be; {signs} signs{older}")
    for problem in report.problems:
        message, advice = ISSUER_PROBLEMS[problem]
        result = Result.WARNING if problem in {"loopback", "key_unknown"} else Result.PROBLEM
        yield Finding(name="issuer", message=f"{report.url} {message}", result=result, advice=advice)


def _outbox(configuration: Configuration) -> Iterator[Finding]:
    try:
        with open_engine(configuration) as engine:
            waiting = SqlAlchemyStore(engine, row_security=configuration.row_security).count_entries("revocation")
    except CloudIntegrationsError as error:
        yield _problem("revocations", error)
        return
    if waiting:
        advice = "`cloud-integrations revocations retry`, or run `serve`, which does."
        yield Finding(name="revocations", message=f"{waiting} wait", result=Result.WARNING, advice=advice)
    else:
        yield Finding(name="revocations", message="none waits")


def _pooler(configuration: Configuration) -> Iterator[Finding]:
    try:
        with open_engine(configuration) as engine:
            found = SqlAlchemyStore(engine, row_security=configuration.row_security).report().facts.get("pooler")
    except CloudIntegrationsError as error:
        yield _problem("pooler", error)
        return
    if found is not None:
        advice = "Give the engines of an application connect_args={'prepare_threshold': None}, as the page on several replicas says."
        yield Finding(name="pooler", message=found, result=Result.WARNING, advice=advice)


def _clock(configuration: Configuration) -> Iterator[Finding]:
    try:
        with open_engine(configuration) as engine:
            behind = _difference(engine)
    except SQLAlchemyError:
        yield Finding(name="clock", message="the database's clock could not be read", result=Result.WARNING)
        return
    if behind is None:
        yield Finding(name="clock", message=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}, the database's own as well")
    elif abs(behind) <= timedelta(seconds=2):
        yield Finding(name="clock", message="agrees with the database's")
    else:
        message = f"differs from the database's by {abs(behind).total_seconds():.0f} s"
        yield Finding(name="clock", message=message, result=Result.WARNING, advice="Synchronise the clocks (NTP).")


def _difference(engine: Engine) -> timedelta | None:
    """Return how far our clock is ahead of the database's; None where the database has no clock of its own."""
    database = database_of(engine)
    if not database.has_server:
        return None
    with engine.connect() as connection:
        theirs: int = connection.execute(select(literal_column(database.clock))).scalar_one()
    return datetime.now(UTC) - datetime.fromtimestamp(theirs / 1_000_000, UTC)


def _idle_transactions(configuration: Configuration) -> Iterator[Finding]:
    try:
        with open_engine(configuration) as engine:
            limit = database_of(engine).idle_limit
            if limit is None:
                return  # without a server, a process that stops keeps nobody waiting
            with engine.connect() as connection:
                limited = int(connection.exec_driver_sql(limit.question).scalar_one()) > 0
    except SQLAlchemyError:
        yield Finding(name="idle transactions", message="their limit could not be read", result=Result.WARNING)
        return
    if limited:
        yield Finding(name="idle transactions", message="are ended by the database")
    else:
        message = "are never ended: a process that stops inside one keeps its locks, and others wait for them"
        yield Finding(
            name="idle transactions", message=message, result=Result.WARNING, advice=f"Set {limit.setting} to 60 s in the database."
        )


def _serving(configuration: Configuration) -> Iterator[Finding]:
    if is_loopback(configuration.callback):
        message = f"{configuration.base_url}, for this computer alone"
        yield Finding(name="address", message=message, result=Result.WARNING, advice="Set public_url to an https address for others.")
    else:
        yield Finding(name="address", message=configuration.base_url)
    if configuration.tokens:
        yield Finding(name="tokens", message=f"{len(configuration.tokens)} for `serve`")
    else:
        advice = "`cloud-integrations tokens generate` makes one."
        yield Finding(name="tokens", message="none, so nobody can use `serve`", result=Result.WARNING, advice=advice)


def _problem(name: str, error: CloudIntegrationsError, advice: str = "") -> Finding:
    return Finding(name=name, message=sentence(error), result=Result.PROBLEM, advice=advice or advise(error))
