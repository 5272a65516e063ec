"""The proof that a tenant's trust in us is tight: what the provider must refuse."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, Self

from pydantic import model_validator

from .base import FileTable
from .inputs import Input, Name
from .minting import Step

OUR_SUBJECT: Final = "subject"
"""In `replacing`: the subject of our own issuer's tokens."""


class MustFail(FileTable):
    """A mint that the provider must refuse: one without a value that the library has made, or with another one in its place."""

    without: Name | None = None
    """The input that is left out, with the fields that hold it.  This or `replacing`."""
    replacing: Name | None = None
    """The input in whose place another random value is sent.  `subject`: the mint is made with a token of our own issuer for another
    subject, which is no tenant's; it is refused by any of its steps.
    """
    mend: str = ""
    """What the tenant must correct at the provider if the mint succeeds; a sentence without its full stop."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.without is None) == (self.replacing is None):
            raise ValueError("give without or replacing")
        if self.without == OUR_SUBJECT:
            raise ValueError("a token without a subject is never made: give replacing")
        return self

    @property
    def name(self) -> str:
        """The name of the input."""
        return self.without or self.replacing or ""


def check_trust(inputs: Collection[Input], mint: Collection[Step], must_fail: Collection[MustFail], /, *, by_issuer: bool) -> None:
    """Raise `ValueError` unless every input that the library makes is proved to be needed, and nothing else is.

    *by_issuer*: the mint may send a token of our own issuer; then its subject must be proved to be compared.
    """
    for problem in _problems(inputs, mint, must_fail, by_issuer=by_issuer):
        raise ValueError(problem)


def _problems(inputs: Collection[Input], mint: Collection[Step], must_fail: Collection[MustFail], *, by_issuer: bool) -> Iterator[str]:
    made = {given.name for given in inputs if given.made_by is not None}
    if by_issuer and OUR_SUBJECT not in {test.replacing for test in must_fail}:
        yield f"must_fail has no replacing = {OUR_SUBJECT}"
    for test in must_fail:
        if test.name not in made | ({OUR_SUBJECT} if by_issuer else set()):
            yield f"must_fail names {test.name}, which is no input with made_by"
    for name in sorted(made):
        fields = [step for step in mint if f"{{{name}}}" in step.fields.values()]
        if not fields:
            yield f"no field of mint holds {{{name}}} and nothing else"
        if {name} != {test.without for test in must_fail if test.without == name}:
            yield f"must_fail has no without = {name}"
        if {name} != {test.replacing for test in must_fail if test.replacing == name}:
            yield f"must_fail has no replacing = {name}"
