"""The cmdlets that a provisioner of WSL asks: Hyper-V firewall rules and scheduled tasks."""

from collections.abc import Callable
from typing import Any, Final

from .interop import NotCoveredError
from .script import Call

Rows = list[dict[str, Any]]
Registry = dict[str, Any]
RULE_KEYS: Final = ("Name", "DisplayName", "Direction", "VMCreatorId", "Protocol", "LocalPorts",
                    "RemoteAddresses", "Action", "Enabled")  # fmt: skip
RULE_DEFAULTS: Final = {"Action": "Allow", "Enabled": "True", "Direction": "Inbound"}


class CmdletError(Exception):
    """A cmdlet's own error, which -ErrorAction SilentlyContinue hides."""


def named(call: Call, key: str) -> str:
    """A parameter, or the first bare argument in its place."""
    return call.parameters.get(key) or (call.arguments[0] if call.arguments else "")


def matching(rows: Registry, call: Call, keys: tuple[str, ...]) -> Rows:
    """The rows that agree with every given parameter of these."""
    given = {key: call.parameters[key.lower()] for key in keys if key.lower() in call.parameters}
    if call.arguments and not given:
        given = {keys[0]: call.arguments[0]}
    return [
        row
        for row in rows.values()
        if all(str(row.get(key, "")).lower() == value.lower() for key, value in given.items())
    ]


def get_rule(call: Call, registry: Registry) -> Rows:
    """Get-NetFirewallHyperVRule [-Name|-DisplayName|-VMCreatorId]."""
    found = matching(registry.get("rules", {}), call, ("Name", "DisplayName", "VMCreatorId"))
    name = named(call, "name") or named(call, "displayname")
    if not found and name:
        raise CmdletError(
            "No MSFT_NetFirewallHyperVRule objects found with property 'Name' equal to "
            f"'{name}'.  Verify the value of the property and retry."
        )
    return found


def new_rule(call: Call, registry: Registry) -> Rows:
    """New-NetFirewallHyperVRule; a name that is taken is an error."""
    rules = registry.setdefault("rules", {})
    given = {
        key: call.parameters[key.lower()] for key in RULE_KEYS if key.lower() in call.parameters
    }
    if "DisplayName" not in given:
        raise CmdletError("Cannot process command because of one or more missing mandatory "
                          "parameters: DisplayName.")  # fmt: skip
    name = given.setdefault("Name", f"{{{len(rules):08x}-0000-0000-0000-000000000000}}")
    if name in rules:
        raise CmdletError("Cannot create a file when that file already exists.")
    rules[name] = {**RULE_DEFAULTS, **given}
    return [rules[name]]


def set_rule(call: Call, registry: Registry) -> Rows:
    """Set-NetFirewallHyperVRule -Name N -KEY VALUE...: nothing is printed."""
    for row in get_rule(call, registry):
        row.update(
            {k: call.parameters[k.lower()] for k in RULE_KEYS if k.lower() in call.parameters}
        )
    return []


def remove_rule(call: Call, registry: Registry) -> Rows:
    """Remove-NetFirewallHyperVRule."""
    for row in get_rule(call, registry):
        del registry["rules"][row["Name"]]
    return []


def get_setting(call: Call, registry: Registry) -> Rows:
    """Get-NetFirewallHyperVVMSetting."""
    default = {"Name": named(call, "name"), "DefaultInboundAction": "Block"}
    return [registry.get("vm_setting", default)]


def set_setting(call: Call, registry: Registry) -> Rows:
    """Set-NetFirewallHyperVVMSetting -Name ID -DefaultInboundAction Allow|Block."""
    action = call.parameters.get("defaultinboundaction", "Block")
    registry["vm_setting"] = {"Name": named(call, "name"), "DefaultInboundAction": action}
    return []


def get_task(call: Call, registry: Registry) -> Rows:
    """Get-ScheduledTask [-TaskName]."""
    found = matching(registry.get("tasks", {}), call, ("TaskName", "TaskPath"))
    name = named(call, "taskname")
    if not found and name:
        raise CmdletError(f"No MSFT_ScheduledTask objects found with property 'TaskName' equal to "
                          f"'{name}'.  Verify the value of the property and retry.")  # fmt: skip
    return found


def register_task(call: Call, registry: Registry) -> Rows:
    """Register-ScheduledTask -TaskName N ... [-Force]; what it runs is kept as text."""
    tasks, name = registry.setdefault("tasks", {}), named(call, "taskname")
    if name in tasks and "force" not in call.parameters:
        raise CmdletError("Cannot create a file when that file already exists.")
    keys = ("action", "trigger", "principal", "settings", "user", "runlevel", "description", "xml")
    given = {key.title(): call.parameters[key] for key in keys if key in call.parameters}
    tasks[name] = {"TaskName": name, "TaskPath": "\\", "State": "Ready", **given}
    return [tasks[name]]


def start_task(call: Call, registry: Registry) -> Rows:
    """Start-ScheduledTask: the state says so, nothing runs."""
    for row in get_task(call, registry):
        row["State"] = "Running"
    return []


def stop_task(call: Call, registry: Registry) -> Rows:
    """Stop-ScheduledTask."""
    for row in get_task(call, registry):
        row["State"] = "Ready"
    return []


def unregister_task(call: Call, registry: Registry) -> Rows:
    """Unregister-ScheduledTask."""
    for row in get_task(call, registry):
        del registry["tasks"][row["TaskName"]]
    return []


CMDLETS: Final[dict[str, Callable[[Call, Registry], Rows]]] = {
    "get-netfirewallhypervrule": get_rule,
    "new-netfirewallhypervrule": new_rule,
    "set-netfirewallhypervrule": set_rule,
    "remove-netfirewallhypervrule": remove_rule,
    "get-netfirewallhypervvmsetting": get_setting,
    "set-netfirewallhypervvmsetting": set_setting,
    "get-scheduledtask": get_task,
    "register-scheduledtask": register_task,
    "start-scheduledtask": start_task,
    "stop-scheduledtask": stop_task,
    "unregister-scheduledtask": unregister_task,
}
SILENT: Final = ("out-null", "set-strictmode", "import-module", "set-executionpolicy")
DESCRIBED: Final = ("new-scheduledtaskaction", "new-scheduledtasktrigger",
                    "new-scheduledtaskprincipal", "new-scheduledtasksettingsset")  # fmt: skip


def run(call: Call, registry: Registry) -> Rows:
    """Run one cmdlet; NotCoveredError for one that the stand-in does not know."""
    name = call.name.lower()
    if name in SILENT or name in DESCRIBED:
        return []
    if name not in CMDLETS:
        raise NotCoveredError(call.name)
    return CMDLETS[name](call, registry)
