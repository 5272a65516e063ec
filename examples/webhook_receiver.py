"""Receive events over HTTP, verified by `standardwebhooks` alone, each of them handled once.

`python examples/webhook_receiver.py` runs a receiver and an application beside each other on this machine: the receiver fails once, gets
the event again with the same id, and goes on while the secret is rotated.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from cloud_integrations import AesGcmCipher, Catalogue, HttpxTransport, IntegrationManager, LocalKeyring, MemoryStore, Settings
from cloud_integrations.testing import ProviderServer, SimulatedProvider


class Receiver:
    """The receiver's side: nothing here knows the library."""

    def __init__(self) -> None:
        self.secret = ""
        self.handled: dict[str, dict[str, Any]] = {}
        """By `webhook-id`: a real one keeps the ids in its database, with what it did."""
        self.fails = 1

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Verify a delivery, handle it unless it was handled before, and return the status to answer."""
        try:
            event = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            return 401
        if self.fails:
            self.fails -= 1
            return 500  # it comes again
        message_id = headers["webhook-id"]
        if message_id not in self.handled:
            self.handled[message_id] = event
        return 204


def serve(receiver: Receiver) -> ThreadingHTTPServer:
    """Answer requests on this machine, in threads."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.take(headers, self.rfile.read(int(headers["content-length"]))))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the signature of the class above
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    """Run both sides."""
    provider, receiver = SimulatedProvider(), Receiver()
    server = serve(receiver)
    with ProviderServer(provider):
        manager = IntegrationManager(
            store=MemoryStore(),
            transport=HttpxTransport(),
            keys=LocalKeyring([LocalKeyring.generate_key("example")]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*provider.catalogue_entries()),
            settings=Settings(events=True, loopback=True),
        )
        operator = manager.acting_as("operator")
        new = operator.webhooks.add("acme", f"http://127.0.0.1:{server.server_port}/cloud")
        receiver.secret = new.secret.reveal()
        integration = operator.add_api_key("acme", "simulated_keys", name="Build server", api_key=provider.valid_api_key)
        delivered = 0
        while not delivered:  # once it fails; five seconds later it is taken
            delivered = operator.worker.deliver_events().delivered
            time.sleep(0.5)
        receiver.secret = operator.webhooks.rotate_secret("acme", new.webhook.id, overlap=timedelta(hours=1)).secret.reveal()
        operator.delete("acme", integration.id)
        operator.worker.deliver_events()
        manager.close()
    server.shutdown()
    server.server_close()
    for message_id, event in receiver.handled.items():
        print(message_id, event["type"], event["data"]["integrationId"])
    assert [event["type"] for event in receiver.handled.values()] == ["integration.connected", "integration.removed"]


if __name__ == "__main__":
    main()
