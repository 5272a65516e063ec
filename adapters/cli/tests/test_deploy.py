"""The image, manifests and units of `examples/deploy`: what they promise, and that the program starts as they start it."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cloud_integrations import LocalKeyring
from cloud_integrations_cli.settings import PREFIX, Configuration, load

from .conftest import PATIENCE

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "examples/deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = [one for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")) for one in yaml.safe_load_all(file.read_text())]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PERSIST_LIMIT = 300
"""Seconds for which new tokens may wait in memory; `Settings.persist_limit`."""


def _instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile as pairs of instruction and arguments."""
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if not line.startswith(" ")]


def _last_stage() -> list[tuple[str, str]]:
    found = _instructions()
    begins = max(place for place, (name, _) in enumerate(found) if name == "FROM")
    return found[begins:]


def _named(name: str) -> list[str]:
    return [arguments for found, arguments in _last_stage() if found == name]


def _pods() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in MANIFESTS if one["kind"] in {"Deployment", "Job"}}


def _unit(file: Path) -> dict[str, list[str]]:
    """Return the section `Service` of a unit; a name may be there several times."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in file.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def _commands() -> dict[str, list[str]]:
    """Return every command line that the files start, without the program's name."""
    commands = {f"compose {name}": service["command"] for name, service in COMPOSE["services"].items() if name != "database"}
    commands |= {f"kubernetes {name}": pod["containers"][0]["args"] for name, pod in _pods().items()}
    commands |= {file.stem: shlex.split(_unit(file)["ExecStart"][0])[1:] for file in UNITS}
    return commands | {"image": json.loads(_named("CMD")[0])}


# The image


def test_the_image_is_not_roots_and_says_so_by_number():
    assert _named("USER") == ["10001:10001"]
    after = _last_stage()[[name for name, _ in _last_stage()].index("USER") :]
    assert not {"RUN", "COPY", "ADD"} & {name for name, _ in after}


def test_the_image_has_no_build_tools_and_no_checkout():
    assert [arguments for name, arguments in _last_stage() if name == "COPY"] == [
        "--from=build /opt/cloud-integrations /opt/cloud-integrations"
    ]
    assert not _named("RUN")
    assert not _named("ADD")


def test_the_image_installs_by_hashes_and_names_versions_of_its_bases():
    assert "--require-hashes --requirement /src/requirements/demo.txt" in DOCKERFILE
    assert "--no-deps --no-build-isolation" in DOCKERFILE
    for name, arguments in _instructions():
        if name == "FROM":
            image = arguments.split()[0]
            assert re.fullmatch(r"python:\d+\.\d+-slim-\w+", image), image


def test_the_image_holds_no_secret_and_takes_none_when_it_is_built():
    assert not re.search(r"\b(ARG|CLOUD_INTEGRATIONS_(KEYS|DATABASE_URL))\b", DOCKERFILE)


def test_the_health_check_asks_whether_the_process_answers():
    (check,) = _named("HEALTHCHECK")
    program = json.loads(check[check.index("[") :])
    assert program[:2] == ["python", "-c"]
    assert "http://127.0.0.1:8000/health/live" in program[2]
    compile(program[2], "health check", "exec")


def test_all_that_is_copied_into_the_build_is_there_and_nothing_else_comes_along():
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().split("\n")
    allowed = [line[1:] for line in lines if line.startswith("!")]
    assert lines[1] == "*"
    assert all((ROOT / name).exists() for name in allowed)
    for wanted in ("requirements/demo.txt", "pyproject.toml", "src", "adapters/cli/pyproject.toml", "adapters/fastapi/src"):
        assert wanted in allowed
    for kept_out in (".git", "cloud-integrations.toml", "keyring", "examples/deploy/secrets.env", "cloud-integrations.db"):
        assert not any(fnmatch(kept_out, pattern) or kept_out.startswith(f"{pattern}/") for pattern in allowed)


