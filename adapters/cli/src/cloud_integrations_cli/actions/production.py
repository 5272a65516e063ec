"""`doctor --production`: what an installation needs that serves others."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from cloud_integrations import SqlAlchemyStore
from cloud_integrations.backends.sqlalchemy.databases import database_of
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.engines import open_engine
from cloud_integrations_cli.key_services import open_key_service
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration, load
from cloud_integrations_cli.transports import ssl_context

from .doctor import Finding, Result, find_all, show_findings

STRICT = {"address", "clock", "environment", "idle transactions", "keys in use"}
"""The checks whose warnings are problems here."""
_OLDEST_KEY = timedelta(days=365)
_CERTIFICATE_ENDS = timedelta(days=14)
_UNCLAIMED = timedelta(minutes=10)
"""How long something may be due before nobody can be working; a worker looks every half minute."""
_OLDEST_ENTRY = timedelta(days=1)
_OLDEST_CHECKPOINT = timedelta(days=7)
_TAKEN_AT = re.compile(r"^time (\S{32})$", re.MULTILINE)
Encryption = Literal["file", "encrypted", "local", "plain"]
ENCRYPTION: Final[Mapping[Encryption, str]] = {
    "file": "is a file of this machine",
    "encrypted": "is encrypted",
    "local": "leads to this machine",
    "plain": "is not encrypted",
}
NO_ROW_SECURITY: Final = "off: statements keep tenants apart, and the database does not"
_LOCAL = {"", "localhost", "127.0.0.1", "::1"}
_OF_A_DAY = re.compile(r"local:(\d{8})-[0-9a-f]{4}")
"""A key that `keys generate` has named."""


def examine(screen: Screen, config: Path | None, /, *, checkpoint: Path | None) -> None:
    """Run all checks and show their results; ends with the exit code `SETUP` when one found a problem."""
    findings = [_strict(finding) for finding in find_all(config)]
    try:
        configuration = load(config)
    except CloudIntegrationsError:
        pass  # the first check has said so
    else:
        findings += _encryption(configuration)
        findings += _row_security(configuration)
        findings += _public_address(configuration)
        findings += _key_age(configuration)
        findings += _choices(configuration)
        findings += _work(configuration)
        findings += _checkpoints(configuration, checkpoint)
    show_findings(screen, findings)


def _strict(finding: Finding) -> Finding:
    return replace(finding, result=Result.PROBLEM) if finding.result is Result.WARNING and finding.name in STRICT else finding


def _encryption(configuration: Configuration) -> Iterator[Finding]:
    name = "database connection"
    try:
        found = find_encryption(configuration)
    except CloudIntegrationsError:
        return  # the check of the database has said so
    except SQLAlchemyError:
        yield Finding(name=name, message="could not be looked at", result=Result.WARNING)
        return
    if found == "file":
        advice = "Use PostgreSQL or MariaDB for more than one machine."
        yield Finding(name=name, message="SQLite, for the processes of this machine alone", result=Result.WARNING, advice=advice)
    elif found == "plain":
        advice = "Add ?sslmode=verify-full to database_url (PostgreSQL), or ?ssl_ca=FILE&ssl_verify_identity=true (MariaDB)."
        yield Finding(name=name, message=ENCRYPTION[found], result=Result.PROBLEM, advice=advice)
    else:
        yield Finding(name=name, message=ENCRYPTION[found])


def find_encryption(configuration: Configuration, /) -> Encryption:
    """Return how the database is reached.  Raises `CloudIntegrationsError`, or SQLAlchemy's error where the database does not say."""
    with open_engine(configuration) as engine:
        if not database_of(engine).has_server:
            return "file"
        if _is_encrypted(engine):
            return "encrypted"
        return "local" if _host(engine) in _LOCAL or _host(engine).startswith("/") else "plain"


def _host(engine: Engine) -> str:
    host = engine.url.host or engine.url.query.get("host") or ""
    return host if isinstance(host, str) else host[0]


def _is_encrypted(engine: Engine) -> bool:
    question = database_of(engine).encryption
    if question is None:
        return False
    with engine.connect() as connection:
        return bool(connection.exec_driver_sql(question).scalar_one())


def _row_security(configuration: Configuration) -> Iterator[Finding]:
    name = "row security"
    try:
        found = find_row_security(configuration)
    except CloudIntegrationsError:
        return  # the check of the database has said so
    if found is None:
        return
    if found == "on" or not configuration.row_security:
        yield Finding(name=name, message=found)
    else:
        advice = "Connect as a role that does not own the tables."
        yield Finding(name=name, message=found, result=Result.WARNING, advice=advice)


def find_row_security(configuration: Configuration, /) -> str | None:
    """Say whether the database hides the rows of other tenants; None where it cannot.  Raises `CloudIntegrationsError`."""
    with open_engine(configuration) as engine:
        if database_of(engine).row_security is None:
            return None
        store = SqlAlchemyStore(engine, row_security=configuration.row_security)
        return store.report().facts.get("row_security", NO_ROW_SECURITY)


