"""By what each command line of the documents is executed.

From the strongest proof to the weakest: in the lab of nine hosts, offline in a checkout of its
own, by another test whose subject it is, and on real machines alone. A line stands here as the
document has it; the same line in several documents once.

What is in fleet.yaml beside the lab's hosts, such as the berry, boss and mac of the documents, is
one of those: tests/lab/test_doc_lines.py says which. `$NAME` in what is typed is a fact of the
test that types it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Where a line is typed; anything else is the name of a host, as its login user.
CHECKOUT, PROJECT, ELSEWHERE, REAL = "checkout", "project", "an empty folder", "real"

UNPROVED = "it did not do what it is for"
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Typed:
    """How a line is typed, and how it ends."""

    ends: int = 0  # exit code
    at: str = CHECKOUT
    answers: tuple[str, ...] = ()  # to what it asks at a terminal
    instead: Pairs = ()  # what of it stands for something → what is typed there
    before: str = ""  # what has to be so, as shell text
    says: str = ""  # a part of what it prints
    proves: str = ""  # shell text that succeeds afterwards
    table: bool = True  # whether it prints the table that is shown below it, if one is
    data: str = ""  # on a host: what is typed here, and comes there as standard input of `before`

    def script(self, line: str) -> str:
        """What is prepared, the line, and the proof, for one shell; its exit code is the line's."""
        for stands, typed in self.instead:
            assert stands in line, f"{line}: there is no {stands} in it"
            line = line.replace(stands, typed)
        return (
            f"set -e\n{{ :\n{self.before}\n}} >/dev/null\nset +e\n{line}\ncode=$?\n"
            f"{{ :\n{self.proves}\n}} >/dev/null || {{ echo {UNPROVED}; exit 99; }}\nexit $code"
        )


def told(text: str, facts: Mapping[str, str]) -> str:
    """A text with what the test knows: `$NAME` is the fact of that name."""
    for name, value in facts.items():
        text = text.replace(f"${name}", value)
    return text


YES, NO = ("y",), ("n",)

# -- offline: tests/unit/docs/test_lines.py

ADD = "fleet add berry --role pi --os raspios --lan 192.168.1.31"
CARD, OUT = (("/media/me/bootfs", "$OUT"),), (("/tmp/out", "$OUT"),)  # noqa: S108 - for that
NEW_TOOL = (
    "fleet pin tool 1.4.0 --source 'linux-x64:npm=npm:@example/tool-linux-x64'"
    " --source 'linux-x64:upstream=https://example.org/{version}/tool.tgz'"
)
WEB = (("https://example.org", "$WEB"),)
PIN_TOOL = NEW_TOOL.replace(*WEB[0])
CLAUDE = "echo 'version: 1' >artifacts.lock.yaml && fleet pin claude-code 2.1.330"

