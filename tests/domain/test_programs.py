"""How a provider's file says that other programs find a credential."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cloud_integrations.domain.provider import Input, Login, Method, Programs, Provider, Variable


def provider(*programs, variables=()):
    methods = [Method(id=name, kind="key", inputs=(Input(name="token"),)) for name in ("key", "pat", "other")]
    return Provider(id="acme", name="Acme", methods=tuple(methods), programs=programs, variables=variables)


def test_the_first_table_that_fits_the_method_is_used_and_removes_the_variables_of_all():
    found = provider(
        Programs(for_methods=("key",), environment={"ACME_KEY": "{value}"}, removes=("ACME_PROFILE", "ACME_OLD_KEY")),
        Programs(for_methods=("pat",), environment={"ACME_TOKEN": "{value}", "ACME_PROFILE": "none"}),
        Programs(for_methods=("key", "pat"), environment={"ACME_NEVER": "{value}"}),
    )
    by_key, by_token = found.programs_of("key", {}), found.programs_of("pat", {})
    assert (by_key.environment, by_key.removes) == ({"ACME_KEY": "{value}"}, ("ACME_NEVER", "ACME_OLD_KEY", "ACME_PROFILE", "ACME_TOKEN"))
    # What one method needs is not taken away from it because another does without.
    assert by_token.removes == ("ACME_KEY", "ACME_NEVER", "ACME_OLD_KEY")
    assert found.programs_of("other", {}) is None


def test_a_table_for_one_server_is_not_used_for_another():
    found = provider(
        Programs(when={"host": "acme.example"}, environment={"ACME_TOKEN": "{value}"}),
        Programs(environment={"ACME_SERVER_TOKEN": "{value}"}, git={"hosts": ("{host}",), "user": "x"}),
        variables=(Variable(name="host", pattern="^[a-z.]+$", default="acme.example"),),
    )
    public, own = (found.programs_of("key", {"host": host}) for host in ("acme.example", "git.customer.example"))
    assert (public.environment, public.git, public.removes) == ({"ACME_TOKEN": "{value}"}, None, ("ACME_SERVER_TOKEN",))
    assert (own.environment, own.removes) == ({"ACME_SERVER_TOKEN": "{value}"}, ("ACME_TOKEN",))


def test_a_table_for_a_value_of_a_variable_that_is_not_there_is_refused():
    with pytest.raises(ValidationError, match="when names host"):
        provider(Programs(when={"host": "acme.example"}, environment={"ACME_KEY": "{value}"}))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "give environment, endpoint, git, docker or kubernetes"),
        ({"removes": ("ACME_KEY",)}, "give environment, endpoint, git, docker or kubernetes"),
        ({"environment": {"ACME_KEY": "{value}"}, "removes": ("ACME_KEY",)}, "both name ACME_KEY"),
        ({"environment": {"ACME_KEY": "{value}"}, "audience": "https://acme.example"}, "audience is for azure_app_service"),
        ({"environment": {"ACME KEY": "{value}"}}, "pattern"),
        ({"endpoint": "acme"}, "endpoint"),
        ({"git": {"hosts": (), "user": "x"}}, "hosts"),
    ],
)
def test_a_table_that_cannot_work_is_refused(fields, says):
    with pytest.raises(ValidationError, match=says):
        Programs(**fields)


def test_a_method_that_is_not_there_is_refused():
    with pytest.raises(ValidationError, match="for_methods names none"):
        provider(Programs(for_methods=("none",), environment={"ACME_KEY": "{value}"}))


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("acme.example", True),
        ("ACME.example", True),
        ("eu-docker.acme.example", True),
        ("docker.acme.example", False),
        ("-docker.acme.example", False),
        ("a.b-docker.acme.example", False),
        ("acmeXexample", False),
        ("acme.example:443", False),
        ("eu.example:8443", True),
        ("acme.example.attacker.example", False),
        ("", False),
    ],
)
def test_a_star_stands_for_a_part_of_one_name(host, fits):
    login = Login(hosts=("acme.example", "*-docker.acme.example", "{region}.example:8443"), user="x")
    assert login.serves(host, lambda template: template.replace("{region}", "eu")) is fits


def test_every_template_is_looked_at():
    found = Programs(
        environment={"A": "{a}{b}"},
        endpoint="azure_app_service",
        audience="https://{c}",
        git={"hosts": ("{d}",), "user": "{e}", "password": "{f}"},
        docker={"hosts": ("acme.example",), "user": "x"},
        kubernetes={"server": "{g}"},
    )
    assert found.names() == ("a", "b", "d", "e", "f", "value", "c", "g")
