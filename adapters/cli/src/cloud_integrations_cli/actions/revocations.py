"""The commands about tokens that wait to be revoked."""

from __future__ import annotations

from cloud_integrations import SqlAlchemyStore
from cloud_integrations_cli import wiring
from cloud_integrations_cli.engines import open_engine
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration


def retry(screen: Screen, configuration: Configuration, /, *, limit: int) -> None:
    """Retry revocations that failed before."""
    with wiring.open_manager(configuration) as manager:
        run = manager.worker.retry_revocations(limit=limit)
    if screen.as_json:
        screen.json({"data": run.as_json()})
    else:
        screen.facts({name.capitalize(): str(count) for name, count in run.as_json().items()})


def count(screen: Screen, configuration: Configuration, /) -> None:
    """Show how many tokens wait to be revoked."""
    with open_engine(configuration) as engine:
        waiting = SqlAlchemyStore(engine, row_security=configuration.row_security).count_entries("revocation")
    if screen.as_json:
        screen.json({"data": {"waiting": waiting}})
    else:
        screen.facts({"Waiting": str(waiting)})
