"""Known weaknesses of locked versions are looked up, and a look-up that did not happen is not taken for a good one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LOCK = "good==1.0 \\\n    --hash=sha256:00\nweak[extra]==2.0 \\\n    --hash=sha256:00\n"


class Osv(HTTPServer):
    """A stand-in for the service: answers of a test, and the questions that came."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.asked = answer, list[dict[str, Any]]()


class _Handler(BaseHTTPRequestHandler):
    server: Osv

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(question)
        body = json.dumps(self.server.answer(question)).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("advisories")


@pytest.fixture
def lock(tmp_path: Path) -> str:
    path = tmp_path / "a.txt"
    path.write_text(LOCK)
    return str(path)


@pytest.fixture
def serve() -> Iterator[Callable[..., Osv]]:
    running: list[Osv] = []

    def start(answer: Callable[[dict[str, Any]], Any]) -> Osv:
        server = Osv(answer)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def _url(server: Osv) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def _weak(question: dict[str, Any]) -> dict[str, Any]:
    return {"results": [{"vulns": [{"id": "GHSA-fake"}]} if query["package"]["name"] == "weak" else {} for query in question["queries"]]}


@pytest.mark.requirement("SUP-02")
def test_a_locked_version_with_a_known_weakness_fails(tool: ModuleType, lock: str, serve: Any, capsys: Any) -> None:
    server = serve(_weak)
    assert tool.main([lock], service=_url(server)) == 1
    assert capsys.readouterr().out == "weak 2.0: GHSA-fake\n2 versions, 1 to be replaced\n"
    assert [query["version"] for query in server.asked[0]["queries"]] == ["1.0", "2.0"]


@pytest.mark.requirement("SUP-02")
def test_a_weakness_that_cannot_be_reached_is_shown_with_its_reason(tool: ModuleType, lock: str, serve: Any, capsys: Any) -> None:
    assert tool.main([lock], service=_url(serve(_weak)), accepted={"GHSA-fake": "not used"}) == 0
    assert "weak 2.0: GHSA-fake (accepted: not used)\n" in capsys.readouterr().out


@pytest.mark.requirement("SUP-02")
def test_every_page_of_an_answer_is_read(tool: ModuleType, lock: str, serve: Any) -> None:
    def paged(question: dict[str, Any]) -> dict[str, Any]:
        later = "page_token" in question["queries"][0]
        return {"results": [{"vulns": [{"id": "GHSA-fake"}]}]} if later else {"results": [{"next_page_token": "2"}, {}]}

    assert tool.main([lock], service=_url(serve(paged))) == 1


@pytest.mark.requirement("SUP-02")
@pytest.mark.parametrize(
    "answer", [{"results": [{}]}, {"other": []}, [], {"results": [{"next_page_token": "2"}, {"next_page_token": "2"}]}]
)
def test_an_answer_that_does_not_fit_is_no_success(tool: ModuleType, lock: str, serve: Any, capsys: Any, answer: Any) -> None:
    assert tool.main([lock], service=_url(serve(lambda _: answer))) == tool.NOT_ASKED
    assert "2 versions were not checked" in capsys.readouterr().err


@pytest.mark.requirement("SUP-02")
def test_a_service_that_is_away_is_no_success(tool: ModuleType, lock: str, capsys: Any) -> None:
    assert tool.main([lock], service="http://127.0.0.1:9") == tool.NOT_ASKED
    assert "2 versions were not checked" in capsys.readouterr().err


@pytest.mark.requirement("SUP-02")
def test_every_lock_but_that_of_the_oldest_versions_is_asked_about(tool: ModuleType, root: Path, serve: Any) -> None:
    server = serve(lambda question: {"results": [{}] * len(question["queries"])})
    assert tool.main([], service=_url(server)) == 0
    asked = {query["package"]["name"] for question in server.asked for query in question["queries"]}
    assert {"authlib", "cryptography", "fastapi", "nox", "celery", "aiobotocore"} <= asked
    assert tool.ACCEPTED == {}
