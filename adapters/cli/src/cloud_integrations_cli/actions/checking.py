"""`providers check`: one provider file, alone or against the provider itself."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cloud_integrations import Catalogue
from cloud_integrations_cli.exits import CREDENTIALS, PROVIDER, VALIDATION, CommandLineError
from cloud_integrations_cli.inputs import read_inputs
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.skeletons import UNKNOWN

from .integrations import read_variables
from .providers import manager_of

if TYPE_CHECKING:
    from cloud_integrations import Provider
    from cloud_integrations.testing import LiveReport, PlannedRequest

_SIGNS = {"held": "✓", "not_held": "✗", "unseen": "!"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be checked: the method, and values for its inputs and the provider's variables."""

    method: str | None = None
    inputs: Sequence[str] = ()
    variables: Sequence[str] = ()


def check(screen: Screen, read: Callable[[], Configuration], file: Path, asked: Asked, /, *, live: bool) -> None:
    """Show what is wrong with a provider file; with *live*, also which of its facts the provider contradicts.

    It ends with `VALIDATION` if something is wrong, `CREDENTIALS` if the provider refuses the key, and `PROVIDER` if no answer says whether
    it works.
    """
    if not file.is_file():
        raise CommandLineError("FILE is no file; give one provider file")
    document: dict[str, Any] = {"findings": [asdict(finding) for finding in Catalogue.lint(file)], "unknown": _unknown(file)}
    provider = _load(file)
    if not screen.as_json:
        _show_findings(screen, file, document)
    report = None
    if provider is None:
        document |= {"ok": False}
    elif live:
        report = _check_live(screen, read(), file, provider, asked)
        document |= {"ok": not (document["findings"] or report.not_held) and report.key == "accepted", **asdict(report)}
    else:
        planned = _plan(provider, asked)
        document |= {"ok": not document["findings"], "requests": {name: [asdict(each) for each in plan] for name, plan in planned.items()}}
        if not screen.as_json:
            _show_plan(screen, planned)
    if screen.as_json:
        screen.json({"data": document})
    elif report is not None:
        _show_report(screen, report)
    elif not document["findings"]:
        screen.note("\nnothing is wrong with the file")
    status = (0 if report is None else _status(report)) or (VALIDATION if document["findings"] else 0)
    if status:
        raise typer.Exit(status)


def _load(file: Path) -> Provider | None:
    """Return the provider of the file; None if the catalogue refuses it, which the findings say."""
    # Imported here, because a list of providers loads no reader of errors.
    from cloud_integrations.errors import ConfigurationError  # noqa: PLC0415

    try:
        catalogue = Catalogue.load(file)
        return catalogue.require(tomllib.loads(file.read_text(encoding="utf-8"))["id"])
    except ConfigurationError:
        return None


def _unknown(file: Path) -> list[dict[str, Any]]:
    """Return the lines that say what is not known yet."""
    lines = file.read_bytes().decode("utf-8", "replace").splitlines()
    return [
        {"line": number, "what": line.partition(UNKNOWN)[2].strip()}
        for number, line in enumerate(lines, 1)
        if line.startswith(f"# {UNKNOWN}")
    ]


def _show_findings(screen: Screen, file: Path, document: dict[str, Any]) -> None:
    for finding in document["findings"]:
        screen.finding("✗", f"{finding['file']}: {finding['field'] + ' ' if finding['field'] else ''}{finding['problem']}")
    for each in document["unknown"]:
        screen.finding("!", f"{file}:{each['line']}: not known yet: {each['what']}")


def _plan(provider: Provider, asked: Asked) -> dict[str, tuple[PlannedRequest, ...]]:
    from cloud_integrations.testing import plan_live  # noqa: PLC0415  # loads the simulated provider's room

    methods = [method for method in provider.methods if asked.method in {None, method.id}]
    if not methods:
        raise CommandLineError(f"--method must be one of {', '.join(method.id for method in provider.methods)}")
    variables = read_variables(asked.variables)
    return {method.id: plan_live(provider, method, variables=variables) for method in methods}


def _show_plan(screen: Screen, planned: dict[str, tuple[PlannedRequest, ...]]) -> None:
    screen.text("--live would send, and once more with the key broken on purpose:")
    for method, requests in planned.items():
        screen.text(f"\nmethod {method}" if requests else f"\nmethod {method}: nothing, because no check fits it")
        for each in requests:
            headers = ", ".join(each.headers) or "none"
            purpose = "makes the token" if each.purpose == "token" else "checks the credential"
            screen.text(f"  {each.http_method} {each.url}\n    {purpose}; headers: {headers}\n    the credential stands {each.credential}")


def _check_live(screen: Screen, configuration: Configuration, file: Path, provider: Provider, asked: Asked) -> LiveReport:
    from cloud_integrations.testing import check_live  # noqa: PLC0415  # as above
    from cloud_integrations_cli.transports import open_transport  # noqa: PLC0415  # loads the HTTP client

    catalogue = Catalogue.load(file)
    summary = manager_of(configuration, catalogue).get_provider(provider.id)
    entered = read_inputs(screen, summary, asked.inputs, method=asked.method)
    with open_transport(configuration) as transport, closing(transport):
        return check_live(
            catalogue,
            provider,
            transport,
            inputs=entered.inputs,
            method=entered.method,
            variables=read_variables(asked.variables),
        )


def _show_report(screen: Screen, report: LiveReport) -> None:
    for fact in report.facts:
        screen.finding(_SIGNS[fact.verdict], f"{fact.field}: {fact.said}")
    counts = {verdict: sum(fact.verdict == verdict for fact in report.facts) for verdict in _SIGNS}
    screen.note(f"\n{counts['held']} held, {counts['not_held']} did not, {counts['unseen']} could not be seen; nothing was stored")


def _status(report: LiveReport) -> int:
    if report.key == "refused":
        return CREDENTIALS
    if report.not_held:
        return VALIDATION
    return 0 if report.key == "accepted" else PROVIDER