def _public_address(configuration: Configuration) -> Iterator[Finding]:
    url = urlsplit(configuration.base_url)
    if url.scheme != "https" or url.hostname is None:
        return  # the check of the address has said so
    try:
        ends = _certificate_ends(url.hostname, url.port or 443, ssl_context(configuration) or ssl.create_default_context())
    except CloudIntegrationsError:
        return  # the check of the certificates has said so
    except ssl.SSLCertVerificationError as error:
        message = f"{url.netloc} has a certificate that is not trusted: {error.verify_message}"
        yield Finding(
            name="public address", message=message, result=Result.PROBLEM, advice="Browsers and providers do not trust it either."
        )
        return
    except OSError:
        advice = "Look at its certificate from a place that reaches it."
        yield Finding(name="public address", message=f"{url.netloc} cannot be reached from here", result=Result.WARNING, advice=advice)
        return
    left = ends - datetime.now(UTC)
    message = f"the certificate of {url.netloc} ends on {ends:%Y-%m-%d}"
    if left < _CERTIFICATE_ENDS:
        yield Finding(name="public address", message=message, result=Result.PROBLEM, advice="Renew it.")
    else:
        yield Finding(name="public address", message=message)


def _certificate_ends(host: str, port: int, context: ssl.SSLContext) -> datetime:
    with socket.create_connection((host, port), timeout=10) as plain, context.wrap_socket(plain, server_hostname=host) as secure:
        shown = secure.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def _key_age(configuration: Configuration) -> Iterator[Finding]:
    try:
        primary, *_ = open_key_service(configuration).keks()
    except CloudIntegrationsError:
        return  # the check of the keys has said so
    made = made_on(primary.kek_uri)
    if made is None:
        yield Finding(name="key age", message=f"{primary.kek_uri} does not say when it was made")
        return
    message = f"{primary.kek_uri} was made on {made:%Y-%m-%d}"
    if datetime.now(UTC) - made > _OLDEST_KEY:
        advice = "Make a new one and rotate: `cloud-integrations keys generate`, then `cloud-integrations keys rotate`."
        yield Finding(name="key age", message=message, result=Result.WARNING, advice=advice)
    else:
        yield Finding(name="key age", message=message)


def made_on(kek_uri: str, /) -> datetime | None:
    """Return when a wrapping key was made, as its name says; None where it does not."""
    named = _OF_A_DAY.fullmatch(kek_uri)
    if named is None:
        return None
    try:
        return datetime.strptime(named[1], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None  # eight digits that are no day


def _choices(configuration: Configuration) -> Iterator[Finding]:
    if not configuration.record_uses:
        advice = "Set record_uses = true."
        yield Finding(name="record_uses", message="uses of credentials leave no trace", result=Result.PROBLEM, advice=advice)
    if off := [name for name, value in configuration.rate_limits if value == 0]:
        yield Finding(name="rate limits", message=f"{', '.join(off)}: no limit", result=Result.WARNING)
    if everything := reveal_everything(configuration):
        message = f"{', '.join(everything)} may read the credentials of every tenant"
        advice = "Give a token the tenants that its bearer serves."
        yield Finding(name="tokens that reveal", message=message, result=Result.WARNING, advice=advice)


def reveal_everything(configuration: Configuration, /) -> list[str]:
    """Return the actors of tokens that may read the credentials of every tenant."""
    return [entry.actor for entry in configuration.tokens if entry.tenants == "*" and "reveal" in entry.permissions]


def _work(configuration: Configuration) -> Iterator[Finding]:
    """Say whether a worker works.  It writes no sign of life: what is due and unclaimed shows that none is there."""
    try:
        with wiring.open_manager(configuration) as manager:
            report = manager.worker.report()
    except CloudIntegrationsError:
        return  # the check of the start has said so
    now = datetime.now(UTC)
    waiting = [(f"{report.due.count} renewals", report.due.since)] if report.due.since is not None else []
    waiting += [(f"{entries.count} entries of kind {entries.kind}", entries.due_since) for entries in report.outbox]
    late = [f"{what} since {since:%Y-%m-%d %H:%MZ}" for what, since in waiting if now - since > _UNCLAIMED]
    if late:
        advice = "Run `cloud-integrations worker`, and look into its log."
        yield Finding(name="worker", message=f"nobody does what is due: {', '.join(late)}", result=Result.PROBLEM, advice=advice)
    else:
        yield Finding(name="worker", message=f"nothing has been due for longer than {_UNCLAIMED.seconds // 60} minutes")
    for entries in report.outbox:
        if now - entries.since > _OLDEST_ENTRY:
            message = f"the oldest entry of kind {entries.kind} is from {entries.since:%Y-%m-%d}"
            yield Finding(name="outbox", message=message, result=Result.WARNING, advice="Look at why it cannot be delivered.")


def _checkpoints(configuration: Configuration, file: Path | None) -> Iterator[Finding]:
    if configuration.checkpoints is None:
        advice = "Set [checkpoints], and keep what `cloud-integrations audit checkpoint` prints where the database's owner cannot write."
        yield Finding(name="checkpoint", message="none is signed", result=Result.WARNING, advice=advice)
    if file is None:
        return
    try:
        taken = _TAKEN_AT.search(file.read_text(encoding="utf-8"))
        at = None if taken is None else datetime.fromisoformat(taken[1])
    except (OSError, ValueError):
        at = None
    if at is None or at.utcoffset() is None:
        message = f"{file} is no checkpoint"
        yield Finding(
            name="checkpoint age", message=message, result=Result.PROBLEM, advice="`cloud-integrations audit checkpoint` prints one."
        )
    elif datetime.now(UTC) - at > _OLDEST_CHECKPOINT:
        message = f"the newest was taken on {at:%Y-%m-%d}"
        yield Finding(name="checkpoint age", message=message, result=Result.PROBLEM, advice="Take one each day, and keep it elsewhere.")
    else:
        yield Finding(name="checkpoint age", message=f"taken on {at:%Y-%m-%d}; `cloud-integrations audit verify --against` compares")
