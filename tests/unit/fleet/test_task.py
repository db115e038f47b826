"""`fleet task` and `fleet agents`: the commands, the programs behind them, and a page that answers.

Everything is as it is but the SSH connection, which is a process here.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fleet import cli, orchestrator
from fleet.commands.taskview import Watched
from fleet.ssh import UNREACHABLE, Answer
from tests.golden import views
from tests.unit.conftest import on_linux
from tests.unit.deploys.test_orchestrator import wanted
from tests.unit.orchestrator import nursery

pytestmark = on_linux
Capture = pytest.CaptureFixture[str]
ESC = "\x1b]0;evil\x07"
TASK = {
    "id": 7,
    "title": f"Count{ESC}",
    "state": "queued",
    "host": "",
    "by": "me",
    "cost": 1_500_000,
    "created": 1_700_000_000.0,
    "attempt": 1,
    "wish": {"host": "", "failover": True},
}
AGENT = {
    "host": {"name": "berry", "power": "sleeps"},
    "condition": "asleep",
    "since": 1_700_000_000.0,
    "money": {"of_session": {"spent": 2_000_000, "cap": 5_000_000}, "of_day": {"spent": 0}},
    "said": f"no answer{ESC}",
}


class Page:
    """What the page answers, by method and path, and what it was asked."""

    def __init__(self, path: Path) -> None:
        self.socket, self.asked = path / "api.sock", list[tuple[str, str, bytes, str]]()
        self.answers: dict[str, Any] = {}
        app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])
        self.server = uvicorn.Server(uvicorn.Config(app, uds=str(self.socket), log_level="error"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    async def answer(self, request: Request) -> Response:
        body, who = await request.body(), request.headers.get("X-Agentfleet-Who", "")
        line = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.asked.append((request.method, line, body, who))
        found = self.answers.get(f"{request.method} {request.url.path}")
        if isinstance(found, list) and found and isinstance(found[0], tuple):
            found = found.pop(0)[0] if len(found) > 1 else found[0][0]
        if found is None:
            problem = {"title": "Not Found", "detail": "there is no such task"}
            return JSONResponse(problem, 404, media_type="application/problem+json")
        return JSONResponse(found)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def page(tmp_path: Path, fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    found = Page(tmp_path)
    (file,) = [file for file in wanted().files if file.path.endswith(".json")]
    config = json.loads(file.content) | {"socket": str(found.socket)}
    (tmp_path / "orchestrator.json").write_text(json.dumps(config))

    def here(
        way: Any, command: str, says: bytes, timeout_s: float, heard: Callable[[bytes], None]
    ) -> Answer:
        words = shlex.split(command.partition("exec ")[2])
        words = words[words.index("-IB") + 2 :]
        words[words.index("--config") + 1] = str(tmp_path / "orchestrator.json")
        run = nursery.run(*words, environment=os.environ, says=says)
        for line in run.stdout.encode().splitlines(keepends=True):
            heard(line)
        return Answer(run.returncode, "", run.stderr.strip())

    monkeypatch.setattr(orchestrator, "converse", here)
    monkeypatch.setattr(orchestrator, "route", lambda host, target: None)
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    monkeypatch.setenv("USER", "mé\n")
    monkeypatch.setenv("LOGNAME", "mé\n")
    yield found
    found.close()


def test_a_task_is_sent_with_its_wish_and_its_files(
    page: Page, tmp_path: Path, capsys: Capture
) -> None:
    page.answers["POST /api/v1/files"] = {"name": "n", "sha256": "ab", "size": 3}
    page.answers["POST /api/v1/tasks"] = TASK
    (tmp_path / "a b.txt").write_bytes(b"\x00\xff\n")
    words = ["--host", "berry", "--cap", "1.5", "--root", "--file", str(tmp_path / "a b.txt")]
    assert cli.main(["task", "send", "Count; all", *words]) == 0
    (_, upload, content, who), (_, _, body, _) = page.asked
    assert upload == "/api/v1/files?name=a%20b.txt"
    assert content == b"\x00\xff\n"
    assert who == "m?? as admin" or who.startswith("m? as ")
    draft = json.loads(body)
    assert draft["prompt"] == "Count; all"
    assert draft["cap"] == 1_500_000
    assert draft["attachments"] == [{"name": "n", "sha256": "ab", "size": 3}]
    wish = {"host": "berry", "failover": True, "role": "", "arch": "", "os": "", "root": True}
    assert draft["wish"] == wish | {"compilers": False}
    assert capsys.readouterr().out == "task 7: queued\n"


@pytest.mark.parametrize(("more", "code"), [((), 3), (("--no-wait",), 0)])
def test_a_host_that_sleeps_is_waited_for(
    page: Page, more: tuple[str, ...], code: int, capsys: Capture
) -> None:
    wish = {"host": "berry", "failover": False}
    page.answers["POST /api/v1/tasks"] = TASK | {"wish": wish}
    page.answers["GET /api/v1/agents"] = {"agents": [AGENT]}
    assert cli.main(["task", "send", "x", "--host", "berry", "--no-failover", *more]) == code
    assert ("berry sleeps" in capsys.readouterr().err) == (code == 3)


def test_a_host_that_is_none_is_said_before_anything_is_sent(page: Page, capsys: Capture) -> None:
    assert cli.main(["task", "send", "x", "--host", "bery"]) == 1
    assert 'did you mean "berry"?' in capsys.readouterr().err
    assert page.asked == []


@pytest.mark.parametrize(("state", "code"), [("done", 0), ("failed", 1), ("lost", 1)])
def test_watching_tells_what_is_new_and_ends_with_the_task(
    page: Page, state: str, code: int, capsys: Capture
) -> None:
    at = "GET /api/v1/tasks/7"
    page.answers[at] = [
        (TASK | {"state": "running", "host": "berry"},),
        (TASK | {"state": state, "host": "berry", "reason": f"so it is{ESC}"},),
    ]
    page.answers[f"{at}/events"] = [{"number": 1, "kind": "placed", "text": "berry: idle"}]
    page.answers[f"{at}/messages"] = [
        ([{"number": 1, "role": "agent", "content": "one\n"}],),
        ([{"number": 1, "role": "agent", "content": f"one\ntwo{ESC}"}],),
    ]
    assert cli.main(["task", "watch", "7"]) == code
    said = capsys.readouterr()
    assert said.out == "one\ntwo\\x1b]0;evil\\x07\n"
    assert "task 7: running on berry" in said.err
    assert f"task 7: {state} on berry: so it is\\x1b" in said.err
    assert "placed: berry: idle" in said.err
    assert "\x1b" not in said.err


def test_ctrl_c_leaves_the_task_running_and_says_so(
    page: Page, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(orchestrator, "follow", interrupt)
    assert cli.main(["task", "watch", "7"]) == 130
    assert "the task goes on" in capsys.readouterr().err
    assert page.asked == []


def test_tasks_are_listed_and_shown_without_their_tricks(page: Page, capsys: Capture) -> None:
    page.answers["GET /api/v1/tasks"] = {"tasks": [TASK]}
    page.answers["GET /api/v1/tasks/7"] = TASK
    page.answers["GET /api/v1/tasks/7/events"] = [{"at": 1e9, "kind": "said", "text": ESC}]
    page.answers["GET /api/v1/tasks/7/messages"] = [{"role": "user", "content": f"{ESC}\nx"}]
    assert cli.main(["task", "list", "--state", "lost", "--state", "failed"]) == 0
    assert page.asked[0][1] == "/api/v1/tasks?state=lost&state=failed&most=20"
    assert cli.main(["task", "show", "7"]) == 0
    said = capsys.readouterr().out
    assert "$1.50" in said
    assert "> x" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_acting_on_a_task(page: Page, action: str, capsys: Capture) -> None:
    page.answers[f"POST /api/v1/tasks/7/{action}"] = TASK | {"state": "cancelled"}
    assert cli.main(["task", action, "7"]) == 0
    assert capsys.readouterr().out == "task 7: cancelled\n"


def test_what_the_page_refuses_is_said_in_its_words(page: Page, capsys: Capture) -> None:
    assert cli.main(["task", "show", "9"]) == 1
    said = capsys.readouterr().err
    assert "there is no such task" in said
    assert "Traceback" not in said


def test_a_page_that_is_down_is_said(page: Page, capsys: Capture) -> None:
    page.close()
    page.socket.unlink(missing_ok=True)
    assert cli.main(["agents"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_an_orchestrator_that_is_off_is_said(
    page: Page, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    gone = Answer(UNREACHABLE, "", "timed out")
    monkeypatch.setattr(orchestrator, "converse", lambda *_: gone)
    assert cli.main(["agents"]) == 1
    assert "cannot be reached: timed out" in capsys.readouterr().err


@pytest.mark.parametrize(("condition", "code"), [("asleep", 0), ("stuck", 2), ("idle", 0)])
def test_agents(page: Page, condition: str, code: int, capsys: Capture) -> None:
    page.answers["GET /api/v1/agents"] = [AGENT | {"condition": condition}]
    assert cli.main(["agents"]) == code
    said = capsys.readouterr().out
    assert {"berry", condition, "$2.00", "$5.00"} <= set(said.split())
    assert "\x1b" not in said


def test_code_goes_there_and_comes_back_as_a_branch(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text("[user]\nname = me\nemail = me@example.com\n")
    repo = tmp_path / "mine"
    repo.mkdir()
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *words], cwd=repo, check=True)
    page.answers["POST /api/v1/files"] = {"name": "mine.bundle", "sha256": "ab", "size": 3}
    page.answers["POST /api/v1/tasks"] = TASK
    assert cli.main(["task", "send", "x", "--repo", str(repo)]) == 0
    assert page.asked[0][2].startswith(b"# v2 git bundle\n")
    sent = json.loads(page.asked[1][2])["code"]
    assert (sent["bundle"], sent["name"], sent["ref"]) == ("ab", "mine", "HEAD")
    diff = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n"
    page.answers["GET /api/v1/tasks/7"] = TASK
    page.answers["GET /api/v1/tasks/7/patch"] = {"base": sent["commit"], "text": diff}
    assert cli.main(["task", "fetch", "7", "--repo", str(repo)]) == 0
    assert "branch task-7:" in capsys.readouterr().out
    show = subprocess.run(["git", "show", "task-7:n"], cwd=repo, capture_output=True, check=True)
    assert show.stdout == b"x\n"
    assert cli.main(["task", "show", "7", "--patch"]) == 0
    assert capsys.readouterr().out == diff


def test_the_page_is_asked_as_its_own_account() -> None:
    view = views()["arch-orchestrator"]
    command = orchestrator._command(view, ("api", "--who", "x y", "GET", "/a"))
    assert command.startswith("sudo -n -u agentfleet-orchestrator -- /usr/bin/python3 -IB ")
    assert command.endswith("api --config /etc/agentfleet/orchestrator.json --who 'x y' GET /a")


def test_a_screen_that_is_drawn_anew_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched()
    screens = ("one\n\n* 0 s\n\n", "one\ntwo\n\n* 1 s", "one\n2\nthree\n\ndone in 2 s")
    for screen in screens:
        watched.heard({"message": {"number": 1, "role": "agent", "content": screen}, "attempt": 1})
    watched.heard({"task": {"id": 7, "state": "done"}})
    assert capsys.readouterr().out.split() == ["one", "2", "three", "done", "in", "2", "s"]
