"""Which OAuth backends a catalogue finds, where, and what it refuses when it is made."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from pydantic import ValidationError

from cloud_integrations.domain.provider import Provider
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.protocol.client import OAuthBackend
from cloud_integrations.protocol.standard_backend import STANDARD, StandardOAuthBackend
from cloud_integrations.providers import Catalogue

PACKAGE = """
from cloud_integrations.protocol.standard_backend import StandardOAuthBackend

class AcmeBackend(StandardOAuthBackend):
    pass

def make():
    return AcmeBackend()

def demanding(argument):
    return AcmeBackend()

class Half:
    def build_authorize(self, client, /, **_):
        return ""

number = 7
"""
WAYS = r"""give the catalogue backends={"acme": …}, or install a package with the entry point acme in the group"""


class AcmeBackend(StandardOAuthBackend):
    """Strays in nothing."""


class Heir(OAuthBackend):
    """Inherits the protocol, and with it methods that do nothing."""

    def read_renewal(self, client, response, /, *, now):
        raise NotImplementedError


class Waiting(StandardOAuthBackend):
    async def read_renewal(self, client, response, /, *, now):
        return super().read_renewal(client, response, now=now)


class Lacking(StandardOAuthBackend):
    build_revoke = None


def provider(backend="acme", slug="acme"):
    method = {"id": "code", "kind": "code", "authorize_url": "https://acme.example/a", "token_url": "https://acme.example/t"}
    return Provider.model_validate({"id": slug, "name": "Acme", "backend": backend, "methods": [method]})


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package with entry points, by their names."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "acme_backend.py").write_text(PACKAGE, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "acme_backend", raising=False)

    def make(distribution="acme", **entries):
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8")
        lines = ["[cloud_integrations.oauth_backends]", *(f"{name} = {value}" for name, value in entries.items())]
        (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")

    yield make
    sys.modules.pop("acme_backend", None)


@pytest.fixture
def file(tmp_path):
    written = tmp_path / "acme.toml"
    written.write_text('id = "acme"\nname = "Acme"\nbackend = "acme"\nmethods = []\n', encoding="utf-8")
    return written


def refusal(make) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return str(caught.value)


def test_a_provider_speaks_the_standard_unless_it_says_otherwise():
    catalogue = Catalogue.builtin()
    assert {catalogue.backend_of(each) for each in catalogue.list_providers()} == {STANDARD}
    assert provider("standard") == Provider.model_validate(provider().model_dump(exclude={"backend"}, by_alias=True))


@pytest.mark.parametrize("name", ["", "Acme", "acme backend", "a" * 65, "acme\n", None, 7])
def test_a_file_names_a_backend_by_a_word(name):
    with pytest.raises(ValidationError):
        provider(name)


def test_every_way_to_a_catalogue_takes_backends(file):
    backend = AcmeBackend()
    for catalogue in (
        Catalogue.of(provider(), backends={"acme": backend}),
        Catalogue.load(file, backends={"acme": backend}),
        Catalogue.builtin(backends={"acme": backend}).with_(providers=[provider()]),
        Catalogue.builtin().with_(providers=[provider()], backends={"acme": backend}),
        Catalogue({"acme": provider()}, backends={"acme": backend}),
        Catalogue.of(provider(), backends={"acme": backend}).disable("acme"),
    ):
        assert catalogue.backend_of(catalogue.require("acme")) is backend


def test_a_later_backend_of_the_same_name_takes_the_place_of_the_first():
    first, later = AcmeBackend(), AcmeBackend()
    catalogue = Catalogue.of(provider(), backends={"acme": first})
    assert catalogue.with_(backends={"acme": later}).backend_of(provider()) is later
    assert catalogue.backend_of(provider()) is first


@pytest.mark.parametrize("made", ["acme_backend:AcmeBackend", "acme_backend:make"])
def test_a_package_brings_a_backend_by_class_or_factory(install, file, made):
    install(acme=made)
    catalogue = Catalogue.load(file)
    backend = catalogue.backend_of(catalogue.require("acme"))
    assert type(backend).__name__ == "AcmeBackend"
    assert catalogue.backend_of(catalogue.require("acme")) is backend
    assert catalogue.disable("acme").backend_of(provider()) is backend


def test_a_package_is_loaded_only_where_a_provider_names_its_backend(install):
    install(acme="acme_backend:AcmeBackend")
    Catalogue.builtin(), Catalogue.of(provider("standard"))
    assert "acme_backend" not in sys.modules
    backend = AcmeBackend()
    assert Catalogue.of(provider(), backends={"acme": backend}).backend_of(provider()) is backend
    assert "acme_backend" not in sys.modules
    Catalogue.of(provider())
    assert "acme_backend" in sys.modules


def test_a_package_that_is_seen_twice_brings_its_backend_once(install):
    install(acme="acme_backend:AcmeBackend")
    install("acme_again", acme="acme_backend:AcmeBackend")
    assert type(Catalogue.of(provider()).backend_of(provider())).__name__ == "AcmeBackend"


def test_two_packages_with_one_name_are_refused(install):
    install(acme="acme_backend:AcmeBackend")
    install("other", acme="acme_backend:make")
    said = refusal(lambda: Catalogue.of(provider()))
    assert said == "the OAuth backend acme of provider acme is brought by several packages: acme_backend:AcmeBackend, acme_backend:make"


def test_an_unknown_backend_is_refused_with_both_ways_to_supply_it(file):
    for make in (lambda: Catalogue.of(provider()), lambda: Catalogue.load(file), lambda: Catalogue({"acme": provider()})):
        said = refusal(make)
        assert said.startswith("the OAuth backend acme of provider acme is not there")
        assert WAYS in said
        assert said.endswith("cloud_integrations.oauth_backends")


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        ("nowhere:AcmeBackend", "cannot be made from nowhere:AcmeBackend: ModuleNotFoundError"),
        ("acme_backend:Missing", "cannot be made from acme_backend:Missing: AttributeError"),
        ("acme_backend:demanding", "cannot be made from acme_backend:demanding: TypeError"),
        ("acme_backend:number", "cannot be made from acme_backend:number: TypeError"),
        ("acme_backend:Half", "made from acme_backend:Half, must be an OAuthBackend, and Half has no read_callback"),
    ],
)
def test_a_package_that_cannot_bring_its_backend_is_refused(install, made, problem):
    install(acme=made)
    said = refusal(lambda: Catalogue.of(provider()))
    assert said.startswith("the OAuth backend acme of provider acme")
    assert problem in said


@pytest.mark.parametrize(
    ("backends", "problem"),
    [
        ({"acme": AcmeBackend}, r"backends\[acme\] is the class AcmeBackend: give an instance"),
        ({"acme": object()}, r"backends\[acme\] must be an OAuthBackend, and object has no build_authorize"),
        ({"acme": Heir()}, r"must be an OAuthBackend, and Heir has no build_authorize"),
        ({"acme": Lacking()}, r"must be an OAuthBackend, and Lacking has no build_revoke"),
        ({"acme": Waiting()}, r"and Waiting is awaited"),
        ({"Acme": AcmeBackend()}, r"backends have a name that is not"),
        ({7: AcmeBackend()}, r"backends have a name that is not"),
        ({"standard": AcmeBackend()}, r"or is standard, the library's own"),
        ([AcmeBackend()], r"backends must be a mapping"),
    ],
)
def test_what_is_no_backend_is_refused_when_it_is_given(backends, problem):
    for make in (lambda: Catalogue.of(backends=backends), lambda: Catalogue.builtin(backends=backends)):
        assert re.search(problem, refusal(make))


def test_who_lists_providers_waits_neither_for_the_standard_backend_nor_for_packages():
    program = "import sys; from cloud_integrations import Catalogue; Catalogue.builtin().list_providers(); print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", program]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
    assert "pydantic" in loaded
    assert "authlib" not in loaded
