from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.protocol import exchange
from cloud_integrations.protocol.authorize import build_authorization_url, check_redirect_uri
from cloud_integrations.protocol.pkce import challenge, make_verifier
from cloud_integrations.protocol.scopes import join_scopes, scopes_to_request
from cloud_integrations.providers import Catalogue

from .conftest import REDIRECT, STATE, VERIFIER


def url_of(client, *, scopes=("read",), verifier=VERIFIER, redirect_uri=REDIRECT, state=STATE):
    return build_authorization_url(client, state=state, redirect_uri=redirect_uri, scopes=scopes, verifier=verifier)


def query(url):
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs), "a parameter is there twice"
    return dict(pairs)


@pytest.mark.requirement("OAU-001", "OAU-002", "OAU-011")
def test_the_browser_carries_a_code_request_with_pkce(make_client):
    url = url_of(make_client(), scopes=("read", "write"))
    assert url.startswith("https://login.example.com/authorize?")
    assert query(url) == {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": REDIRECT,
        "scope": "read write",
        "state": STATE.reveal(),
        "code_challenge": challenge(VERIFIER),
        "code_challenge_method": "S256",
    }


@pytest.mark.requirement("OAU-001")
def test_there_is_no_way_to_ask_for_another_flow(make_client):
    for kind in ("implicit", "password", "token"):
        with pytest.raises(ConfigurationError, match="must be one of code, device, installation, key"):
            Catalogue.of(Provider.model_validate({"id": "acme", "name": "Acme", "methods": [{"id": "it", "kind": kind}]}))
    request = exchange.build_exchange(make_client(), code=Secret("fake-code"), redirect_uri=REDIRECT, verifier=VERIFIER)
    assert dict(parse_qsl(request.body.decode()))["grant_type"] == "authorization_code"


@pytest.mark.requirement("OAU-002")
@pytest.mark.parametrize("pkce", ["required", "s256"])
def test_pkce_is_not_left_out_by_mistake(make_client, pkce):
    with pytest.raises(ValueError, match="challenge"):
        url_of(make_client(pkce=pkce), verifier=None)


@pytest.mark.requirement("OAU-002", "Q15")
def test_pkce_is_on_where_nothing_is_said(make_client):
    assert make_client().uses_pkce
    assert make_client(client_auth=["none"], application={"client_secret": None}).uses_pkce


@pytest.mark.requirement("OAU-004", "Q15")
@pytest.mark.parametrize("verifier", [None, VERIFIER])
def test_only_the_providers_data_switches_pkce_off(make_client, verifier):
    assert not {"code_challenge", "code_challenge_method"} & query(url_of(make_client(pkce="off"), verifier=verifier)).keys()


def test_a_method_that_works_by_device_code_alone_has_no_page(make_client):
    device = {"kind": "device", "authorize_url": None, "device": {"url": "https://login.example.com/device"}}
    with pytest.raises(ValidationFailedError, match="works by device code"):
        url_of(make_client(**device))


@pytest.mark.requirement("OAU-003")
def test_two_transactions_share_no_challenge(make_client):
    one, other = (query(url_of(make_client(), verifier=make_verifier(bytes([n]) * 32))) for n in (1, 2))
    assert one["code_challenge"] != other["code_challenge"]


@pytest.mark.requirement("OAU-003")
@pytest.mark.parametrize(
    ("scopes", "facts", "sent"),
    [
        (("openid",), {}, True),
        (("read", "openid"), {"separator": ","}, True),
        (("read",), {"always": ["openid"]}, True),
        (("read",), {"offline": ["openid"]}, True),
        (("read", "openid.x"), {}, False),
        ((), {}, False),
        (("openid",), {"fixed": True}, False),
    ],
)
def test_a_nonce_goes_along_wherever_openid_is_asked_for(make_client, scopes, facts, sent):
    assert ("nonce" in query(url_of(make_client(scopes=facts), scopes=scopes))) is sent


