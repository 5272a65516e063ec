"""The commands and their options.  What a command does is loaded when it is called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .exits import MEANINGS, CommandLineError, Group, GuardedGroup

if TYPE_CHECKING:
    from .render import Screen
    from .settings import Configuration

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())
_WIDTH = {"max_content_width": 100, "help_option_names": ["-h", "--help"]}


@dataclass(slots=True)
class Options:
    """What stood before the command."""

    config: Path | None = None
    output: str = "table"


def _one_of(*words: str) -> Any:
    def check(value: str | None) -> str | None:
        if value is not None and value not in words:
            raise typer.BadParameter(f"must be one of {', '.join(words)}")
        return value

    return check


def _complete(*words: str) -> Any:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _complete_provider(incomplete: str) -> list[str]:
    providers = import_module("cloud_integrations").Catalogue.builtin().list_providers()
    return [provider.id for provider in providers if provider.id.startswith(incomplete)]


_OUTPUTS = ("table", "json")
_LEVELS = ("debug", "info", "warning", "error")
_DIALECTS = ("postgresql", "sqlite", "mariadb")

Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="table|json",
        help="Tables for people, JSON for programs.",
        callback=_one_of(*_OUTPUTS),
        autocompletion=_complete(*_OUTPUTS),
    ),
]
Fields = Annotated[
    str | None,
    typer.Option("--fields", metavar="NAMES", help="Only these fields, by their names in JSON: id,health.state."),
]
Tenant = Annotated[str, typer.Option("--tenant", "-t", metavar="ID", help="Whose integrations.", show_default=False)]
Which = Annotated[str, typer.Argument(metavar="INTEGRATION", help="Its id, or the slug of its provider.")]
ProviderName = Annotated[str, typer.Argument(metavar="PROVIDER", help="Slug or UUID.", autocompletion=_complete_provider)]
OneTenant = Annotated[str | None, typer.Option("--tenant", "-t", metavar="ID", help="Only this tenant's.", show_default="all")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Variables = Annotated[
    list[str] | None, typer.Option("--variable", metavar="NAME=VALUE", help="What the provider's addresses need; may be repeated.")
]
Scopes = Annotated[list[str] | None, typer.Option("--scope", metavar="SCOPE", help="Ask for this scope; may be repeated.")]
ApiKeyFile = Annotated[Path | None, typer.Option("--api-key-file", metavar="FILE", help="Read the key from a file.")]
ApiKeyStdin = Annotated[bool, typer.Option("--api-key-stdin", help="Read the key from standard input.")]
SecretKeyFile = Annotated[
    Path | None, typer.Option("--secret-key-file", metavar="FILE", help="Read the second half of the key from a file.")
]
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
Paste = Annotated[bool, typer.Option("--paste", help="Do not wait for the callback: paste the address where the browser ended.")]
Wait = Annotated[int, typer.Option("--wait", metavar="SECONDS", min=1, help="How long to wait for the callback.")]

app = typer.Typer(
    cls=GuardedGroup,
    name="cloud-integrations",
    help="Holds tenants' access to cloud providers, and hands out credentials that work.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_WIDTH,
)


def _group(name: str, help_: str) -> typer.Typer:
    group = typer.Typer(cls=Group, help=help_, no_args_is_help=True, rich_markup_mode=None, context_settings=_WIDTH)
    app.add_typer(group, name=name)
    return group


def _version(wanted: bool) -> None:  # noqa: FBT001  # Typer's signature
    if wanted:
        typer.echo(f"cloud-integrations {import_module('cloud_integrations').__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
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
            help="How much of the library's log appears on stderr.",
            callback=_one_of(*_LEVELS),
            autocompletion=_complete(*_LEVELS),
        ),
    ] = "warning",
    version: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)] = False,  # noqa: ARG001, FBT002  # Typer calls _version
) -> None:
    ctx.obj = Options(config=config, output=output or "table")
    logging = import_module("logging")
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    # Ours alone: what an HTTP library logs at DEBUG holds addresses and headers.
    logging.getLogger("cloud_integrations").setLevel(log_level.upper())


def _open(ctx: typer.Context, output: str | None, fields: str | None = None) -> Screen:
    from .render import Output as Form
    from .render import Screen

    return Screen(Form(output or ctx.obj.output), fields=fields)


def _settings(ctx: typer.Context) -> Configuration:
    from .settings import load

    return load(ctx.obj.config)


def _time(text: str | None) -> datetime | None:
    """Read an ISO 8601 time; without a zone it is UTC."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandLineError("--before takes a time such as 2026-11-01T00:00:00Z") from None


