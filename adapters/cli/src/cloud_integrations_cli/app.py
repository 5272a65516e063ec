"""The root of the command line; its commands stand in `commands`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from .exits import MEANINGS
from .groups import WIDTH, GuardedGroup
from .options import Output, complete, one_of

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())
_LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("text", "json")


@dataclass(slots=True)
class Options:
    """What stood before the command."""

    config: Path | None = None
    output: str = "table"
    log_format: str | None = None


app = typer.Typer(
    cls=GuardedGroup,
    name="cloud-integrations",
    help="Holds tenants' access to cloud providers, and hands out credentials that work.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=WIDTH,
)


def _version(wanted: bool) -> None:  # noqa: FBT001  # Typer's signature
    if wanted:
        typer.echo(f"cloud-integrations {import_module('cloud_integrations').__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="The settings. Left out: cloud-integrations.toml here, else in your configuration folder.",
        ),
    ] = None,
    output: Output = None,
    log_level: Annotated[
        str,
        typer.Option(
            "--log-level",
            metavar="|".join(_LEVELS),
            help="The lowest level of log lines on stderr.",
            callback=one_of(*_LEVELS),
            autocompletion=complete(*_LEVELS),
        ),
    ] = "warning",
    log_format: Annotated[
        str | None,
        typer.Option(
            "--log-format",
            metavar="|".join(_FORMATS),
            help="How log lines are written: text, or one JSON object a line.",
            callback=one_of(*_FORMATS),
            autocompletion=complete(*_FORMATS),
            envvar="CLOUD_INTEGRATIONS_LOG_FORMAT",
            show_envvar=False,
            show_default="log_format of the settings",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)] = False,  # noqa: ARG001  # Typer calls _version
) -> None:
    ctx.obj = Options(config=config, output=output or "table", log_format=log_format)
    logging = import_module("logging")
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    # Ours alone: what an HTTP library logs at DEBUG holds addresses and headers.
    logging.getLogger("cloud_integrations").setLevel(log_level.upper())
    if log_format == "json":
        import_module(".logs", __package__).write_json_lines()
