"""The shape of fleet.yaml: its keys, their types, and the JSON Schema that editors use.

Every key is optional here, so that one missing key hides no other fault; what must be there is
in each model's `required`, which the schema prints and `fleet.rules` checks.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from fleet.kinds import Arch, Os, Power, Role, Sudo
from fleet.secrets import KNOWN as KNOWN_SECRETS
from fleet.words import (
    HOST_NAME,
    ApiAddress,
    Capability,
    Command,
    Cores,
    Dollars,
    KeyPath,
    Label,
    LanAddress,
    Login,
    MacAddress,
    Port,
    References,
    SshKey,
    TailnetAddress,
    Text,
    UserName,
)

ANTHROPIC_URL = "https://api.anthropic.com"
MIN_LLVM = 13  # the first that takes what deploys/llvm.py says to it


def _plain(schema: dict[str, Any]) -> None:
    """Write a schema the way people do: no null alternatives, titles, empty defaults."""
    schema.pop("title", None)
    for name, value in schema.get("properties", {}).items():
        kinds = [kind for kind in value.pop("anyOf", []) if kind != {"type": "null"}]
        schema["properties"][name] = {**value, **(kinds[0] if kinds else {})}
        schema["properties"][name].pop("title", None)
        if value.get("default", ...) is None or isinstance(value.get("default"), dict):
            schema["properties"][name].pop("default", None)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_plain)
    required: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:  # noqa: ANN401
        schema: dict[str, Any] = handler(core)
        target: dict[str, Any] = handler.resolve_ref_schema(schema)
        if cls.required:
            target["required"] = list(cls.required)
        return schema


class AddressesEntry(_Entry):
    """Where the host answers. SSH goes to `lan`, else to `tailnet`, else to the name."""

    lan: LanAddress | None = Field(
        default=None, description="IP address or DNS name on the local network"
    )
    tailnet: TailnetAddress | None = Field(
        default=None,
        description="IPv4 address in 100.64.0.0/10; what `tailscale ip -4` prints; may "
        "stand in fleet.lock.yaml instead",
    )
    mac: MacAddress | None = Field(
        default=None,
        description="the network card that `fleet wake` sends its packet to; default: the one "
        "that a run has seen the LAN address at; for Windows what `ipconfig /all` says",
    )


class SshEntry(_Entry):
    """How to log in: the file's own block is the default of every host."""

    user: UserName | None = Field(
        default=None, description="login name; must be able to become root with sudo"
    )
    port: Port | None = Field(default=None, description="TCP port of the SSH server; default 22")
    key: KeyPath | None = Field(
        default=None,
        description="private key file, ~ allowed; default: the agent's and ssh's own keys",
    )


class AgentEntry(_Entry):
    """The host's agent: whether it runs, and what it may do there."""

    enabled: bool | None = Field(
        default=None, description="whether it runs; default: not on workstations"
    )
    sudo: Sudo | tuple[Command, ...] | None = Field(
        default=None,
        description="what it may do as root: full, none, or a list of commands with absolute "
        "paths; default: full, on the orchestrator none",
    )


class HostEntry(_Entry):
    """One host."""

    required: ClassVar[tuple[str, ...]] = ("role", "os", "arch", "cores")

    role: Role | None = Field(
        default=None, description="what the host is for; decides what it gets"
    )
    os: Os | None = Field(default=None, description="the system that its SSH server runs on")
    arch: Arch | None = Field(
        default=None, description="the machine, as `uname -m` says it on Linux"
    )
    power: Power = Field(
        default=Power.ALWAYS_ON,
        description="always-on: silence is a fault; sleeps, roams: silence means pending",
    )
    site: Label = Field(
        default="home", description="where it stands; any word, equal for neighbours"
    )
    cores: Cores | None = Field(default=None, description="logical processors")
    max_jobs: Cores | None = Field(
        default=None,
        description="compile jobs at once; default: all cores but those that the role reserves "
        "(windows-wsl leaves two to Windows)",
    )
    addresses: AddressesEntry = Field(default=AddressesEntry(), description="where it is")
    ssh: SshEntry = Field(default=SshEntry(), description="what differs from the defaults")
    budget: Dollars | None = Field(
        default=None,
        description="dollars an agent session may spend; default: the role's in `budgets`",
    )
    daily_budget: Dollars | None = Field(
        default=None,
        description="dollars all sessions of a day may spend; default: the role's in "
        "`daily_budgets`, else no limit of its own",
    )
    agent: AgentEntry = Field(default=AgentEntry(), description="the agent on this host")
    without: tuple[Capability, ...] = Field(
        default=(),
        description="capabilities (deploy modules) of the role that this host does not get",
    )
    hardware: Text = Field(default="", description="what it is, in words; for people only")


