"""A run that changes the orchestrator's service while an agent works for it."""

from __future__ import annotations

from pathlib import Path

from fleet.target import ROOT, Target
from lab.api import Lab
from tests.lab import desk
from tests.lab.agents import ORCHESTRATOR, until
from tests.lab.runs import converge

AS_FOUND = "test_orchestrator"
TOLD = f"{desk.SHARED}/told-once"
MAC = "hardware: iMac, Intel\n"


def test_a_run_restarts_the_service_and_the_task_goes_on_to_its_end(
    lab: Lab, target: Target, tmp_path: Path
) -> None:
    """What waits is sent afterwards; what was sent is followed to its end, and not sent again."""
    text = (ROOT / "fleet.yaml").read_text()
    assert MAC in text
    other = tmp_path / "fleet.yaml"
    other.write_text(text.replace(MAC, "hardware: another iMac\n"))
    desk.all_idle(target)
    words = f"run echo told >>{TOLD}; until test -e {TOLD}.go; do sleep 1; done; echo over"
    at_work = desk.send(target, words, wish=desk.on(ORCHESTRATOR))
    until(lambda: lab.run(ORCHESTRATOR, f"cat {TOLD}", check=False).stdout == "told\n")
    waits = desk.send(target, "say it was my turn", wish=desk.on(ORCHESTRATOR))
    try:
        run = converge("--limit", ORCHESTRATOR, fleet_file=other)
        assert run.code == 0, run.output
        restarted = [line for line in run.changes[ORCHESTRATOR] if "restart" in line]
        assert any("agentfleet-orchestrator" in line for line in restarted), run.changes
        until(lambda: desk.answers(target))
        assert desk.task(target, at_work)["state"] == "running"
        assert desk.task(target, waits)["state"] == "queued"
        lab.run(ORCHESTRATOR, f"touch {TOLD}.go")
        ended = desk.becomes(target, at_work, "done")
        assert ended["attempt"] == 1
        assert "over" in desk.said(target, at_work, "agent")
        assert lab.run(ORCHESTRATOR, f"cat {TOLD}").stdout == "told\n"
        desk.becomes(target, waits, "done")
    finally:
        lab.run(ORCHESTRATOR, f"touch {TOLD}.go")
        assert converge("--limit", ORCHESTRATOR).code == 0
    until(lambda: desk.answers(target))
    assert desk.task(target, at_work)["state"] == "done"
    assert converge("--limit", ORCHESTRATOR).changes == {}
