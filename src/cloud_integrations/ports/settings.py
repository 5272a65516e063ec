"""What an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta

from cloud_integrations.domain.arguments import LONGEST_URL, read_duration, read_flag, read_text
from cloud_integrations.domain.freshness import HARD_MARGIN
from cloud_integrations.errors import ConfigurationError, ValidationFailedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator may choose.  Every length of time has the measured or published value as default.

    `callback_url` is where providers send browsers back, without the context id:
    `https://app.example.com/api/v1/oauth/callback`.  `require_state` refuses a posted code without
    its `state`.  `pin_accounts` refuses a reconnect that answers as another account.  `use_window`
    is how long one audit row speaks for repeated use of a credential by the same actor (None: uses
    are not recorded).  `token_cache` is how long a token may be handed out without looking at the
    store, so it is also how long another process may still use an integration that was removed.
    Raises `ConfigurationError` that names the setting, for what is of another type, negative, or longer than 366 days.
    """

    callback_url: str | None = None
    require_state: bool = False
    pin_accounts: bool = False
    loopback: bool = False
    """Allow an http callback on a loopback address: development only."""
    min_ttl: timedelta = HARD_MARGIN
    token_cache: timedelta = timedelta(seconds=60)
    use_window: timedelta | None = timedelta(seconds=60)
    data_key_cache: timedelta | None = None
    """How long an unwrapped data key is used without asking again; None: 60 s, and 300 s where the key service may wait."""
    data_key_grace: timedelta = timedelta(minutes=15)
    """How much longer it is used while the key service does not answer."""
    pending_lifetime: timedelta = timedelta(minutes=10)
    deadline: timedelta = timedelta(seconds=15)
    """For one request to a provider, from first to last byte; must be shorter than `lease`."""
    lease: timedelta = timedelta(seconds=30)
    wait_limit: timedelta = timedelta(seconds=20)
    """How long a caller waits for a refresh that another process makes."""
    refusal_limit: timedelta = timedelta(days=7)
    """How long a provider may answer a grant's renewals with nothing but refusals before the tenant is asked to reconnect."""
    persist_limit: timedelta = timedelta(minutes=5)
    """How long new tokens are kept in memory while the store cannot take them."""

    def __post_init__(self) -> None:
        try:
            for each in fields(self):
                _check_setting(each.name, getattr(self, each.name), each.type)
        except ValidationFailedError as error:
            raise ConfigurationError(setting=error.field, problem=error.problem) from None


def _check_setting(name: str, value: object, kind: object) -> None:
    if value is None and str(kind).endswith("| None"):
        return
    match str(kind).removesuffix(" | None"):
        case "bool":
            read_flag(name, value)
        case "str":
            read_text(name, value, most=LONGEST_URL)
        case _ if not isinstance(value, timedelta):
            raise ValidationFailedError(field=name, problem="must be a timedelta, such as timedelta(seconds=30)")
        case _:
            read_duration(name, value)