OFFLINE = {
    "git clone … agentfleet && cd agentfleet": Typed(
        at=ELSEWHERE, instead=(("…", "$REPOSITORY"),), proves="test -e fleet.yaml"
    ),
    "source .venv/bin/activate": Typed(
        proves='test "$(command -v fleet)" = "$PWD/.venv/bin/fleet"'
    ),
    "fleet init": Typed(
        at=ELSEWHERE,
        before="export FLEET_FILE=$PWD/fleet.yaml",
        # its name, its user; a host; another; no more
        answers=(
            *("home", "admin"),
            *("boss", "debian", "x86_64", "8", "192.168.1.10", "always-on"),
            *("pi", "berry", "raspios", "192.168.1.31", "always-on", ""),
        ),
        says="fleet.yaml: 2 hosts",
        proves="fleet validate fleet.yaml",
    ),
    "fleet init home.yaml --host boss,role=orchestrator,os=debian,arch=x86_64,cores=8,"
    "lan=192.168.1.10": Typed(
        at=ELSEWHERE, says="home.yaml: 1 hosts", proves="fleet validate home.yaml"
    ),
    ADD: Typed(
        says="fleet.yaml: berry is added", proves="fleet validate && grep berry: fleet.yaml"
    ),
    "fleet validate": Typed(says="fleet.yaml: 9 hosts, ok"),
    "fleet hosts": Typed(),
    "fleet bootstrap berry": Typed(before=ADD, says="#!/bin/sh"),
    "fleet bootstrap berry > berry.sh": Typed(before=ADD, proves="sh -n berry.sh"),
    "fleet bootstrap berry --first-boot cloud-init --out /media/me/bootfs": Typed(
        before=ADD, instead=CARD, proves="test -s $OUT/user-data"
    ),
    "fleet bootstrap berry --first-boot custom.toml --out /media/me/bootfs": Typed(
        before=ADD, instead=CARD, proves="test -s $OUT/custom.toml"
    ),
    "fleet graph --output fleet.svg": Typed(proves="grep -q '<svg' fleet.svg"),
    "fleet render --host rpi1 --output /tmp/out": Typed(
        instead=OUT, says="rpi1: ", proves="test -s $OUT/rpi1/resources.txt"
    ),
    "fleet render --host rpi1 --list": Typed(says="# rpi1\n[base]\npackage    git\n"),
    "fleet policy": Typed(says='"tagOwners": {'),
    "fleet schema > fleet.schema.json": Typed(proves="jq -e .properties.hosts fleet.schema.json"),
    "echo 'eval \"$(fleet completion bash)\"' >> ~/.bashrc": Typed(
        proves="bash -c '. ~/.bashrc; complete -p fleet'"
    ),
    "echo 'eval \"$(fleet completion zsh)\"' >> ~/.zshrc": Typed(
        proves='grep -q "^eval" ~/.zshrc && fleet completion zsh | grep -q compdef'
    ),
    "fleet completion fish > ~/.config/fish/completions/fleet.fish": Typed(
        before="mkdir -p ~/.config/fish/completions",
        proves="grep -q 'complete .*--command fleet' ~/.config/fish/completions/fleet.fish",
    ),
    "fleet pin --list": Typed(),
    NEW_TOOL: Typed(instead=WEB, says="tool 1.4.0: pinned"),
    "fleet pin tool 1.5.0 --dry-run": Typed(before=PIN_TOOL, says="+    version: 1.5.0"),
    "fleet pin tool 1.5.0": Typed(before=PIN_TOOL, says="tool 1.5.0: pinned"),
    "fleet pin claude-code 2.1.330": Typed(
        before="echo 'version: 1' >artifacts.lock.yaml", says="claude-code 2.1.330: pinned"
    ),
    "fleet outdated --pins": Typed(2, before=CLAUDE, says="fleet pin claude-code 2.1.332"),
}

# -- on a Windows that is told: tests/unit/docs/test_lines.py

WINDOWS = {
    "Unregister-ScheduledTask agentfleet-keep-alive": Typed(
        before="Register-ScheduledTask -TaskName agentfleet-keep-alive -Force"
        " -Action (New-ScheduledTaskAction -Execute wsl.exe) | Out-Null",
        proves="if (Get-ScheduledTask) { throw 'it is there' }",
    ),
    "Get-NetFirewallHyperVRule | Where-Object { $_.Name -like 'agentfleet-*' }"
    " | Remove-NetFirewallHyperVRule": Typed(
        before="foreach ($one in 'agentfleet-ssh', 'agentfleet-tailnet', 'other') {"
        " New-NetFirewallHyperVRule -Name $one -DisplayName $one -LocalPorts 2222 | Out-Null }",
        proves="if ((Get-NetFirewallHyperVRule).Name -ne 'other') { throw 'one is there' }",
    ),
}

# -- in the lab: tests/lab/test_doc_lines.py, in this order

