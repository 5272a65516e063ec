"""Write the signatures and errors of the manager's methods into docs/api.md, from the code itself; what stands between them stays."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

from cloud_integrations import IntegrationManager, errors

TARGET = Path(__file__).parents[1] / "docs/api.md"
METHODS = {name: method for name, method in vars(IntegrationManager).items() if not name.startswith("_")}

GENERAL = {"StorageUnavailableError", "TenantNotFoundError", "ValidationFailedError"}
"""Errors that the page names once for all methods."""


def signature(method: Callable[..., object], /) -> str:
    """Return a method as it is called: parameters with types and defaults, and what it returns."""
    found = inspect.signature(method)
    parameters = [parameter for name, parameter in found.parameters.items() if name != "self"]
    shown: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        shown.append(f"{parameter.name}: {parameter.annotation}{default}")
    return f"{method.__name__}({', '.join(shown)}) -> {found.return_annotation}"


def raised(name: str, /, *, seen: frozenset[str] = frozenset()) -> list[str]:
    """Return the errors that a method's docstring names, and those of the methods that it refers to (`as `token``)."""
    text = METHODS[name].__doc__ or ""
    found = {word for word in re.findall(r"`(\w+)`", text) if hasattr(errors, word)}
    for other in re.findall(r"as `(\w+)`", text):
        if other in METHODS and other not in seen:
            found.update(raised(other, seen=seen | {name}))
    return sorted(found - GENERAL)


def written(page: str, /) -> str:
    """Return *page* with each method's signature and errors as the code has them now.

    An entry begins with `- `, is indented from its second line on, and ends with its line of errors, where there are any.
    Raises `ValueError` for a method that the page does not show.
    """
    for name, method in METHODS.items():
        found = re.search(rf"^- `{name}\([^`]*`(.*\n(?:  .*\n)*?)(?:  Raises: .*\n)?(?!  )", page, flags=re.MULTILINE)
        if found is None:
            raise ValueError(f"docs/api.md does not show {name}")
        shown = ", ".join(f"`{error}`" for error in raised(name))
        entry = f"- `{signature(method)}`{found[1]}" + (f"  Raises: {shown}.\n" if shown else "")
        page = page[: found.start()] + entry + page[found.end() :]
    return page


if __name__ == "__main__":
    TARGET.write_text(written(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
