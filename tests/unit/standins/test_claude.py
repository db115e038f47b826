"""The Claude Code of the lab's Macs, in a terminal and without one."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lab.paths import STANDINS

CLAUDE = STANDINS / "claude" / "claude"
SESSION = "agentfleet-of-the-test"
LIMIT_S = 15.0

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="it asks with curl")


class _Handler(BaseHTTPRequestHandler):
    """Says what it was told; `refuse …` is refused with the rest of it."""

    protocol_version = "HTTP/1.1"
    asked: list[dict[str, Any]]

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = body["messages"][-1]["content"]
        self.asked.append({"path": self.path, "key": self.headers["authorization"], **body})
        said: dict[str, Any] = {"content": [{"type": "text", "text": prompt}]}
        if prompt.startswith("slow"):
            time.sleep(1.2)
        if refused := prompt.startswith("refuse "):
            error = {"type": "billing_error", "message": prompt.removeprefix("refuse ")}
            said = {"type": "error", "error": error}
        answer = json.dumps(said, ensure_ascii=False).encode()
        self.send_response(402 if refused else 200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class Gateway:
    """What the stand-in asks, and how it is started."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        handler = type("Handler", (_Handler,), {"asked": self.asked})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.env = {
            "PATH": os.environ["PATH"],
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{self.server.server_address[1]}",
            "ANTHROPIC_AUTH_TOKEN": SESSION,
            "http_proxy": "http://127.0.0.1:1",
        }

    def print(self, *words: str) -> str:
        """Run it with these words, without a terminal."""
        done = subprocess.run(
            [CLAUDE, *words],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=LIMIT_S,
        )
        return done.stdout


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    it = Gateway()
    yield it
    it.server.shutdown()
    it.server.server_close()


@pytest.mark.parametrize(
    "words",
    ["all is well", 'he said "yes" to all', "a\\b", "zäh €", "it's $HOME `id` $(id) %s", "-e x"],
)
def test_a_prompt_comes_and_goes_as_it_is(gateway: Gateway, words: str) -> None:
    assert gateway.print("--dangerously-skip-permissions", "-p", words) == words + "\n"
    (asked,) = gateway.asked
    assert asked["path"] == "/v1/messages"
    assert asked["key"] == f"Bearer {SESSION}"
    assert asked["max_tokens"] > 0


def test_an_error_is_shown_in_the_words_of_the_api(gateway: Gateway) -> None:
    words = 'budget: this session has spent $5.03 of its $5.00: say "new session"'
    assert gateway.print("-p", f"refuse {words}") == f"API Error: {words}\n"


def test_nobody_to_ask_is_said(gateway: Gateway) -> None:
    gateway.env["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:1"
    assert gateway.print("-p", "hello") == "no answer\n"


class Terminal:
    """The stand-in in a pty."""

    def __init__(self, env: dict[str, str]) -> None:
        self.screen = ""
        own, its = pty.openpty()
        self.fd = own
        self.process = subprocess.Popen(
            [CLAUDE], stdin=its, stdout=its, stderr=its, env=env, start_new_session=True
        )
        os.close(its)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def read(self, limit_s: float) -> str:
        """Whatever comes within that time, at most once."""
        if not select.select([self.fd], [], [], limit_s)[0]:
            return ""
        try:
            new = os.read(self.fd, 4096).decode(errors="replace")
        except OSError:  # nobody has the other end any more
            return ""
        self.screen += new
        return new

    def until(self, text: str, after: int = 0) -> str:
        """Read until that is on the screen; what is new of it."""
        deadline = time.monotonic() + LIMIT_S
        while text not in self.screen[after:]:
            assert time.monotonic() < deadline, self.screen
            self.read(0.2)
        return self.screen[after:]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


@pytest.fixture
def terminal(gateway: Gateway) -> Iterator[Terminal]:
    it = Terminal({**gateway.env, "TERM": "xterm"})
    yield it
    it.close()


def test_its_prompt_takes_a_paste_and_enter(gateway: Gateway, terminal: Terminal) -> None:
    """As AgentAPI types: the text between two marks, then Enter."""
    terminal.until("> ")
    for words in ("say one", 'say "two"'):
        before = len(terminal.screen)
        terminal.type(f"\033[200~{words}\033[201~")
        terminal.type("\r")
        new = terminal.until("\n> ", before).replace("\r\033[K", "")
        assert new.count(words) == 2, "what was typed, and the answer"
    assert [one["messages"][0]["content"] for one in gateway.asked] == ["say one", 'say "two"']


def test_a_command_in_a_prompt_is_run_once_it_was_paid_for(
    gateway: Gateway, terminal: Terminal, tmp_path: Path
) -> None:
    terminal.until("> ")
    for words in (f"Run echo one >{tmp_path}/made", f"say run echo two >{tmp_path}/not"):
        before = len(terminal.screen)
        terminal.type(f"\033[200~{words}\033[201~\r")
        terminal.until("\n> ", before)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("made", "one\n")]
    assert len(gateway.asked) == 2
    gateway.asked.clear()
    broke = Terminal({**gateway.env, "TERM": "xterm", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"})
    broke.until("> ")
    broke.type(f"run echo three >{tmp_path}/unpaid\r")
    broke.until("no answer")
    broke.until("> ", len(broke.screen))
    broke.close()
    assert not (tmp_path / "unpaid").exists()


def test_something_moves_while_the_api_thinks(terminal: Terminal) -> None:
    terminal.until("> ")
    before = len(terminal.screen)
    terminal.type("slow one\r")
    new = terminal.until("\n> ", before)
    assert new.index("..") < new.rindex("slow one")


def test_it_ends_with_its_input_and_leaves_no_file(gateway: Gateway, tmp_path: Path) -> None:
    terminal = Terminal({**gateway.env, "TMPDIR": str(tmp_path)})
    terminal.until("> ")
    terminal.type("\004")
    assert terminal.process.wait(LIMIT_S) == 0
    assert list(tmp_path.iterdir()) == []
    terminal.close()
