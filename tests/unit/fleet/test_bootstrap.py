"""`fleet bootstrap`: whose keys, which files, what is served, and how far hosts have come."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet import cli, onboarding
from fleet.bootstrap import (
    Script,
    falls_with,
    inside_windows,
    login_keys,
    script_for,
)
from fleet.doctor.check import fault, fine
from fleet.doctor.hosts import Login
from fleet.firstboot import FirstBoot, first_boot_files
from fleet.handout import Offer, local, one_line, own_address
from fleet.lock import ArtifactsLock, LockedHost, read_fleet_lock, write_fleet_lock
from fleet.model import load_fleet
from fleet.problems import FleetError, WrongUsageError
from fleet.status import State, Status
from fleet.target import Target, load_target
from fleet.view import HostView
from tests.unit.fleet.test_trust import key

Capture = pytest.CaptureFixture[str]
OWN, ALICE = f"{key('w')} me@laptop", f'{key("a")} alice\'s "laptop"'
OPERATORS = f"operators:\n  alice: {{ssh_keys: ['{key('a')} alice']}}\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fleet_file: Path) -> Path:
    """A workstation with a key of its own."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    (folder / ".ssh/id_ed25519.pub").write_text(f"{OWN}\n")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


def view(fleet_file: Path, name: str) -> HostView:
    fleet = load_fleet(fleet_file)
    return HostView(fleet, fleet.host(name), ArtifactsLock())


# -- keys


def test_without_operators_it_is_this_workstations_key(fleet_file: Path) -> None:
    assert login_keys(view(fleet_file, "berry")) == (OWN,)


def test_operators_keys_and_no_others(fleet_file: Path, capsys: Capture) -> None:
    fleet_file.write_text(fleet_file.read_text() + OPERATORS)
    assert login_keys(view(fleet_file, "berry")) == (f"{key('a')} alice",)
    assert cli.main(["bootstrap", "berry"]) == 0
    said = capsys.readouterr()
    assert OWN not in said.out
    assert "none of the operators' keys is this workstation's own" in said.err


def test_an_operator_at_this_workstation_hears_nothing(fleet_file: Path, capsys: Capture) -> None:
    fleet_file.write_text(fleet_file.read_text() + OPERATORS.replace(key("a"), key("w")))
    assert cli.main(["bootstrap", "berry"]) == 0
    assert capsys.readouterr().err == ""


def test_the_key_that_the_file_names(fleet_file: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True
    )
    public = (tmp_path / "k.pub").read_text().strip()
    text = fleet_file.read_text().replace("user: admin}", f"user: admin, key: {tmp_path}/k}}")
    fleet_file.write_text(text)
    assert login_keys(view(fleet_file, "berry")) == (public,)
    (tmp_path / "k.pub").unlink()
    (computed,) = login_keys(view(fleet_file, "berry"))
    assert computed.split()[:2] == public.split()[:2]
    (tmp_path / "k").unlink()
    with pytest.raises(FleetError, match="its public half cannot be had"):
        login_keys(view(fleet_file, "berry"))


def test_no_key_at_all(fleet_file: Path, home: Path, capsys: Capture) -> None:
    (home / ".ssh/id_ed25519.pub").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert cli.main(["bootstrap", "berry"]) == 1
    assert "ssh-keygen -t ed25519" in capsys.readouterr().err


def test_what_a_mac_leaves_out_with_claude_code() -> None:
    assert falls_with("claude_code") == ("claude_code", "agentapi", "dispatch", "backup")
    assert falls_with("icecream") == ("icecream",)


# -- files


def test_it_is_printed(capsys: Capture, fleet_file: Path) -> None:
    assert cli.main(["bootstrap", "berry"]) == 0
    assert capsys.readouterr().out == script_for(view(fleet_file, "berry")).text


