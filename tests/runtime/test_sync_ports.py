"""Blocking ports look awaitable."""

from __future__ import annotations

import pytest

from cloud_integrations.runtime.sync import awaitable_pause, awaitable_store, awaitable_tenants, awaitable_transport, run_inline


class Port:
    def __repr__(self):
        return "Port()"

    def add(self, one, /, *, other):
        """Add two numbers."""
        return one + other

    def refuse(self):
        raise LookupError


@pytest.mark.parametrize("lift", [awaitable_pause, awaitable_store, awaitable_tenants, awaitable_transport])
def test_a_method_is_awaited_with_its_arguments_and_its_value(lift):
    lifted = lift(Port())
    assert run_inline(lifted.add(20, other=1)) == 21
    assert lifted.add.__doc__ == "Add two numbers."
    assert repr(lifted) == "awaitable Port()"


def test_errors_pass_and_a_method_is_lifted_once():
    lifted = awaitable_store(Port())
    with pytest.raises(LookupError):
        run_inline(lifted.refuse())
    assert lifted.refuse is lifted.refuse
    with pytest.raises(AttributeError):
        _ = lifted.nothing
