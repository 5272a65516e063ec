"""What a provider's failures mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cloud_integrations.domain.json_paths import find_all

from .base import FileTable, JsonScalar, Seconds, check_pattern
from .predicates import Predicate, passes

ErrorClass = Literal["renew", "reauthorize", "dead", "denied", "retry", "wait", "restart", "clock_skew", "wrong_region", "platform_config"]


class ErrorRule(FileTable):
    """One line of the table that turns a provider's failure into one of a closed list; the first that fits wins."""

    at: Literal["token", "api", "verify"]
    """Whose answer it speaks of: the token endpoint's, any call with the credential (a revocation among them), the check's."""
    for_methods: tuple[str, ...] = ()
    """Method ids; empty means every method."""
    status: int | None = None
    """The HTTP status.  Alone, it is enough."""
    path: str | None = None
    """The place that `equals` or `matches` looks at, as in a test; with `*` any of the places may fit."""
    equals: JsonScalar | None = None
    """The value is this one, of this type (text, number or truth value)."""
    matches: str | None = None
    """A regular expression that is found somewhere in the value, which is text."""
    class_: Annotated[ErrorClass, Field(alias="class")]
    """What the failure means: a new access token is needed (`renew`), a new consent is (`reauthorize`), the credential is gone
    (`dead`), it works and may not do this (`denied`), the same request may go again (`retry`, `wait`), the authorization begins
    anew (`restart`), our clock is wrong (`clock_skew`), another site is meant (`wrong_region`), the operator's application is
    refused (`platform_config`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.status is None and self.path is None:
            raise ValueError("give a status, or a path")
        if (self.path is not None) != ((self.equals is None) != (self.matches is None)):
            raise ValueError("a path goes with exactly one of equals, matches")
        if self.matches is not None:
            check_pattern(self.matches)
        return self

    def fits(self, *, method_id: str, status: int, body: Any) -> bool:
        """Say whether this line speaks of an answer to *method_id* with *status* and *body* (as read from JSON, or None)."""
        if self.status not in {None, status} or (self.for_methods and method_id not in self.for_methods):
            return False
        return self.path is None or any(passes(value, equals=self.equals, matches=self.matches) for value in find_all(body, self.path))


class LimitHeaders(FileTable):
    """The headers that say how many requests are left, and when there will be more."""

    remaining: str | None = None
    """How many requests are left; at 0 an answer with one of the limit's `statuses` is a limit."""
    reset: str | None = None
    """When the limit is lifted; read where there is no `Retry-After`, unless requests are left."""
    reset_format: Literal["epoch_s", "epoch_ms", "delta_s", "iso8601", "http_date", "structured", "duration_text"] = "epoch_s"
    """How `reset` is written: a point in time (`epoch_s`, `epoch_ms`, `iso8601`, `http_date`) or a length of time (`delta_s`,
    `duration_text` such as `6m0s`, and `structured`: `"default";r=0;t=30`, where `remaining` is read from `r`).
    """
    retry_after: str = "Retry-After"
    """How long to wait: seconds or an HTTP date."""


class RateLimit(LimitHeaders):
    """How the provider says that too many requests were sent, and how long to wait."""

    also: tuple[LimitHeaders, ...] = ()
    """Other headers that the same provider has been seen to send."""
    statuses: tuple[int, ...] = (429,)
    """Those that can mean the limit.  Any but 429 does so only with `remaining` at 0, `Retry-After`, or a test of `body` that holds."""
    body: tuple[Predicate, ...] = ()
    """Tests on the JSON body; one that holds makes an answer with one of `statuses` a limit."""
    wait_path: str | None = None
    """Path in a JSON body, as of a `Predicate`, to the wait: seconds, or a text such as `30s`."""
    assumed_wait: Seconds | None = None
    """How long to wait where the answer is a limit and does not say."""