def test_all_of_them_on_a_stick(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "stick"
    cli.main(["bootstrap", "--all", "--out", str(out)])
    names = {path.name for path in out.iterdir()}
    assert {"boss.sh", "mac.sh", "berry.sh", "SHA256SUMS"} <= names
    sums = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in names - {"SHA256SUMS"}
    }


def test_no_secret_is_in_any(fleet_file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("tskey-auth-canary\n")
    secret.chmod(0o600)
    block = f"secrets: {{tailscale_auth_key: 'file:{secret}'}}\n"
    fleet_file.write_text(fleet_file.read_text() + block)
    cli.main(["bootstrap", "--all", "--out", str(tmp_path / "stick")])
    for path in (tmp_path / "stick").iterdir():
        assert "canary" not in path.read_text()
        assert "PRIVATE" not in path.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["berry", "--all", "--out", "x"],
        ["--all"],
        ["berry", "--status"],
        ["berry", "--serve", "--out", "x"],
        ["berry", "--serve", "--first-boot", "cloud-init"],
        ["berry", "--first-boot", "cloud-init"],
        ["berry", "--json"],
        ["mac", "--first-boot", "cloud-init", "--out", "x"],
        ["berry", "--serve", "--address", "8.8.8.8"],
        ["berry", "--serve", "--address", "0.0.0.0"],  # noqa: S104 - refused
        ["berry", "--serve", "--address", "here"],
    ],
)
def test_wrong_usage(arguments: list[str], tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["bootstrap", *arguments]) == 64
    assert capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_directory_that_cannot_be_written(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["bootstrap", "berry", "--out", str(tmp_path / "file/x")]) == 1
    assert "name another directory: --out" in capsys.readouterr().err


# -- the first boot of a Raspberry Pi


def test_custom_toml(fleet_file: Path, tmp_path: Path, capsys: Capture) -> None:
    out = str(tmp_path)
    assert cli.main(["bootstrap", "berry", "--first-boot", "custom.toml", "--out", out]) == 0
    assert tomllib.loads((tmp_path / "custom.toml").read_text()) == {
        "config_version": 1,
        "system": {"hostname": "berry"},
        "user": {"name": "admin"},
        "ssh": {"enabled": True, "password_authentication": False, "authorized_keys": [OWN]},
    }
    assert "fleet trust berry" in capsys.readouterr().err


@pytest.mark.parametrize("ssh", ["port: 2200", "user: root"])
def test_what_custom_toml_cannot_say(ssh: str, fleet_file: Path) -> None:
    text = fleet_file.read_text().replace("lan: 10.0.0.3}}", f"lan: 10.0.0.3}}, ssh: {{{ssh}}}}}")
    fleet_file.write_text(text)
    with pytest.raises(WrongUsageError, match="--first-boot cloud-init"):
        first_boot_files(view(fleet_file, "berry"), FirstBoot.CUSTOM_TOML, (OWN,))


def test_cloud_init(fleet_file: Path) -> None:
    berry = view(fleet_file, "berry")
    files = first_boot_files(berry, FirstBoot.CLOUD_INIT, (OWN, ALICE))
    assert files["user-data"].startswith("#cloud-config\n")
    said = yaml.safe_load(files["user-data"])
    (user,) = said["users"]
    assert (user["name"], user["ssh_authorized_keys"]) == ("admin", [OWN, ALICE])
    assert user["lock_passwd"] is True
    assert said["ssh_pwauth"] is False
    (written,) = said["write_files"]
    assert written["content"] == script_for(berry, (OWN, ALICE)).text
    assert said["runcmd"][0].startswith(f"sh {written['path']} >/boot/firmware/berry.txt")
    assert yaml.safe_load(files["meta-data"]) == {"instance-id": "agentfleet-berry"}


def test_cloud_init_with_root_as_the_login(fleet_file: Path) -> None:
    fleet_file.write_text(fleet_file.read_text().replace("user: admin", "user: root"))
    files = first_boot_files(view(fleet_file, "berry"), FirstBoot.CLOUD_INIT, (OWN,))
    said = yaml.safe_load(files["user-data"])
    assert said["disable_root"] is False
    assert "users" not in said


