"""Claude Code on every host: which program, started how, under which settings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploys import claude_code
from facts.look import Look
from fleet.kinds import Role
from fleet.lock import ArtifactsLock
from fleet.pins import missing, program
from fleet.plan import view_of, wanted
from fleet.problems import FleetError
from fleet.resources import File, Resources
from fleet.target import Target
from fleet.view import HostView
from tests.golden import target, views

NAME = claude_code.NAME


def want(view: HostView) -> Resources:
    return wanted(view)["claude_code"]


def file(view: HostView, name: str) -> File:
    (found,) = [file for file in want(view).files if Path(file.path).name == name]
    return found


def managed(view: HostView) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(file(view, "managed-settings.json").content)
    return settings


def unpinned(host: str, platform: str = "") -> HostView:
    """A host of a fleet in which the program is not pinned, or only not for this platform."""
    found = target()
    pins = dict(found.artifacts.artifacts)
    if platform:
        others = {k: v for k, v in pins[NAME].platforms.items() if k != platform}
        pins[NAME] = pins[NAME].model_copy(update={"version": "9.9.9", "platforms": others})
    else:
        del pins[NAME]
    return view_of(
        Target("real", found.fleet, None, ArtifactsLock(artifacts=pins), found.root), host
    )


def test_every_host_gets_the_program_of_its_platform() -> None:
    by_platform = {
        view.host.platform: {p.artifact.sha256 for p in want(view).programs}
        for view in views().values()
    }
    assert sorted(by_platform) == ["darwin-x86_64", "linux-aarch64", "linux-x86_64"]
    assert {len(digests) for digests in by_platform.values()} == {1}
    assert len(set.union(*by_platform.values())) == 3
    for view in views().values():
        (claude,) = want(view).programs
        pin = target().artifacts.get(NAME, view.host.platform)
        assert claude.artifact.sha256 == pin.sha256
        assert f"/{pin.version}-{pin.sha256[:12]}/" in claude.path


def test_the_command_becomes_the_pinned_program(tmp_path: Path) -> None:
    view = views()["rpi1"]
    (claude,) = want(view).programs
    stand_in = tmp_path / "claude"
    stand_in.write_text('#!/bin/sh\necho "updates off: $DISABLE_AUTOUPDATER"\nprintf "<%s>" "$@"\n')
    stand_in.chmod(0o755)
    wrapper = tmp_path / "wrapper"
    text = file(view, "claude").content.decode()
    assert claude.path in text
    wrapper.write_text(text.replace(claude.path, str(stand_in)))
    run = subprocess.run(
        ["sh", str(wrapper), "-p", "two words", ""], capture_output=True, text=True, check=True
    )
    assert run.stdout == "updates off: 1\n<-p><two words><>"


def test_nobody_updates_the_pinned_version() -> None:
    assert all(managed(v)["env"]["DISABLE_AUTOUPDATER"] == "1" for v in views().values())


@pytest.mark.parametrize(
    ("role", "alone"),
    [
        (Role.ORCHESTRATOR, True),
        (Role.HEADLESS_MAC, True),
        (Role.PI, True),
        (Role.WORKSTATION_MAC, False),
        (Role.WINDOWS_WSL, False),
    ],
)
def test_where_there_is_a_gate_each_step_of_an_agent_asks_it(
    monkeypatch: pytest.MonkeyPatch, role: Role, alone: bool
) -> None:
    with_gate = property(lambda view: (*view.settings.capabilities, "budget"))
    monkeypatch.setattr(HostView, "capabilities", with_gate)
    view = next(view for view in views().values() if view.host.role is role)
    (settings,) = [
        json.loads(file.content)
        for file in claude_code.resources(view).files
        if file.path.endswith(".json")
    ]
    said = {
        event: [hook["command"] for entry in entries for hook in entry["hooks"]]
        for event, entries in settings["hooks"].items()
    }
    gate = "/usr/local/libexec/agentfleet/budget-gate"
    events = ("PreToolUse", "PostToolUse", "UserPromptSubmit")
    assert said == {event: [f"{gate} {event}"] for event in events}
    assert settings.get("allowManagedHooksOnly", False) is alone, "a person's own hooks run"


def test_without_a_gate_nothing_calls_one() -> None:
    """Else the first step of everybody would fail."""
    for view in views().values():
        if "budget" not in view.capabilities:
            assert managed(view).keys() == {"env"}


def test_settings_are_root_s_alone_and_where_the_platform_has_them() -> None:
    for view in views().values():
        settings = file(view, "managed-settings.json")
        assert (settings.mode, settings.owner) == ("0644", "root")
        assert settings.path.startswith("/Library/" if view.host.is_mac else "/etc/claude-code/")


@pytest.mark.parametrize(
    ("host", "platform", "reason"),
    [
        ("rpi1", "", f"{NAME} is not pinned: fleet pin {NAME} 2.1.330 (once, in git)"),
        (
            "imac",
            "darwin-x86_64",
            f"{NAME} is not pinned for darwin-x86_64: fleet pin {NAME} 9.9.9 (once, in git)",
        ),
        ("rpi1", "darwin-x86_64", ""),
    ],
)
def test_what_is_not_pinned_is_skipped_where_it_is_missing(
    host: str, platform: str, reason: str
) -> None:
    view = unpinned(host, platform)
    assert claude_code.unavailable(view, Look()) == missing(view, NAME) == reason
    assert (want(view) == Resources()) is bool(reason)
    others = [name for name in wanted(view) if name != "claude_code"]
    assert others, "the host gets everything else"


def test_who_asks_all_the_same_is_told_what_to_type() -> None:
    with pytest.raises(FleetError, match=rf"is not pinned\n +fleet pin {NAME} 2\.1\.330"):
        program(unpinned("rpi1"), NAME)
