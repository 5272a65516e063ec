"""`credential`: what other programs read from a program that they call for a credential."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cloud_integrations.clients import aws_process_credential, docker_credential, exec_credential, git_credential
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.settings import Configuration

if TYPE_CHECKING:
    from cloud_integrations import IntegrationManager


def aws(configuration: Configuration, tenant: str, provider: str, /, *, slot: str, reveal: bool) -> None:
    """Print the keys as AWS's SDKs read them."""
    _refuse_terminal(reveal=reveal)
    with _opened(configuration, provider) as (manager, named):
        _print(json.dumps(aws_process_credential(manager, tenant, named, slot=slot)))


def git(settings: Callable[[], Configuration], tenant: str, provider: str, operation: Any, /, *, slot: str, reveal: bool) -> None:
    """Print what git reads; where there is no credential, git is told to ask nobody else."""
    _refuse_terminal(reveal=reveal)
    request = _read()
    try:
        with _opened(settings(), provider) as (manager, named):
            answer = git_credential(manager, tenant, named, operation, request, slot=slot)
    except BaseException:
        if operation == "get":
            # Otherwise it would go on to the user's own credential.
            _print("quit=1\n")
        raise
    _print(answer)


def docker(configuration: Configuration, tenant: str, provider: str, operation: Any, /, *, slot: str, reveal: bool) -> int:
    """Print what docker reads, errors too, and return the exit code that it expects."""
    _refuse_terminal(reveal=reveal)
    request = "" if operation == "list" else _read()
    try:
        with _opened(configuration, provider) as (manager, named):
            code, text = docker_credential(manager, tenant, named, operation, request, slot=slot)
    except CloudIntegrationsError as error:
        _print(error.message)
        raise
    _print(text)
    return code


def kubernetes(configuration: Configuration, tenant: str, provider: str, /, *, slot: str, reveal: bool) -> None:
    """Print an ExecCredential."""
    _refuse_terminal(reveal=reveal)
    with _opened(configuration, provider) as (manager, named):
        document = exec_credential(manager, tenant, named, slot=slot, exec_info=os.environ.get("KUBERNETES_EXEC_INFO"))
        _print(json.dumps(document))


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _refuse_terminal(*, reveal: bool) -> None:
    if _is_terminal() and not reveal:
        raise CommandLineError("this prints a secret for a program; --reveal prints it to a terminal")


@contextmanager
def _opened(configuration: Configuration, provider: str) -> Generator[tuple[IntegrationManager, UUID]]:
    with wiring.open_manager(configuration) as manager:
        yield manager, wiring.read_id(provider) or wiring.find_provider(configuration, provider).provider_id


def _read() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def _print(text: str) -> None:
    # As programs read it, whatever the encoding of a terminal would be.
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