# To begin


@app.command()
def demo() -> None:
    """Show everything from end to end.

    Needs no account and no network, and takes a few seconds.
    A simulated provider, a temporary database and the API run on this computer; one tenant connects by OAuth2, another by API key.
    """
    from . import demo as it

    it.run()


@app.command()
def serve(
    ctx: typer.Context,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="With a simulated provider and a temporary database.")] = False,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="The address to listen on.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Serve the HTTP API and a page for browsers.

    Runs until it is interrupted. With --demo --output json, one line of JSON on stdout says where everything is as soon as it is ready.
    """
    from . import serve as it

    screen = _open(ctx, output)
    if demo:
        it.run_demo(screen, host=host, port=port)
    else:
        it.run(screen, _settings(ctx), host=host, port=port)


@app.command()
def worker(
    ctx: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="Work until nothing is due, print the counts, and end.")] = False,
    batch: Annotated[int, typer.Option("--batch", metavar="COUNT", min=1, max=1000, help="How many a round claims.")] = 100,
    interval: Annotated[
        float,
        typer.Option("--interval", metavar="SECONDS", min=1, max=3600, help="How often to look while nothing is due, give or take 20 %."),
    ] = 30,
    health_port: Annotated[
        int | None,
        typer.Option(
            "--health-port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Answer GET /health on this port; 0 takes a free one. Left out: nothing listens.",
            show_default=False,
        ),
    ] = None,
    health_host: Annotated[str, typer.Option("--health-host", metavar="ADDRESS", help="Where the health endpoint listens.")] = "127.0.0.1",
    output: Output = None,
) -> None:
    """Renew tokens before they end.

    Makes rounds over what is due, and over the revocations that wait, until it is interrupted; then what is under way ends, and nothing
    new begins. Any number of workers may run on one database. What it does is told on stderr, as lines of JSON with --output json. With
    --once the counts go to stdout, and the exit code is 7 when the database failed in between.
    """
    from . import worker as it

    if once and health_port is not None:
        raise CommandLineError("--once ends soon and has no --health-port")
    pace = it.Pace(batch=batch, interval=interval)
    health = None if health_port is None else (health_host, health_port)
    it.run(_open(ctx, output), _settings(ctx), pace=pace, once=once, health=health)


@app.command()
def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to write.", show_default="this folder")] = Path(),
    output: Output = None,
) -> None:
    """Write settings, a key and a SQLite database.

    Nothing is overwritten.
    """
    from . import setup as it

    it.init(_open(ctx, output), folder)


@app.command()
def doctor(ctx: typer.Context, output: Output = None) -> None:
    """Check everything, and say what to do.

    Looks at settings, keys, schema, providers, applications, waiting revocations and clocks. Ends with exit code 8 when
    something is wrong.
    """
    from . import doctor as it

    it.examine(_open(ctx, output), ctx.obj.config)


# To connect


@app.command()
def connect(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    tenant: Tenant,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What to call it.", show_default="the provider's name")] = None,
    scope: Scopes = None,
    variable: Variables = None,
    no_browser: NoBrowser = False,
    port: CallbackPort = None,
    paste: Paste = False,
    wait: Wait = 300,
    output: Output = None,
) -> None:
    """Connect a provider by OAuth2, in a browser.

    The callback is received here where the configured callback address is on this computer; otherwise paste the address where the
    browser ended.
    """
    from . import connect as it

    it.connect(
        _open(ctx, output),
        _settings(ctx),
        tenant=tenant,
        provider=provider,
        name=name,
        scopes=scope or (),
        variables=variable or (),
        way=it.Way(browser=not no_browser, port=port, paste=paste, wait=wait),
    )


@app.command()
def token(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    tenant: Tenant,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the secret on stdout; asks first.")] = False,
    yes: Yes = False,
    min_ttl: Annotated[
        float | None, typer.Option("--min-ttl", metavar="SECONDS", min=0, help="The life it must still have.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Get a credential that works.

    It is renewed if need be, and printed only with --reveal. Every use is recorded in the audit under your name.
    """
    from . import integrations as it

    it.token(_open(ctx, output), _settings(ctx), tenant, provider, reveal=reveal, yes=yes, min_ttl=min_ttl)


