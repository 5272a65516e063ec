"""How a method's credential can be narrowed: what a caller may name, and where the provider takes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from .base import RESERVED_PARAMETERS, FileTable

if TYPE_CHECKING:
    from .minting import Step
    from .tokens import RefreshTokenFacts

SCOPES = "scopes"
"""The name under which the scopes of a refresh are narrowed."""
_NUMBER = "{n}"


class Narrowing(FileTable):
    """One thing by which a credential can be narrowed."""

    form: Literal["object", "list", "map"]
    """What a caller gives: a JSON object or its text (`object`), a list of text (`list`), or text by names (`map`)."""
    to: Literal["mint", "exchange", "refresh"] = "mint"
    """Where it goes: into the first step of `mint`, into `exchange`, or into a refresh as its `scope` (`refresh`; RFC 6749 §6)."""
    field: str | None = None
    """The parameter of that request that takes it, in place of the file's own value.

    In JSON it is an object or a list.  In a form an object is its JSON text, and a list or map needs `{n}` in the parameter's name:
    each of its members has a parameter of its own, by its number.
    """
    value_field: str | None = None
    """The parameter that takes the values of a map in a form, with `{n}`; `field` takes the names."""
    first: Annotated[int, Field(ge=1, le=100)] = 1
    """The first number."""
    within: str | None = None
    """The name of an object that the value is put into."""
    escaped: bool = False
    """Whether the JSON text is percent-encoded once more than the form does it."""
    longest: Annotated[int, Field(ge=1)] | None = None
    """The most characters of the JSON text, or of each text."""
    most: Annotated[int, Field(ge=1)] | None = None
    """The most members of a list or map."""
    reserved: tuple[str, ...] = ()
    """Names that a map may not have, in any letter case, because the file sets them."""
    levels: tuple[str, ...] = ()
    """The values that a map may have; each includes those before it."""
    answer: str | None = None
    """The path in the answer that says what was given.  If that is more than was asked, or if the answer does not say it, the credential
    is not handed out.
    """
    implied: dict[str, str] = Field(default_factory=dict)
    """What an answer has beside what was asked for, by its name in a map."""
    ignore_case: bool = False
    """Whether texts of a list that differ only in letter case are the same."""

    @model_validator(mode="after")
    def _says_where_it_goes(self) -> Self:
        if self.to == "refresh":
            if self.model_fields_set - {"form", "to"} or self.form != "list":
                raise ValueError("with to = refresh, form is list, and nothing else is given")
            return self
        if self.field is None:
            raise ValueError("needs field")
        if taken := sorted(RESERVED_PARAMETERS - {"scope"} & {self.field, self.value_field}):
            raise ValueError(f"field may not be {', '.join(taken)}")
        if self.form != "map" and (self.value_field or self.reserved or self.levels or self.implied):
            raise ValueError("value_field, reserved, levels and implied are for a map")
        if self.form != "object" and (self.escaped or self.within):
            raise ValueError("escaped and within are for an object")
        if self.answer is not None and (self.form == "object" or (self.form == "map" and not self.levels)):
            raise ValueError("answer is for a list, or for a map with levels")
        return self

    @property
    def is_numbered(self) -> bool:
        """Whether each member has a parameter of its own."""
        return self.field is not None and _NUMBER in self.field

    def numbered(self, template: str, index: int, /) -> str:
        """Return the name of the parameter of the member with this *index*, from 0."""
        return template.replace(_NUMBER, str(self.first + index))


def check_narrowing(
    narrow: Mapping[str, Narrowing], mint: Collection[Step], exchange: Step | None, refresh_token: RefreshTokenFacts, /, *, refreshes: bool
) -> None:
    """Raise `ValueError` if the narrowings of a method do not fit its requests.

    *refreshes*: the method has refresh tokens, and sends no scope of the file's own with them.
    """
    for name, each in narrow.items():
        for problem in _problems(name, each, mint, exchange, refresh_token, refreshes=refreshes):
            raise ValueError(f"narrow.{name} {problem}")
    if exchange is not None and not any(each.to == "exchange" for each in narrow.values()):
        raise ValueError("exchange is for a narrowing: let one go to it")


def _problems(
    name: str,
    each: Narrowing,
    mint: Collection[Step],
    exchange: Step | None,
    refresh_token: RefreshTokenFacts,
    *,
    refreshes: bool,
) -> Iterator[str]:
    if each.to == "refresh":
        if name != SCOPES or not refreshes:
            yield f"goes to a refresh only as {SCOPES}, of a method that refreshes and sends no scope of its own"
        # A refresh that spends something would risk the grant for a credential that nobody stores.
        if refresh_token.rotates != "never" or refresh_token.ends_old_access:
            yield "goes to a refresh only if that spends nothing: refresh_token.rotates is never, and ends_old_access is false"
        return
    step = next(iter(mint), None) if each.to == "mint" else exchange
    if step is None:
        yield f"goes to {each.to}, which is not there"
    elif step.when is not None or step.method == "GET":
        yield "goes to a step that may be left out, or that has no body"
    elif step.body == "form":
        yield from _problems_in_form(each, step)
    elif each.is_numbered or each.value_field is not None or each.escaped:
        yield "goes to JSON: it has no {n}, value_field or escaped"


def _problems_in_form(each: Narrowing, step: Step) -> Iterator[str]:
    if (each.form != "object") != each.is_numbered or (each.form == "map") != (each.value_field is not None):
        yield "goes to a form: field needs {n} for a list or map, which has value_field, too"
    if each.is_numbered and each.numbered(each.field or "", 0) in step.fields:
        yield "begins with a number that the step has already"
