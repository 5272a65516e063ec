"""The built-in guides: each belongs to a method, can be filled with anything, and can be read by its own language."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess

import pytest
import yaml
from cryptography import x509

from cloud_integrations import Catalogue
from cloud_integrations.domain.guides.fill import fill_guide
from cloud_integrations.domain.guides.names import PLATFORM_NAMES
from cloud_integrations.errors import ProviderInactiveError

pytestmark = pytest.mark.requirement("Q73")

BUILTIN = Catalogue.builtin()
GUIDES = [
    (provider, guide)
    for provider in BUILTIN.list_providers()
    for found in [BUILTIN.guides_of(provider)]
    for guide in (() if found is None else found.methods)
]
HOSTILE = """it's "$(touch fake)" `id` ${x} %{y} </script> \\"""
PERMISSIONS = {"role": HOSTILE, "rules": [{"resources": [HOSTILE]}], "Statement": [{"Effect": "Allow", "Resource": HOSTILE}]}


def test_the_clouds_have_guides() -> None:
    assert {provider.id for provider, _ in GUIDES} >= {"aws", "azure", "google_cloud", "ibm_cloud", "mongodb_atlas"}


@pytest.mark.parametrize(("provider", "guide"), GUIDES, ids=lambda value: getattr(value, "id", None) or getattr(value, "method", None))
def test_a_guide_is_filled_and_read_whatever_the_values_are(provider, guide) -> None:
    method = provider.method_named(guide.method)
    names = {*PLATFORM_NAMES, *(given.name for given in method.inputs if not given.secret)}
    values = dict.fromkeys(names, HOSTILE) | {variable.name: variable.default or "x" for variable in provider.variables}
    shown = fill_guide(provider, guide, values=values, permissions=PERMISSIONS)
    assert shown.missing == ()
    for document in shown.documents:
        if document.form == "json":
            json.loads(document.text)
        if document.form == "shell":
            subprocess.run(["/bin/sh", "-n"], input=document.text, check=True, text=True, encoding="utf-8")
        if document.form == "hcl":
            assert HOSTILE not in document.text
        if document.form == "yaml":
            assert all(yaml.safe_load_all(document.text))
    names = {document.name for document in shown.documents}
    told = " ".join([*shown.steps, *shown.undo, *(document.text for document in shown.documents)])
    # A document that no step names is never used; the JSON ones are named by commands.
    assert {name for name in names if name not in told} == set()


def test_a_role_and_a_trust_never_stand_open() -> None:
    provider = BUILTIN.require("aws")
    guide = BUILTIN.guides_of(provider).find("web_identity")
    values = {"issuer": "https://id.acme.example/t", "subject": "tenant:x", "audience": "sts.amazonaws.com", "product": "acme"}
    [trust] = [
        document for document in fill_guide(provider, guide, values=values, permissions=PERMISSIONS).documents if "trust" in document.name
    ]
    [statement] = json.loads(trust.text)["Statement"]
    assert statement["Condition"] == {"StringEquals": {"id.acme.example/t:sub": "tenant:x", "id.acme.example/t:aud": "sts.amazonaws.com"}}


def test_the_role_in_a_cluster_has_the_products_rules_and_no_others() -> None:
    provider = BUILTIN.require("kubernetes")
    guide = BUILTIN.guides_of(provider).find("service_account_token")
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}, {"resources": [HOSTILE]}]
    shown = fill_guide(provider, guide, values={"product": HOSTILE}, permissions={"rules": rules})
    made = {each["kind"]: each for each in yaml.safe_load_all(shown.documents[0].text)}
    assert list(made) == ["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Secret"]
    assert made["ClusterRole"]["rules"] == rules
    assert made["Namespace"]["metadata"]["annotations"] == {"description": HOSTILE}
    assert made["ClusterRoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "name": "product-access", "namespace": "product-access"}]
    assert made["Secret"]["metadata"]["annotations"] == {"kubernetes.io/service-account.name": made["ServiceAccount"]["metadata"]["name"]}
    with pytest.raises(ProviderInactiveError):
        fill_guide(provider, guide, values={"product": "acme"}, permissions=None)


@pytest.mark.requirement("Q69")
def test_the_certificate_for_a_cluster_names_one_user_in_no_group_who_has_the_products_rules() -> None:
    provider = BUILTIN.require("kubernetes")
    guide = BUILTIN.guides_of(provider).find("client_certificate")
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    shown = fill_guide(provider, guide, values={"product": HOSTILE}, permissions={"rules": rules})
    role, binding = yaml.safe_load_all(shown.documents[0].text)
    assert (role["kind"], role["rules"], role["metadata"]["annotations"]) == ("ClusterRole", rules, {"description": HOSTILE})
    [subject] = binding["subjects"]
    assert (subject["kind"], binding["roleRef"]["name"]) == ("User", role["metadata"]["name"])
    commands, undo = (document.text for document in shown.documents[1:])
    assert f"-subj /CN={subject['name']} " in commands, "without O=, the certificate is in no group"
    made = {f"{kind} {subject['name']}" for kind in ("clusterrole", "clusterrolebinding", "csr")}
    assert all(f"kubectl delete {each}" in undo for each in made)


@pytest.mark.requirement("Q69")
def test_the_key_and_the_request_of_the_certificate_are_made_as_the_guide_says(tmp_path) -> None:
    if missing := [name for name in ("openssl", "base64") if shutil.which(name) is None]:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"{missing[0]} is not on PATH; on Debian: apt-get install openssl coreutils")
    provider = BUILTIN.require("kubernetes")
    guide = BUILTIN.guides_of(provider).find("client_certificate")
    commands = fill_guide(provider, guide, values={"product": "acme"}, permissions=PERMISSIONS).documents[1].text
    # Without a cluster: the commands that ask it nothing.
    own = "\n".join(line for line in commands.splitlines() if line.startswith(("set", "umask", "openssl", "printf", "base64")))
    subprocess.run(["/bin/sh", "-c", own], check=True, cwd=tmp_path, capture_output=True)
    asked = json.loads((tmp_path / "product-certificate.json").read_bytes())["spec"]
    assert (asked["signerName"], asked["usages"]) == ("kubernetes.io/kube-apiserver-client", ["client auth"])
    request = x509.load_pem_x509_csr(base64.b64decode(asked["request"]))
    assert request.subject.rfc4514_string() == "CN=product-certificate"
    assert (tmp_path / "product-certificate.key").stat().st_mode & 0o077 == 0


def test_every_key_that_a_tenant_makes_has_a_guide_of_three_lines_at_least() -> None:
    catalogue = Catalogue.builtin()
    without = []
    for provider in catalogue.list_providers():
        guides = catalogue.guides_of(provider)
        lines = {} if guides is None else {guide.method: len(guide.steps) for guide in guides.methods}
        without += [f"{provider.id} {each.id}" for each in provider.methods if each.kind == "key" and lines.get(each.id, 0) < 3]
    assert without == []
