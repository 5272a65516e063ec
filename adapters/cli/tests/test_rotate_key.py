"""The key of an integration is rotated at the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloud_integrations.testing import Misbehaviour, ProviderServer, SimulatedProvider

from .conftest import as_toml

T = ("-t", "acme")
JSON = ("-o", "json")


@pytest.fixture
def provider() -> Iterator[SimulatedProvider]:
    provider = SimulatedProvider(revokes_keys=True)
    with ProviderServer(provider):
        yield provider


@pytest.fixture
def new_key(tmp_path, provider):
    file = tmp_path / "new.key"
    file.write_text(provider.issue_api_key().reveal() + "\n")
    return file


@pytest.fixture
def rotate(run, added):
    return lambda *words: run("integrations", "rotate-key", added, *T, *words)


@pytest.mark.requirement("Q54")
def test_a_new_key_has_the_end_that_a_person_says_once_it_is_in_use(run, rotate, added, new_key):
    assert rotate("--input", f"key=@{new_key}", "--ends-at", "2099-01-31").code == 0
    assert run("integrations", "show", added, *T, *JSON).data()["reconnectBefore"] is None
    assert rotate("--finish").code == 0
    assert run("integrations", "show", added, *T, *JSON).data()["reconnectBefore"] == "2099-01-31T00:00:00Z"
    refused = rotate("--create", "--ends-at", "2099-01-31")
    assert (refused.code, "leave out --input, --method and --ends-at" in refused.err) == (2, True)


def test_a_new_key_waits_is_switched_to_and_the_old_one_waits(run, rotate, added, new_key):
    begun = rotate("--input", f"key=@{new_key}")
    assert (begun.code, "Rotation  the old key is in use, and the new one waits" in begun.out) == (0, True), begun.err
    assert "`--finish` hands out the new key" in begun.err
    assert "a rotation of its key is staged until" in run("integrations", "show", added, *T).err
    finished = rotate("--finish", *JSON).json()["data"]
    assert (finished["state"], finished["keyEnd"], finished["integrationId"]) == ("switched", "revoke", added)
    again = rotate("--finish", "--now")
    assert "Old key   is revoked at the provider" in again.out
    key = new_key.read_text().strip()
    assert key not in begun.out + begun.err + again.out + again.err


def test_the_new_key_is_forgotten_and_the_way_back_is_open(rotate, new_key):
    assert rotate("--input", f"key=@{new_key}", "--overlap", "2", "--keep-old").code == 0
    assert "New key   is forgotten here and goes on working at the provider" in rotate("--cancel").out
    rotate("--input", f"key=@{new_key}", "--keep-old")
    rotate("--finish")
    assert "Rotation  the old key is in use" in rotate("--cancel").out


def test_a_key_can_come_from_standard_input(run, added, new_key):
    assert run("integrations", "rotate-key", added, *T, "--input", "key=-", given=new_key.read_text()).code == 0


def test_nobody_is_asked_for_a_key_while_a_rotation_is_open(rotate, new_key, monkeypatch):
    rotate("--input", f"key=@{new_key}")
    monkeypatch.setattr("cloud_integrations_cli.prompts.can_ask", lambda: True)
    monkeypatch.setattr("cloud_integrations_cli.inputs.ask_hidden", lambda _: pytest.fail("asked for a key"))
    refused = rotate()
    assert (refused.code, "is being rotated already" in refused.err) == (9, True), refused.err
    assert "`--finish` and `--cancel` end it" in refused.err
    # The same key is no other rotation.
    assert rotate("--input", f"key=@{new_key}").code == 0


@pytest.mark.parametrize(("words", "said"), [(("--finish", "--cancel"), "exclude each other"), (("--now",), "goes with --finish")])
def test_options_that_contradict_each_other_are_refused(rotate, words, said):
    refused = rotate(*words)
    assert (refused.code, said in refused.err) == (2, True)


@pytest.mark.parametrize("step", ["--finish", "--cancel"])
def test_without_a_rotation_there_is_nothing_to_end(rotate, step):
    refused = rotate(step)
    assert (refused.code, "no rotation of this integration's key is open" in refused.err) == (9, True), refused.err


def test_a_key_is_no_argument(rotate):
    refused = rotate("--input", "key=fake-key-in-argv")
    assert (refused.code, "seen in ps" in refused.err, "fake-key-in-argv" in refused.err) == (2, True, False)


# The provider makes the key


@pytest.fixture
def making(home, provider, added):
    def make(how):
        provider.makes_keys = how
        entry = provider.catalogue_entries()[1]
        (home / f"{entry.id}.toml").write_text(as_toml(entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)))

    return make


def test_the_provider_creates_a_key_that_is_switched_to(rotate, provider, making):
    making("create")
    begun = rotate("--create")
    assert (begun.code, "for a new key …" in begun.err, "`--finish` hands out the new key" in begun.err) == (0, True, True), begun.err
    assert "New key   was made by the provider for you; if nobody switches to it, it is revoked there" in begun.out
    assert rotate("--finish", *JSON).json()["data"]["state"] == "switched"
    assert provider.is_alive(provider.valid_api_key)


def test_the_provider_rolls_a_key_once_somebody_has_agreed(run, rotate, provider, making, added):
    making("roll")
    refused = rotate("--roll")
    assert (refused.code, "--yes says that you are sure" in refused.err) == (2, True), refused.err
    rolled = rotate("--roll", "--yes")
    assert (rolled.code, "Old key   was ended by the provider" in rolled.out, "Ends" in rolled.out) == (0, True, False), rolled.err
    assert not provider.is_alive(provider.valid_api_key)
    assert run("integrations", "verify", added, *T).code == 0


def test_a_provider_that_makes_no_key_says_what_it_does(rotate, making):
    making("roll")
    refused = rotate("--create")
    assert (refused.code, "the new key must be made by roll for this" in refused.err) == (4, True), refused.err
    making(None)
    assert "a person makes it there" in rotate("--roll", "--yes").err


def test_a_lost_answer_says_where_to_look(rotate, provider, making):
    making("create")
    provider.misbehave(Misbehaviour.ERROR_AFTER, endpoint="keys")
    lost = rotate("--create")
    assert (lost.code, "there may be a key that nobody knows" in lost.err) == (9, True), lost.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--create", "--roll"), "exclude each other"),
        (("--create", "--finish"), "leave out --finish and --cancel"),
        (("--roll", "--cancel"), "leave out --finish and --cancel"),
        (("--create", "--method", "key"), "leave out --input, --method and --ends-at"),
        (("--roll", "--ends-at", "2099-01-31"), "leave out --input, --method and --ends-at"),
    ],
)
def test_who_makes_the_key_is_said_once(rotate, words, said):
    refused = rotate(*words)
    assert (refused.code, said in refused.err) == (2, True), refused.err
