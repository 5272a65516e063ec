"""Which requests of an agent get a credential, and whose: a table, with what a hostile agent would try."""

from __future__ import annotations

from uuid import UUID

import pytest

from cloud_integrations.domain.identifiers import IntegrationId, ProviderId
from cloud_integrations.domain.session import SessionAccess
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.session_rules import SessionRequest, decide, overlap, read_host

HUB, CLOUD, LOCAL = (ProviderId(UUID(int=number)) for number in (1, 2, 3))


def access(provider, *hosts, number=1):
    return SessionAccess(name=str(provider), provider_id=provider, integration_id=IntegrationId(UUID(int=number)), hosts=hosts)


HUBS = access(HUB, "api.github.com", "192.0.2.7", "[2001:db8::7]:6443")
CLOUDS = access(CLOUD, "*.cloud.example", "other.example:8443", number=2)
LOCALS = access(LOCAL, "127.0.0.1:8000", "[::1]:8000", number=3)


def decided(url, *, http_method="GET", candidates=(HUBS, CLOUDS, LOCALS), **headers):
    request = SessionRequest(http_method=http_method, url=url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return decide(candidates, ("GET", "POST"), request, local={LOCAL})


@pytest.mark.parametrize(
    ("url", "whose"),
    [
        ("https://api.github.com", HUBS),
        ("https://api.github.com/", HUBS),
        ("https://API.GitHub.com/user", HUBS),
        ("HTTPS://api.github.com/user?q=https://evil.example", HUBS),
        ("https://api.github.com:443/user", HUBS),
        ("https://api.github.com:/user", HUBS),
        ("https://192.0.2.7/", HUBS),
        ("https://[2001:DB8:0::7]:6443/", HUBS),
        ("https://a.cloud.example/", CLOUDS),
        ("https://a.b.cloud.example/", CLOUDS),
        ("https://other.example:8443/", CLOUDS),
        ("http://127.0.0.1:8000/", LOCALS),
        ("http://[::1]:8000/", LOCALS),
        ("https://127.0.0.1:8000/", LOCALS),
    ],
)
def test_a_request_gets_the_credential_of_the_provider_to_which_its_host_belongs(url, whose):
    assert decided(url) is whose


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/user",
        "api.github.com",
        "https://",
        "https:///user",
        "https:api.github.com",
        "https:/api.github.com",
        "https://evil.example",
        "https://evil.example/api.github.com",
        "https://evil.example#api.github.com",
        "https://evil.example#@api.github.com",
        "https://api.github.com#evil",
        "https://evil.example?@api.github.com",
        "https://evil.example\\@api.github.com",
        "https://evil.example\\.api.github.com",
        "https://api.github.com\\@evil.example",
        "https://api.github.com@evil.example",
        "https://api.github.com:443@evil.example",
        "https://user:word@api.github.com",
        "https://@api.github.com",
        "https://api.github.com.",
        "https://api.github.com.evil.example",
        "https://evilapi.github.com",
        "https://api.github.com:8443",
        "https://api.github.com:0",
        "https://api.github.com:-1",
        "https://api.github.com:99999",
        "https://api.github.com:443:443",
        "https://api.github.com:４４３",
        "https://api%2egithub%2ecom",
        "https://api.github.com%00.evil.example",
        "https://api.github.com%2f@evil.example",
        "https://api.github.com\x00.evil.example",
        "https://api.github.com\t.evil.example",
        "https://api.github.com\n.evil.example",
        " https://api.github.com",
        "https://api.github.com ",
        "https://api。github。com",
        "https://api.gıthub.com",
        "https://apı.github.com",
        "https://xn--api-github-com.example",
        "https://ａpi.github.com",
        "https://3221225991",
        "https://0xc0000207",
        "https://192.0.519",
        "https://192.0.2.07",
        "https://[::ffff:192.0.2.8]",
        "https://[2001:db8::7]",
        "https://[2001:db8::7%25eth0]:6443",
        "https://2001:db8::7:6443",
        "https://[v1.fe]:6443",
        "https://[api.github.com]",
        "https://cloud.example",
        "https://.cloud.example",
        "https://*.cloud.example",
        "https://evilcloud.example",
        "https://a.cloud.example:8443",
        "https://a..cloud.example",
        "https://other.example",
        "https://localhost:8000",
        "https://" + "a." * 200 + "cloud.example",
        "https://" + "a" * 64 + ".cloud.example",
        "https://" + "b" * 1_000_000,
    ],
    ids=lambda url: url[:60],
)
def test_a_host_that_is_not_one_of_the_session_gets_nothing(url):
    assert decided(url) == "host"


@pytest.mark.parametrize(
    "url",
    [
        "http://api.github.com",
        "http://a.cloud.example",
        "ws://api.github.com",
        "ftp://api.github.com",
        "http://127.0.0.2:8000",
        "javascript://api.github.com",
    ],
)
def test_a_credential_goes_over_https_only(url):
    assert decided(url) == "scheme"


