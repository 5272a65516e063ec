"""`import`: credentials that an application already holds, from JSON Lines or from a query."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from uuid import UUID

import typer
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from cloud_integrations import ImportedGrant, ImportedKey, IntegrationManager, Secret
from cloud_integrations.backends.sqlalchemy import reason_of
from cloud_integrations.errors import CloudIntegrationsError, ConfigurationError, SetupError, StorageUnavailableError, ValidationFailedError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.engines import blocking_url, naming_database, open_engine
from cloud_integrations_cli.exits import VALIDATION, CommandLineError
from cloud_integrations_cli.prompts import read_secret
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration

_ORDINARY_NAME = re.compile(r"[A-Za-z_]{1,32}")
_SECRETS = ("access_token", "refresh_token", "dpop_key", "api_key", "secret_key", "inputs")


class _Line(BaseModel):
    """One credential, from a line of the file or a row of the query; its names are in camelCase or snake_case."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, hide_input_in_errors=True
    )

    tenant_id: str
    provider: str
    name: str | None = None
    slot: str | None = None
    access_token: Secret | None = None
    refresh_token: Secret | None = None
    dpop_key: Secret | None = None
    expires_at: AwareDatetime | None = None
    scopes: tuple[str, ...] = ()
    granted_at: AwareDatetime | None = None
    api_key: Secret | None = None
    secret_key: Secret | None = None
    inputs: dict[str, Secret] | None = None
    method: str | None = None
    ends_at: AwareDatetime | None = None
    variables: Annotated[dict[str, str], Field(default_factory=dict)]

    @field_validator("inputs", mode="before")
    @classmethod
    def _parsed(cls, value: Any) -> Any:
        # A column holds the inputs as JSON text.
        if not isinstance(value, str) or not value:
            return value
        with suppress(ValueError):
            return json.loads(value)
        raise PydanticCustomError("inputs", "Must be a JSON object")

    @field_validator("scopes", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        # RFC 6749 §3.3: scopes are separated by spaces.
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("expires_at", "granted_at", "ends_at", mode="before")
    @classmethod
    def _in_utc(cls, value: Any) -> Any:
        # A time without a zone counts as UTC; SQLite gives times as text.
        if isinstance(value, str):
            with suppress(ValueError):
                value = datetime.fromisoformat(value)
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value

    @field_validator("tenant_id", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        # A database may use numbers or UUIDs as ids.
        return str(value) if isinstance(value, int | UUID) and not isinstance(value, bool) else value

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_nothing(cls, value: Any) -> Any:
        return None if value == "" else value

    def credential(self) -> ImportedGrant | ImportedKey:
        """Return the credential as the library takes it; its name is by default that of its provider.

        Raises `ValidationFailedError` where its parts do not belong together.
        """
        name = self.name or self.provider
        if self.api_key is not None or self.inputs is not None:
            if any(part is not None for part in (self.access_token, self.refresh_token, self.dpop_key)):
                field = "apiKey" if self.inputs is None else "inputs"
                raise ValidationFailedError(field=field, problem="and OAuth2 tokens exclude each other")
            return ImportedKey(
                provider=self.provider,
                slot=self.slot or "",
                name=name,
                api_key=self.api_key,
                secret_key=self.secret_key,
                inputs=self.inputs,
                method=self.method,
                ends_at=self.ends_at,
                variables=self.variables,
            )
        if self.method is not None:
            raise ValidationFailedError(field="method", problem="is only for apiKey or inputs")
        if self.ends_at is not None:
            raise ValidationFailedError(field="endsAt", problem="is only for apiKey or inputs")
        if self.secret_key is not None:
            raise ValidationFailedError(field="secretKey", problem="needs an apiKey")
        if self.access_token is None:
            raise ValidationFailedError(field="accessToken", problem="or apiKey or inputs is required")
        return ImportedGrant(
            provider=self.provider,
            slot=self.slot or "",
            name=name,
            access_token=self.access_token,
            refresh_token=self.refresh_token,
            dpop_key=self.dpop_key,
            expires_at=self.expires_at,
            scopes=self.scopes,
            granted_at=self.granted_at,
            variables=self.variables,
        )


class _UnreadableError(Exception):
    """A line is not a credential; the text says why and repeats no value."""


Row = Mapping[str, Any]
Decrypt = Callable[[str, Any], Any]


def run(
    screen: Screen,
    configuration: Configuration,
    /,
    *,
    file: Path | None,
    query: str | None,
    database_url_file: Path | None,
    fernet_key_file: Path | None,
    verify: bool,
    dry_run: bool,
) -> None:
    """Import every credential of *file*, or of *query*; one that fails is reported, and the others are still imported."""
    if (file is None) == (query is None):
        raise CommandLineError("give a file of JSON Lines, or --query")
    decrypt = _decrypter(fernet_key_file)
    counts: Counter[str] = Counter()
    problems: list[tuple[int, str]] = []
    with wiring.open_manager(configuration) as manager:
        manager.report()
        rows = _lines(file) if file is not None else _rows(configuration, query or "", database_url_file)
        try:
            for number, row in rows:
                outcome, problem = _take(manager, row, decrypt, verify=verify, dry_run=dry_run)
                counts[outcome] += 1
                if problem:
                    problems.append((number, problem))
        except BaseException:
            # Whatever ends the import here, report what is imported already.
            if counts:
                _tell(screen, counts, problems, dry_run=dry_run)
            raise
    _tell(screen, counts, problems, dry_run=dry_run)
    if counts["failed"]:
        raise typer.Exit(VALIDATION)


def _take(manager: IntegrationManager, row: Row | _UnreadableError, decrypt: Decrypt, *, verify: bool, dry_run: bool) -> tuple[str, str]:
    """Return the outcome of one row (`imported`, `exists` or `failed`), and why it failed."""
    try:
        if isinstance(row, _UnreadableError):
            raise row
        line = _read(row, decrypt)
        manager.import_credential(line.tenant_id, line.credential(), verify=verify, dry_run=dry_run)
    except _UnreadableError as error:
        return "failed", str(error)
    except (SetupError, StorageUnavailableError):
        # Every other row would fail in the same way.
        raise
    except CloudIntegrationsError as error:
        if error.code == "integration/already-exists":
            return "exists", ""
        reason = getattr(error, "reason", None)
        return "failed", f"{error.message} ({reason.replace('_', ' ')})" if isinstance(reason, str) else error.message
    return "imported", ""


def _read(row: Row, decrypt: Decrypt) -> _Line:
    try:
        return _Line.model_validate({name: decrypt(name, value) for name, value in row.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        # A name that is no plain word may be a secret in the wrong place.
        place = ".".join(str(step) for step in first["loc"] if isinstance(step, int) or _ORDINARY_NAME.fullmatch(step))
        if not place:
            raise _UnreadableError("a field has a name that is not known") from None
        raise _UnreadableError(f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


def _lines(file: Path) -> Generator[tuple[int, Row | _UnreadableError]]:
    try:
        with _opened(file) as opened:
            for number, line in enumerate(opened, start=1):
                if line.strip():
                    yield number, _parse(line)
    except OSError as error:
        raise CommandLineError(f"the file cannot be read: {error.strerror}") from None


def _opened(file: Path) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb")


def _parse(line: bytes) -> Row | _UnreadableError:
    try:
        document = json.loads(line.decode())
    except UnicodeDecodeError:
        return _UnreadableError("is not UTF-8 text")
    except ValueError:
        return _UnreadableError("is not JSON")
    return document if isinstance(document, dict) else _UnreadableError("is not a JSON object")


def _rows(configuration: Configuration, query: str, url_file: Path | None) -> Iterator[tuple[int, Row]]:
    """Read all rows first, so that no query is open while providers are asked."""
    with _engine(configuration, url_file) as engine:
        problem: Exception
        connected = False
        try:
            with engine.connect() as connection:
                connected = True
                return enumerate([dict(row) for row in connection.execute(text(query)).mappings()], start=1)
        except Exception as error:  # noqa: BLE001  # a driver's error may show the login, and its words may repeat a value
            if connected:
                problem = CommandLineError(f"the database refused the query ({type(error).__name__})")
            else:
                problem = StorageUnavailableError(reason=reason_of(error))
        # Raised here, without the error that led to it as its context.
        raise problem


@contextmanager
def _engine(configuration: Configuration, url_file: Path | None) -> Generator[Any]:
    if url_file is None:
        with open_engine(configuration) as own:
            yield own
        return
    url = read_secret("database-url", label="Database URL", file=url_file)
    engine = None
    with suppress(SQLAlchemyError, ImportError, ValueError):
        engine = create_engine(blocking_url(make_url(url.reveal())), hide_parameters=True)
    if engine is None:
        raise ConfigurationError(setting=str(url_file), problem="is not an SQLAlchemy URL with a driver that is installed")
    # SQLite would create the file.
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").is_file():
        raise ConfigurationError(setting=str(url_file), problem="names an SQLite file that is not there")
    try:
        with naming_database(engine.url):
            yield engine
    finally:
        engine.dispose()


def _decrypter(key_file: Path | None) -> Decrypt:
    if key_file is None:
        return lambda _, value: value
    lines = read_secret("fernet-key", label="Fernet key", file=key_file).reveal().split()
    try:
        fernet = MultiFernet([Fernet(line) for line in lines])
    except ValueError:
        raise ConfigurationError(setting=str(key_file), problem="does not hold Fernet keys, one a line") from None

    def decrypt(name: str, value: Any) -> Any:
        if value == "" or (name not in _SECRETS and name not in map(to_camel, _SECRETS)):
            return value
        if isinstance(value, dict):
            return {inner: decrypt(name, each) for inner, each in value.items()}
        try:
            return fernet.decrypt(value if isinstance(value, bytes) else str(value).encode()).decode()
        except (InvalidToken, UnicodeError):
            raise _UnreadableError(f"{name}: does not open under the Fernet keys") from None

    return decrypt


def _tell(screen: Screen, counts: Counter[str], problems: Sequence[tuple[int, str]], *, dry_run: bool) -> None:
    if screen.as_json:
        lines = [{"line": number, "problem": problem} for number, problem in problems]
        summary = {name: counts[name] for name in ("imported", "exists", "failed")}
        screen.json({"data": {"dryRun": dry_run, **summary, "problems": lines}})
        return
    for number, problem in problems:
        screen.finding("✗", f"{number}: {problem}")
    verb = "would be imported" if dry_run else "imported"
    screen.note(f"{counts['imported']} {verb}, {counts['exists']} there already, {counts['failed']} failed")