class OperatorEntry(_Entry):
    """A person who administers the fleet."""

    required: ClassVar[tuple[str, ...]] = ("ssh_keys",)

    login: Login | None = Field(
        default=None, description="login in the tailnet, such as alice@example.com"
    )
    ssh_keys: tuple[SshKey, ...] = Field(
        default=(),
        description="SSH public keys; the operators' keys are the only ones that hosts take",
        json_schema_extra={"minItems": 1},
    )


class ToolchainEntry(_Entry):
    """The one compiler that every host has beside its own, for the compile cluster."""

    required: ClassVar[tuple[str, ...]] = ("llvm",)

    llvm: Annotated[int, Field(strict=True, ge=MIN_LLVM, le=99)] | None = Field(
        default=None, description="major version of clang that every host gets and jobs use"
    )
    sample_percent: Annotated[float, Field(strict=True, ge=0, le=100)] = Field(
        default=1,
        description="how many of its jobs in a hundred a host compiles itself, too, to compare "
        "what a worker returned; default: 1",
    )


class FleetFile(_Entry):
    """fleet.yaml: the hosts of one fleet and what is wanted of them."""

    required: ClassVar[tuple[str, ...]] = ("version", "name", "hosts")

    version: Literal[1] | None = Field(default=None, description="version of this format: 1")
    name: Label | None = Field(
        default=None, description="the fleet's name; also its compile network's"
    )
    scheduler: str | None = Field(
        default=None, description="host of the compile scheduler; default: the orchestrator"
    )
    relays: dict[str, str] = Field(
        default_factory=dict,
        description="by site, the host there that fetches downloads once and hands them on to "
        "its neighbours; the orchestrator's site needs none",
        json_schema_extra={"propertyNames": {"pattern": f"^{HOST_NAME}$"}},
    )
    backup: str | None = Field(
        default=None,
        description="host that keeps the orchestrator's backups, encrypted for the operators; "
        "default: the first Linux host that is always on and has an agent",
    )
    toolchain: ToolchainEntry | None = Field(
        default=None,
        description="the compiler that all hosts have in common; without, icecream runs, and each "
        "host brings its own",
    )
    ssh: SshEntry = Field(default=SshEntry(), description="how to log in, for every host")
    budgets: dict[Role, Dollars] = Field(
        default_factory=dict, description="dollars an agent session may spend, by role"
    )
    daily_budgets: dict[Role | Literal["fleet"], Dollars] = Field(
        default_factory=dict,
        description="dollars that all sessions of a day may spend: of a host, by role; of the "
        "whole fleet, as `fleet`; default: no limit",
    )
    anthropic_url: ApiAddress = Field(
        default=ANTHROPIC_URL, description="the API that agents are paid at"
    )
    operators: dict[str, OperatorEntry] = Field(
        default_factory=dict,
        description="who administers the fleet, by name; without any, keys are left as they are",
        json_schema_extra={"propertyNames": {"pattern": f"^{HOST_NAME}$"}},
    )
    secrets: References = Field(
        default_factory=dict,
        description="where each secret is: env:NAME, file:PATH or command:…",
        json_schema_extra={"propertyNames": {"enum": [*sorted(KNOWN_SECRETS)]}},
    )
    hosts: dict[str, HostEntry] = Field(
        default_factory=dict,
        description="the hosts by name, an RFC 1123 label in lower case",
        json_schema_extra={"propertyNames": {"pattern": f"^{HOST_NAME}$"}, "minProperties": 1},
    )


def fleet_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of fleet.yaml."""
    schema = FleetFile.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "fleet.yaml",
    }