@pytest.mark.requirement("OAU-003")
def test_a_nonce_is_of_one_transaction_and_does_not_give_its_state_away(make_client):
    states = [Secret(letter * 43) for letter in "ab"]
    one, again, other = (query(url_of(make_client(), state=state, scopes=("openid",)))["nonce"] for state in (states[0], *states))
    assert one == again != other
    assert len(one) == 43
    assert states[0].reveal() not in one


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_a_response_mode_is_asked_for_where_the_providers_data_says_so(make_client, mode):
    assert query(url_of(make_client(callback={"response_mode": mode})))["response_mode"] == mode
    assert "response_mode" not in query(url_of(make_client()))


@pytest.mark.requirement("OAU-005")
@pytest.mark.parametrize("state", ["", "a" * 42, "a" * 513, "tenant 1" + "a" * 43, "https://a.example/?" + "a" * 43])
def test_a_state_that_is_short_or_speaks_is_refused(make_client, state):
    with pytest.raises(ValueError, match="state") as raised:
        url_of(make_client(), state=Secret(state))
    assert not state or state not in str(raised.value)


@pytest.mark.requirement("OAU-011")
def test_the_endpoints_own_query_is_kept_once(make_client):
    found = query(url_of(make_client(authorize_url="https://login.example.com/authorize?p=1&p=2&empty=&state=theirs&client_id=theirs")))
    assert (found["p"], found["empty"]) == ("2", "")
    assert (found["state"], found["client_id"]) == (STATE.reveal(), "client-1")


@pytest.mark.requirement("OAU-010", "Q07")
def test_a_providers_own_parameters_are_added_and_filled(make_client):
    variables = {"variables": [{"name": "audience", "pattern": "[a-z.]+"}]}
    client = make_client(
        provider=variables,
        variables={"audience": "api.example.com"},
        authorize_url="https://login.example.com/authorize?prompt=login",
        authorize_params={"audience": "{audience}", "prompt": "consent", "uri": "x"},
    )
    found = query(url_of(client))
    assert (found["audience"], found["prompt"], found["uri"]) == ("api.example.com", "consent", "x")


@pytest.mark.requirement("OAU-010")
@pytest.mark.parametrize(
    "name",
    [
        "response_type",
        "client_id",
        "redirect_uri",
        "state",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "request",
        "request_uri",
        "response_mode",
        "scope",
    ],
)
def test_reserved_parameters_cannot_be_overridden(make_client, name):
    client = make_client()
    # The data itself refuses them; here they come past that check.
    past = client.method.model_copy(
        update={
            "authorize_params": {name: "theirs"},
            "scopes": client.method.scopes.model_copy(update={"extra_lists": {name: ("theirs",)}}),
        }
    )
    object.__setattr__(client, "method", past)
    assert "theirs" not in query(url_of(client)).values()
    with pytest.raises(ValueError, match="may not set"):
        make_client(authorize_params={name: "theirs"})


@pytest.mark.requirement("OAU-009", "Q08")
def test_offline_and_needed_scopes_are_added_once(make_client):
    client = make_client(scopes={"offline": ["offline_access"], "always": ["me"]})
    assert query(url_of(client, scopes=("read", "me", "read")))["scope"] == "read me offline_access"


@pytest.mark.requirement("Q10", "Q11")
def test_scopes_follow_the_providers_spelling(make_client):
    client = make_client(scopes={"separator": ",", "extra_lists": {"user_scope": ["a", "b"], "none": []}})
    found = query(url_of(client, scopes=("x", "y")))
    assert (found["scope"], found["user_scope"]) == ("x,y", "a,b")
    assert "none" not in found


@pytest.mark.requirement("Q12")
@pytest.mark.parametrize(("scopes", "method"), [((), {}), (("read",), {"fixed": True})])
def test_without_scopes_no_scope_is_sent(make_client, scopes, method):
    assert "scope" not in query(url_of(make_client(scopes=method), scopes=scopes))


@pytest.mark.requirement("OAU-009")
@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "a\n", "é", "a\x7f", "a,b"])
def test_a_character_that_no_scope_may_have_is_refused(make_client, scope):
    client = make_client(scopes={"separator": ","})
    with pytest.raises(ValidationFailedError, match="scopes"):
        url_of(client, scopes=(scope,))
    with pytest.raises(ValidationFailedError):
        join_scopes(client, [scope])


