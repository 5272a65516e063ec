"""Which proofs and steps a provider file may describe, and what their parts are called."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError
from tests import provider_files

from cloud_integrations.domain.provider import Provider, fill, places
from cloud_integrations.domain.provider.minting import Proof, Step, StepReply, check_minting

KEY = {"jwt": "{private_key}", "iss": "{client_id}"}
URL = "https://a.example/token"


def step(**fields):
    return Step.model_validate({"url": URL, **fields})


def check(*steps, proofs=None, public=("client_id", "region"), secret=("private_key", "client_secret")):
    made = {name: Proof.model_validate({**KEY, **fields}) for name, fields in (proofs or {}).items()}
    check_minting(tuple(step(**fields) for fields in steps), made, public=public, secret=secret)


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{name}", ("name",)),
        ("a {proof:key} b {key.sha256}", ("proof:key", "key.sha256")),
        ("{proof:key.sha256}", ("proof:key.sha256",)),
        ("{}{Name}{a b}{proof:}{.a}{a.}{other:key}{{", ()),
        ("{{name}}", ("name",)),
    ],
)
def test_a_template_names_values_proofs_and_what_is_read_from_a_value(template, names) -> None:
    assert places(template) == names
    assert fill(template, dict.fromkeys(names, "x")).count("x") == len(names) + template.count("x")


def test_a_proof_is_valid_for_a_minute_by_default() -> None:
    proof = Proof.model_validate(KEY)
    assert (proof.alg, proof.lifetime, proof.backdate) == ("RS256", timedelta(minutes=1), timedelta())
    assert (proof.key_name, proof.passphrase_name) == ("private_key", None)
    other = Proof.model_validate({**KEY, "jwt": "{certificate.key}", "passphrase": "{passphrase}"})
    assert (other.key_name, other.passphrase_name) == ("certificate", "passphrase")
    assert Proof.model_validate({**KEY, "jwt": "application"}).key_name == "application"


def test_the_templates_of_a_proof_go_by_the_names_of_its_fields() -> None:
    proof = Proof.model_validate({**KEY, "kid": "k", "aud": "a", "sub": "s", "headers": {"typ": "t"}, "claims": {"scope": "c"}})
    assert dict(proof.templates()) == {"kid": "k", "iss": "{client_id}", "sub": "s", "aud": "a", "headers.typ": "t", "claims.scope": "c"}


@pytest.mark.parametrize(
    "fields",
    [
        {"jwt": "private_key"},
        {"longest_sub": 127},
        {"jwt": "{private_key.sha256}"},
        {"jwt": "{a}{b}"},
        {"jwt": "-----BEGIN PRIVATE KEY-----"},
        {"passphrase": "fake-passphrase"},
        {"alg": "HS256"},
        {"alg": "none"},
        {"headers": {"alg": "none"}},
        {"headers": {"jku": "https://evil.example/"}},
        {"headers": {"crit": "b64"}},
        {"claims": {"exp": "9999999999"}},
        {"claims": {"aud": "https://evil.example/"}},
        {"lifetime": 0},
        {"lifetime": -1},
        {"lifetime": 0.5},
        {"lifetime": 3601},
        {"lifetime": 300, "backdate": 61},
        {"lifetime": 60, "backdate": 60},
        {"nbf": 1},
    ],
    ids=str,
)
def test_a_proof_that_would_be_no_proof_is_refused(fields) -> None:
    with pytest.raises(ValidationError):
        Proof.model_validate({**KEY, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"body": "none", "fields": {"a": "b"}},
        {"method": "GET"},
        {"method": "DELETE", "body": "none"},
        {"fields": {"a": 1}},
        {"fields": {"a": ["b"]}},
        {"fields": {"client_secret": "{client_secret}"}},
        {"fields": {"client_assertion": "{proof:key}"}},
        {"fields": {"refresh_token": "{refresh_token}"}},
        {"fields": {"code": "c"}},
        {"client_auth": ["post"], "fields": {"client_id": "{client_id}"}},
        {"client_auth": ["post"], "body": "none"},
        {"client_auth": ["none"]},
        {"client_auth": ["proof:"]},
        {"fields": {"grant_type": "refresh_token"}},
        {"fields": {"grant_type": "password"}},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"HOST": "evil.example"}},
        {"headers": {"X-A": "1", "x-a": "2"}},
        {"headers": {"authorization": "x"}, "proof": "key"},
        {"client_auth": ["basic"], "proof": "key"},
        {"client_auth": ["basic"], "headers": {"Authorization": "x"}},
        {"statuses": [302]},
        {"reply": {"gives": {}}},
        {"reply": {"gives": {"Access Token": "a"}}},
        {"reply": {"format": "html"}},
        {"reply": {"expires": {"encoding": "http_date"}}},
    ],
    ids=str,
)
def test_a_step_that_nobody_could_send_or_read_is_refused(fields) -> None:
    with pytest.raises(ValidationError):
        step(**fields)


def test_a_step_with_a_condition_runs_only_with_that_input() -> None:
    assert step().runs_with(())
    assert step(when="email").runs_with({"email"})
    assert not step(when="email").runs_with({"region"})


def test_a_reply_has_its_paths_below_one_place() -> None:
    assert StepReply().path_of("access_token") == "access_token"
    assert StepReply(at="a.b").path_of("c.d") == "a.b.c.d"


@pytest.mark.parametrize(
    ("steps", "options", "problem"),
    [
        ([{}] * 4, {}, "at most 3 steps"),
        ([{}], {"public": ("previous",)}, "previous may not be the name"),
        ([{}], {"secret": ("application",)}, "application may not be the name"),
        ([{}], {"proofs": {"platform": {}}}, "platform may not be the name"),
        ([], {"proofs": {"key": {"jwt": "{other}"}}}, "proofs.key uses {other}"),
        ([], {"proofs": {"key": {"passphrase": "{other}"}}}, "proofs.key uses {other}"),
        ([], {"proofs": {"key": {"sub": "{other}"}}}, "proofs.key.sub uses {other}"),
        ([], {"proofs": {"key": {"kid": "{private_key.key}"}}}, "proofs.key.kid uses {private_key.key}"),
        ([], {"proofs": {"key": {"claims": {"a": "{proof:key}"}}}}, "proofs.key.claims.a uses {proof:key}"),
        ([{"url": "https://a.example/{private_key}"}], {}, "url uses {private_key}"),
        ([{}, {"url": "https://a.example/{access_token}"}], {}, "url uses {access_token}"),
        ([{"url": "https://a.example/{proof:key}"}], {"proofs": {"key": {}}}, "url uses {proof:key}"),
        ([{"fields": {"a": "{access_token}"}}], {}, "fields.a uses {access_token}, which nothing gives"),
        ([{"body": "json", "fields": {"a": [{"b": "{other}"}]}}], {}, "fields.a[0].b uses {other}"),
        ([{"fields": {"a": "{private_key.key}"}}], {}, "fields.a uses {private_key.key}"),
        ([{"fields": {"a": "{private_key.md5}"}}], {}, "fields.a uses {private_key.md5}"),
        ([{"fields": {"a": "{proof:other}"}}], {}, "fields.a uses {proof:other}"),
        ([{"headers": {"X-Key": "{other}"}}], {}, "headers.X-Key uses {other}"),
        ([{"proof": "other"}], {}, "uses the proof other, which is not there"),
        ([{"client_auth": ["proof:other"]}], {}, "uses the proof other, which is not there"),
        ([{"proof": "previous"}], {}, "no step before gives access_token"),
        ([{"reply": {"gives": {"key": "k"}}}, {"proof": "previous"}], {}, "no step before gives access_token"),
        ([{"when": "other"}], {}, "names other, which is no input"),
        ([{"client_auth": ["basic"]}], {"public": ()}, "client_auth needs client_id"),
        ([{"client_auth": ["post"]}], {"secret": ()}, "client_auth needs client_secret"),
        ([{"client_auth": ["proof:key"]}], {"proofs": {"key": {"iss": "x"}}, "public": ()}, "client_auth needs client_id"),
        ([{"reply": {"gives": {"region": "r"}}}], {}, "gives may not set region"),
        ([{"reply": {"gives": {"previous": "r"}}}], {}, "gives may not set previous"),
        ([{"client_auth": ["proof:key"]}], {"proofs": {"key": {"lifetime": 61}}}, "valid for at most 60 seconds"),
        ([{"fields": {"assertion": "{proof:key}"}}], {"proofs": {"key": {"lifetime": 301}}}, "valid for at most 300 seconds"),
    ],
    ids=str,
)
def test_steps_and_proofs_that_do_not_fit_together_are_refused(steps, options, problem) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check(*steps, **options)
    assert problem in str(caught.value)


@pytest.mark.requirement("OAU-064", "OAU-065")
@pytest.mark.parametrize(
    ("fields", "proof"),
    [
        ({"client_auth": ["proof:key"]}, {"lifetime": 60}),
        ({"client_auth": ["proof:key"]}, {"lifetime": 120, "backdate": 60}),
        ({"fields": {"assertion": "{proof:key}"}}, {"lifetime": 300}),
        ({"proof": "key"}, {"jwt": "application", "lifetime": 600, "backdate": 60}),
        ({"headers": {"Authorization": "Bearer {proof:key}"}}, {"lifetime": 3600}),
        ({"client_auth": ["basic", "proof:key"]}, {}),
        ({"fields": {"a": "{private_key.spki_sha256}"}}, {"iss": "{client_id}.{private_key.spki_sha256}"}),
        ({"url": "https://{region}.a.example/{client_id}", "when": "region"}, {}),
        ({"body": "json", "fields": {"a": [1, True, None, 0.5, {"b": "{client_id}"}]}}, {}),
        ({"method": "GET", "body": "none"}, {}),
        ({"client_auth": ["basic"], "body": "none"}, {}),
    ],
    ids=str,
)
def test_each_use_of_a_proof_has_its_longest_time(fields, proof) -> None:
    check(fields, proofs={"key": proof})


def test_a_later_step_uses_what_an_earlier_one_gave() -> None:
    gives = {"gives": {"access_token": "t", "name": "n"}}
    check({"reply": gives}, {"proof": "previous", "fields": {"a": "{name}"}}, {"headers": {"X-Name": "{name}"}, "reply": gives})


PLATFORM = {"jwt": "platform", "iss": "{issuer}", "sub": "tenant:{tenant_id}", "aud": "{audience}"}


def test_our_own_issuer_signs_for_the_tenant_alone() -> None:
    proof = Proof.model_validate({**PLATFORM, "lifetime": 300, "backdate": 60, "longest_sub": 127})
    assert proof.by_platform
    check_minting((step(fields={"token": "{proof:us}"}),), {"us": proof}, public=("audience",), secret=())
    assert not Proof.model_validate(KEY).by_platform


@pytest.mark.requirement("OAU-065", "OAU-066")
@pytest.mark.parametrize(
    "fields",
    [
        {"iss": "https://evil.example"},
        {"sub": "{audience}"},
        {"sub": "tenant:{tenant_id}{audience}"},
        {"sub": "{tenant_id}"},
        {"sub": None},
        {"aud": None},
        {"alg": "ES256"},
        {"kid": "fake"},
        {"headers": {"typ": "at+jwt"}},
        {"claims": {"role": "{audience}"}},
        {"passphrase": "{passphrase}"},
        {"lifetime": 301},
        {"longest_sub": 15},
        {"longest_sub": 256},
    ],
    ids=str,
)
def test_nothing_that_a_tenant_enters_changes_whose_token_it_is(fields) -> None:
    with pytest.raises(ValidationError):
        Proof.model_validate({**PLATFORM, **fields})


@pytest.mark.parametrize("audience", ["{secret}", "{issuer}", "{nothing}", "{proof:us}"])
def test_the_audience_is_made_of_what_is_no_secret(audience) -> None:
    proof = Proof.model_validate({**PLATFORM, "aud": audience})
    with pytest.raises(ValueError, match="which nothing gives"):
        check_minting((), {"us": proof}, public=("audience",), secret=("secret",))


@pytest.mark.parametrize("name", ["platform", "issuer", "subject", "tenant_id"])
def test_no_input_has_a_name_of_ours(name) -> None:
    proof = Proof.model_validate(PLATFORM)
    with pytest.raises(ValueError, match="may not be the name"):
        check_minting((), {"us": proof}, public=(name, "audience"), secret=())


@pytest.mark.parametrize("name", ["issuer", "subject", "tenant_id"])
def test_without_a_proof_of_ours_these_are_names_like_others(name) -> None:
    check_minting((), {}, public=(name,), secret=())


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"fields": {"a": "{proof:us}"}}, ["us"]),
        ({"headers": {"X": "a {proof:us}"}}, ["us"]),
        ({"proof": "us"}, ["us"]),
        ({"proof": "previous"}, []),
        ({"client_auth": ["proof:us"]}, ["us"]),
        ({"client_auth": ["post", "proof:us"]}, []),
        ({"client_auth": ["post"]}, []),
    ],
    ids=str,
)
def test_a_step_names_the_proofs_that_it_cannot_do_without(fields, names) -> None:
    assert list(step(**fields).required_proofs()) == names


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"variables": {"region": "^eu$"}}, "key.variables names region, which is no variable"),
        ({"variables": {"region": "("}}, "is no regular expression"),
        ({"inputs": [{"name": "file", "form": "json", "parts": {"email": "email"}, "public": ["other"]}]}, "public names other"),
    ],
)
def test_a_method_narrows_and_shows_only_what_exists(fields, says) -> None:
    with pytest.raises(ValueError, match=says):
        provider_files.provider(provider_files.key(**fields))


def test_a_step_says_whether_it_carries_the_client_secret() -> None:
    for fields, carries in [
        ({"client_auth": ["basic"]}, True),
        ({"client_auth": ["proof:key"]}, False),
        ({"fields": {"password": "{client_secret}"}}, True),
        ({}, False),
    ]:
        assert step(**fields).sends_client_secret is carries


def _vouched(**changes):
    proof = Proof.model_validate({**PLATFORM, "aud": "cloud"})
    method = {"id": "us", "kind": "key", "proofs": {"us": proof}, "mint": [{"url": "https://a.example/", "fields": {"t": "{proof:us}"}}]}
    return Provider.model_validate({"id": "cloud", "name": "Cloud", "methods": [{**method, **changes}]})


@pytest.mark.requirement("Q72")
def test_where_our_own_issuer_vouches_another_subject_is_tried() -> None:
    [test] = _vouched(must_fail=[{"replacing": "subject"}]).methods[0].must_fail
    assert (test.name, test.without) == ("subject", None)
    with pytest.raises(ValidationError, match="must_fail has no replacing = subject"):
        _vouched()
    with pytest.raises(ValidationError, match="without a subject is never made"):
        _vouched(must_fail=[{"without": "subject"}])
    with pytest.raises(ValidationError, match="must_fail names subject, which is no input with made_by"):
        _vouched(proofs={}, mint=[{"url": "https://a.example/"}], must_fail=[{"replacing": "subject"}])