@pytest.mark.programs
def test_what_comes_along_is_enough_to_build_the_three_distributions(tmp_path):
    allowed = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().split("\n") if line.startswith("!")]
    for name in allowed:
        source, target = ROOT / name, tmp_path / "src" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    install = next(arguments for name, arguments in _instructions() if name == "RUN" and "--no-deps" in arguments)
    folders = [str(tmp_path / word[1:]) for word in install.partition("&&")[0].split() if word.startswith("/src")]
    assert len(folders) == 3
    building = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    for folder in folders:
        done = subprocess.run(building, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.whl"))) == 3


# Commands and settings


@pytest.mark.parametrize(("where", "command"), _commands().items(), ids=_commands())
def test_each_command_is_one_that_the_program_has(run, where, command):
    names = list(command)
    words = [word for word in names if not word.startswith("-") and not word[0].isdigit()]
    ran = run(*words[: 2 if words[0] == "db" else 1], "--help")
    assert ran.code == 0, where
    for option in (word for word in names if word.startswith("--")):
        assert option in ran.out, (where, option)


def _tomls() -> list[str]:
    shown = (DEPLOY / "cloud-integrations.toml").read_text()
    # What is commented out as an example is one, too.
    whole = re.sub(r"^# (?=(?:\[\[?\w+\]?\]|[a-z0-9_]+ = ))", "", shown, flags=re.MULTILINE)
    whole = whole.replace('sha256 = "…"', f'sha256 = "{"0" * 64}"')
    return [shown, whole, *(text for one in MANIFESTS if one["kind"] == "ConfigMap" for text in one["data"].values())]


@pytest.mark.parametrize("text", _tomls(), ids=["as it is", "with its examples", "kubernetes"])
def test_each_file_of_settings_is_read(run, tmp_path, text):
    file = tmp_path / "cloud-integrations.toml"
    file.write_text(text)
    configuration = load(file)
    assert configuration.require_state
    assert configuration.base_url == "https://integrations.example.com"


def test_each_variable_of_the_environment_is_a_setting():
    texts = [file.read_text() for file in DEPLOY.rglob("*") if file.is_file()]
    named = {name for text in texts for name in re.findall(rf"{PREFIX}([A-Z_]+)", text)}
    assert named <= {*map(str.upper, Configuration.model_fields), "CONFIG"}
    assert {"DATABASE_URL", "KEYS", "CONFIG"} <= named


# Hardening


@pytest.mark.parametrize("service", ["migrate", "server", "worker"])
def test_a_service_of_compose_is_not_roots_and_reads_only(service):
    found = COMPOSE["services"][service]
    assert (found["user"], found["read_only"], found["cap_drop"]) == ("10001:10001", True, ["ALL"])
    assert "no-new-privileges:true" in found["security_opt"]
    assert int(found["stop_grace_period"].removesuffix("s")) > PERSIST_LIMIT
    assert all(volume.endswith(":ro") for volume in found["volumes"])
    assert "environment" not in found


def test_nobody_reaches_the_database_of_compose_and_the_server_is_for_this_machine():
    services = COMPOSE["services"]
    assert "ports" not in services["database"]
    assert services["database"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert all(port.startswith("127.0.0.1:") for port in services["server"]["ports"])
    for name in ("server", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", _pods())
def test_a_pod_is_not_roots_and_reads_only(name):
    pod = _pods()[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == _named("USER")[0]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] > PERSIST_LIMIT
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    # A secret is a reference.
    assert all("valueFrom" in variable for variable in container["env"])


@pytest.mark.parametrize("name", ["cloud-integrations-server", "cloud-integrations-worker"])
def test_a_pod_is_restarted_for_itself_alone_and_not_for_its_database(name):
    (container,) = _pods()[name]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    (port,) = container["ports"]
    arguments = container["args"]
    option = "--port" if arguments[0] == "serve" else "--health-port"
    assert arguments[arguments.index(option) + 1] == str(port["containerPort"])


def test_what_the_manifests_name_exists_among_them():
    labels = {one["spec"]["template"]["metadata"]["labels"]["app"] for one in MANIFESTS if one["kind"] in {"Deployment", "Job"}}
    for one in MANIFESTS:
        assert one.keys() >= {"apiVersion", "kind", "metadata"}
        spec = one.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        wanted = selector.get("matchLabels", selector).get("app")
        assert wanted is None or wanted in labels
    maps = {one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "ConfigMap"}
    assert {volume["configMap"]["name"] for pod in _pods().values() for volume in pod["volumes"]} <= maps


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_a_unit_is_not_roots_and_reads_only(file):
    unit = _unit(file)
    for name, value in {
        "DynamicUser": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "LimitCORE": "0",
    }.items():
        assert unit[name] == [value], name
    assert any(value.startswith("keyring:") for value in unit["LoadCredential"])
    assert "CLOUD_INTEGRATIONS_KEYRING_FILE=%d/keyring" in unit["Environment"]
    assert not any("DATABASE_URL" in value or "KEYS=" in value for value in unit["Environment"])
    if unit["Type"] != ["oneshot"]:
        assert int(unit["TimeoutStopSec"][0]) > PERSIST_LIMIT


def test_systemd_finds_nothing_wrong_in_the_units(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze; install systemd")
    for file in UNITS:
        (tmp_path / file.name).write_text(file.read_text().replace("/opt/cloud-integrations/bin/cloud-integrations", "/bin/true"))
    done = subprocess.run([program, "verify", *sorted(tmp_path.iterdir())], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# The program, started as the files start it


@pytest.fixture
def installed(own_postgresql_url: str) -> Iterator[dict[str, Any]]:
    """Say how to start the program as the files do: their settings, no home, a user that is nobody, and nothing may be written."""
    # Not below a folder that only this user may enter.
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    folder.chmod(0o755)
    settings = folder / "cloud-integrations.toml"
    settings.write_text((DEPLOY / "cloud-integrations.toml").read_text())
    settings.chmod(0o644)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": "/nonexistent",
        "TMPDIR": "/nonexistent",
        f"{PREFIX}CONFIG": str(settings),
        f"{PREFIX}DATABASE_URL": own_postgresql_url,
        f"{PREFIX}KEYS": LocalKeyring.generate_key("test").reveal(),
    }
    try:
        yield {"env": environment, "cwd": folder, "preexec_fn": _confine, "text": True}
    finally:
        shutil.rmtree(folder)


def _confine() -> None:
    # A write to any file fails, as on a file system that is read-only.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _as_the_images_user() -> list[str]:
    """Return the words before a command that make it run as the user of the image, without a capability, where root runs the tests."""
    if os.geteuid() != 0:
        return []
    user, group = _named("USER")[0].split(":")
    words = ["unshare", "--user", f"--map-user={user}", f"--map-group={group}"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("root runs the tests, and may make no user namespace; run them as another user")
    return words


def _start(command: list[str], installed: dict[str, Any]) -> subprocess.Popen[str]:
    program = [*_as_the_images_user(), sys.executable, "-m", "cloud_integrations_cli"]
    return subprocess.Popen([*program, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **installed)


def _on_a_free_port(command: list[str]) -> list[str]:
    """Return the command with 0 for its port: the one of the files may be taken on this machine."""
    return ["0" if re.fullmatch(r"8\d{3}", word) else word for word in command] + ["--output", "json"]


@pytest.mark.programs
def test_the_program_runs_as_nobody_on_a_file_system_that_is_read_only(installed):
    commands = _commands()
    migrated = _start(commands["compose migrate"], installed)
    said = migrated.communicate(timeout=PATIENCE)
    assert migrated.returncode == 0, said
    server = _start(_on_a_free_port(commands["kubernetes cloud-integrations-server"]), installed)
    worker = _start(_on_a_free_port(commands["kubernetes cloud-integrations-worker"]), installed)
    try:
        ready = json.loads(server.stdout.readline())
        assert ready["publicUrl"] == "https://integrations.example.com"
        works = json.loads(worker.stderr.readline())["health"]
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
            for url in (ready["url"].replace("0.0.0.0", "127.0.0.1"), works.removesuffix("/health").replace("0.0.0.0", "127.0.0.1")):
                assert client.get(f"{url}/health/live").json() == {"status": "ok"}
                assert client.get(f"{url}/health").json()["status"] == "ok"
    finally:
        for process in (server, worker):
            process.terminate()
        ended = [(process.communicate(timeout=PATIENCE), process.returncode) for process in (server, worker)]
    assert [code for _, code in ended] == [0, 0], ended
