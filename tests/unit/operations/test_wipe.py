"""A wipe: what is ours goes, what it replaced comes back, what is others' stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from facts.look import Look
from facts.manifests import Entry
from facts.values import ValuesProbe
from fleet.model import Role
from fleet.plan import wanted
from fleet.resources import Resources, User
from fleet.wipe import WipeOrder, estate
from operations.wipe import KEPT, LEFT, Estate, plan
from tests.golden import views
from tests.unit.conftest import FakeHost, FakeProgram, RealHost, lines

OURS, THEIRS = User("_ours", home="/nowhere", comment="ours, really"), User("_x", home="/x")


def told(host: FakeHost, it: Estate, *, left: str = "", kept: str = "") -> FakeHost:
    """A host whose first account is ours, if there is something left."""
    host.value(LEFT, left).value(KEPT, kept)
    for index, user in enumerate(it.users):
        host.value(f"account {user.name}", "ours" if left and not index else "")
    return host


def test_a_host_with_nothing_of_ours_is_left_alone() -> None:
    it = Estate(("/etc/ours",), (OURS,), ("reload",), mac=False)
    host = told(FakeHost(), it)
    assert plan(it, host.context(), host.look) is None


def test_everything_is_told_before_it_goes() -> None:
    it = Estate(("/etc/ours", "/var/lib/ours"), (OURS, THEIRS), ("reload sshd",), mac=False)
    host = told(FakeHost(), it, left="/etc/ours ", kept="%2Fetc%2Fold %2Fhome%2Fa%2F.ssh%2Fkeys ")
    host.carries(
        "one",
        Entry("service", "agentfleet-one.service"),
        Entry("file", "/etc/old"),
        Entry("file", "/etc/new"),
        Entry("kept", "/home/a/.ssh/keys"),
        Entry("directory", "/home/a/.ssh"),
    ).carries("two", Entry("mask", "iceccd.service"))
    change = plan(it, host.context(), host.look)
    assert list(lines(change)) == [
        "service agentfleet-one.service: remove",
        "file /etc/old: put back",
        "file /etc/new: remove",
        "unit iceccd.service: unmask, and disable: its package stays",
        "user _ours: remove",
        "file /home/a/.ssh/keys: put back",
        "directory /etc/ours: remove with all that is in it",
    ]
    assert change
    assert "userdel _ours" in change.script
    assert "_x" not in change.script
    order = ("disable --now", "/etc/old", "reload sshd", "userdel", ".ssh/keys", "rm -rf /etc/ours")
    places = [change.script.rindex(word) for word in order]
    assert places == sorted(places), "who may log in changes after all else"


def test_keys_that_replaced_none_stay() -> None:
    it = Estate((), (), (), mac=False)
    host = told(FakeHost(), it).carries("operators", Entry("kept", "/home/a/.ssh/keys"))
    (said,) = lines(plan(it, host.context(), host.look))
    assert said == "file /home/a/.ssh/keys: stays: without it nobody could log in"


def test_what_may_carry_the_connection_ends_last() -> None:
    it = Estate(("/var/db/agentfleet",), (), (), mac=True)
    host = told(FakeHost(mac=True), it, left="/var/db/agentfleet")
    host.carries("tailscale", Entry("service", "org.agentfleet.tailscaled"))
    change = plan(it, host.context(), host.look)
    assert change
    assert change.script.rstrip().endswith(
        "launchctl bootout system/org.agentfleet.tailscaled) </dev/null >/dev/null 2>&1 &"
    )
    assert change.script.count("tailscaled") == 1


@pytest.fixture
def programs(real_host: RealHost, program: FakeProgram) -> RealHost:
    """A host whose accounts and services are lines in files."""
    log = real_host.root / "calls"
    for name in ("systemctl", "pkill", "userdel", "groupdel", "reload"):
        directory = program(name, f'echo "{name} $*" >>{log}')
    program("id", "[ $2 = _ours ] || [ $2 = _other ]")
    program(
        "getent",
        '[ "$1" = passwd ] || exit 2\n'
        'case $2 in _ours) echo "_ours:x:1:1:ours, really:/:/" ;; '
        '_other) echo "_other:x:2:2:their own:/:/" ;; esac',
    )
    real_host.path = f"{directory}:{real_host.path}"
    return real_host


def seen(host: RealHost, it: Estate) -> Look:
    """A real look at what a wipe wants to know."""
    probe = ValuesProbe(it.readings(str(host.state_dir)))
    values = probe.parse(host.sh(f"set -eu\n{probe.script()}").stdout.splitlines())
    return Look(values=values, manifests=host.look(Resources()).manifests)


def test_a_host_is_as_it_was(programs: RealHost) -> None:
    """Files and links that were there are back, with their modes, and a second wipe has no work."""
    host = programs
    (host.root / "etc").mkdir()
    (host.root / "etc" / "old").write_text("theirs\n")
    (host.root / "etc" / "old").chmod(0o640)
    (host.root / "etc" / "link").symlink_to("old")
    (host.root / "home").mkdir()
    (host.root / "home" / "keys").write_text("mine\n")
    before = host.tree()
    want = Resources(
        directories=(host.directory("conf"),),
        files=(
            host.file("etc/old", b"ours\n"),
            host.file("etc/link", b"ours\n"),
            host.file("etc/new", b"ours\n"),
            host.file("conf/x", b"ours\n"),
            host.file("home/keys", b"fleet\n", stays=True),
        ),
    )
    assert host.bring(want).returncode == 0
    (host.root / "conf" / "work").write_text("an agent's\n")
    roots = (str(host.root / "conf"), str(host.state_dir))
    it = Estate(roots, (OURS, User("_other", home="/")), (f"reload {host.root}/x",), mac=False)
    change = plan(it, host.context(Resources(), "wipe"), seen(host, it))
    assert change
    run = host.run(change)
    assert run.returncode == 0, run.stderr
    calls = (host.root / "calls").read_text().splitlines()
    (host.root / "calls").unlink()
    assert host.tree() == before
    assert (host.root / "etc" / "old").stat().st_mode & 0o777 == 0o640
    assert not host.state_dir.exists()
    assert calls == [
        f"reload {host.root}/x",
        "pkill -KILL -u _ours",
        "userdel _ours",
    ]
    # The fake directory still knows the account, so only that is left to be done.
    again = plan(it, host.context(Resources(), "wipe"), seen(host, it))
    assert list(lines(again)) == ["user _ours: remove"]


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ("RealName: ours, really", True),
        ("RealName:\\n ours, really", True),
        ("RealName: mine, really", False),
        ("", False),
    ],
)
def test_whose_an_account_of_a_mac_is(
    real_host: RealHost, program: FakeProgram, said: str, ours: bool
) -> None:
    directory = program("dscl", f"[ \"$3\" = /Users/_ours ] && printf '{said}\\n'")
    real_host.path = f"{directory}:{real_host.path}"
    it = Estate((), (OURS,), (), mac=True)
    assert seen(real_host, it).value("account _ours") == ("ours" if ours else "")


@pytest.mark.parametrize("name", sorted(views()))
def test_every_account_and_directory_of_a_host_is_meant(name: str) -> None:
    """And nothing that is not ours alone."""
    view = views()[name]
    it = estate(view)
    assert {user.name for want in wanted(view).values() for user in want.users} <= {
        user.name for user in it.users
    }
    assert len({user.comment for user in it.users if user.comment}) > 0
    for root in it.roots:
        assert Path(root).is_absolute()
        assert len(Path(root).parts) > 2
        assert any(word in root for word in ("agentfleet", "icecc", "claude-agent")), root
    homes = [view.settings.agent_home, view.settings.state_dir, view.settings.config_dir]
    assert set(homes) <= set(it.roots)
    if view.host.role is not Role.ORCHESTRATOR:
        for want in wanted(view).values():
            for directory in want.directories:
                inside = any(f"{directory.path}/".startswith(f"{root}/") for root in it.roots)
                assert inside or directory.path.endswith("/.ssh"), directory.path


def test_an_order_asks_for_no_secret_and_looks_at_everything() -> None:
    view = views()["rpi2"]
    order = WipeOrder(view)
    context = order.context()
    assert (context.capability, context.wanted) == ("wipe", frozenset())
    (values,) = [one for one in context.asked if isinstance(one, ValuesProbe)]
    named = {one.name for one in values.settings}
    assert {LEFT, KEPT, "account claude-agent", "account icecc"} <= named
    after = order.estate.after
    assert "systemctl try-reload-or-restart ssh.service" in after
    assert any("nft delete table inet agentfleet" in one for one in after)
