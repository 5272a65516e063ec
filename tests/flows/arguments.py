"""What is passed to the methods of a manager, by the name of the parameter: values that every method refuses, and values that fit."""

from __future__ import annotations

import inspect
import runpy
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from cloud_integrations.domain.audit import SYSTEM, Actor, AuditHead
from cloud_integrations.domain.importing import ImportedGrant
from cloud_integrations.domain.secret import Secret

from .conftest import ACME

HALF = "fake-\ud800-half"
NUL = "fake-\x00-nul"
LONG = "f" * 256
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  # that is the point

NO_TEXTS = [5, b"fake-bytes", HALF, NUL, ["fake"], object()]
TEXTS = [5, b"fake-bytes", "", LONG, HALF, NUL, ["fake"], object()]
SECRETS = ["", b"fake-bytes", 5, HALF, Secret(""), ["fake"]]
IDS = ["not-a-uuid", "", 5, b"fake-bytes", HALF, uuid4().hex[:-1]]
NUMBERS = [0, -1, True, 1.5, "10", 2**63, float("nan")]
WRONG = {
    "tenant_id": [*TEXTS, None, uuid4()],
    "provider": [5, None, b"fake-bytes", ["fake"]],
    "integration": [5, None, b"fake-bytes", ["fake"]],
    "slot": [5, None, b"fake-bytes", ["fake"], "Fake", "fake slot", "fake\n", HALF, NUL, "f" * 65],
    "context_id": [*IDS, None],
    "authorization_id": [*IDS, None],
    "name": [*TEXTS, "f" * 51],
    "use": [*TEXTS, None, "fake"],
    "address": TEXTS,
    "search": [5, b"fake-bytes", ["fake"], object(), "f" * 101],
    "category": [*TEXTS, "fake"],
    "inputs": ["fake", ["fake"], {}, None, {5: "fake"}, {"fake key": ""}, *({"key": value} for value in SECRETS)],
    "method": TEXTS,
    "api_key": [*SECRETS, None],
    "secret_key": SECRETS,
    "code": [*SECRETS, None],
    "state": SECRETS,
    "browser_token": [value for value in SECRETS if value],
    "variables": ["fake", ["fake"], {"region": 5}, {5: "fake"}, {"region": None}],
    "event": [*TEXTS, None],
    "facts": ["fake", ["fake"], {"rows": 5}, {5: "fake"}, {"rows": None}, {"rows": ""}, {"rows": HALF}, {"fake\n": "rows"}],
    "actor": [
        None,
        5,
        b"fake-bytes",
        {"id": "fake"},
        "",
        "urn:fake:1",
        LONG,
        HALF,
        NUL,
        Actor(id=LONG),
        Actor(id=""),
        Actor(id=HALF),
        Actor(id=NUL),
        Actor(id=5),
        Actor(type="f" * 33, id="fake"),
        Actor(type="", id="fake"),
        Actor,
    ],
    "request_id": TEXTS,
    "scopes": [5, b"fake-bytes", [5], ["fake", ""], [HALF], {"fake": 1}, [f"fake-{number:05}" for number in range(1_000)]],
    "narrow": [
        5,
        "fake",
        ["fake"],
        {},
        {"fake": {5}},
        {5: "fake"},
        {HALF: "fake"},
        {"fake": HALF},
        {"fake": [[HALF]]},
        {"fake": float("nan")},
    ],
    "return_to": [5, b"/fake", "", "https://evil.example/", "//evil.example", f"/{HALF}", "/" + "f" * 2_048],
    "redirect_uri": [5, None, b"fake", "", ["fake"], HALF, "https://app.example/" + "f" * 2_048],
    "params": [5, b"code=fake", ["code"], [("code",)], [("code", 5)], {"code": 5}, {5: "fake"}, {"code": [b"fake"]}],
    "client_id": [*NO_TEXTS, "", None],
    "client_secret": ["", b"fake-bytes", 5, HALF, Secret(""), [""], [5], ["fake"] * 6],
    "client_auth": [*TEXTS, "mtls"],
    "issuer": [*NO_TEXTS, ""],
    "application_id": [*IDS, None],
    "status": [5, "off", ["active"], HALF, ""],
    "reason": TEXTS,
    "progress": [5, "fake"],
    "limit": [*NUMBERS, None],
    "before": NUMBERS,
    "below": [*NUMBERS, None],
    "share": [0, -1, 1.5, True, "0.5", float("nan"), None],
    "created_before": [NAIVE, "2026-01-01T00:00:00Z", 5, date(2026, 1, 1)],
    "retired_before": [NAIVE, "2026-01-01T00:00:00Z", 5, None],
    "key_ids": [5, str(uuid4()), b"fake-bytes", [5], ["not-a-uuid"]],
    "checkpoint": [5, {"seq": 1}, AuditHead(tenant_id=ACME, seq="1", hash=bytes(32)), AuditHead(tenant_id=ACME, seq=1, hash="fake")],
    "action": [*TEXTS, None, "é"],
    "resource": [*TEXTS, None],
    "min_ttl": [-1, float("nan"), float("inf"), True, "30", timedelta(seconds=-1), timedelta.max, 10**30],
    "credential": [5, None, {"provider": "simulated"}],
    "verify": [5, "false", None],
    "now": [5, "false", None],
    "overlap": [-1, float("nan"), True, "30", timedelta(seconds=-1), timedelta.max, 10**30],
    "revoke_key": [5, "false", None],
    "new_key": [*TEXTS, "sing"],
    "dry_run": [5, "false", None],
    "token": [5, None, "fake"],
    "stop": [5, None, "fake", True],
    "interval": [-1, float("nan"), True, "30"],
    "once": [5, "false", None],
    "renew": [5, "false", None],
    "on_round": [5, "fake"],
    "session_id": [*IDS, None],
    "link_token": [*SECRETS, None],
    "join_token": [*SECRETS, None],
    "locale": [*TEXTS, "fake_locale", "f", "de-" + "f" * 33],
    "origin": [*NO_TEXTS, "", "fake.example", "http://fake.example", "https://fake.example/", "https://fake@fake.example", "https://[fake"],
    "freeze_id": [*IDS, None],
    "incident_id": [*IDS, None],
    "revoke_keys": [5, "false", None],
    "per_second": [*NUMBERS, None],
    "at_most": NUMBERS,
    "since": [NAIVE, "2026-01-01T00:00:00Z", 5, date(2026, 1, 1)],
    "until": [NAIVE, "2026-01-01T00:00:00Z", 5, date(2026, 1, 1)],
    "application": IDS,
    "on_behalf_of": [None, 5, "", "urn:fake:1", LONG, Actor(type="agent", id="fake"), Actor(type="system", id="fake"), SYSTEM],
    "providers": [5, None, "simulated", b"fake-bytes", [], [5], ["simulated", "simulated"], {"simulated": 1}],
    "hosts": [
        5,
        "fake.example",
        [],
        [5],
        ["https://fake.example"],
        {"simulated": []},
        {"github": ["fake.example"]},
        ["fake.example"] * 2 + [HALF],
    ],
    "methods": [5, "GET", [], [5], ["get"], ["CONNECT"], ["TRACE"], ["fake"]],
    "ttl": [0, -1, float("nan"), True, "30", timedelta(days=1, microseconds=1)],
}
"""By the name of a parameter, values that no method takes for it.  A parameter that is not here fails the test below."""