# -- serving

SCRIPT = Script("berry.sh", "#!/bin/sh\nid -u >it\n")


@pytest.fixture
def heard() -> list[str]:
    return []


def fetch(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as answer:
        return bytes(answer.read())


def test_only_the_script_is_served(heard: list[str]) -> None:
    with Offer(SCRIPT, "127.0.0.1", heard.append) as offer:
        base, _, path = offer.url.rpartition("/")
        for other in (f"{base}/", base.rpartition("/")[0] + f"/{path}", f"{base}/../{path}"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                fetch(other)
        assert (offer.fetched, heard) == (0, [])
        assert fetch(offer.url).decode() == SCRIPT.text
        assert offer.wait(1, window_s=5)
    assert heard == ["127.0.0.1"]
    with pytest.raises(urllib.error.URLError):
        fetch(offer.url)


def test_two_offers_have_two_paths() -> None:
    urls = []
    for _ in range(2):
        with Offer(SCRIPT, "127.0.0.1", lambda _: None) as offer:
            urls.append(offer.url.split("/")[3])
    assert urls[0] != urls[1]


def test_it_ends_when_nobody_comes() -> None:
    with Offer(SCRIPT, "127.0.0.1", lambda _: None) as offer:
        assert not offer.wait(1, window_s=0.3)


def test_the_verb_serves_until_it_was_fetched(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    seen: list[bytes] = []

    class Fetched(Offer):
        def wait(self, times: int, window_s: float = 60) -> bool:
            threading.Thread(target=lambda: seen.append(fetch(self.url))).start()
            return super().wait(times, window_s)

    monkeypatch.setattr("fleet.commands.bootstrap.Offer", Fetched)
    assert cli.main(["bootstrap", "berry", "--serve", "--address", "127.0.0.1"]) == 0
    said = capsys.readouterr()
    assert hashlib.sha256(seen[0]).hexdigest() in said.out
    assert "fetched by 127.0.0.1" in said.err


@pytest.mark.parametrize("tampered", [False, True])
def test_the_line_runs_nothing_that_is_not_the_script(
    tampered: bool, tmp_path: Path, put: Callable[[str, str], None]
) -> None:
    put("sudo", 'exec "$@"')
    served = Script("berry.sh", SCRIPT.text + "# more\n") if tampered else SCRIPT
    with Offer(served, "127.0.0.1", lambda _: None) as offer:
        done = subprocess.run(
            ["/bin/sh", "-c", one_line(SCRIPT, offer.url, mac=False)],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert (done.returncode == 0) is not tampered, done.stderr
    assert (tmp_path / "it").exists() is not tampered


@pytest.fixture
def put(programs: Path) -> Callable[[str, str], None]:
    from tests.unit.fleet.conftest import put as write

    return lambda name, body: write(programs, name, body)


def test_the_lines_of_other_systems() -> None:
    assert "shasum -a 256 -c && sudo sh mac.sh" in one_line(Script("mac.sh", ""), "u", mac=True)
    line = one_line(Script("win.ps1", "x"), "u", mac=False)
    assert f"(Get-FileHash win.ps1).Hash -eq '{Script('', 'x').digest}'" in line


def test_the_address_that_leads_to_a_host() -> None:
    assert own_address("127.0.0.1") == "127.0.0.1"
    with pytest.raises(FleetError, match="--address"):
        own_address("no-such-host.invalid")
    for mine in ("192.168.1.5", "100.64.0.9", "fe80::1", "127.0.0.1"):
        assert local(mine) == mine


def test_an_address_of_somebody_else(capsys: Capture) -> None:
    assert cli.main(["bootstrap", "berry", "--serve", "--address", "192.0.2.77"]) == 1
    assert "cannot listen at 192.0.2.77" in capsys.readouterr().err


# -- how far


Machines = dict[str, Any]


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch, fleet_file: Path) -> Machines:
    """Host → how it is: silent, stranger, a Login, or a Status; silent at first."""
    found: Machines = {}

    def logs_in(host: Any, target: Target) -> Login:
        one = found[host.name]
        return one if isinstance(one, Login) else Login(fine(host.name, ""), True, True)

    monkeypatch.setattr(onboarding, "answers", lambda host, target: host.name in found)
    monkeypatch.setattr(onboarding, "known", lambda target, name: found[name] != "stranger")
    monkeypatch.setattr(onboarding, "login", logs_in)
    monkeypatch.setattr(onboarding, "status", lambda target, name: found[name])
    return found


def stages(capsys: Capture) -> dict[str, tuple[str, str]]:
    said = json.loads(capsys.readouterr().out)["hosts"]
    return {one["host"]: (one["stage"], one["todo"]) for one in said}


def test_everybody_is_where_they_are(machines: Machines, capsys: Capture, fleet_file: Path) -> None:
    refused = fault("mac", "answers, and does not log admin in", "ssh-copy-id")
    machines["boss"] = "stranger"
    machines["mac"] = Login(refused)
    machines["berry"] = Login(fault("berry", "does not make it root", "x"), logs_in=True)
    assert cli.main(["bootstrap", "--status", "--json"]) == 2
    found = stages(capsys)
    assert {name: stage for name, (stage, _) in found.items()} == {
        "boss": "answers SSH",
        "mac": "host key pinned",
        "berry": "logs in",
        "win": "never seen",
    }
    assert found["boss"][1].startswith("fleet trust boss --fingerprint")
    assert found["mac"][1].startswith("fleet bootstrap mac")
    assert found["berry"][1].startswith("fleet bootstrap berry")
    assert found["win"][1].startswith("fleet bootstrap win")


def test_the_last_steps(machines: Machines, capsys: Capture, fleet_file: Path) -> None:
    lock = fleet_file.with_name("fleet.lock.yaml")
    write_fleet_lock(
        lock, read_fleet_lock(lock).with_host("win", LockedHost(host_keys=(OWN[:-10],)))
    )
    fleet_file.write_text(fleet_file.read_text().replace("win: {role", "win: {power: sleeps, role"))
    machines["boss"] = Status("boss", State.CHANGES, differences=("a", "b"))
    machines["mac"] = Status("mac", State.CONVERGED)
    machines["berry"] = Status("berry", State.ERROR, error="fleet.yaml says os: raspios")
    assert cli.main(["bootstrap", "--status", "--json"]) == 2
    found = stages(capsys)
    assert found["boss"] == ("changes pending", "fleet apply --limit boss")
    assert found["mac"] == ("converged", "")
    assert found["berry"][0] == "becomes root"
    assert found["win"] == ("off", "fleet wake win")
    machines["boss"] = machines["berry"] = Status("x", State.CONVERGED)
    assert cli.main(["bootstrap", "--status"]) == 3, "it may be off"
    assert "fleet wake win" in capsys.readouterr().out
    machines["win"] = Status("win", State.CONVERGED)
    assert cli.main(["bootstrap", "--status"]) == 0


def test_a_changed_host_key_is_no_matter_for_a_script(machines: Machines, fleet_file: Path) -> None:
    changed = fault("berry", "the host key is not the one", "fleet trust berry --replace")
    machines["berry"] = Login(changed)
    target = load_target()
    found = onboarding.progress(target.fleet.host("berry"), target)
    assert found.todo == "fleet trust berry --replace"


def test_a_windows_pc(fleet_file: Path) -> None:
    """Its script is PowerShell, with the one for the Linux inside packed in it."""
    found = view(fleet_file, "win")
    script = script_for(found)
    assert script.name == "win.ps1"
    packed = base64.b64encode(inside_windows(found).text.encode()).decode()
    assert packed in script.text
