"""The Windows around a host in WSL, and WSL's own settings: all that differs, in one call."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from pyinfra.api import operation

from facts.look import Look
from facts.windows import HANDLER, OPTIONS, POWERSHELL, WSL_CONF, Rule, Task, Windows, version
from fleet import ini
from fleet.powershell import array, encoded, quoted
from fleet.resources import Resources, WindowsProgram, WindowsRule, WindowsSide
from fleet.windows import MIRRORED_BUILD
from fleet.windows import WSL_CONF as WANTED_CONF
from operations.change import Change, Commands, Order, carry_out
from operations.shell import quote

RESTART = "counts once WSL starts anew: `wsl --shutdown` in Windows, when nobody works in it"
PREPARE = "run the script of `fleet bootstrap` there once more, as an administrator"
_FAULTS = {
    HANDLER: "the kernel does not know how to start its programs",
    "automount": f"{POWERSHELL} is not here: is `enabled` in /etc/wsl.conf, [automount], on?",
    "interop": "no socket of a session in /run/WSL does: is somebody logged in there, or does the "
    f"task that keeps WSL running? If not, {PREPARE}",
    "answer": "what it says is not what was asked for; see what its PowerShell prints at its start",
}


@dataclass(frozen=True)
class Part:
    """One difference: what is said, and PowerShell that ends it; a part may be a diff as well."""

    says: str
    script: str
    diff: str = ""
    elevated: bool = True


@operation()
def ensure(order: Order) -> Commands:
    """Bring WSL's settings and Windows to what is wanted; what only a person can do is pending."""
    yield from carry_out("windows", order, lambda want, _, look: plan(want, look))


def plan(want: Resources, look: Look) -> Change | None:
    """What differs, and its cure. A Windows that does not answer is pending, and no failure."""
    side, now = want.windows, look.windows
    if side is None:
        return None
    conf = _conf(now)
    says, scripts, diffs, pending = [], [], [], []
    if conf != now.conf:
        says.append(f"file {WSL_CONF}: content")
        scripts.append(_write_conf(conf))
        diffs.append(_diff(now.conf, conf, WSL_CONF))
        pending.append(f"{WSL_CONF} {RESTART}")
    if now.socket:
        parts = list(_parts(side, now))
        able = [part for part in parts if now.elevated or not part.elevated]
        says += [part.says for part in able]
        diffs += [part.diff for part in able if part.diff]
        scripts += [_call(side, now, able)] if able else []
        pending += _waiting(now, [part for part in parts if part not in able])
    elif now.fault == HANDLER:
        says.append("windows: tell the kernel how to start its programs")
        scripts.append("systemctl restart systemd-binfmt.service")
    else:
        pending.append(f"Windows does not answer: {_FAULTS.get(now.fault, _FAULTS['answer'])}")
    if not says and not pending:
        return None
    return Change(tuple(says), "\n".join(scripts), tuple(diffs), tuple(pending))


def _waiting(now: Windows, unable: list[Part]) -> Iterator[str]:
    """What a run cannot do, or Windows has not done yet."""
    for part in unable:
        yield f"{part.says}: that takes an administrator of Windows; {PREPARE}"
    if now.build >= MIRRORED_BUILD and now.mode != "mirrored":
        yield f"WSL's networking is {now.mode or 'unknown'}: mirrored {RESTART}"


def _parts(side: WindowsSide, now: Windows) -> Iterator[Part]:
    """Everything on Windows that differs, in the order in which it is mended."""
    yield from _wslconfig(now)
    if now.build >= MIRRORED_BUILD:  # older ones have no such firewall
        yield from _rules(side, now)
    yield from _keep_alive(side, now)
    for program in side.programs:
        yield from _program(program, now)


def _conf(now: Windows) -> str:
    """What /etc/wsl.conf should hold: a person's own keys stay, and so do defaults that fit."""
    text = now.conf
    for section, key, wanted, default in WANTED_CONF:
        if (ini.value(text, section, key) or default).lower() != wanted:
            text = ini.with_value(text, section, key, wanted)
    return text


def _write_conf(text: str) -> str:
    packed = base64.b64encode(text.encode()).decode()
    new = quote(f"{WSL_CONF}.new")
    return f"echo {packed} | base64 -d >{new}\nchmod 644 {new}\nmv -f {new} {quote(WSL_CONF)}"


