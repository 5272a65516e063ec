"""What a provider's failures mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from cloud_integrations.domain.json_paths import find_all

from .base import FileTable, JsonScalar, Seconds, check_pattern
from .predicates import Predicate, passes, tells_nothing

ErrorClass = Literal[
    "renew", "reauthorize", "dead", "denied", "retry", "wait", "restart", "clock_skew", "wrong_region", "client_refused", "platform_config",
    "narrowing",
]  # fmt: skip


class ErrorRule(FileTable):
    """One rule that maps a provider's failure to one of a closed list; the first rule that fits is used."""

    at: Literal["token", "api", "verify", "mint"]
    """The answers that it applies to: those of the token endpoint and of revocations (`token`), of revocations that the token itself
    authenticates (`api`), of checks (`verify`), or of the steps of a mint (`mint`).
    """
    for_methods: tuple[str, ...] = ()
    """Method ids; empty means every method."""
    status: int | None = None
    """The HTTP status.  It may be the only condition, but then 429 and an error of the server mean no end of a credential."""
    path: str | None = None
    """The path in the JSON body whose value `equals` or `matches` tests; with `*`, one value that passes is enough."""
    equals: JsonScalar | None = None
    """The value must be this one, and of this type (text, number or truth value)."""
    matches: str | None = None
    """A regular expression that must be found somewhere in the first 4,096 characters of the value, which must be text."""
    class_: Annotated[ErrorClass, Field(alias="class")]
    """What the failure means: a new access token is needed (`renew`), a new consent is needed (`reauthorize`), the credential is dead
    (`dead`), it works but may not do this (`denied`), the same request may be repeated (`retry`, `wait`), the authorization must begin
    again (`restart`), this machine's clock is wrong (`clock_skew`), the credential belongs to another site (`wrong_region`), the
    provider refuses the client's secret and has processed nothing, so the next secret may be tried (`client_refused`), it refuses the
    operator's application for another reason (`platform_config`), or it refuses what a caller narrows the credential to (`narrowing`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _says_when(self, info: ValidationInfo) -> Self:
        if self.status is None and self.path is None:
            raise ValueError("give a status, or a path")
        if self.status is not None and self.path is None and self.class_ in {"dead", "reauthorize"} and tells_nothing(self.status):
            raise ValueError(f"{self.status} may not mean {self.class_}: it says nothing of a credential")
        if (self.path is not None) != ((self.equals is None) != (self.matches is None)):
            raise ValueError("a path goes with exactly one of equals, matches")
        if self.matches is not None:
            check_pattern(self.matches, info)
        return self

    def fits(self, *, method_id: str, status: int, body: Any) -> bool:
        """Return whether this rule applies to an answer with *status* and *body* (read from JSON, or None), for the method *method_id*."""
        if self.status not in {None, status} or (self.for_methods and method_id not in self.for_methods):
            return False
        return self.path is None or any(passes(value, equals=self.equals, matches=self.matches) for value in find_all(body, self.path))


class LimitHeaders(FileTable):
    """The headers that say how many requests are left, and when the limit is reset."""

    remaining: str | None = None
    """The header with the number of requests left; at 0, an answer with one of `statuses` is a rate limit."""
    reset: str | None = None
    """The header with the time at which the limit is reset; read if there is no `Retry-After`, unless requests are left."""
    reset_format: Literal["epoch_s", "epoch_ms", "delta_s", "iso8601", "http_date", "structured", "duration_text"] = "epoch_s"
    """How `reset` is written: a point in time (`epoch_s`, `epoch_ms`, `iso8601`, `http_date`) or a length of time (`delta_s`,
    `duration_text`, for example `6m0s`, and `structured`: `"default";r=0;t=30`, where `remaining` is read from `r`).
    """
    retry_after: str = "Retry-After"
    """The header with the wait: seconds or an HTTP date (RFC 9110 §10.2.3)."""


class RateLimit(LimitHeaders):
    """How the provider signals a rate limit, and how long to wait."""

    also: tuple[LimitHeaders, ...] = ()
    """Other sets of headers that the same provider sends."""
    statuses: tuple[int, ...] = (429,)
    """Statuses that can mean a rate limit.  Any but 429 does only with `remaining` at 0, with `Retry-After`, or if a `body` test passes."""
    body: tuple[Predicate, ...] = ()
    """Tests on the JSON body; if one passes, an answer with one of `statuses` is a rate limit."""
    wait_path: str | None = None
    """Path in the JSON body to the wait: seconds, or text, for example `30s`."""
    assumed_wait: Seconds | None = None
    """How long to wait if an answer is a rate limit and does not say how long."""
