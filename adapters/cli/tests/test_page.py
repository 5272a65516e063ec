"""The reference server's page offers what a provider takes, and no more."""

from __future__ import annotations

from uuid import uuid4

import pytest

from cloud_integrations import AuthType, InputSummary, MethodSummary, ProviderSummary
from cloud_integrations_cli import page


def provider(*inputs: InputSummary) -> ProviderSummary:
    method = MethodSummary(id="key", auth_type=AuthType.API_KEY, inputs=inputs, manual_url=None)
    return ProviderSummary(
        id=uuid4(),
        slug="acme",
        name="Acme",
        category="cloud",
        active=True,
        auth_types=(AuthType.API_KEY,),
        documentation="",
        methods=(method,),
    )


def given(name, label, argument, *, required=True):
    return InputSummary(name=name, label=label, hint="", required=required, secret=True, argument=argument)


KEY = given("token", "API <token>", "api_key")


@pytest.mark.parametrize(
    ("inputs", "fields"),
    [
        ((KEY,), ['<label>API &lt;token&gt;<input name="key" type="password" autocomplete="off" required></label>']),
        (
            (KEY, given("half", "Second half", "secret_key", required=False), given("third", "Third", None)),
            [
                '<label>API &lt;token&gt;<input name="key" type="password" autocomplete="off" required></label>',
                '<label>Second half<input name="secret" type="password" autocomplete="off"></label>',
            ],
        ),
    ],
)
def test_a_second_half_is_offered_only_where_one_is_taken(inputs, fields):
    assert list(page._secret_fields(provider(*inputs))) == fields
