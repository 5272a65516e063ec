"""Write the signatures and errors of the manager's methods into docs/api.md, from the code itself; what stands between them stays."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

from cloud_integrations import IntegrationManager, errors
from cloud_integrations.manager.applications import Applications
from cloud_integrations.manager.audit import AuditLog
from cloud_integrations.manager.connect_sessions import ConnectSessions
from cloud_integrations.manager.incidents import Incidents
from cloud_integrations.manager.issuing import Issuing
from cloud_integrations.manager.keys import Keys
from cloud_integrations.manager.limits import Limits
from cloud_integrations.manager.overview import Overviews
from cloud_integrations.manager.sessions import Sessions
from cloud_integrations.manager.webhooks import Events, Webhooks
from cloud_integrations.manager.worker import Worker

TARGET = Path(__file__).parents[1] / "docs/api.md"
GROUPS = {
    "": IntegrationManager,
    "applications.": Applications,
    "keys.": Keys,
    "audit.": AuditLog,
    "worker.": Worker,
    "incidents.": Incidents,
    "overview.": Overviews,
    "webhooks.": Webhooks,
    "events.": Events,
    "issuer.": Issuing,
    "sessions.": Sessions,
    "connect_sessions.": ConnectSessions,
    "limits.": Limits,
}
METHODS = {
    f"{group}{name}": method
    for group, of in GROUPS.items()
    for name, method in inspect.getmembers(of, inspect.isroutine)
    if not name.startswith("_")
}

GENERAL = {"StorageUnavailableError", "TenantNotFoundError", "ValidationFailedError"}
"""Errors that the page names once for all methods."""


def signature(name: str, method: Callable[..., object], /) -> str:
    """Return a method as it is called: parameters with types and defaults, and what it returns."""
    found = inspect.signature(method)
    parameters = [parameter for parameter in found.parameters.values() if parameter.name != "self"]
    shown: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        shown.append(f"{stars}{parameter.name}: {parameter.annotation}{default}")
    return f"{name}({', '.join(shown)}) -> {found.return_annotation}"


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
        found = re.search(rf"^- `{re.escape(name)}\([^`]*`(.*\n(?:  .*\n)*?)(?:  Raises: .*\n)?(?!  )", page, flags=re.MULTILINE)
        if found is None:
            raise ValueError(f"docs/api.md does not show {name}")
        shown = ", ".join(f"`{error}`" for error in raised(name))
        entry = f"- `{signature(name, method)}`{found[1]}" + (f"  Raises: {shown}.\n" if shown else "")
        page = page[: found.start()] + entry + page[found.end() :]
    return page


if __name__ == "__main__":
    TARGET.write_text(written(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