BY_HAND = (
    'fleet ssh rpi1 -- \'echo "# by hand" |'
    " sudo tee -a /etc/systemd/journald.conf.d/agentfleet.conf' >/dev/null"
)
WORK = '"Find out why the tests fail"'
DOES = '"run cd {code} && echo two >>notes"'  # what the agent of the lab is told instead
SEND = f"fleet task send {DOES} --repo . --wait"
NEWEST = "$(fleet task list --most 1 | tail -n 1 | cut -d ' ' -f 1)"
FETCH, TOLD = ("12", NEWEST), (WORK, DOES)
SOURCES = """cd $(mktemp -d)
echo 'int one(void) { return 1; }' | tee a.c >b.cc
echo 'all: a.o b.o' >Makefile
"""
REPORT = (
    "curl -sSf --data-urlencode worker=100.64.0.7 --data-urlencode compiler=clang"
    " --data-urlencode source=x.c --data-urlencode 'detail=…' http://ORCHESTRATOR:8083/reports"
)
WORKER = ("100.64.0.7", "$WORKER")
WITH_BOB = """mkdir -p $OUT && cp fleet.yaml $OUT/fleet.yaml
echo operators: >>$OUT/fleet.yaml
for one in alice bob; do
    ssh-keygen -q -t ed25519 -N '' -f $OUT/$one
    echo "  $one: {ssh_keys: [$(cat $OUT/$one.pub)]}" >>$OUT/fleet.yaml
done
export FLEET_FILE=$OUT/fleet.yaml"""
BUILT = "nm a.o | grep -w one"

