"""Settings from the environment (`CLOUD_INTEGRATIONS_…`) and a TOML file; the environment wins."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from cloud_integrations import OAuthApplication, Secret, Settings
from cloud_integrations.errors import ConfigurationError

from .settings_parts import (
    Application,
    CheckpointSettings,
    IssuerSettings,
    Limits,
    Pkcs11,
    PlatformPart,
    RateLimits,
    ServeToken,
    Vault,
)

PREFIX = "CLOUD_INTEGRATIONS_"
FILE_NAME = "cloud-integrations.toml"
API_PREFIX = "/api/v1"
_TOML_PLACE = re.compile(r"line \d+, column \d+")
_RELATIVE_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?!/|:memory:)")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Configuration(BaseSettings):
    """Everything an operator may set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    database_url: Secret | None = None
    row_security: bool = False
    """Whether the tables have the policies of `db sql --row-security add`."""
    keyring_file: Path | None = None
    keys: Annotated[tuple[Secret, ...], NoDecode] = ()
    key_services: Annotated[tuple[str, ...], NoDecode] = ("local:",)
    """URIs of wrapping keys; the first wraps, all unwrap.  `local:` stands for the keys above."""
    tenant_keys: dict[str, str] = {}
    """The URI of the wrapping key that a tenant brought, by tenant."""
    vault: Vault | None = None
    pkcs11: Pkcs11 | None = None
    platform: dict[str, PlatformPart] = {}
    """The operator's own credentials, by the slug of the provider."""
    issuer: IssuerSettings | None = None
    """The issuer that tenants' clouds trust, so that no secret of a tenant is stored."""
    checkpoints: CheckpointSettings | None = None
    """The keys that sign checkpoints of the audit log."""
    proxy: Secret | None = None
    """The proxy through which providers are reached: `http://user:password@host:port`.  `HTTPS_PROXY` and the like are not read."""
    ca_file: Path | None = None
    """Certificates in PEM that are trusted beside the usual ones.  `SSL_CERT_FILE` and the like are not read."""
    public_url: str | None = None
    callback_url: str | None = None
    provider_files: tuple[Path, ...] = ()
    inactive_providers: tuple[str, ...] = ()
    applications: tuple[Application, ...] = ()
    require_state: bool = False
    pin_accounts: bool = False
    slots: bool = False
    events: bool = True
    """Whether events are written for webhooks; `worker` and `serve` deliver them."""
    four_eyes: bool = False
    """Whether another person must have approved an incident before its access is ended."""
    record_uses: bool = True
    log_format: Literal["text", "json"] = "text"
    """How `serve` and `worker` write log lines; `--log-format` wins."""
    telemetry: Literal["otel"] | None = None
    """`otel`: spans and metrics go to OpenTelemetry's API, whose SDK is set up outside of this program."""
    product: str | None = None
    """The name of the product in the logs of tenants' clouds."""
    policies: dict[str, dict[str, Any]] = {}
    """The permissions that setup guides ask tenants for, by the slug of the provider."""
    template_urls: dict[str, str] = {}
    """Where the template of a guide is published, by the slug of the provider."""
    private_servers: tuple[str, ...] = ()
    """Origins of tenants' own servers that may have a private address."""
    limits: Limits = Limits()
    rate_limits: RateLimits = RateLimits()
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses or networks of proxies whose `X-Forwarded-For` names the client."""
    session_hours: Annotated[float, Field(gt=0, le=168)] = 8
    tokens: tuple[ServeToken, ...] = ()

    file: Path | None = Field(default=None, exclude=True)
    """Where the settings were read; not a setting."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before the file, whose content comes as arguments."""
        return env_settings, init_settings

    @field_validator("keys", "key_services", mode="before")
    @classmethod
    def _split_words(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("platform")
    @classmethod
    def _botocore_is_for_aws(cls, value: dict[str, PlatformPart]) -> dict[str, PlatformPart]:
        if wrong := sorted(slug for slug, part in value.items() if part.source is not None and slug != "aws"):
            raise ValueError(f"source of {', '.join(wrong)} may not be botocore, which knows credentials of AWS alone")
        return value

    @field_validator("proxy")
    @classmethod
    def _is_a_proxy(cls, value: Secret | None) -> Secret | None:
        if value is not None and not _is_a_proxy_url(value.reveal()):
            raise ValueError("must be an address such as http://proxy.example:3128")
        return value

    @field_validator("public_url", "callback_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        problem = "must be an http or https address without query"
        try:
            url = urlsplit(value)
            is_address = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
        except ValueError:
            raise ValueError(problem) from None  # the text of the first error would repeat the value
        if not is_address or url.query or url.fragment or url.username:
            raise ValueError(problem)
        if url.scheme == "http" and url.hostname not in _LOOPBACK:
            raise ValueError("must be an https address (plain http is for this computer alone)")
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(ip_network(text)) for text in value)
        except ValueError:
            raise ValueError("must be addresses or networks, such as 10.0.0.0/8") from None  # the first error repeats the value

    @property
    def folder(self) -> Path:
        """What relative paths are relative to: the folder of the settings file, else the working folder."""
        return Path.cwd() if self.file is None else self.file.absolute().parent

    @property
    def base_url(self) -> str:
        """Where browsers reach `serve`."""
        return self.public_url or self.bound_url

    @property
    def bound_url(self) -> str:
        """Where `serve` listens."""
        return f"http://{_in_url(self.host)}:{self.port}"

    @property
    def callback(self) -> str:
        """Where providers send browsers back, without the context id."""
        return self.callback_url or f"{self.base_url}{API_PREFIX}/oauth/callback"

    def find_database_url(self) -> str:
        """Return the SQLAlchemy URL; a relative SQLite file is beside the settings.  Raises `ConfigurationError`."""
        if self.database_url is None or not self.database_url:
            raise ConfigurationError(setting="database_url", problem="is missing; `cloud-integrations init` writes settings to start from")
        text = self.database_url.reveal()
        relative = _RELATIVE_SQLITE.match(text)
        return text if relative is None else f"{relative[0]}{self.folder / text.removeprefix(relative[0])}"

    def library_settings(self, *, callback_url: str | None = None) -> Settings:
        """Return what the library itself wants to know."""
        callback = callback_url or self.callback
        chosen: dict[str, Any] = {name: timedelta(seconds=value) for name, value in self.limits if value is not None}
        chosen |= {name: value for name, value in self.rate_limits if value is not None}
        if not self.record_uses:
            chosen["use_window"] = None
        if self.product is not None:
            chosen["product"] = self.product
        return Settings(
            callback_url=callback,
            require_state=self.require_state,
            pin_accounts=self.pin_accounts,
            slots=self.slots,
            events=self.events,
            four_eyes=self.four_eyes,
            loopback=is_loopback(callback),
            policies=self.policies,
            template_urls=self.template_urls,
            private_servers=self.private_servers,
            **chosen,
        )

    def oauth_applications(self) -> tuple[OAuthApplication, ...]:
        """Return the operator's OAuth applications, their secrets read.  Raises `ConfigurationError`."""
        return tuple(
            OAuthApplication(
                client_secret=application.client_secret or self._read_client_secrets(application),
                **application.model_dump(exclude={"client_secret", "client_secret_file"}),
            )
            for application in self.applications
        )

    def _read_client_secrets(self, application: Application) -> tuple[Secret, ...]:
        try:
            return tuple(Secret((self.folder / path).read_text(encoding="utf-8").strip()) for path in application.client_secret_file)
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(setting=f"client_secret_file of {application.provider}", problem="cannot be read") from None


class BuiltConfiguration(Configuration):
    """Settings that this program makes for itself: the environment has no say."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the arguments alone."""
        return (init_settings,)


def load(path: Path | None = None, /) -> Configuration:
    """Read the settings: the file given, named by `CLOUD_INTEGRATIONS_CONFIG`, of the working folder, or of the user; then the environment.

    Raises `ConfigurationError` naming the setting, never a value.
    """
    file = find_file(path)
    content = {} if file is None else _read(file)
    with _speaking_our_errors(file):
        return Configuration(**content, file=file)


def find_file(path: Path | None, /) -> Path | None:
    """Return the settings file that is used, or None.  One that is named must be there."""
    named = path or (Path(text) if (text := os.environ.get(f"{PREFIX}CONFIG")) else None)
    if named is not None:
        return named
    if (here := Path(FILE_NAME)).is_file():
        return here
    from platformdirs import user_config_path  # noqa: PLC0415  # only who has no file here pays for it

    own = user_config_path("cloud-integrations", appauthor=False) / FILE_NAME
    return own if own.is_file() else None


def unknown_variables() -> list[str]:
    """Return the environment variables that look like settings and are none."""
    known = {*(name.upper() for name in Configuration.model_fields if name != "file"), "CONFIG"}
    given = [name for name in os.environ if name.startswith(PREFIX)]
    return sorted(name for name in given if name.removeprefix(PREFIX).split("__")[0] not in known)


def is_loopback(url: str, /) -> bool:
    """Whether this is plain http to this computer."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def _is_a_proxy_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0 and not url.path.strip("/")
    except ValueError:
        return False


def _in_url(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104  # what listens everywhere is reached at the loopback address
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _read(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(setting=str(file), problem=f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(setting=str(file), problem="is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        raise ConfigurationError(setting=str(file), problem="is not TOML" + (f" (at {place[0]})" if place else "")) from None
    if "file" in content:
        raise ConfigurationError(setting=f"{file}: file", problem="is not a setting")
    return content


@contextmanager
def _speaking_our_errors(file: Path | None) -> Generator[None]:
    try:
        yield
    except ValidationError as error:
        # The first problem is enough to act on; pydantic's whole text would repeat the values.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        where = f"{file}: {place}" if file is not None else place
        problem = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(setting=where, problem=f"is wrong: {problem[:1].lower()}{problem[1:]}") from None
    except SettingsError as error:
        name = re.search(r'field "(\w+)"', str(error))
        setting = f"{PREFIX}{name[1].upper()}" if name else "the environment"
        raise ConfigurationError(setting=setting, problem="is not JSON") from None