providers = _group("providers", "The providers that this installation knows.")


@providers.command("list")
def providers_list(ctx: typer.Context, fields: Fields = None, output: Output = None) -> None:
    """List all providers, and what works with them here."""
    from . import providers as it

    it.list_all(_open(ctx, output, fields), _settings(ctx))


@providers.command("show")
def providers_show(ctx: typer.Context, provider: ProviderName, output: Output = None) -> None:
    """Show one provider.

    Its ways, what it asks for, and the redirect URI to register.
    """
    from . import providers as it

    it.show(_open(ctx, output), _settings(ctx), provider)


integrations = _group("integrations", "A tenant's access to providers.")


@integrations.command("list")
def integrations_list(ctx: typer.Context, *, tenant: Tenant, fields: Fields = None, output: Output = None) -> None:
    """List a tenant's integrations."""
    from . import integrations as it

    it.list_all(_open(ctx, output, fields), _settings(ctx), tenant)


@integrations.command("show")
def integrations_show(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Show one integration and how it is doing."""
    from . import integrations as it

    it.show(_open(ctx, output), _settings(ctx), tenant, integration)


@integrations.command("add")
def integrations_add(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    tenant: Tenant,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What to call it.", show_default="the provider's name")] = None,
    variable: Variables = None,
    api_key_file: ApiKeyFile = None,
    api_key_stdin: ApiKeyStdin = False,
    secret_key_file: SecretKeyFile = None,
    output: Output = None,
) -> None:
    """Connect a provider with an API key.

    It is asked for without echo, or read from a file or standard input. The provider is asked first
    whether the key works. No option takes the key itself.
    """
    from . import integrations as it

    it.add(
        _open(ctx, output),
        _settings(ctx),
        tenant=tenant,
        provider=provider,
        name=name,
        variables=variable or (),
        api_key_file=api_key_file,
        api_key_stdin=api_key_stdin,
        secret_key_file=secret_key_file,
    )


@integrations.command("verify")
def integrations_verify(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Ask the provider whether the credential works."""
    from . import integrations as it

    it.verify(_open(ctx, output), _settings(ctx), tenant, integration)


@integrations.command("refresh")
def integrations_refresh(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Renew the access token now.

    Where the provider said that the grant has ended, it is asked once more, and a success makes the integration active again.
    """
    from . import integrations as it

    it.refresh(_open(ctx, output), _settings(ctx), tenant, integration)


@integrations.command("refresh-refused")
def integrations_refresh_refused(
    ctx: typer.Context,
    provider: ProviderName,
    *,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="WORD", help="Only those that must reconnect for this reason: revoked, for instance.")
    ] = None,
    output: Output = None,
) -> None:
    """Ask again for all that a provider has refused.

    For after an incident in which it said of grants that they had ended. What it refuses again stays as it is.
    """
    from . import integrations as it

    it.refresh_refused(_open(ctx, output), _settings(ctx), provider, reason=reason)


@integrations.command("rename")
def integrations_rename(
    ctx: typer.Context,
    integration: Which,
    name: Annotated[str, typer.Argument(help="3 to 50 characters.")],
    *,
    tenant: Tenant,
    output: Output = None,
) -> None:
    """Give an integration another name."""
    from . import integrations as it

    it.edit(_open(ctx, output), _settings(ctx), tenant, integration, name=name)


@integrations.command("disable")
def integrations_disable(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Switch an integration off.

    Its credential is kept and not handed out.
    """
    from . import integrations as it

    it.edit(_open(ctx, output), _settings(ctx), tenant, integration, status="inactive")


@integrations.command("enable")
def integrations_enable(ctx: typer.Context, integration: Which, *, tenant: Tenant, output: Output = None) -> None:
    """Switch an integration on again."""
    from . import integrations as it

    it.edit(_open(ctx, output), _settings(ctx), tenant, integration, status="active")


@integrations.command("reconnect")
def integrations_reconnect(
    ctx: typer.Context,
    integration: Which,
    *,
    tenant: Tenant,
    scope: Scopes = None,
    no_browser: NoBrowser = False,
    port: CallbackPort = None,
    paste: Paste = False,
    wait: Wait = 300,
    api_key_file: ApiKeyFile = None,
    api_key_stdin: ApiKeyStdin = False,
    secret_key_file: SecretKeyFile = None,
    output: Output = None,
) -> None:
    """Connect again; id and name stay.

    By browser, or with a new API key.
    """
    from . import connect as it

    it.reconnect(
        _open(ctx, output),
        _settings(ctx),
        tenant,
        integration,
        scopes=scope or (),
        way=it.Way(browser=not no_browser, port=port, paste=paste, wait=wait),
        api_key_file=api_key_file,
        api_key_stdin=api_key_stdin,
        secret_key_file=secret_key_file,
    )


@integrations.command("delete")
def integrations_delete(ctx: typer.Context, integration: Which, *, tenant: Tenant, yes: Yes = False, output: Output = None) -> None:
    """Delete an integration and revoke its tokens.

    Says what became of each token at the provider; what could not be revoked is tried again.
    """
    from . import integrations as it

    it.delete(_open(ctx, output), _settings(ctx), tenant, integration, yes=yes)


# To operate

audit = _group("audit", "Who did what.")


@audit.command("list")
def audit_list(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    integration: Annotated[
        str | None, typer.Option("--integration", metavar="INTEGRATION", help="Only this one: its id, or the slug of its provider.")
    ] = None,
    before: Annotated[int | None, typer.Option("--before", metavar="NUMBER", min=1, help="Only events below this number.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, max=200, help="How many.")] = 50,
    fields: Fields = None,
    output: Output = None,
) -> None:
    """List a tenant's events, newest first."""
    from . import audit as it

    it.list_events(_open(ctx, output, fields), _settings(ctx), tenant, integration=integration, before=before, limit=limit)


@audit.command("verify")
def audit_verify(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", metavar="NUMBER:HASH", help="The end of an earlier report, to find a chain cut back.")
    ] = None,
    output: Output = None,
) -> None:
    """Check that a tenant's events are whole.

    Says whether anything was changed, removed, added or moved. Ends with exit code 11 when something was.
    """
    from . import audit as it

    it.verify(_open(ctx, output), _settings(ctx), tenant, checkpoint=checkpoint)


revocations = _group("revocations", "Tokens that are still to be revoked.")


@revocations.command("count")
def revocations_count(ctx: typer.Context, output: Output = None) -> None:
    """Say how many wait."""
    from . import integrations as it

    it.count_revocations(_open(ctx, output), _settings(ctx))


@revocations.command("retry")
def revocations_retry(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, max=1000, help="How many at most.")] = 100,
    output: Output = None,
) -> None:
    """Try those again whose time has come.

    Run it now and then, or use `serve` or `worker`, which do.
    """
    from . import integrations as it

    it.retry_revocations(_open(ctx, output), _settings(ctx), limit=limit)


keys = _group("keys", "The keys that seal everything.")


@keys.command("generate")
def keys_generate(
    ctx: typer.Context,
    *,
    kid: Annotated[str | None, typer.Option("--kid", metavar="NAME", help="Its name, for ever.", show_default="made from the date")] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Put it in front of this keyring file.")] = None,
    standby: Annotated[bool, typer.Option("--standby", help="Put it behind the others: it only unwraps until it is promoted.")] = False,
    output: Output = None,
) -> None:
    """Make a key.

    It is printed, or put in front of a keyring file, where it becomes the primary. With --standby it only unwraps at first, so that every
    process can be given it before one of them uses it.
    """
    from . import keys as it

    it.generate(_open(ctx, output), kid=kid, file=file, standby=standby)


@keys.command("promote")
def keys_promote(
    ctx: typer.Context,
    kid: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")],
    *,
    file: Annotated[Path, typer.Option("--file", metavar="FILE", help="The keyring file.")],
    output: Output = None,
) -> None:
    """Put a key in front: it wraps from now on."""
    from . import keys as it

    it.promote(_open(ctx, output), kid, file=file)


@keys.command("list")
def keys_list(ctx: typer.Context, fields: Fields = None, output: Output = None) -> None:
    """Show the names of the wrapping keys, never a key."""
    from . import keys as it

    it.list_all(_open(ctx, output, fields), _settings(ctx))


@keys.command("status")
def keys_status(ctx: typer.Context, *, tenant: OneTenant = None, fields: Fields = None, output: Output = None) -> None:
    """Show what each key protects, and what is left to do."""
    from . import keys as it

    it.status(_open(ctx, output, fields), _settings(ctx), tenant=tenant)


@keys.command("rotate")
def keys_rotate(
    ctx: typer.Context,
    *,
    tenant: OneTenant = None,
    data_keys: Annotated[bool, typer.Option("--data-keys", help="Make new data keys, instead of wrapping them anew.")] = False,
    before: Annotated[
        str | None, typer.Option("--before", metavar="TIME", help="Only data keys made before (ISO 8601).", show_default="now")
    ] = None,
    dry_run: DryRun = False,
    output: Output = None,
) -> None:
    """Wrap all data keys anew, or replace them.

    Without --data-keys, every data key is wrapped with the primary wrapping key; with it, each tenant gets a new one.
    Nothing has to stop for it. It may be interrupted and begun again, on any number of machines.
    """
    from . import keys as it

    it.rotate(_open(ctx, output), _settings(ctx), tenant=tenant, data_keys=data_keys, before=_time(before), dry_run=dry_run)


@keys.command("reseal")
def keys_reseal(
    ctx: typer.Context,
    *,
    destroy_after: Annotated[
        int | None,
        typer.Option(
            "--destroy-after",
            metavar="DAYS",
            min=1,
            max=36_500,
            help="First destroy data keys that were replaced so long ago and seal nothing.",
        ),
    ] = None,
    share: Annotated[float, typer.Option("--share", min=0.01, max=1, help="Work for this part of the time, and pause for the rest.")] = 1,
    dry_run: DryRun = False,
    output: Output = None,
) -> None:
    """Seal anew what older data keys have sealed.

    Choose --destroy-after by how long backups are kept: an older one can then no longer be opened.
    """
    from . import keys as it

    it.reseal(_open(ctx, output), _settings(ctx), destroy_after=destroy_after, share=share, dry_run=dry_run)


@keys.command("move")
def keys_move(
    ctx: typer.Context,
    uri: Annotated[str, typer.Argument(metavar="URI", help="The wrapping key that is first in the settings now.")],
    *,
    dry_run: DryRun = False,
    output: Output = None,
) -> None:
    """Move all data keys to another wrapping key, or key service."""
    from . import keys as it

    it.move(_open(ctx, output), _settings(ctx), uri, dry_run=dry_run)


@keys.command("refuse")
def keys_refuse(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    below: Annotated[int, typer.Option("--below", metavar="VERSION", min=1, help="Data keys below this version; 1 takes it back.")],
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Refuse what a tenant's older data keys have sealed.

    For the case that one of them may be known to somebody. Other processes follow when their memory of a key ends.
    """
    from . import keys as it

    it.refuse(_open(ctx, output), _settings(ctx), tenant, below=below, yes=yes)


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="JSON Lines; - for standard input.")] = None,
    *,
    query: Annotated[str | None, typer.Option("--query", metavar="SQL", help="Take the rows of this query instead.")] = None,
    database_url_file: Annotated[
        Path | None,
        typer.Option("--database-url-file", metavar="FILE", help="Where the query runs.", show_default="the database of the settings"),
    ] = None,
    fernet_key_file: Annotated[
        Path | None, typer.Option("--fernet-key-file", metavar="FILE", help="Open the secrets with these Fernet keys, one a line.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Ask the provider whether each works.")] = True,
    dry_run: DryRun = False,
    output: Output = None,
) -> None:
    """Take over credentials that an application already holds.

    Each line or row has tenantId, provider, name, and either accessToken, refreshToken, expiresAt, scopes, or apiKey, secretKey.
    What is there already is left as it is, so it can be run again.
    """
    from . import importing as it

    it.run(
        _open(ctx, output),
        _settings(ctx),
        file=file,
        query=query,
        database_url_file=database_url_file,
        fernet_key_file=fernet_key_file,
        verify=verify,
        dry_run=dry_run,
    )


tenants = _group("tenants", "A tenant as a whole.")


@tenants.command("erase")
def tenants_erase(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    receipt: Annotated[Path | None, typer.Option("--receipt", metavar="FILE", help="Write the receipt to this new file.")] = None,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Revoke everything and destroy the keys.

    Every integration of the tenant is removed and revoked, then its data keys are overwritten. Nothing brings them back.
    """
    from . import tenants as it

    it.erase(_open(ctx, output), _settings(ctx), tenant, yes=yes, receipt=receipt)


@tenants.command("verify-erasure")
def tenants_verify_erasure(
    ctx: typer.Context,
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="The file that `tenants erase --receipt` wrote.")],
    output: Output = None,
) -> None:
    """Look for what a backup brought back.

    Says whether a restored backup has brought back what was erased.
    """
    from . import tenants as it

    it.verify_erasure(_open(ctx, output), _settings(ctx), receipt)