LAB = {
    ".venv/bin/fleet lab ssh rpi1": Typed(),
    ".venv/bin/fleet --lab plan --limit pi": Typed(says="3 hosts: 3 as they should be"),
    ".venv/bin/fleet --lab status": Typed(),
    "fleet --lab status": Typed(says="converged"),
    "fleet --lab ssh rpi1": Typed(),
    "fleet ssh rpi1 -- uptime": Typed(says="load average"),
    "fleet status": Typed(),
    "fleet plan": Typed(says="9 hosts: 9 as they should be"),
    "fleet doctor": Typed(says="ok       Python"),
    "fleet logs rpi1 iceccd -n 2": Typed(says="iceccd"),
    "fleet logs rpi1 icecc": Typed(1, says='did you mean "iceccd"?'),
    "fleet unlock": Typed(says="nothing is locked"),
    "fleet wake windows-desktop": Typed(says="awake"),
    "fleet bootstrap --status": Typed(says="converged"),
    # compiling
    "make -j20 CC=clang CXX=clang++": Typed(at="boss", before=SOURCES, proves=BUILT),
    'make -j20 CC="ccache clang"': Typed(at="boss", before=SOURCES, proves=BUILT),
    'make -j20 CC="clang --target=aarch64-linux-gnu"': Typed(
        at="boss", before=SOURCES.replace(" b.o", ""), proves="readelf -h a.o | grep AArch64"
    ),
    'eval "$(fleet env rpi1)"; make -j20': Typed(
        at="rpi1",
        before=f"exports=$(cat)\nfleet() {{ printf '%s\\n' \"$exports\"; }}\n{SOURCES}",
        data="fleet env rpi1",
        proves=f'{BUILT} && test -n "$ICECC_VERSION"',
    ),
    "fleet workers": Typed(),
    REPORT: Typed(at="mac", instead=(WORKER,), says="is blocked"),
    "curl -sSf http://ORCHESTRATOR:8083/blocked": Typed(
        at="mac", before=REPORT.replace(*WORKER), says='"worker":"berry"'
    ),
    "fleet workers --unblock HOST": Typed(instead=(("HOST", "berry"),), answers=YES),
    # agents
    "fleet agents": Typed(),
    "fleet budget": Typed(),
    "curl -f -X POST http://macbook1:3284/message -H 'Content-Type: application/json' -d"
    ' \'{"content": "List files in the current directory", "type": "user"}\'': Typed(
        at="boss", says='"ok"'
    ),
    "curl -f http://macbook1:3284/status": Typed(at="boss", says='"status"'),
    "curl -f http://macbook1:3284/messages": Typed(at="boss", says="List files in the current"),
    f"fleet task send {WORK} --repo . --wait && fleet task fetch 12": Typed(
        at=PROJECT, instead=(TOLD, FETCH), proves=f'git log -1 "task-{NEWEST}"'
    ),
    "fleet task list": Typed(),
    "fleet task fetch 12 && git log -p task-12": Typed(
        at=PROJECT,
        instead=(FETCH,),
        before=f"git branch -q -D task-{NEWEST} 2>/dev/null || {SEND}",
        says="+two",
    ),
    f"fleet task send {WORK} --repo . --host rpi1": Typed(
        at=PROJECT, instead=(TOLD,), says=": queued"
    ),
    "fleet restore --list": Typed(
        before="fleet task list --json | grep -q prompt || fleet task send 'say so' --wait\n"
        "fleet ssh boss -- sudo systemctl start agentfleet-backup.service",
        says=".tar.gz.age",
    ),
    # changing
    "fleet drift": Typed(2, before=BY_HAND, says="rpi1 2 changes"),
    "fleet plan --limit pi": Typed(2, before=BY_HAND, says="-# by hand"),
    "fleet apply --limit pi": Typed(before=BY_HAND, answers=YES, says="canaries: rpi1"),
    "fleet apply": Typed(answers=YES, says="9 hosts: "),
    "fleet apply --limit headless-mac --limit rpi1": Typed(answers=YES, says="rpi1"),
    "fleet apply --limit berry": Typed(answers=YES, says="1 host: "),
    "fleet history": Typed(before=f"{BY_HAND} && fleet apply --limit rpi1 --yes", says="apply"),
    "fleet why rpi1 /etc/systemd/journald.conf.d/agentfleet.conf": Typed(
        says="capability  base (deploys/base.py)"
    ),
    "pyinfra inventory.py deploy.py --dry --diff": Typed(
        instead=(("inventory.py", "lab/inventory.py"),)
    ),
    "fleet upgrade --os --limit pi": Typed(),
    "fleet upgrade claude-code": Typed(
        130,
        before="export AGENTFLEET_CACHE=$OUT PATH=$PROGRAMS:$PATH",
        answers=NO,
        says="claude-code: ",
        proves="git diff --exit-code artifacts.lock.yaml",
    ),
    "fleet restart rpi1 iceccd": Typed(answers=YES, says="iceccd runs anew"),
    "fleet restart rpi1 agentapi --yes": Typed(),
    "fleet check": Typed(says=" ok", table=False),
    "make demo": Typed(says="HOST"),
    # joining, as if the lab's hosts were real ones
    "fleet trust berry": Typed(at=REAL, answers=YES, says="logs admin in, who becomes root"),
    "fleet trust berry --fingerprint SHA256:…": Typed(
        at=REAL, instead=(("SHA256:…", "$FINGERPRINT"),), says="logs admin in"
    ),
    "sudo sh berry.sh": Typed(
        at="berry", before="cd $(mktemp -d) && cat >berry.sh", data="fleet bootstrap berry"
    ),
    # leaving
    "fleet kill rpi1": Typed(says="revoked"),
    "fleet new-session rpi1": Typed(says="rpi1: begun"),
    "fleet revoke bob": Typed(130, before=WITH_BOB, answers=NO, says="Remove bob from "),
    "fleet remove berry": Typed(130, answers=NO, says="Remove berry?", table=False),
    "fleet replace berry --tasks requeue": Typed(answers=YES, says="forgotten"),
    "fleet replace berry": Typed(answers=YES, says="forgotten"),
    "fleet lab up && fleet lab ssh rpi1": Typed(),
    ".venv/bin/fleet lab down": Typed(),
}

# -- what another test executes: the line → that test, and words of it that the test has to have

BY_TEST = {
    "fleet compile-check": (
        "tests/lab/test_cluster.py::test_every_client_may_use_every_worker",
        ("compile-check",),
    ),
    "fleet bootstrap berry --serve": (
        "tests/lab/test_doc_lines.py::test_what_is_served_is_run_at_the_console",
        ("fleet bootstrap berry --serve",),
    ),
    r"powershell -ExecutionPolicy Bypass -File .\win.ps1 -WhatIf": (
        "tests/unit/fleet/test_bootwindows.py::test_whatif_changes_nothing",
        ("WhatIf",),
    ),
    r"powershell -ExecutionPolicy Bypass -File .\win.ps1": (
        "tests/unit/fleet/test_bootwindows.py::test_after_the_restart_it_goes_on_to_the_end",
        ("prepare()",),
    ),
}

# -- what nothing here can execute: the line → why

ON_REAL_MACHINES = {
    "cmake -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ . && ninja -j20": (
        "neither cmake nor ninja is among the packages of the lab"
    ),
}