def test_http_on_loopback_is_for_simulated_providers_only():
    assert decided("http://127.0.0.1:8000", candidates=(access(HUB, "127.0.0.1:8000"),)) == "scheme"
    assert decided("http://127.0.0.1:8001", candidates=(LOCALS,)) == "host"


@pytest.mark.parametrize("method", ["DELETE", "get", "GET ", "", "CONNECT", "HEAD", "GET\r\nX: 1"])
def test_a_method_that_the_session_does_not_have_gets_nothing(method):
    assert decided("https://api.github.com", http_method=method) == "method"
    assert decided("https://api.github.com", http_method="POST") is HUBS


@pytest.mark.parametrize("header", ["X_HTTP_Method_Override", "x_http_method", "X_Method_Override"])
def test_a_header_does_not_bring_in_another_method(header):
    assert decided("https://api.github.com", http_method="POST", **{header: "DELETE"}) == "method"
    assert decided("https://api.github.com", http_method="POST", **{header: " delete "}) == "method"
    assert decided("https://api.github.com", http_method="POST", **{header: "get"}) is HUBS


@pytest.mark.parametrize("header", ["X_HTTP_Method_Override", "X-HTTP_Method", "x_method-override"])
def test_a_header_with_underscores_is_the_same_to_a_server_behind_cgi_or_wsgi(header):
    request = SessionRequest(http_method="POST", url="https://api.github.com", headers={header: "DELETE"})
    assert decide((HUBS,), ("GET", "POST"), request, local=()) == "method"


@pytest.mark.parametrize("named", ["evil.example", "api.github.com.", "api.github.com:8443", "", "a b", "evil.example,api.github.com"])
def test_the_header_host_names_no_other_server(named):
    assert decided("https://api.github.com", host=named) == "host"
    assert decided("https://api.github.com", Host="API.github.com:443") is HUBS


def test_a_credential_goes_to_its_own_provider_only():
    assert decided("https://a.cloud.example", candidates=(HUBS,)) == "host"
    assert decided("https://api.github.com", candidates=(CLOUDS,)) == "host"
    assert decided("https://api.github.com", candidates=()) == "provider"


def test_a_host_of_two_integrations_belongs_to_none_until_one_is_named():
    other = access(HUB, "api.github.com", number=4)
    assert decided("https://api.github.com", candidates=(HUBS, other)) == "provider"
    assert decided("https://api.github.com", candidates=(other,)) is other


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("api.github.com", "api.github.com"),
        ("API.GitHub.com:443", "api.github.com"),
        ("api.example:8443", "api.example:8443"),
        ("*.Example.com", "*.example.com"),
        ("*.example.com:8443", "*.example.com:8443"),
        ("*.example.co.uk", "*.example.co.uk"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("10.0.0.1:6443", "10.0.0.1:6443"),
        ("[2001:DB8:0::7]", "[2001:db8::7]"),
        ("localhost:8000", "localhost:8000"),
    ],
)
def test_a_host_has_one_notation(text, host):
    assert read_host(text) == host
    assert read_host(host) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "*.", "*.com", "*.localhost", "*.co.uk", "*.co.uk:8443", "*.com.br", "*.10.0.0.1", "*.10.0.0.1:8443"),
        *(
            "*.[2001:db8::7]",
            "*.*.example.com",
            "api.*.com",
            "*api.example.com",
            "**.example.com",
            ".example.com",
            "example.com.",
            "https://api.example.com",
        ),
        *("api.example.com/path", "user@api.example.com", "api.example.com?x", "api.example.com#x", "api.example.com:0", "bücher.example"),
        *("api.example.com:port", "a b", "a\nb", "0x7f.1", "127.1", "a" * 64 + ".example", "api.example.com\\"),
    ],
)
def test_a_host_that_means_more_than_it_says_is_refused(text):
    with pytest.raises(ValidationFailedError) as caught:
        read_host(text)
    assert caught.value.field == "hosts"


def test_a_refused_host_is_not_repeated():
    with pytest.raises(ValidationFailedError) as caught:
        read_host("fake-secret@api.example.com")
    assert "fake-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("api.example", "api.example", True),
        ("api.example", "api.example:8443", False),
        ("*.example.com", "api.example.com", True),
        ("api.example.com", "*.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "*.a.example.com", True),
        ("*.a.example.com", "*.example.com", True),
        ("*.example.com", "*.badexample.com", False),
        ("*.example.com", "*.example.com", True),
    ],
)
def test_two_patterns_overlap_where_a_host_could_be_of_both(one, other, both):
    assert overlap([one], [other]) is both


def test_what_is_shown_of_a_request_has_neither_path_nor_query():
    request = SessionRequest(http_method="GET", url="https://api.github.com/fake-secret?key=fake-secret", headers={"X": "fake-secret"})
    assert "fake-secret" not in repr(request)
    assert (request.host, request.word) == ("api.github.com", "GET")
    assert SessionRequest(http_method="fake secret", url="https://[").word is None
