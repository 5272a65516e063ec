"""`exec`: another program with a tenant's credential."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud_integrations import Actor
from cloud_integrations.clients import environment, injecting_environment
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.render import Screen, moment
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.transports import open_transport

if TYPE_CHECKING:
    from cloud_integrations import IntegrationManager, Session

_PASSED_ON = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Windows has no SIGHUP, and ends the program itself for a SIGTERM."""


def run(
    screen: Screen, configuration: Configuration, tenant: str, provider: str, command: Sequence[str], /, *, slot: str, region: str | None
) -> int:
    """Run *command* and return its exit code, or 128 and the number of the signal that ended it, as a shell does.

    Raises before the program begins where no credential can be handed out, or nothing is known of how programs find it, and
    `CommandLineError` if it cannot be started.
    """
    with wiring.open_manager(configuration) as manager:
        named = wiring.read_id(provider) or wiring.find_provider(configuration, provider).id
        with environment(manager, tenant, named, slot=slot, region_name=region) as env:
            if not env.is_renewed:
                ends = moment(env.expires_at, unknown="at a time that is not known, or never")
                screen.note(f"the program cannot renew its credential, which ends {ends}")
            return _wait_for(command, env)


def run_injected(configuration: Configuration, tenant: str, command: Sequence[str], /, *, session: str | Opening) -> int:
    """Run *command* with a proxy that attaches the credentials of a session, and return its exit code, as `run`.

    *session* is the id of a session, or what is opened for the program and revoked after it.
    Raises as `IntegrationManager.sessions`, and `CommandLineError` if the program cannot be started.
    """
    with wiring.open_manager(configuration) as manager, open_transport(configuration) as transport, closing(transport):
        used = manager.sessions.attach(tenant, session) if isinstance(session, str) else session.open(manager, configuration, tenant)
        try:
            with injecting_environment(used, transport=transport) as env:
                return _wait_for(command, env)
        finally:
            if not isinstance(session, str):
                used.revoke()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The session that is opened for one program."""

    provider: str
    slot: str
    agent: str
    on_behalf_of: str
    hosts: Sequence[str]
    methods: Sequence[str]
    ttl: int

    def open(self, manager: IntegrationManager, configuration: Configuration, tenant: str, /) -> Session:
        """Open it."""
        named = wiring.read_id(self.provider) or wiring.find_provider(configuration, self.provider).id
        return manager.sessions.open(
            tenant,
            actor=Actor(type="agent", id=self.agent),
            on_behalf_of=Actor(id=self.on_behalf_of),
            providers=[manager.get_integration(tenant, named, slot=self.slot).id if self.slot else named],
            hosts=self.hosts or None,
            methods=self.methods,
            ttl=self.ttl,
        )


def _wait_for(command: Sequence[str], env: Mapping[str, str]) -> int:
    with _passing_on() as started:
        try:
            process = subprocess.Popen(command, env=env)  # noqa: S603  # what the user asked for
        except OSError as error:
            raise CommandLineError("the program cannot be started") from error
        started(process)
        with process:
            code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _passing_on() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Send the signals that would end this process on to the program; the terminal itself sends Ctrl-C to both.

    Gives the function to call with the program, which then gets what came while it was being started.
    """
    programs: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def send_on(number: int, _frame: object) -> None:
        if programs:
            programs[0].send_signal(number)
        else:
            early.append(number)

    def leave_it(_number: int, _frame: object) -> None:
        pass

    def started(program: subprocess.Popen[bytes]) -> None:
        programs.append(program)
        for number in early:
            program.send_signal(number)

    before = {number: signal.signal(number, send_on) for number in _PASSED_ON}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, leave_it)
    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
