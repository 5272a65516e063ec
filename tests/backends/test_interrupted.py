"""A caller who is interrupted, by the time limit of a task queue for instance, is told that and not that something is down."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa
from tests.signals import SoftTimeLimitError, time_is_up
from tests.tracebacks import shown_by

from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore
from cloud_integrations.backends.transport.httpx_transport import HttpxTransport
from cloud_integrations.protocol.http import HttpRequest


def shown_with_every_frame(error):
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return "\n".join([*frames, shown_by(error)])


def test_a_request_that_was_interrupted_is_no_outage_of_the_provider():
    request = HttpRequest(method="POST", url="http://127.0.0.1:9/", provider_id="simulated", headers={}, body=b"fake-secret", loopback=True)
    with time_is_up() as strike, httpx.Client(transport=httpx.MockTransport(strike)) as client, pytest.raises(SoftTimeLimitError) as caught:
        HttpxTransport(client).send(request, deadline=timedelta(seconds=15))
    assert caught.value.__context__ is None
    assert "httpx/" not in shown_with_every_frame(caught.value)


def test_a_connection_that_was_interrupted_is_no_outage_of_the_database(sqlite):
    store = SqlAlchemyStore(sqlite)
    sqlite.dispose()
    with time_is_up() as strike:
        sa.event.listen(sqlite, "connect", strike)
        with pytest.raises(SoftTimeLimitError) as caught:
            store.report()
        sa.event.remove(sqlite, "connect", strike)
    assert "sqlalchemy/engine" not in shown_with_every_frame(caught.value)
    assert store.report()
