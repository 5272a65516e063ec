from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.authorize import check_redirect_uri
from cloud_integrations.protocol.client import check_endpoint
from cloud_integrations.protocol.egress import EndpointRefusedError, Reach, Target, is_private_address, is_public_address, read_target

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::8.8.8.8",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.requirement("OAU-074")
@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_special_addresses_are_not_public(address):
    assert not is_public_address(address)
    assert not Reach.PUBLIC.allows(ip_address(address))


@pytest.mark.requirement("OAU-074")
@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address):
    assert is_public_address(address)
    assert Reach.PUBLIC.allows(ip_address(address))
    assert not Reach.LOOPBACK.allows(ip_address(address))


@pytest.mark.requirement("OAU-076")
@pytest.mark.parametrize("address", ["10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "fc00::1", "8.8.8.8"])
def test_the_operators_word_reaches_private_networks(address):
    assert Reach.PRIVATE.allows(ip_address(address))


@pytest.mark.requirement("OAU-076")
@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "169.254.169.254", "100.100.100.200", "fd00:ec2::254", "168.63.129.16", "224.0.0.1", "fe80::1", "0.0.0.0"],
)
def test_the_operators_word_does_not_reach_metadata_services_or_this_machine(address):
    assert not Reach.PRIVATE.allows(ip_address(address))
    assert not is_private_address(ip_address(address))


@pytest.mark.parametrize(("address", "allowed"), [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("169.254.169.254", False)])
def test_loopback_reaches_this_machine_alone(address, allowed):
    assert Reach.LOOPBACK.allows(ip_address(address)) is allowed


@pytest.mark.requirement("OAU-072")
@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://provider.example/token", "provider.example"),
        ("https://Provider.EXAMPLE:8443/token?a=b", "provider.example"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("https://my_site.example", "my_site.example"),
        ("https://1password.example", "1password.example"),
    ],
)
def test_an_https_url_with_a_host_name_is_allowed(url, host):
    assert read_target(url) == Target(host=host, reach=Reach.PUBLIC)
    assert read_target(url, loopback=True).reach is Reach.PUBLIC
    assert read_target(url, private_host=True).reach is Reach.PRIVATE


REFUSED = [
    "http://provider.example/token",
    "ftp://provider.example/token",
    "//provider.example/token",
    "https:///token",
    "https://user@provider.example/",
    "https://user:word@provider.example/",
    "http://ok@127.0.0.1",
    "https://ok@127.0.0.1",
    "https://provider.example/#fragment",
    "https://provider.example/#",
    "https://provider.example\\@elsewhere.example/",
    "https://provider.example /",
    "https://provider.example/\r\nX: y",
    "https://provi\tder.example/",
    "https://bücher.example/",
    "https://provider.example./",
    "https://provider..example/",
    "https://-provider.example/",
    "https://provider.example:0/",
    "https://provider.example:65536/",
    "https://provider.example:port/",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 130}example/",
    "https://[::1",
    "https://[fe80::1%25eth0]/",
    "https://localhost/",
    "https://localhost./",
    "https://intranet/",
]
LITERAL = [
    "https://127.0.0.1/",
    "https://8.8.8.8/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.0.0.1./",
    "https://provider.0x7/",
    "https://[::1]/",
    "https://[::ffff:7f00:1]/",
    "https://[2606:4700::1111]/",
]


@pytest.mark.requirement("OAU-072", "OAU-078")
@pytest.mark.parametrize("url", REFUSED)
def test_any_other_url_is_refused_in_the_same_words(url):
    with pytest.raises(EndpointRefusedError, match=r"^endpoint not allowed$"):
        read_target(url)


@pytest.mark.requirement("OAU-072", "OAU-075")
@pytest.mark.parametrize("url", LITERAL)
def test_an_address_in_any_notation_is_refused(url):
    with pytest.raises(EndpointRefusedError):
        read_target(url)


@pytest.mark.requirement("OAU-075")
@pytest.mark.parametrize("url", ["https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://0177.0.0.1/", "https://localhost./"])
def test_neither_loopback_nor_the_operators_word_allow_an_unusual_notation(url):
    for allowance in ({"loopback": True}, {"private_host": True}):
        with pytest.raises(EndpointRefusedError):
            read_target(url, **allowance)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8080/token", "127.0.0.1"),
        ("https://127.0.0.1/token", "127.0.0.1"),
        ("http://[::1]:8080/", "::1"),
        ("http://localhost/", "localhost"),
    ],
)
def test_loopback_allows_plain_http_to_this_machine(url, host):
    assert read_target(url, loopback=True) == Target(host=host, reach=Reach.LOOPBACK)


def test_a_host_name_has_253_characters_at_most():
    longest = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}"
    assert read_target(f"https://{longest}/").host == longest
    with pytest.raises(EndpointRefusedError):
        read_target(f"https://{longest}d/")


@pytest.mark.parametrize(
    "url", ["http://provider.example/", "http://127.0.0.2/", "http://10.0.0.1/", "https://10.0.0.1/", "ftp://127.0.0.1/"]
)
def test_loopback_allows_nothing_else(url):
    with pytest.raises(EndpointRefusedError):
        read_target(url, loopback=True)


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "https://[fd00::1]:8443/", "https://gitlab/", "https://gitlab.internal/"])
def test_the_operator_may_name_a_plain_address_or_a_bare_name(url):
    assert read_target(url, private_host=True).reach is Reach.PRIVATE


@pytest.mark.parametrize("url", ["http://gitlab/", "http://10.0.0.1/"])
def test_the_operators_host_is_still_asked_by_https(url):
    with pytest.raises(EndpointRefusedError):
        read_target(url, private_host=True)


URLS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["https://", "http://", "https:", "//", "https://[", "https://user@", ""]),
    st.text(st.sampled_from("aZ09-_.:%[]@#/\\\u00fc\u3002\ud800\u200d "), max_size=80),
    st.sampled_from(["", ".xn--a.example", ".example:99999", "]", "/path"]),
)


@pytest.mark.requirement("OAU-075")
@given(url=URLS, loopback=st.booleans(), private_host=st.booleans())
def test_whatever_stands_in_a_url_the_refusal_is_ours(url, loopback, private_host):
    # Anything else that they raise fails the test.
    with suppress(EndpointRefusedError):
        read_target(url, loopback=loopback, private_host=private_host)
    for check in (check_endpoint, check_redirect_uri):
        with suppress(ValidationFailedError):
            check(url, loopback=loopback)