def _wslconfig(now: Windows) -> Iterator[Part]:
    """Mirrored networking, where that Windows has it; other keys are their person's."""
    if now.build < MIRRORED_BUILD:
        return
    old = now.wslconfig
    if (ini.value(old, "wsl2", "networkingMode") or "").lower() == "mirrored":
        return
    new = ini.with_value(old, "wsl2", "networkingMode", "mirrored")
    packed = base64.b64encode(new.encode()).decode()
    script = f"""$file = "$env:USERPROFILE\\.wslconfig"
$text = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('{packed}'))
[IO.File]::WriteAllText("$file.new", $text)
Move-Item -LiteralPath "$file.new" -Destination $file -Force"""
    yield Part("file .wslconfig: content", script, _diff(old, new, ".wslconfig"), elevated=False)


def _rules(side: WindowsSide, now: Windows) -> Iterator[Part]:
    """The rules that differ are made anew; one of ours that nobody wants goes."""
    for rule in side.rules:
        old, new = now.rules.get(rule.name), _wanted(rule)
        if old != new:
            ports = ", ".join(map(str, rule.ports))
            yield Part(
                f"windows: firewall rule {rule.name}: {'change' if old else 'create'}: TCP {ports}"
                f" from {', '.join(rule.sources) or 'anywhere'}",
                f"Set-Rule -Name {quoted(rule.name)} -Title {quoted(rule.title)}"
                f" -Ports {array(rule.ports)} -Sources {array(rule.sources)}",
            )
    for name in sorted(set(now.rules) - {rule.name for rule in side.rules}):
        script = f"Remove-NetFirewallHyperVRule -Name {quoted(name)}"
        yield Part(f"windows: firewall rule {name}: remove", script)


def _wanted(rule: WindowsRule) -> Rule:
    return Rule(frozenset(map(str, rule.ports)), frozenset(map(ip_network, rule.sources)))


def _keep_alive(side: WindowsSide, now: Windows) -> Iterator[Part]:
    """The task that keeps WSL running, as Set-KeepAlive of functions.ps1.j2 makes it."""
    old, name = now.tasks.get(side.keep_alive), side.keep_alive
    if old is None or not _keeps(old, side.distribution):
        script = f"Set-KeepAlive -Name {quoted(name)} -Distribution {quoted(side.distribution)}"
        yield Part(f"windows: scheduled task {name}: {'change' if old else 'create'}", script)
    elif old.state != "Running":
        script = f"Start-ScheduledTask -TaskName {quoted(name)}"
        yield Part(f"windows: scheduled task {name}: start, it is {old.state.lower()}", script)


def _keeps(task: Task, distribution: str) -> bool:
    return (
        task.runs.lower().endswith(f"\\wsl.exe -d {distribution} --exec sleep infinity".lower())
        and task.trigger == "MSFT_TaskBootTrigger"
        and task.logon == "S4U"
        and task.level == "Highest"
        and task.state != "Disabled"
    )


def _program(program: WindowsProgram, now: Windows) -> Iterator[Part]:
    """A program that is missing; Claude Code also in another version than the fleet's."""
    if program.version:
        has = version(now.programs.get(program.name, ""))
        if has != program.version:
            script = f"Install-ClaudeCode -Version {quoted(program.version)}"
            said = f"windows: Claude Code {has or '(none)'} → {program.version}"
            yield Part(said, script, elevated=False)
    elif program.name not in now.programs:
        ids = f"-Winget {quoted(program.winget)} -Choco {quoted(program.choco)}"
        by = f" with {now.installer}" if now.installer else ""
        yield Part(f"windows: install {program.name}{by}", f"Install-Program {ids}")


def _call(side: WindowsSide, now: Windows, parts: list[Part]) -> str:
    """Shell that has Windows' PowerShell carry out the parts, through the socket that answered."""
    steps = "\n".join(part.script for part in parts)
    script = encoded(
        f"""$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
{side.functions}
try {{
Update-Path
{steps}
}} catch {{
    [Console]::Error.WriteLine(("$($_.Exception.Message)" -replace '[^ -~]', '?'))
    exit 1
}}"""
    )
    return f"""export WSL_INTEROP={quote(now.socket)}
{quote(POWERSHELL)} {OPTIONS} {script} >/dev/null || fail 'Windows did not do it, see above'"""


def _diff(old: str, new: str, name: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    return "\n".join(difflib.unified_diff(before, after, name, name, lineterm=""))