WRONG |= {
    "webhook_id": [*IDS, None],
    "url": [
        *TEXTS,
        None,
        "http://fake.example/",
        "https://user@fake.example/",
        "https://127.0.0.1/",
        "https://fake.example/" + "f" * 2_048,
    ],
    "events": ["integration.connected", 5, b"fake-bytes", [5], [""], ["fake.event"], {"integration.connected": 1}, None],
    "format": [*TEXTS, None, "Standard"],
    "enabled": [5, "false"],
    "receiver": [*TEXTS, "f" * 65],
    "ids": [5, "fake", str(uuid4()), b"fake-bytes", [5], ["not-a-uuid"], {"fake": 1}],
    "note": [*TEXTS, None, "fake note\n", "fake note\n\n\u2014 fake\n"],
    "form": [*TEXTS, None, "csv"],
    "days": [*NUMBERS, None, 36_501],
    "after": [-1, True, 1.5, "10", 2**63, float("nan"), None],
    "ends_at": WRONG["since"],
    "hours": [*NUMBERS, None, 169],
    "health": [5, "", "fake", b"ok", ["ok"], HALF],
    "ends_before": WRONG["since"],
    "unused_since": WRONG["since"],
    "key_version": NUMBERS,
    "who": WRONG["actor"],
    "by": WRONG["actor"],
}
WRONG |= dict.fromkeys(("everything", "renewals", "lifted"), WRONG["dry_run"])
WRONG["used_by"] = WRONG["actor"]

RIGHT = {
    "tenant_id": ACME,
    "provider": "simulated",
    "integration": UUID(int=1),
    "context_id": UUID(int=1),
    "authorization_id": UUID(int=1),
    "name": "Files of Acme",
    "inputs": {"key": "fake-key"},
    "api_key": "fake-key",
    "code": "fake-code",
    "state": "fake-state",
    "browser_token": None,
    "redirect_uri": "https://app.example/connected",
    "params": "state=fake-state",
    "client_id": "fake-client",
    "application_id": UUID(int=1),
    "actor": "alice",
    "session_id": UUID(int=1),
    "link_token": "fake-link",
    "join_token": "fake-join",
    "freeze_id": UUID(int=1),
    "webhook_id": UUID(int=1),
    "url": "https://hooks.example/cloud",
    "who": "bob",
    "days": 400,
    "note": f"fake note\n\n\u2014 fake {b64encode(bytes(68)).decode()}\n",
    "incident_id": UUID(int=1),
    "reason": "a fake reason",
    "on_behalf_of": "alice",
    "providers": ["simulated"],
    "use": "begin",
    "address": "192.0.2.7",
    "below": 1,
    "retired_before": datetime(2020, 1, 1, tzinfo=UTC),
    "key_ids": (),
    "action": "integration.list",
    "resource": "integrations",
    "event": "report.exported",
    "credential": ImportedGrant(provider="simulated", name="Files of Acme", access_token="fake-token"),
}
FITS = {
    "connect_sessions.create": {"providers": [[], ["simulated", "simulated"]], "return_to": ["https://evil.example/"]},
    "guide": {"inputs": [{}]},  # nothing is known yet
    "webhooks.add": {"providers": [[], ["simulated", "simulated"]]},
    "webhooks.edit": {"providers": [[], ["simulated", "simulated"]]},
}
"""By the name of a method, values of `WRONG` that it takes."""

METHODS = runpy.run_path(str(Path(__file__).parents[2] / "tools/api_page.py"))["METHODS"]
"""Every method of the manager and of its groups, by its dotted name."""
PARAMETERS = [
    (name, parameter)
    for name, method in METHODS.items()
    for parameter in inspect.signature(method).parameters.values()
    # `over` makes a manager: its arguments are in test_over_engine.py.
    # What a signature is told has names of its own: tests/clients/test_http.py.
    if parameter.name != "self"
    and not inspect.ismethod(method)
    and parameter.kind is not parameter.VAR_KEYWORD
    # An approver is a part of the host, and is refused as parts are: test_sessions.py.
    and parameter.name != "approve"
]
