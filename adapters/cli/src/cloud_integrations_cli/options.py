"""Options that several commands share, and what every command begins with."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .render import Screen
    from .settings import Configuration


def one_of(*words: str) -> Any:
    """Return an option's callback that takes only *words*."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in words:
            raise typer.BadParameter(f"must be one of {', '.join(words)}")
        return value

    return check


def complete(*words: str) -> Any:
    """Return what completes *words* in a shell."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def complete_provider(incomplete: str) -> list[str]:
    """Complete the slug of a built-in provider in a shell."""
    providers = import_module("cloud_integrations").Catalogue.builtin().list_providers()
    return [provider.id for provider in providers if provider.id.startswith(incomplete)]


TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]
"""The forms of a time (ISO 8601), as `since` and `until` have it."""

_OUTPUTS = ("table", "json")

Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="table|json",
        help="Tables for people, JSON for programs.",
        callback=one_of(*_OUTPUTS),
        autocompletion=complete(*_OUTPUTS),
    ),
]
Fields = Annotated[
    str | None,
    typer.Option("--fields", metavar="NAMES", help="Only these fields, by their names in JSON: id,health.state."),
]
Tenant = Annotated[str, typer.Option("--tenant", "-t", metavar="ID", help="The tenant's id.", show_default=False)]
TenantOrAll = Annotated[
    str | None, typer.Option("--tenant", "-t", metavar="ID", help="The tenant's id; left out: the whole installation.", show_default=False)
]
Which = Annotated[
    str,
    typer.Argument(metavar="INTEGRATION", help="The integration's id, or its provider's slug or UUID.", autocompletion=complete_provider),
]
InSlot = Annotated[
    str,
    typer.Option(
        "--slot", metavar="SLOT", help="Beside a provider: the slot of the tenant's integration with it.", show_default="the default slot"
    ),
]
NewSlot = Annotated[str, typer.Option("--slot", metavar="SLOT", help="The slot of the new integration.", show_default="the default slot")]
OneSlot = Annotated[
    str | None, typer.Option("--slot", metavar="SLOT", help="Only this slot; an empty text is the default slot.", show_default="all")
]
ProviderName = Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider's slug or UUID.", autocompletion=complete_provider)]
NewName = Annotated[str | None, typer.Option("--name", metavar="NAME", help="The integration's name.", show_default="the provider's name")]
Since = Annotated[
    datetime | None,
    typer.Option("--since", metavar="TIME", formats=TIMES, help="Only events of this time or later; without an offset: UTC."),
]
Until = Annotated[
    datetime | None, typer.Option("--until", metavar="TIME", formats=TIMES, help="Only events before this time; without an offset: UTC.")
]
OneTenant = Annotated[str | None, typer.Option("--tenant", "-t", metavar="ID", help="Only this tenant.", show_default="all")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Variables = Annotated[
    list[str] | None, typer.Option("--variable", metavar="NAME=VALUE", help="A value that the provider's addresses need; may be repeated.")
]
Scopes = Annotated[list[str] | None, typer.Option("--scope", metavar="SCOPE", help="Ask for this scope; may be repeated.")]
ApiKeyFile = Annotated[Path | None, typer.Option("--api-key-file", metavar="FILE", help="Read the key from a file.")]
ApiKeyStdin = Annotated[bool, typer.Option("--api-key-stdin", help="Read the key from standard input.")]
SecretKeyFile = Annotated[
    Path | None, typer.Option("--secret-key-file", metavar="FILE", help="Read the second half of the key from a file.")
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME=@FILE|NAME=-|NAME=VALUE",
        help="A value that the provider asks for, from a file, from standard input, or (if it is no secret) as it is; may be repeated.",
    ),
]
EndsAt = Annotated[
    datetime | None,
    typer.Option(
        "--ends-at", metavar="TIME", formats=TIMES, help="When the key ends, if you know it; without an offset: UTC.", show_default=False
    ),
]
MethodId = Annotated[
    str | None,
    typer.Option("--method", metavar="ID", help="One of the provider's methods; `providers show` lists them.", show_default=False),
]
Guide = Annotated[bool, typer.Option("--guide", help="Only show what to do at the provider before connecting.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Print the address instead of opening a browser.")]
CallbackPort = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="PORT",
        min=0,
        max=65535,
        help="Wait for the callback on this port of 127.0.0.1 (0: a free one); the provider must allow it.",
        show_default=False,
    ),
]
Paste = Annotated[bool, typer.Option("--paste", help="Do not wait for the callback; paste the browser's final address.")]
Wait = Annotated[int, typer.Option("--wait", metavar="SECONDS", min=1, help="How long to wait for the callback.")]
ByDevice = Annotated[bool, typer.Option("--device", help="Show a short code, to be entered in any browser (RFC 8628).")]


def open_screen(ctx: typer.Context, output: str | None, fields: str | None = None) -> Screen:
    """Return where a command shows its data, in the form that stands before or after its name."""
    # Loaded here, because help needs neither.
    from .render import Output as Form  # noqa: PLC0415
    from .render import Screen  # noqa: PLC0415

    return Screen(Form(output or ctx.obj.output), fields=fields)


def open_logs(ctx: typer.Context, configuration: Configuration | None, screen: Screen) -> None:
    """Write log lines, and what the screen says beside its data, in the form of the option or of the settings."""
    chosen = ctx.obj.log_format or ("text" if configuration is None else configuration.log_format)
    if chosen == "json":
        from .logs import write_json_lines  # noqa: PLC0415  # as above

        write_json_lines()
        screen.notes_as_json = True


def read_settings(ctx: typer.Context) -> Configuration:
    """Return the settings of the file that stands before the command.  Raises `ConfigurationError`."""
    from .settings import load  # noqa: PLC0415  # as above

    return load(ctx.obj.config)
