"""launchctl's answers and exit statuses, with a systemd that only remembers what it is asked."""

import os
import plistlib
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from lab.standins.macos.darwin import launchctl, launchd, spawn
from lab.standins.macos.darwin.common import ToolError, edit_state
from lab.standins.macos.darwin.launchd import Launchd

STANDIN = Path(__file__).parents[3] / "lab/standins/macos/root"
LABEL = "org.example.web"
TARGET = f"system/{LABEL}"


class Systemd:
    """Records every call; a unit is active from its start to its stop."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.active: set[str] = set()

    def __call__(self, *argv: str) -> CompletedProcess[str]:
        self.calls.append(argv)
        verb, names = argv[1], [arg for arg in argv[2:] if arg.startswith("launchd-")]
        if verb in ("start", "restart"):
            self.active |= set(names)
        if verb == "stop":
            self.active -= set(names)
        state = "active" if names and names[0] in self.active else "inactive"
        shown = f"ActiveState={state}\nMainPID={42 if state == 'active' else 0}\n"
        failed = verb == "is-active"
        return CompletedProcess(argv, 3 if failed else 0, shown if verb == "show" else "", "")


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Systemd:
    fake = Systemd()
    monkeypatch.setattr(launchd, "hidden", fake)
    monkeypatch.setattr(launchctl, "is_root", lambda: True)
    monkeypatch.setattr(launchd, "check_owner", lambda status: None)
    return fake


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(name: str = "web", **keys: Any) -> str:
        path = tmp_path / "Library/LaunchDaemons" / f"{name}.plist"
        path.parent.mkdir(parents=True, exist_ok=True)
        plist = {"Label": LABEL, "ProgramArguments": ["/bin/sleep", "9"], "KeepAlive": True}
        path.write_bytes(plistlib.dumps({**plist, **keys}))
        return str(path)

    return write


def refusal(argv: list[str], root: Path) -> tuple[int, str]:
    with pytest.raises(ToolError) as caught:
        launchctl.main(argv, root)
    return caught.value.status, str(caught.value)


def test_bootstrap_starts_and_prints(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert launchctl.main(["bootstrap", "system", write()], tmp_path) == 0
    assert launchctl.main(["print", TARGET], tmp_path) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{TARGET} = {{"
    assert {"\tstate = running", "\tpid = 42", "\tprogram = /bin/sleep"} <= set(shown)
    assert "\tlast exit code = (never exited)" in shown


def test_a_second_bootstrap_fails(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write()
    launchctl.main(["bootstrap", "system", path], tmp_path)
    assert launchctl.main(["bootstrap", "system", path], tmp_path) == 5
    assert capsys.readouterr().err == "Bootstrap failed: 5: Input/output error\n"


def test_bootout_is_asynchronous(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write()
    launchctl.main(["bootstrap", "system", path], tmp_path)
    assert launchctl.main(["bootout", TARGET], tmp_path) == 0
    assert launchctl.main(["print", TARGET], tmp_path) == 0  # still there
    assert launchctl.main(["bootstrap", "system", path], tmp_path) == 5
    assert refusal(["bootout", TARGET], tmp_path)[0] == 36
    Launchd(tmp_path).forget(LABEL)  # what the hidden helper does a moment later
    assert refusal(["print", TARGET], tmp_path) == (
        113,
        f'Could not find service "{LABEL}" in domain for system',
    )
    assert launchctl.main(["bootstrap", "system", path], tmp_path) == 0


def test_a_bootout_hands_the_end_to_a_helper(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str]
) -> None:
    launchctl.main(["bootstrap", "system", write()], tmp_path)
    launchctl.main(["bootout", "system", write()], tmp_path)
    helper, stop = systemd.calls[-2:]
    assert helper[0] == "systemd-run"
    assert helper[-2:] == ("/opt/standin/libexec/launchd-forget", LABEL)
    assert stop[:2] == ("systemctl", "stop"), "which may end the caller: a job that leaves itself"


@pytest.mark.parametrize("keys", [{"Label": ""}, {"KeepAlive": "yes"}, {"Disabled": True}])
def test_bad_jobs_fail_with_5(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str], keys: dict[str, Any]
) -> None:
    assert launchctl.main(["bootstrap", "system", write(**keys)], tmp_path) == 5


def test_disable_and_enable(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write()
    launchctl.main(["disable", TARGET], tmp_path)
    assert launchctl.main(["bootstrap", "system", path], tmp_path) == 5
    launchctl.main(["print-disabled", "system"], tmp_path)
    assert f'"{LABEL}" => disabled' in capsys.readouterr().out
    launchctl.main(["enable", TARGET], tmp_path)
    assert launchctl.main(["bootstrap", "system", path], tmp_path) == 0


def test_exit_codes_and_signals(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    launchctl.main(["bootstrap", "system", write()], tmp_path)
    for code, status, line in (
        ("exited", "1", "last exit code = 1"),
        ("exited", "217", "last exit code = 78: EX_CONFIG"),  # systemd: no such user
        ("killed", "KILL", "last terminating signal = Killed: 9"),
    ):
        with edit_state(Launchd(tmp_path).history_path(LABEL)) as history:
            history.update(code=code, status=status)
        launchctl.main(["print", TARGET], tmp_path)
        assert f"\t{line}" in capsys.readouterr().out.splitlines()
    launchctl.main(["list"], tmp_path)
    assert capsys.readouterr().out.splitlines()[1] == f"42\t-9\t{LABEL}"


def test_throttle_counts_runs_and_waits(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    launchctl.main(["bootstrap", "system", write(ThrottleInterval=7)], tmp_path)
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    spawn.throttle(LABEL, tmp_path)
    spawn.throttle(LABEL, tmp_path)
    assert Launchd(tmp_path).history(LABEL)["runs"] == 2
    assert [round(pause) for pause in slept] == [7]


def test_boot_loads_what_is_sound(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str]
) -> None:
    write()
    write("twin")
    write("broken", Label="")
    write("off", Label="org.example.off", Disabled=True)
    refused = launchd.boot(Launchd(tmp_path))
    assert Launchd(tmp_path).labels() == [LABEL]
    assert len(refused) == 3


def test_boot_loads_the_systems_jobs_but_sshd(tmp_path: Path, systemd: Systemd) -> None:
    system = "System/Library/LaunchDaemons"
    shutil.copytree(STANDIN / system, tmp_path / system)
    assert launchd.boot(Launchd(tmp_path)) == []
    assert Launchd(tmp_path).labels() == ["com.apple.pfctl"]
    assert not any(launchd.SSHD_SOCKET in call and "start" in call for call in systemd.calls)


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["bootstrap", "gui/501", "/x"], 125),
        (["kickstart", "-k", TARGET], 113),
        (["kill", "SIGTERM", TARGET], 113),
        (["bootout", TARGET], 3),
        (["print", "system/a/b"], 64),
        (["load", "-w", "/x"], 64),
        (["frobnicate"], 64),
    ],
)
def test_refusals(tmp_path: Path, systemd: Systemd, argv: list[str], status: int) -> None:
    assert refusal(argv, tmp_path)[0] == status


def test_only_root_changes(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launchctl, "is_root", lambda: False)
    assert refusal(["bootstrap", "system", write()], tmp_path)[0] == 5
    assert refusal(["enable", TARGET], tmp_path)[0] == 1


def test_xpcproxy_reports_what_it_cannot_do(
    tmp_path: Path, systemd: Systemd, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(StandardOutPath=str(tmp_path / "missing/out.log"), WorkingDirectory=str(tmp_path))
    launchctl.main(["bootstrap", "system", path], tmp_path)
    before = Path.cwd()
    with pytest.raises(SystemExit) as caught:
        spawn.xpcproxy(LABEL, tmp_path)
    os.chdir(before)
    assert caught.value.code == 78
