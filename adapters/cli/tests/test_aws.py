"""A new user connects AWS by the command line alone: a role that the printed guide describes, and an access key.

AWS is moto's server with its IAM checks turned on, behind a proxy and a private certificate authority, so that the built-in file works
unchanged.  A thin door before moto refuses what moto lets pass: a request without any external id for a role whose trust policy asks
for one.  The door also writes errors as STS does; moto writes them one level deeper.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from tests.moto import checking_moto

from .clouds import Answer, Asked, Internet, open_internet
from .conftest import PATIENCE, start

T = ("-t", "acme")
JSON = ("-o", "json")
STS = "sts.us-east-1.amazonaws.com"
PRINCIPAL = "arn:aws:iam::123456789012:user/cli-product"
ACTIONS = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]
PERMISSIONS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
DENIED = b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code></Error></ErrorResponse>"


@dataclass
class Aws:
    """moto's server, and the keys of its users: the operator's `cli-product`, and `cli-admin`, the tenant's administrator."""

    endpoint: str
    keys: dict[str, dict[str, str]] = field(repr=False)

    @property
    def iam(self) -> Any:
        """What the tenant's administrator does at AWS."""
        key = self.keys["cli-admin"]
        return boto3.client(
            "iam",
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )

    def make_role(self, documents: dict[str, str], name: str) -> str:
        """Do what `role.sh` of the guide says, with the guide's own documents."""
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=documents["trust-policy.json"])
        self.iam.put_role_policy(RoleName=name, PolicyName="access", PolicyDocument=documents["permissions.json"])
        return str(made["Role"]["Arn"])

    def answer(self, asked: Asked) -> Answer:
        """Answer a request to STS."""
        form = asked.form
        if form["Action"] == "AssumeRole" and "ExternalId" not in form and self._asks_for_one(form["RoleArn"]):
            return 403, DENIED
        headers = {name: text for name, text in asked.headers.items() if name not in {"content-length", "connection"}}
        said = httpx.post(f"{self.endpoint}/", content=asked.body, headers=headers, trust_env=False, timeout=60)
        return said.status_code, said.content.replace(b"<Errors>", b"").replace(b"</Errors>", b"")

    def _asks_for_one(self, arn: str) -> bool:
        role = self.iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
        return "Condition" in role["AssumeRolePolicyDocument"]["Statement"][0]


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with checking_moto({"cli-product": ACTIONS, "cli-admin": ["*"]}) as (endpoint, keys):
        yield Aws(endpoint, keys)


