"""A flow is run to its end in one step."""

from __future__ import annotations

import asyncio

import pytest

from cloud_integrations.runtime.sync import run_inline


def test_a_coroutine_that_never_pauses_gives_its_value():
    async def inner():
        return 20

    async def flow():
        return await inner() + 1

    assert run_inline(flow()) == 21


def test_an_error_comes_out_as_it_is():
    async def flow():
        raise LookupError("plain")

    with pytest.raises(LookupError, match="plain"):
        run_inline(flow())


def test_a_coroutine_that_pauses_is_closed_and_refused():
    closed = []

    async def flow():
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="may only await blocking ports"):
        run_inline(flow())
    assert closed == [True]
