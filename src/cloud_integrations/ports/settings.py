"""The settings of a manager."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from cloud_integrations.domain.arguments import LONGEST_URL, read_count, read_duration, read_flag, read_text, read_texts
from cloud_integrations.domain.freshness import HARD_MARGIN
from cloud_integrations.domain.guides.policies import read_policies, read_template_urls
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.protocol.egress import Reach, find_address, read_origin

_MOST_PER_MINUTE = 1_000_000
_PRODUCT = re.compile(r"[A-Za-z0-9._-]{2,27}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a manager, which the operator chooses.  Lengths of time are `timedelta`, from 0 to 366 days.

    `policies` are the permissions that setup guides ask tenants for: provider slug → a document in the provider's own form, as plain
    JSON values.  There is no default.  `template_urls` are the https addresses at which the operator has published the template of a
    guide: provider slug → URL.

    `callback_url` is the address to which providers send browsers back, without the context id at its end:
    `https://app.example.com/api/v1/oauth/callback`.  `require_state` refuses a posted code without its `state`.  `pin_accounts`
    refuses a reconnect with another account.  `slots` lets a tenant have several integrations with one provider, each in a slot of its own.

    `private_servers` are origins (`https://cluster.corp.example:6443`) of servers that tenants may name although their address is
    private.  Every other server that a tenant names must have a public address.

    `min_ttl` is the life that a handed-out token must still have, if the caller does not say.  `token_cache` is how long a token may
    be handed out without reading the store, and so how long another process may still use an integration that was removed.
    `use_window` is how long one audit event stands for repeated uses of a credential by the same actor; None: uses are not recorded.
    `begin_per_minute`, `verify_per_minute` and `reveal_per_minute` are how often one actor may begin a sign-in, have a credential
    checked, and be shown one through a host's routes, in one tenant; all actors of a tenant together may ten times as often.
    `callback_per_minute` is how often browsers may come back from providers from one address.  0: there is no limit.

    `pending_lifetime` is how long an authorization may take.  `lease` is how long one process may be refreshing a credential.

    Raises `ConfigurationError`, which names the setting, for a value that is of another type, negative, longer than 366 days, a
    permissions document that is empty, or an address that is no origin.
    """

    callback_url: str | None = None
    require_state: bool = False
    pin_accounts: bool = False
    slots: bool = False
    policies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    template_urls: Mapping[str, str] = field(default_factory=dict, hash=False)
    private_servers: tuple[str, ...] = ()
    events: bool = False
    """Whether events are delivered to webhooks: then each is written to the outbox, and a worker must run, or they pile up there."""
    trouble_after: timedelta = timedelta(minutes=10)
    """How long renewals of an integration must have failed until that is delivered as an event; shorter trouble is no news."""
    four_eyes: bool = False
    """Whether an incident's access is ended only after another person has approved it; `incidents.approve`."""
    loopback: bool = False
    """Whether an http callback on a loopback address is allowed; for development only."""
    min_ttl: timedelta = HARD_MARGIN
    token_cache: timedelta = timedelta(seconds=60)
    use_window: timedelta | None = timedelta(seconds=60)
    data_key_cache: timedelta | None = None
    """How long an unwrapped data key is used without asking again; None: 60 s, and 300 s where the key service may wait."""
    data_key_grace: timedelta = timedelta(minutes=15)
    """How much longer an unwrapped data key is used while the key service does not answer."""
    pending_lifetime: timedelta = timedelta(minutes=10)
    deadline: timedelta = timedelta(seconds=15)
    """How long one request to a provider may take, with its whole answer; must be shorter than `lease`."""
    lease: timedelta = timedelta(seconds=30)
    wait_limit: timedelta = timedelta(seconds=20)
    """How long a caller waits for a refresh that another process makes."""
    refusal_limit: timedelta = timedelta(days=7)
    """How long a provider may answer a grant's renewals with nothing but refusals before the tenant is asked to reconnect."""
    setup_lifetime: timedelta = timedelta(days=30)
    """How long a setup may take, for example until a tenant has made a role."""
    setup_patience: timedelta = timedelta(minutes=1)
    """How long a new role, or a new trust in our issuer, is asked again while the provider refuses it: it spreads slowly."""
    approval_wait: timedelta = timedelta(minutes=5)
    """How long a request of an agent waits for a yes before it is refused."""
    trust_check: timedelta = timedelta(days=1)
    """How often the worker proves again that a role needs its external id, and that a trust in our own issuer compares the subject."""
    begin_per_minute: int = 10
    verify_per_minute: int = 10
    reveal_per_minute: int = 60
    callback_per_minute: int = 30
    product: str = "cloud-integrations"
    """The name of the host's product in the provider's logs: 2 to 27 of A-Z, a-z, 0-9, ".", "_" and "-"."""
    persist_limit: timedelta = timedelta(minutes=5)
    """How long new tokens are kept in memory while the store cannot be used."""

    def __post_init__(self) -> None:
        try:
            # Copies: a change of the host's own mapping would change what tenants are asked for.
            object.__setattr__(self, "policies", read_policies("policies", self.policies))
            object.__setattr__(self, "template_urls", read_template_urls("template_urls", self.template_urls))
            object.__setattr__(self, "private_servers", _read_servers("private_servers", self.private_servers))
            for each in fields(self):
                _check_setting(each.name, getattr(self, each.name), each.type)
        except ValidationFailedError as error:
            raise ConfigurationError(setting=error.field, problem=error.problem) from None
        if not _PRODUCT.fullmatch(self.product):
            raise ConfigurationError(setting="product", problem='must be 2 to 27 of A-Z, a-z, 0-9, ".", "_" and "-"')


def _read_servers(name: str, value: object) -> tuple[str, ...]:
    found = []
    for text in read_texts(name, value):
        try:
            origin = read_origin(text)
        except ValueError as error:
            raise ValidationFailedError(field=name, problem=f"has an address that {error}") from None
        address = find_address(urlsplit(origin).hostname or "")
        if address is not None and not Reach.PRIVATE.allows(address):
            raise ValidationFailedError(field=name, problem="has an address that is never allowed, such as that of this machine")
        found.append(origin)
    return tuple(dict.fromkeys(found))


def _check_setting(name: str, value: object, kind: object) -> None:
    if value is None and str(kind).endswith("| None"):
        return
    match str(kind).removesuffix(" | None"):
        case "bool":
            read_flag(name, value)
        case text if text.startswith(("Mapping[", "tuple[")):
            pass  # read already
        case "int":
            read_count(name, value, least=0, most=_MOST_PER_MINUTE)
        case "str":
            read_text(name, value, most=LONGEST_URL)
        case _ if not isinstance(value, timedelta):
            raise ValidationFailedError(field=name, problem="must be a timedelta, such as timedelta(seconds=30)")
        case _:
            read_duration(name, value)
