"""The operator's own credential, read by a function of the host."""

from __future__ import annotations

import pytest
from tests.signals import SoftTimeLimitError, time_is_up

from cloud_integrations.runtime.platform import PlatformCredentials
from cloud_integrations.runtime.sync import run_inline


def test_a_caller_who_is_interrupted_while_it_is_read_is_told_of_no_wrong_setting():
    with time_is_up() as strike, pytest.raises(SoftTimeLimitError):
        run_inline(PlatformCredentials({"aws": strike}, in_thread=False).find("aws"))
