"""What a provisioner of WSL asks of Windows: firewall rules, scheduled tasks, programs, files."""

from collections.abc import Callable
from typing import Any, Final

from .shell import Call, Shell
from .types import place
from .values import CmdletError, NotCoveredError, Object, many, text

Rows = list[Any]
Registry = dict[str, Any]
RULE_KEYS: Final = ("Name", "DisplayName", "Direction", "VMCreatorId", "Protocol", "LocalPorts",
                    "RemoteAddresses", "Action", "Enabled")  # fmt: skip
RULE_DEFAULTS: Final = {"Action": "Allow", "Enabled": "True", "Direction": "Inbound"}
# What there is when nobody has said otherwise: programs with the words of their --version.
PROGRAMS: Final = {"git": "git version 2.47.1.windows.1", "winget": "v1.9.25200",
                   "tailscale": "1.80.0"}  # fmt: skip
PACKAGES: Final = {
    "Git.Git": ("git", "git version 2.47.1.windows.1"),
    "BurntSushi.ripgrep.MSVC": ("rg", "ripgrep 14.1.1 (rev 4649aa9700)"),
    "Ccache.Ccache": ("ccache", "ccache version 4.10.2"),
    "OpenJS.NodeJS.LTS": ("node", "v22.12.0"),
    "Tailscale.Tailscale": ("tailscale", "1.80.0"),
    "git": ("git", "git version 2.47.1.windows.1"),
    "ripgrep": ("rg", "ripgrep 14.1.1 (rev 4649aa9700)"),
    "ccache": ("ccache", "ccache version 4.10.2"),
    "nodejs-lts": ("node", "v22.12.0"),
    "tailscale": ("tailscale", "1.80.0"),
}


def matching(rows: Registry, call: Call, keys: tuple[str, ...]) -> Rows:
    """The rows that agree with every given parameter of these."""
    given = {
        key: text(call.parameters[key.lower()]) for key in keys if key.lower() in call.parameters
    }
    if call.arguments and not given:
        given = {keys[0]: text(call.arguments[0])}
    return [
        Object(row)
        for row in rows.values()
        if all(text(row.get(key)).lower() == value.lower() for key, value in given.items())
    ]


class Windows:
    """The Windows side: what it knows is in `registry`, and stays between calls."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    @property
    def programs(self) -> dict[str, str]:
        """Installed programs, by name: the words of their --version."""
        found: dict[str, str] = self.registry.setdefault("programs", dict(PROGRAMS))
        return found

    def run(self, shell: Shell, call: Call, fed: Rows) -> Rows:
        """Run one cmdlet or program; NotCoveredError for one that the stand-in does not know."""
        name = call.name.lower().removesuffix(".exe").removesuffix(".cmd").rpartition("\\")[2]
        if found := CMDLETS.get(name):
            return found(self, shell, call, fed)
        if name == "set-executionpolicy":
            return []
        if name in DESCRIBED:
            return [describe(call)]
        if name in ("winget", "choco", "npm") or name in self.programs:
            return self.program(shell, name, call.raw)
        raise NotCoveredError(call.name)

    def program(self, shell: Shell, name: str, arguments: list[str]) -> Rows:
        """A program: its version, or what a package manager installs."""
        if name not in self.programs and not (name == "npm" and "node" in self.programs):
            raise CmdletError(f"The term '{name}' is not recognized as the name of a cmdlet.")
        shell.scope.variables["lastexitcode"] = 0
        if arguments == ["--version"]:
            return self.programs[name].splitlines()
        if arguments[:1] != ["install"]:
            raise NotCoveredError(f"{name} {' '.join(arguments)}")
        for wanted in arguments[1:]:
            package, _, version = wanted.rpartition("@")
            if name == "npm" and package.endswith("/claude-code"):
                self.programs["claude"] = f"{version} (Claude Code)"
                return []
            if name != "npm" and wanted in PACKAGES:
                program, said = PACKAGES[wanted]
                self.programs[program] = said
                return []
        shell.scope.variables["lastexitcode"] = 1
        return [f"{name}: no package found matching input criteria."]


def describe(call: Call) -> Object:
    """A part of a task that is made before the task."""
    given, kind = call.parameters, call.name.lower().removeprefix("new-scheduledtask")
    match kind:
        case "action":
            return Object(Execute=text(given.get("execute")), Arguments=text(given.get("argument")))
        case "trigger":
            word = "Boot" if "atstartup" in given else "Logon"
            return Object(CimClass=Object(CimClassName=f"MSFT_Task{word}Trigger"))
        case "principal":
            keys = {"userid": "UserId", "logontype": "LogonType", "runlevel": "RunLevel"}
            return Object({name: text(given[key]) for key, name in keys.items() if key in given})
        case _:
            return Object({key: text(value) for key, value in given.items()})


def get_rule(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """Get-NetFirewallHyperVRule [-Name|-DisplayName|-VMCreatorId]."""
    rules = windows.registry.get("rules", {})
    found = matching(rules, call, ("Name", "DisplayName", "VMCreatorId"))
    name = call.get("name") or call.get("displayname")
    if not found and name:
        raise CmdletError(
            "No MSFT_NetFirewallHyperVRule objects found with property 'Name' equal to "
            f"'{name}'.  Verify the value of the property and retry."
        )
    return found


def _given(call: Call) -> Registry:
    """A rule's properties; ports and addresses are lists of text, as Windows keeps them."""
    given = {
        key: call.parameters[key.lower()] for key in RULE_KEYS if key.lower() in call.parameters
    }
    for key in ("LocalPorts", "RemoteAddresses"):
        if key in given:
            given[key] = [text(item) for item in many(given[key])]
    return given