tokens = _group("tokens", "Bearer tokens of `serve`.")


@tokens.command("generate")
def tokens_generate(
    ctx: typer.Context,
    *,
    actor: Annotated[str, typer.Option("--actor", metavar="TYPE:ID", help="Who it stands for, as the audit names them.")],
    tenant: Annotated[list[str], typer.Option("--tenant", "-t", metavar="ID", help="For this tenant; may be repeated; '*' for all.")],
    permission: Annotated[
        list[str] | None,
        typer.Option("--permission", metavar="NAME", help="May be repeated. Left out: all but use and reveal.", show_default=False),
    ] = None,
    output: Output = None,
) -> None:
    """Make a bearer token, shown this once.

    The settings keep its SHA-256 alone; the entry for them is printed, too.
    """
    from . import keys as it

    it.generate_token(_open(ctx, output), actor=actor, tenants=tenant, permissions=permission)


database = _group("db", "The database's schema.")


@database.command("upgrade")
def db_upgrade(ctx: typer.Context, output: Output = None) -> None:
    """Apply the migrations that are missing."""
    from . import database as it

    it.upgrade(_open(ctx, output), _settings(ctx))


@database.command("current")
def db_current(ctx: typer.Context, output: Output = None) -> None:
    """Show which schema the database has."""
    from . import database as it

    it.current(_open(ctx, output), _settings(ctx))


@database.command("sql")
def db_sql(
    ctx: typer.Context,
    dialect: Annotated[
        str,
        typer.Argument(
            metavar="|".join(_DIALECTS), help="Which database.", callback=_one_of(*_DIALECTS), autocompletion=_complete(*_DIALECTS)
        ),
    ] = "postgresql",
) -> None:
    """Print the migrations as SQL.

    For those who run it by hand.
    """
    from . import database as it

    it.sql(_open(ctx, None), dialect)
