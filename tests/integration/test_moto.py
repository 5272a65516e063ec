"""The AWS that other tests speak with is a new one each time it is opened."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from tests.aws_cloud import open_cloud


def test_a_server_that_is_opened_again_knows_nothing_of_the_one_before():
    # A worker that takes tests from another may come back to a module whose server it has closed.
    with open_cloud() as first:
        first.make_role("of-the-first", None)
    with open_cloud() as second:
        assert second.key_id != first.key_id
        with pytest.raises(ClientError, match="NoSuchEntity"):
            second.iam.get_role(RoleName="of-the-first")
