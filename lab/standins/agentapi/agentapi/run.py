"""The program: a server, and the agent that it runs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from .conversation import LOOK_S, Conversation
from .flags import parse
from .server import Server
from .terminal import Terminal


def main(arguments: Sequence[str]) -> int:
    """Run until the agent ends, whose exit code it is, or we are told to."""
    asked = parse(arguments)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    prompt = asked.initial_prompt or ("" if sys.stdin.isatty() else sys.stdin.read().strip())
    try:
        server = Server(asked.port, asked.allowed_hosts, asked.allowed_origins, asked.type)
    except OSError as error:
        print(f"agentapi: cannot listen on port {asked.port}: {error}", file=sys.stderr)
        return 1
    pid_file = Path(asked.pid_file) if asked.pid_file else None
    try:
        if pid_file:
            pid_file.write_text(f"{os.getpid()}\n")
        return _run(asked, server, prompt, over)
    except OSError as error:
        print(f"agentapi: {error}", file=sys.stderr)
        return 1
    finally:
        server.server_close()
        if pid_file:
            pid_file.unlink(missing_ok=True)


def _run(asked: argparse.Namespace, server: Server, prompt: str, over: threading.Event) -> int:
    terminal = Terminal(asked.command, asked.term_width, asked.term_height)
    server.talk = Conversation(
        terminal,
        Path(asked.state_file) if asked.state_file else None,
        prompt=prompt,
        reads=asked.load_state,
        writes=asked.save_state,
    )
    for work in (server.talk.run, server.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    words = " ".join(asked.command)
    print(f"agentapi (the lab's) on port {asked.port}: {words}", file=sys.stderr, flush=True)
    while terminal.code is None and not over.wait(LOOK_S):
        pass
    server.talk.save()
    if terminal.code is None:
        terminal.end()
        return 0
    print(f"agentapi: the agent has ended with {terminal.code}", file=sys.stderr)
    return terminal.code
