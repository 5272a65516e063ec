"""`exec`: another program with a tenant's AWS keys."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cloud_integrations.clients import aws_environment
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.settings import Configuration

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


def run(configuration: Configuration, tenant: str, provider: str, command: Sequence[str], /, *, slot: str, region: str | None) -> int:
    """Run *command* and return its exit code, or 128 and the number of the signal that ended it, as a shell does.

    Raises before the program begins where no keys can be handed out, and `CommandLineError` if it cannot be started.
    """
    with wiring.open_manager(configuration) as manager:
        named = wiring.read_id(provider) or wiring.find_provider(configuration, provider).id
        manager.credential(tenant, named, slot=slot)
        with aws_environment(manager, tenant, named, slot=slot, region_name=region) as env:
            try:
                process = subprocess.Popen(command, env=env)  # noqa: S603  # what the user asked for
            except OSError as error:
                raise CommandLineError("the program cannot be started") from error
            with process, _passing_on(process):
                code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _passing_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Send on the signals that would end this process; the terminal itself sends Ctrl-C to both."""

    def send_on(number: int, _frame: object) -> None:
        process.send_signal(number)

    def leave_it(_number: int, _frame: object) -> None:
        pass

    before = {number: signal.signal(number, send_on) for number in _PASSED_ON}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, leave_it)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
