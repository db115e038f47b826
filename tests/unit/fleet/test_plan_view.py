"""How plans and results are told: what hosts say paints no terminal and is no markup."""

from __future__ import annotations

import io

from rich.console import Console

from fleet.apply import Applied, Ending, Result
from fleet.commands.planview import show_plan, show_results, summary
from fleet.planned import HostPlan, Planned, Step

HOSTILE = "\x1b[2J[red]boo[/red] $(reboot)\r"


def told(show: object, *arguments: object, **more: object) -> str:
    out = Console(file=io.StringIO(), width=200, no_color=True, highlight=False)
    show(out, *arguments, **more)  # type: ignore[operator]
    stream = out.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def planned(*hosts: HostPlan) -> Planned:
    return Planned("home", "t", hosts)


def test_a_plan_is_told_host_by_host() -> None:
    step = Step("base", "files", ("file /etc/a: content",), ("restart pending",), ("-old\n+new",))
    plan = planned(
        HostPlan("rpi1", (step,), ("llvm: no manager",), ("look at it",)),
        HostPlan("rpi2"),
        HostPlan("laptop", error="timed out", unreached=True, silent=True, asleep=True),
        HostPlan("imac", error="timed out", unreached=True, silent=True),
    )
    assert told(show_plan, plan, diffs=True).splitlines() == [
        "rpi1 1 change",
        "  base: file /etc/a: content",
        "  base: restart pending",
        "    -old",
        "    +new",
        "  skipped: llvm: no manager",
        "  look at it",
        "rpi2 as fleet.yaml says",
        "laptop asleep: pending until it is on",
        "  timed out",
        "imac down: it should be on",
        "  timed out",
        "4 hosts: 1 to change, 1 as they should be, 1 asleep, 1 down",
    ]
    assert "+new" not in told(show_plan, plan, diffs=False)


def test_hostile_words_do_no_harm() -> None:
    step = Step("base", "files", (HOSTILE,), (HOSTILE,), (f"+{HOSTILE}",))
    plan = planned(HostPlan("rpi1", (step,), (HOSTILE,), (HOSTILE,), HOSTILE))
    said = told(show_plan, plan, diffs=True)
    assert "\x1b" not in said
    assert "\r" not in said
    assert said.count("[red]boo[/red] $(reboot)") == 6
    done = Applied({"rpi1": Result("rpi1", Ending.FAILED, error=f"first\n{HOSTILE}")})
    said = told(show_results, done)
    assert "\x1b" not in said
    assert "[red]boo[/red]" in said


def test_results_say_what_was_not_touched() -> None:
    done = Applied(
        {
            "rpi1": Result("rpi1", Ending.FAILED, ("a", "b"), error="first words\nlast words"),
            "rpi2": Result("rpi2", Ending.UNTOUCHED),
            "imac": Result("imac", Ending.PENDING, pending=("restart pending",)),
        },
        broken=("rpi1: last words",),
    )
    said = told(show_results, done)
    assert "last words" in said
    assert "first words" not in said
    assert "restart pending" in said
    assert "not touched: rpi2" in said
    done.stopped = True
    assert "fleet apply goes on from there" in told(show_results, done)


def test_the_summary_counts() -> None:
    assert summary(planned(HostPlan("rpi1"))) == "1 host: 1 as they should be"
