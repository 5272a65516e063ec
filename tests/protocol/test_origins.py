"""The address of a tenant's own server: how it is written, which URLs it makes, and which of them may be asked."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.url_template import fill_url
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.egress import EndpointRefusedError, Reach, read_origin, read_target
from cloud_integrations.protocol.inputs import normalise

from .checks import request_of

pytestmark = pytest.mark.requirement("Q01", "Q69")

SERVER = {"name": "server", "form": "origin", "secret": False}
TOKEN = {"name": "token"}
URL = "{server}/me"


def provider(url=URL, **changes):
    method = {"id": "key", "kind": "key", "inputs": [SERVER, TOKEN], "present": {"headers": {"Authorization": "Bearer {token}"}}}
    file = {"id": "acme", "name": "Acme", "methods": [method | changes.pop("method", {})], "verifications": [{"url": url}]}
    return Provider.model_validate(file | changes)


@pytest.mark.requirement("OAU-072")
@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://cluster.acme.example", "https://cluster.acme.example"),
        ("https://cluster.acme.example/", "https://cluster.acme.example"),
        ("HTTPS://Cluster.ACME.example:6443", "https://cluster.acme.example:6443"),
        ("https://cluster.acme.example:443", "https://cluster.acme.example"),
        ("https://CLUSTER-X.acme.example", "https://cluster-x.acme.example"),
        ("https://cluster.acme.example:06443/", "https://cluster.acme.example:6443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://203.0.113.7:6443", "https://203.0.113.7:6443"),
        ("https://[2001:DB8:0:0::7]:6443", "https://[2001:db8::7]:6443"),
        ("https://[2606:4700::1111]", "https://[2606:4700::1111]"),
        ("https://[::ffff:203.0.113.7]:6443", "https://203.0.113.7:6443"),
        ("https://cluster", "https://cluster"),
    ],
)
def test_one_server_has_one_origin(text, origin):
    assert read_origin(text) == origin
    assert read_origin(origin) == origin
    method = provider().methods[0]
    parts = normalise(method, {"server": f' "{text}" \n', "token": "fake"})
    assert parts["server"].reveal() == origin


REFUSED = [
    "",
    "cluster.acme.example",
    "//cluster.acme.example",
    "http://cluster.acme.example",
    "file:///etc/passwd",
    "https://",
    "https:///",
    "https://user@cluster.acme.example",
    "https://user:word@cluster.acme.example",
    "https://good.example@evil.example",
    "https://cluster.acme.example/api",
    "https://cluster.acme.example//",
    "https://cluster.acme.example?x=y",
    "https://cluster.acme.example/?",
    "https://cluster.acme.example#",
    "https://cluster.acme.example\\@evil.example",
    "https:\\\\cluster.acme.example",
    "https://cluster.acme%2eexample",
    "https://%6cocalhost",
    "https://cluster.acme.example.",
    "https://cluster..example",
    "https://clu ster.example",
    "https://clu\tster.example",
    "https://cluster.example\nX: y",
    "https://cluster.acme.example:0",
    "https://cluster.acme.example:65536",
    "https://cluster.acme.example:+443",
    "https://127.1",
    "https://2130706433",
    "https://0x7f.0.0.1",
    "https://0177.0.0.1",
    "https://[fe80::1%25eth0]",
    "https://[::1",
    "https://::1",
    "https://[cluster.example]",
    "https://[v1.example]",
    "https://[127.0.0.1]",
    "https://{server}.example",
]
HOMOGRAPHS = [
    "https://b\u00fccher.example",
    "https://\u0430cme.example",
    "https://acme\u3002example",
    "https://acme.example\uff0fpath",
    "https://\u2488.example",
]


@pytest.mark.requirement("OAU-072", "OAU-075")
@pytest.mark.parametrize("text", [*REFUSED, *HOMOGRAPHS])
def test_anything_but_an_origin_is_refused_by_its_field_and_not_repeated(text):
    with pytest.raises(ValueError, match="must be") as caught:
        read_origin(text)
    assert text in "https://server.example:6443" or text not in str(caught.value)
    with pytest.raises(ValidationFailedError) as refused:
        normalise(provider().methods[0], {"server": text, "token": "fake"})
    assert refused.value.field == "credentials.server"
    assert ("xn--" in refused.value.problem) is (text in HOMOGRAPHS)


ANY = st.builds(
    "{}{}{}".format,
    st.sampled_from(["https://", "https://[", "https://a@", "https:", ""]),
    st.text(st.sampled_from("aZ09-_.:%[]@#?/\\{}x\u00fc\u3002\ud800 \n"), max_size=30),
    st.sampled_from(["", ".example", ".example:6443", "]:1", "/"]),
)


@pytest.mark.requirement("OAU-072")
@given(text=ANY)
def test_a_url_never_leaves_the_origin_that_was_accepted(text):
    with suppress(ValueError):
        origin = read_origin(text)
        assert read_origin(origin) == origin
        url = fill_url("{server}/me/{name}?q={name}", {"server": origin, "name": "../@evil.example/\\#?"}.__getitem__)
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" == origin
        assert read_target(url, private_host=True).host == parts.hostname


@pytest.mark.requirement("OAU-072", "OAU-074", "OAU-076")
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://cluster.acme.example:6443", True),
        ("https://8.8.8.8:6443", True),
        ("https://[2606:4700::1111]", True),
        ("https://127.0.0.1", False),
        ("https://[::1]", False),
        ("https://[::ffff:8.8.8.8]", True),
        ("https://[::ffff:7f00:1]", False),
        ("https://[64:ff9b::a9fe:a9fe]", False),
        ("https://169.254.169.254", False),
        ("https://168.63.129.16", False),
        ("https://10.0.0.1:6443", False),
        ("https://[fd00::1]", False),
        ("https://0.0.0.0", False),
        ("https://cluster", False),
        ("https://localhost:6443", False),
        ("https://kubernetes.default.svc", True),
    ],
)
def test_a_server_that_a_tenant_names_is_public(origin, allowed):
    request = request_of(provider(), {"server": Secret(read_origin(origin)), "token": Secret("fake")})
    assert (request.tenant_server, request.private_host) == (True, False)
    allowances = {"tenant_server": request.tenant_server, "private_host": request.private_host}
    if allowed:
        # Where a name leads is asked when the connection is opened.
        assert read_target(request.url, **allowances).reach is Reach.PUBLIC
    else:
        with pytest.raises(EndpointRefusedError):
            read_target(request.url, **allowances)


@pytest.mark.requirement("OAU-052")
def test_the_check_asks_the_origin_and_nobody_else():
    request = request_of(provider(), {"server": Secret("https://cluster.acme.example:6443"), "token": Secret("fake-key")})
    assert request.url == "https://cluster.acme.example:6443/me"
    assert request.headers["Authorization"] == "Bearer fake-key"


HOSTED = {
    "self_hosted": True,
    "variables": [{"name": "host", "source": "application", "in_host": True, "pattern": "^[a-z.]+$", "default": "acme.example"}],
    "base_urls": {"api": "https://{host}/"},
}


@pytest.mark.requirement("OAU-076")
def test_the_operators_word_about_its_own_host_opens_no_private_address_for_a_tenant():
    mixed = provider(**HOSTED)
    variables = mixed.fill_variables({}, operator={"host": "git.corp.example"})
    assert mixed.on_private_host(variables)
    request = request_of(mixed, {"server": Secret("https://10.0.0.1"), "token": Secret("fake")}, variables)
    assert not request.private_host


@pytest.mark.parametrize(
    "url",
    [
        "{token}/me",
        "{server}",
        "{server}.evil.example/me",
        "{server}@evil.example/me",
        "{server}:6443/me",
        "x{server}/me",
        "{server}/me#x",
        "{elsewhere}/me",
        "http://{server}/me",
        "https://{server}/me",
    ],
)
def test_a_file_puts_an_origin_at_the_beginning_alone(url):
    with pytest.raises(ValidationError):
        provider(url)


@pytest.mark.parametrize(
    "method",
    [
        {"inputs": [SERVER | {"secret": True}, TOKEN]},
        {"inputs": [SERVER | {"parts": {"a": "b"}}, TOKEN]},
        {"mint": [{"url": "{server}/token"}]},
        {"revoke": {"manual_url": "{server}/keys"}},
    ],
)
def test_other_addresses_of_a_file_are_no_servers_of_tenants(method):
    with pytest.raises(ValidationError):
        provider(method=method)


def test_the_urls_that_are_shown_may_begin_with_it():
    assert provider(base_urls={"api": "{server}/api/v1"}).base_urls == {"api": "{server}/api/v1"}