@pytest.mark.requirement("OAU-009", "Q12")
def test_the_callers_scopes_go_before_the_applications_and_the_providers(make_client):
    scopes = {"default": ["d"], "always": ["me"]}
    assert scopes_to_request(make_client(scopes=scopes)) == ("d", "me")
    configured = make_client(scopes=scopes, application={"scopes": ("a",)})
    assert scopes_to_request(configured) == ("a", "me")
    assert scopes_to_request(configured, ["c", "c"]) == ("c", "me")
    assert scopes_to_request(make_client(scopes={**scopes, "fixed": True}), ["c"]) == ()


@pytest.mark.requirement("OAU-007", "B03")
@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.com/cb",
        "http://localhost.example.com/cb",
        "http://notlocalhost/cb",
        "http://localhost@app.example.com/cb",
        "http://10.0.0.1/cb",
        "ftp://127.0.0.1/cb",
        "https://app.example.com/cb#",
        "https://app.example.com/cb#fragment",
        "https://me@app.example.com/cb",
        "https://me:pw@app.example.com/cb",
        "https://app.example.com\\cb",
        "https://app.example.com/c b",
        "https://app.example.com/cb\r\n",
        "https://äpp.example.com/cb",
        "https://app.example.com:port/cb",
        "https://[::1/cb",
        "https:///cb",
        "/cb",
        "",
        "https://app.example.com/" + "a" * 2048,
    ],
)
def test_a_redirect_uri_is_https_without_user_name_and_fragment(make_client, uri):
    with pytest.raises(ValidationFailedError, match="redirectUri"):
        check_redirect_uri(uri, loopback=True)
    with pytest.raises(ValidationFailedError):
        url_of(make_client(), redirect_uri=uri)


@pytest.mark.parametrize(
    "uri", ["https://app.example.com/cb#", "https://me@app.example.com/cb", "https://app.example.com\\cb", "https://app.example.com/c b"]
)
def test_a_redirect_uri_that_no_browser_is_sent_to_is_refused_in_its_own_words(uri):
    with pytest.raises(ValidationFailedError) as caught:
        check_redirect_uri(uri, loopback=False)
    assert caught.value.problem == "must be an absolute URL without user name and fragment"


def test_a_redirect_uri_has_2048_characters_at_most():
    longest = f"https://app.example.com/{'a' * 2024}"
    assert check_redirect_uri(longest, loopback=False) == longest
    with pytest.raises(ValidationFailedError):
        check_redirect_uri(f"{longest}a", loopback=False)


@pytest.mark.parametrize("uri", ["https://10.0.0.1/cb", "https://intranet/cb"])
def test_the_host_of_a_redirect_uri_may_be_in_a_private_network(uri):
    assert check_redirect_uri(uri, loopback=False) == uri


def test_an_installation_is_begun_with_the_state_alone(make_client):
    client = make_client(
        authorize_url="https://login.example.com/new?page=1&state=theirs", callback={"installation_from": "installation_id"}
    )
    url = url_of(client)
    assert url.startswith("https://login.example.com/new?")
    assert query(url) == {"page": "1", "state": STATE.reveal()}


@pytest.mark.requirement("OAU-007")
@pytest.mark.parametrize("uri", ["http://127.0.0.1:8765/cb", "http://[::1]/cb", "http://localhost:8000/cb"])
def test_a_loopback_redirect_needs_the_developers_flag(make_client, uri):
    assert check_redirect_uri(uri, loopback=True) == uri
    assert query(url_of(make_client(), redirect_uri=uri))["redirect_uri"] == uri
    with pytest.raises(ValidationFailedError, match="https"):
        check_redirect_uri(uri, loopback=False)


@pytest.mark.requirement("OAU-008")
@pytest.mark.parametrize("uri", [REDIRECT, "https://app.example.com/cb?a=1&b=%2F", "https://app.example.com:443/CB/"])
def test_the_redirect_uri_reaches_both_requests_unchanged(make_client, uri):
    client = make_client()
    assert check_redirect_uri(uri, loopback=False) == uri
    assert query(url_of(client, redirect_uri=uri))["redirect_uri"] == uri
    request = exchange.build_exchange(client, code=Secret("fake-code"), redirect_uri=uri, verifier=VERIFIER)
    assert dict(parse_qsl(request.body.decode()))["redirect_uri"] == uri