@pytest.fixture
def internet(aws: Aws, tmp_path: Path, initialised: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """A folder that `init` has set up, behind a company's proxy, with the operator's own key and the permissions to ask for."""
    shutil.copytree(initialised, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    key = aws.keys["cli-product"]
    (tmp_path / "aws.secret").write_text(f"{key['SecretAccessKey']}\n", encoding="utf-8")
    with open_internet(tmp_path, {STS: aws.answer}) as internet:
        settings = tmp_path / "cloud-integrations.toml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(
            f'product = "acme-backup"\n{internet.settings}{text}\n[limits]\nsetup_patience = 0\n[policies]\naws = {_inline(PERMISSIONS)}\n'
            f'[platform.aws]\nprincipal = "{PRINCIPAL}"\nparts = {{ access_key_id = "{key["AccessKeyId"]}" }}\n'
            'part_files = { secret_access_key = "aws.secret" }\n',
            encoding="utf-8",
        )
        yield internet


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_inline(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


def _begin(run: Any) -> dict[str, Any]:
    return dict(run("connect", "aws", "--name", "Production", *T, *JSON).data())


def _complete(run: Any, arn: str, *more: str) -> Any:
    return run("integrations", "add", "aws", "--method", "role", *T, "--input", f"role_arn={arn}", *more)


def _documents(guide: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["text"] for each in guide["documents"]}


def _line(ran: Any, name: str) -> str:
    [found] = [line.removeprefix(name).strip() for line in ran.out.splitlines() if line.startswith(name)]
    return str(found)


@pytest.mark.requirement("Q57", "Q72", "Q73")
def test_a_role_is_connected_used_watched_and_removed(run, internet, aws):
    guide = run("connect", "aws", "--method", "role", "--guide", *T)
    assert (guide.code, PRINCIPAL in run("providers", "guide", "aws", "--method", "role").out) == (0, False)
    assert "--- trust-policy.json" in guide.out
    assert "external_id" in guide.err
    # The setup shows what the guide could not know yet.
    shown = run("connect", "aws", "--name", "Production", *T)
    setup = _begin(run)
    external_id = setup["made"]["external_id"]
    assert (_line(shown, "External id"), _line(shown, "Trust")) == (external_id, PRINCIPAL)
    documents = _documents(setup["guide"])
    [statement] = json.loads(documents["trust-policy.json"])["Statement"]
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": external_id}}
    arn = aws.make_role(documents, "cli-tight")

    added = _complete(run, arn, *JSON)
    assert added.code == 0, added.err
    assert (added.data()["id"], added.data()["name"]) == (setup["integrationId"], "Production")
    minted = [asked.form for asked in internet.asked if asked.form.get("RoleArn") == arn]
    assert [form.get("ExternalId") == external_id for form in minted] == [True, False, False]
    assert minted[0]["RoleSessionName"] == f"acme-backup-{setup['integrationId']}"
    assert (minted[0]["SourceIdentity"], minted[0]["Tags.member.2.Value"]) == ("acme-backup", "acme")

    token = run("token", "aws", *T)
    assert _line(token, "Sent in") == "a signature (aws4)"
    values = run("token", "aws", *T, "--reveal", "--yes", *JSON).data()["values"]
    assert values.keys() == {"access_key_id", "secret_access_key", "session_token"}
    theirs = boto3.client(
        "sts", region_name="us-east-1", endpoint_url=aws.endpoint, **{f"aws_{name}": text for name, text in values.items()}
    )
    assert ":assumed-role/cli-tight/acme-backup-" in theirs.get_caller_identity()["Arn"]

    tight = run("integrations", "verify", "aws", *T)
    assert (tight.code, _line(tight, "Works"), _line(tight, "Trust").partition(":")[0]) == (0, "yes", "tight")
    del statement["Condition"]
    loosened = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws.iam.update_assume_role_policy(RoleName="cli-tight", PolicyDocument=loosened)
    loose = run("integrations", "verify", "aws", *T)
    assert (loose.code, _line(loose, "Works"), _line(loose, "Trust").partition(":")[0]) == (0, "yes", "LOOSE")
    actions = [record["action"] for record in run("audit", "list", *T, *JSON).data()]
    assert "integration.trust_loosened" in actions

    removed = run("integrations", "delete", "aws", *T, "--yes")
    assert _line(removed, "At the provider") == "what the tenant has set up stays until it is removed there"
    assert _line(removed, "Remove it at").startswith("https://console.aws.amazon.com/")
    assert _line(removed, "Keys made from it").startswith("work until 20")
    # And so it is: the role is there, and the key that was handed out works on.
    assert aws.iam.get_role(RoleName="cli-tight")["Role"]["Arn"] == arn
    assert theirs.get_caller_identity()["Account"] == "123456789012"
    said = "".join(ran.out + ran.err for ran in (guide, shown, added, token, tight, loose, removed))
    secrets = [aws.keys["cli-product"]["SecretAccessKey"], values["secret_access_key"], values["session_token"]]
    assert [secret for secret in secrets if secret in said or any(secret in asked.url for asked in internet.asked)] == []


@pytest.mark.requirement("Q72")
def test_a_role_that_stands_open_or_asks_for_another_id_is_not_connected(run, internet, aws):
    documents = _documents(_begin(run)["guide"])
    trust = json.loads(documents["trust-policy.json"])
    for name, condition, code, says in (
        ("cli-open", None, 5, "add the condition StringEquals with sts:ExternalId"),
        ("cli-other", {"StringEquals": {"sts:ExternalId": "fake-of-another"}}, 5, "the provider refused these credentials"),
    ):
        [statement] = trust["Statement"]
        statement.pop("Condition", None)
        statement |= {} if condition is None else {"Condition": condition}
        arn = aws.make_role(documents | {"trust-policy.json": json.dumps(trust)}, name)
        refused = _complete(run, arn)
        assert (refused.code, says in " ".join(refused.err.split())) == (code, True), refused.err
    assert run("integrations", "list", *T, *JSON).data() == []


def test_at_a_terminal_connect_asks_for_the_role_and_finishes(run, internet, aws, monkeypatch):
    arn = aws.make_role(_documents(_begin(run)["guide"]), "cli-asked")
    for module in ("actions.connect", "inputs"):
        monkeypatch.setattr(f"cloud_integrations_cli.{module}.can_ask", lambda: True)
    left = run("connect", "aws", *T, given="")
    assert (left.code, "ARN of the role: " in left.err) == (130, True)
    assert run("integrations", "list", *T, *JSON).data() == []
    asked = run("connect", "aws", *T, given=f"{arn}\n")
    assert (asked.code, "connected" in asked.err) == (0, True), asked.err
    assert run("integrations", "show", "aws", *T, *JSON).data()["name"] == "Production"


def test_the_operators_key_may_be_one_that_botocore_finds(run, internet, aws, monkeypatch):
    settings = Path("cloud-integrations.toml")
    begins = settings.read_text(encoding="utf-8").partition("[platform.aws]")[0]
    settings.write_text(f'{begins}[platform.aws]\nprincipal = "{PRINCIPAL}"\nsource = "botocore"\n', encoding="utf-8")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(Path("nothing.here").absolute()))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # It is looked for when it is needed, not by every command.
    assert run("integrations", "list", *T).code == 0
    refused = run("connect", "aws", *T)
    assert (refused.code, "platform.aws.source botocore finds no credentials" in refused.err) == (8, True), refused.err
    key = aws.keys["cli-product"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    arn = aws.make_role(_documents(_begin(run)["guide"]), "cli-botocore")
    added = _complete(run, arn)
    assert (added.code, "cli-botocore" in added.out) == (0, True), added.err
    assert key["SecretAccessKey"] not in added.out + added.err
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    absent = run("integrations", "list", *T)
    assert (absent.code, "pip install 'cloud-integrations[aws]'" in absent.err) == (8, True)


def _add_key(run: Any, aws: Aws, secret: str | None = None) -> Any:
    key = aws.keys["cli-admin"]
    Path("key.secret").write_text(secret or key["SecretAccessKey"], encoding="utf-8")
    given = ("--input", f"access_key_id={key['AccessKeyId']}", "--input", "secret_access_key=@key.secret")
    return run("integrations", "add", "aws", "--method", "access_key", *T, *given)


def test_an_access_key_connects_a_wrong_secret_is_invalid_and_a_server_that_is_down_an_outage(run, internet, aws):
    wrong = _add_key(run, aws, "f" * 40)
    assert (wrong.code, "the provider refused these credentials" in wrong.err) == (5, True), wrong.err
    internet.down = True
    down = _add_key(run, aws)
    assert (down.code, "the provider cannot be used right now" in down.err) == (6, True), down.err
    assert "refused" not in down.err
    assert run("integrations", "list", *T, *JSON).data() == []
    internet.down = False
    added = _add_key(run, aws)
    assert (added.code, ":user/cli-admin" in added.out) == (0, True), added.err
    assert "Trust" not in run("integrations", "verify", "aws", *T).out
    removed = run("integrations", "delete", "aws", *T, "--yes")
    assert _line(removed, "API key") == "still works at the provider"


PROGRAM = """
import os, sys, botocore.session
session = botocore.session.get_session()
arn = session.create_client("sts", endpoint_url=sys.argv[1]).get_caller_identity()["Arn"]
print(arn, session.get_config_variable("region"), file=open("seen", "w"))
sys.exit(int(sys.argv[2])) if int(sys.argv[2]) >= 0 else os.kill(os.getpid(), 15)
"""


ASKING = """
import json, os, sys, urllib.error, urllib.request
headers = {"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]}
asked = urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers=headers)
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for _ in sys.stdin:
    try:
        print(direct.open(asked).status, flush=True)
    except urllib.error.HTTPError as error:
        print(error.code, json.load(error)["code"], flush=True)
"""


def test_a_program_runs_with_the_tenants_keys_and_its_exit_code_is_passed_on(run, internet, aws):
    assert run("exec", *T, "--", sys.executable, "-c", "open('seen', 'w')").code == 3
    assert not Path("seen").exists()
    assert _add_key(run, aws).code == 0
    for asked, code in (("7", 7), ("0", 0), ("-15", 143)):
        ran = run("exec", *T, "--region", "eu-central-1", "--", sys.executable, "-c", PROGRAM, aws.endpoint, asked)
        assert (ran.code, ran.out) == (code, ""), ran.err
        arn, region = Path("seen").read_text(encoding="utf-8").split()
        assert (arn.endswith(":user/cli-admin"), region) == (True, "eu-central-1")
    missing = run("exec", *T, "--", "no-such-program-here")
    assert (missing.code, "the program cannot be started" in missing.err) == (2, True)


def test_a_signal_is_passed_on_and_the_endpoint_ends_with_the_program(run, internet, aws):
    assert _add_key(run, aws).code == 0
    program = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
print(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], flush=True)
signal.pause()
"""
    process = start("exec", *T, "--", sys.executable, "-c", program, cwd=Path.cwd())
    url = process.stdout.readline().strip()
    assert httpx.get(url, trust_env=False).status_code == 401
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 9, err
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_a_freeze_stops_a_program_that_runs_already_after_the_time_that_tokens_stay_in_memory(run, internet, aws):
    assert _add_key(run, aws).code == 0
    settings = Path("cloud-integrations.toml")
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("\nsetup_patience = 0\n", "\nsetup_patience = 0\ntoken_cache = 1\n"), encoding="utf-8")
    process = start("exec", *T, "--", sys.executable, "-c", ASKING, cwd=Path.cwd(), stdin=subprocess.PIPE)

    def ask() -> str:
        process.stdin.write("\n")
        process.stdin.flush()
        return str(process.stdout.readline().strip())

    assert ask() == "200", process.stderr.read()
    assert run("incident", "freeze", *T, "--reason", "fake reason").code == 0
    # Memory serves for a second at the most.
    ends = time.monotonic() + PATIENCE
    while (answer := ask()) == "200" and time.monotonic() < ends:
        time.sleep(0.05)
    assert answer == "403 integration/frozen"
    # And none is begun.
    assert run("exec", *T, "--", sys.executable, "-c", "open('seen', 'w')").code == 9
    assert not Path("seen").exists()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err


def test_a_signal_that_comes_while_the_program_is_being_started_reaches_it(run, internet, aws, monkeypatch):
    assert _add_key(run, aws).code == 0
    popen = subprocess.Popen

    def signalled(*args, **named):
        program = popen(*args, **named)
        signal.raise_signal(signal.SIGTERM)
        return program

    monkeypatch.setattr(subprocess, "Popen", signalled)
    assert run("exec", *T, "--", sys.executable, "-c", "import signal; signal.pause()").code == 128 + signal.SIGTERM


def test_a_real_sdk_asks_the_helper_for_the_keys(run, internet, aws):
    assert _add_key(run, aws).code == 0
    helper = shlex.join([sys.executable, "-m", "cloud_integrations_cli", "credential", "aws", *T])
    config = Path("aws.config").absolute()
    config.write_text(f"[default]\nregion = us-east-1\ncredential_process = {helper}\n", encoding="utf-8")
    env = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    env |= {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    ran = subprocess.run([sys.executable, "-c", PROGRAM, aws.endpoint, "0"], env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    assert Path("seen").read_text(encoding="utf-8").split()[0].endswith(":user/cli-admin")
    document = run("credential", "aws", *T).json()
    key = aws.keys["cli-admin"]
    assert (document["Version"], document["AccessKeyId"], document["SecretAccessKey"]) == (1, key["AccessKeyId"], key["SecretAccessKey"])
    assert "SessionToken" not in document
