"""TLS contexts with a client's certificate, and with authorities of a tenant's own."""

from __future__ import annotations

import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.certificates import order_chain, read_authorities


def make_context(
    certificate: Secret | None, trust: Secret | None, /, *, usual: Callable[[], ssl.SSLContext] = ssl.create_default_context
) -> ssl.SSLContext:
    """Return a new TLS context that shows *certificate*, and trusts the authorities in *trust*, both in PEM.

    Without *trust*, *usual* gives a new context with the usual authorities.  The server's name is checked in any case.
    Raises `ValidationFailedError` for what TLS cannot use.
    """
    try:
        context = usual() if trust is None else _trusting(read_authorities(trust))
        if certificate is not None:
            with _file(order_chain(certificate)) as path:
                # An encrypted key is refused: without a password, OpenSSL would ask for one on the terminal.
                context.load_cert_chain(path, password="")
    except (ssl.SSLError, ValueError):
        raise ValidationFailedError(field="credentials", problem="hold a certificate or a private key that TLS cannot use") from None
    return context


def make_server_context(certificate: Secret, /) -> ssl.SSLContext:
    """Return the TLS context of a server that shows *certificate*, in PEM with its private key, and speaks HTTP/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    with _file(certificate) as path:
        context.load_cert_chain(path)
    return context


def copy_authorities(context: ssl.SSLContext, /) -> ssl.SSLContext:
    """Return a new context that trusts the authorities of *context*, and nobody if it has none."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authorities := b"".join(context.get_ca_certs(binary_form=True)):
        found.load_verify_locations(cadata=authorities)
    return found


def _trusting(authorities: str) -> ssl.SSLContext:
    # Not `create_default_context`: since Python 3.13 it is strict about details that many private authorities lack.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # An authority may be below another one, which is not given, and a server's own certificate may be given.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=authorities)
    return context


@contextmanager
def _file(content: Secret) -> Iterator[str]:
    """Give the path of a file with *content*, which `ssl` reads from files only: in memory if the system can, else for this user alone."""
    if in_memory():
        number = os.memfd_create("certificate")
        path = f"/proc/self/fd/{number}"
    else:
        number, path = tempfile.mkstemp()
    try:
        with os.fdopen(number, "wb", closefd=False) as file:
            file.write(content.reveal().encode())
        yield path
    finally:
        os.close(number)
        if not path.startswith("/proc/"):
            Path(path).unlink()


def in_memory() -> bool:
    """Return whether the system has files in memory that can be opened by a path."""
    return sys.platform == "linux" and hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()
