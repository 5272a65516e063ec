"""The forms of the connect page: which fields a method has, and what a person entered in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from cloud_integrations import AuthType, ConnectSession, InputSummary, MethodSummary, ProviderSummary, VariableSummary
from cloud_integrations.errors import ProviderNotFoundError, ValidationFailedError

from .steps import Failure

INPUT, VARIABLE = "input.", "variable."


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What a person sent: values by the names of fields; `inputs` may be secrets."""

    method: str | None = None
    name: str = ""
    slot: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, fields: Mapping[str, str], /) -> Self:
        """Return what the fields of a form say; empty ones are left out."""
        return cls(
            method=fields.get("method") or None,
            name=fields.get("name", "").strip(),
            slot=fields.get("slot", "").strip(),
            variables={name.removeprefix(VARIABLE): text for name, text in fields.items() if name.startswith(VARIABLE) and text},
            inputs={name.removeprefix(INPUT): text for name, text in fields.items() if name.startswith(INPUT) and text},
        )

    def open_fields(self) -> dict[str, str]:
        """Return the fields again, as a form sends them, without `inputs`."""
        fields = {"method": self.method or "", "name": self.name, "slot": self.slot}
        return fields | {VARIABLE + name: text for name, text in self.variables.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One input, or inputs of which one is entered."""

    inputs: tuple[InputSummary, ...]
    needed: bool

    @property
    def is_choice(self) -> bool:
        """Whether one of several is entered."""
        return len(self.inputs) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodForm:
    """What the page asks for a method."""

    method: MethodSummary
    kind: Literal["authorize", "setup", "enter"]
    groups: tuple[Group, ...]
    title: str

    @classmethod
    def of(cls, provider: ProviderSummary, method: MethodSummary, /) -> Self:
        """Return the form of a method of *provider*."""
        groups = tuple(_groups(method))
        if method.auth_type is AuthType.OAUTH2:
            return cls(method=method, kind="authorize", groups=(), title=provider.name)
        named = [" / ".join(each.label for each in group.inputs) for group in groups if group.needed]
        title = ", ".join(named) or words(method.id)
        return cls(method=method, kind="setup" if method.needs_setup else "enter", groups=groups, title=title)


def find_provider(providers: Iterable[ProviderSummary], slug: str, session: ConnectSession | None, /) -> ProviderSummary:
    """Return the provider with this slug, if *session* (None: the host has admitted the person) is for it.

    Raises `ProviderNotFoundError`.
    """
    found = next((provider for provider in providers if provider.slug == slug), None)
    if found is None or not (session is None or session.allows(slug, session.slot)):
        raise ProviderNotFoundError(provider=slug[:64])
    return found


def problems_of(
    failure: Failure | None, form: MethodForm | None, variables: Iterable[VariableSummary] = (), /
) -> dict[str, dict[str, str]]:
    """Return what is wrong: `problems` with fields of the form, by their names in it, and `others` with anything else.

    The texts are the library's own and repeat no value.
    """
    if failure is None or not isinstance(failure.error, ValidationFailedError):
        return {"problems": {}, "others": {}}
    shown = {"name", "slot", *(VARIABLE + each.name for each in variables)}
    shown |= {INPUT + each.name for each in form.method.inputs} if form is not None else set()
    found = {_field_name(each["field"]): each["problem"] for each in failure.error.details.get("fields", [])}
    return {
        "problems": {name: text for name, text in found.items() if name in shown},
        "others": {name: text for name, text in found.items() if name not in shown},
    }


def _field_name(name: str) -> str:
    for theirs, ours in (("credentials.inputs.", INPUT), ("inputs.", INPUT), ("variables.", VARIABLE)):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def words(identifier: str, /) -> str:
    """Return an id such as `access_key` as words."""
    return identifier.replace("_", " ").capitalize()


def asked_variables(provider: ProviderSummary, /) -> tuple[VariableSummary, ...]:
    """Return the provider's variables, those that are required first."""
    return tuple(sorted(provider.variables, key=lambda each: not each.required))


def _groups(method: MethodSummary) -> list[Group]:
    groups: dict[str, list[InputSummary]] = {}
    for each in method.inputs:
        groups.setdefault(f"one of {each.one_of}" if each.one_of else each.name, []).append(each)
    return [Group(inputs=tuple(group), needed=any(each.required for each in group)) for group in groups.values()]