def administrator(shell: Shell) -> None:
    """Refuse what takes an administrator, as Windows does."""
    if shell.environment.get("standin_elevated", "yes") != "yes":
        raise CmdletError("Access is denied.")


def new_rule(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """New-NetFirewallHyperVRule; a name that is taken is an error."""
    administrator(shell)
    rules = windows.registry.setdefault("rules", {})
    given = _given(call)
    if "DisplayName" not in given:
        raise CmdletError("Cannot process command because of one or more missing mandatory "
                          "parameters: DisplayName.")  # fmt: skip
    name = given.setdefault("Name", f"{{{len(rules):08x}-0000-0000-0000-000000000000}}")
    if name in rules:
        raise CmdletError("Cannot create a file when that file already exists.")
    rules[name] = {**RULE_DEFAULTS, **given}
    return [Object(rules[name])]


def set_rule(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """Set-NetFirewallHyperVRule -Name N -KEY VALUE...: nothing is printed."""
    administrator(shell)
    for row in get_rule(windows, shell, call, fed):
        windows.registry["rules"][row["Name"]] |= _given(call)
    return []


def remove_rule(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """Remove-NetFirewallHyperVRule, of what comes through the pipe or by name."""
    administrator(shell)
    for row in fed or get_rule(windows, shell, call, fed):
        del windows.registry["rules"][row["Name"]]
    return []


def get_setting(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """Get-NetFirewallHyperVVMSetting."""
    default = {"Name": call.get("name"), "DefaultInboundAction": "Block"}
    return [Object(windows.registry.get("vm_setting", default))]


def set_setting(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """Set-NetFirewallHyperVVMSetting -Name ID -DefaultInboundAction Allow|Block."""
    action = text(call.parameters.get("defaultinboundaction", "Block"))
    windows.registry["vm_setting"] = {"Name": call.get("name"), "DefaultInboundAction": action}
    return []


def get_task(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """Get-ScheduledTask [-TaskName]."""
    found = matching(windows.registry.get("tasks", {}), call, ("TaskName", "TaskPath"))
    name = call.get("taskname")
    if not found and name:
        raise CmdletError(f"No MSFT_ScheduledTask objects found with property 'TaskName' equal to "
                          f"'{name}'.  Verify the value of the property and retry.")  # fmt: skip
    return [_objects(row) for row in found]


def _objects(value: Any) -> Any:  # noqa: ANN401 - what JSON holds
    if isinstance(value, dict):
        return Object({key: _objects(held) for key, held in value.items()})
    return [_objects(item) for item in value] if isinstance(value, list) else value


def register_task(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """Register-ScheduledTask -TaskName N -Action … [-Force]."""
    administrator(shell)
    tasks, name = windows.registry.setdefault("tasks", {}), call.get("taskname")
    if name in tasks and "force" not in call.parameters:
        raise CmdletError("Cannot create a file when that file already exists.")
    given = call.parameters
    tasks[name] = {
        "TaskName": name,
        "TaskPath": "\\",
        "State": "Ready",
        "Actions": many(given.get("action")),
        "Triggers": many(given.get("trigger")),
        "Principal": given.get("principal"),
        "Settings": given.get("settings"),
    }
    return [Object(tasks[name])]


def _each_task(change: Callable[[Registry, str], None]) -> "Handler":
    def handle(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
        for row in fed or get_task(windows, shell, call, fed):
            change(windows.registry["tasks"], row["TaskName"])
        return []

    return handle


def _state(word: str) -> Callable[[Registry, str], None]:
    return lambda tasks, name: tasks[name].update(State=word)


def get_command(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """Get-Command NAME: a program that is installed, or a cmdlet that the stand-in knows."""
    name = call.get("name").lower().removesuffix(".exe").removesuffix(".cmd")
    program = name in windows.programs or (name == "npm" and "node" in windows.programs)
    if not program and name not in CMDLETS:
        raise CmdletError(f"The term '{name}' is not recognized as the name of a cmdlet.")
    return [Object(Name=name, Source=rf"C:\Program Files\{name}\{name}.exe")]


def move_item(windows: Windows, shell: Shell, call: Call, fed: Rows) -> Rows:
    """Move-Item -LiteralPath A -Destination B -Force."""
    source = call.get("literalpath") or call.get("path")
    place(shell, source).replace(place(shell, call.get("destination", 1)))
    return []


Handler = Callable[[Windows, Shell, Call, Rows], Rows]
CMDLETS: Final[dict[str, Handler]] = {
    "get-netfirewallhypervrule": get_rule,
    "new-netfirewallhypervrule": new_rule,
    "set-netfirewallhypervrule": set_rule,
    "remove-netfirewallhypervrule": remove_rule,
    "get-netfirewallhypervvmsetting": get_setting,
    "set-netfirewallhypervvmsetting": set_setting,
    "get-scheduledtask": get_task,
    "register-scheduledtask": register_task,
    "start-scheduledtask": _each_task(_state("Running")),
    "stop-scheduledtask": _each_task(_state("Ready")),
    "unregister-scheduledtask": _each_task(lambda tasks, name: tasks.pop(name)),
    "get-command": get_command,
    "move-item": move_item,
}
DESCRIBED: Final = ("new-scheduledtaskaction", "new-scheduledtasktrigger",
                    "new-scheduledtaskprincipal", "new-scheduledtasksettingsset",
                    "new-timespan")  # fmt: skip
