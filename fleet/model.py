"""The fleet as everything else sees it: complete, checked, unchangeable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from fleet.environments import Environment
from fleet.kinds import AGENT_ROLES, Arch, Os, Power, Role, Sudo
from fleet.lock import FleetLock, lock_path, read_fleet_lock
from fleet.parse import parse
from fleet.problems import FleetError, Problem, show, suggest
from fleet.roles import agent_sudo, reserved_cores
from fleet.rules import DEFAULT_SSH_PORT, DISPATCH, check
from fleet.schema import ANTHROPIC_URL, FleetFile, HostEntry, ToolchainEntry
from fleet.secrets import mask_known_shapes
from fleet.yamlfile import Document, display, read_document

T = TypeVar("T")

__all__ = [
    "Addresses",
    "Agent",
    "Arch",
    "Fleet",
    "Host",
    "Operator",
    "Os",
    "Power",
    "Role",
    "Ssh",
    "Sudo",
    "Toolchain",
    "load_fleet",
]


class _Fixed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Addresses(_Fixed):
    """Where a host answers; `lan` is an IP address or a DNS name, the others are IP addresses."""

    lan: str | None = None
    tailnet: str | None = None
    tailnet6: str | None = None  # learned only
    tailnet_name: str | None = None  # its full name there; learned only
    mac: str | None = None  # of the network card that wakes it, where the file says it


class Ssh(_Fixed):
    """How to log in; without `key`, ssh's own keys and its agent's are tried."""

    user: str
    port: int = DEFAULT_SSH_PORT
    key: str | None = None


class Agent(_Fixed):
    """Whether an agent runs on a host by itself, and what it may do as root there."""

    enabled: bool = False
    sudo: Sudo | tuple[str, ...] = Sudo.NONE  # or commands, absolute paths first


class Host(_Fixed):
    """One host, with the fleet's and its role's defaults filled in."""

    name: str
    role: Role
    os: Os
    arch: Arch
    power: Power = Power.ALWAYS_ON
    site: str = "home"
    cores: int  # logical processors
    max_jobs: int  # compile jobs at once
    addresses: Addresses = Addresses()
    ssh: Ssh
    budget: int | float  # dollars an agent session may spend
    daily_budget: int | float | None = None  # dollars all its sessions of a day may spend
    agent: Agent = Agent()
    without: tuple[str, ...] = ()  # capabilities that this host does not get
    host_keys: tuple[str, ...] = ()  # OpenSSH public keys, pinned or learned
    dispatch_key: str | None = None  # the same, of the account that talks to agents; learned only
    health_key: str | None = None  # of the one that asks hosts how they are; learned only
    compiler: str | None = (
        None  # its clang for the fleet's jobs, see fleet/environments.py; learned only
    )
    environments: tuple[Environment, ...] = ()  # packed there, newest first; learned only
    mac_address: str | None = None  # of the network card on the LAN; learned only
    networking: str | None = None  # how WSL joins it to the network; learned only
    hardware: str = ""  # for people only

    @property
    def is_mac(self) -> bool:
        """Whether it runs macOS."""
        return self.os is Os.MACOS

    @property
    def is_pi(self) -> bool:
        """Whether it is a Raspberry Pi."""
        return self.role is Role.PI

    @property
    def is_linux(self) -> bool:
        """Whether it runs Linux; inside WSL it does."""
        return not self.is_mac

    @property
    def platform(self) -> str:
        """What programs are pinned by: linux-x86_64, linux-aarch64 or darwin-x86_64."""
        return f"{'darwin' if self.is_mac else 'linux'}-{self.arch.value}"

    @property
    def card(self) -> str | None:
        """The address of the network card that a packet can wake the host by."""
        return self.addresses.mac or self.mac_address

    @property
    def is_behind_nat(self) -> bool:
        """Whether nobody can connect to it: WSL without mirrored networking."""
        return self.networking not in (None, "mirrored")

    @property
    def is_agent(self) -> bool:
        """Whether an agent runs on it by itself."""
        return self.agent.enabled


class Operator(_Fixed):
    """A person who administers the fleet; `login` is the tailnet's name for them."""

    name: str
    login: str | None = None
    ssh_keys: tuple[str, ...]  # OpenSSH public keys, a line each


class Toolchain(_Fixed):
    """The compiler that all hosts have in common."""

    llvm: int  # clang's major version
    sample_percent: float  # of the jobs, compiled at home, too, and compared


class Fleet(_Fixed):
    """All hosts, in the order of the file."""

    name: str
    hosts: tuple[Host, ...]
    scheduler: str  # name of the host that the compile scheduler runs on
    relays: Mapping[str, str] = Field(default_factory=dict)  # site → host that serves downloads
    backup: str | None = None  # name of the host that keeps backups, where the file says it
    toolchain: Toolchain | None = None
    budgets: Mapping[Role, int | float]  # dollars an agent session may spend, by role
    daily_budget: int | float | None = None  # dollars all agents together may spend in a day
    anthropic_url: str = ANTHROPIC_URL
    operators: tuple[Operator, ...] = ()
    secrets: Mapping[str, str] = Field(default_factory=dict)  # name → where it is, never itself

    def __hash__(self) -> int:
        return hash((self.name, self.hosts, self.scheduler))

    def host(self, name: str) -> Host:
        """Return the host of that name; raises FleetError (with a guess) when there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        fix = suggest(name, [host.name for host in self.hosts])
        raise FleetError.of(f"fleet {self.name}", f"no host is called {show(name)}", fix)

    def with_role(self, role: Role) -> tuple[Host, ...]:
        """Return the hosts of a role, in the order of the file."""
        return tuple(host for host in self.hosts if host.role == role)

    @property
    def orchestrator(self) -> Host:
        """The one host of the role orchestrator."""
        return self.with_role(Role.ORCHESTRATOR)[0]

    @property
    def scheduler_host(self) -> Host:
        """The host that the compile scheduler runs on."""
        return self.host(self.scheduler)

    @property
    def backup_host(self) -> Host | None:
        """The host that keeps the orchestrator's backups; None when there is none for it."""
        if self.backup:
            return self.host(self.backup)
        for host in self.hosts:
            fit = host.is_linux and host.is_agent and host.power is Power.ALWAYS_ON
            if fit and host != self.orchestrator and DISPATCH not in host.without:
                return host
        return None

    def relay(self, host: Host) -> Host | None:
        """The neighbour that the host's downloads come through; None for the relay itself."""
        name = self.relays.get(host.site, host.name)
        return None if name == host.name else self.host(name)

    def is_relay(self, host: Host) -> bool:
        """Whether the host is the relay of its site."""
        return self.relays.get(host.site) == host.name


def load_fleet(path: Path, lock: Path | None = None) -> Fleet:
    """Read fleet.yaml, and what runs have learned from its lock file.

    `lock` is by default the file beside it (`fleet.yaml` → `fleet.lock.yaml`), which may be absent.
    Raises FleetError with every problem of both files.
    """
    document = read_document(path)
    file, problems = parse(document, FleetFile)
    lock = lock or lock_path(path)
    try:
        learned = read_fleet_lock(lock)
    except FleetError as error:
        problems += error.problems
        learned = FleetLock()
    if file is not None:
        problems += check(document, file)
        problems += _disagreements(document, file, learned, display(lock))
    if file is None or problems:
        raise FleetError([_masked(problem) for problem in problems])
    return _fleet(file, learned)


def _masked(problem: Problem) -> Problem:
    """Return the problem without secrets: people paste them in the strangest places of a file."""
    return replace(
        problem,
        key=mask_known_shapes(problem.key),
        fault=mask_known_shapes(problem.fault),
        fix=mask_known_shapes(problem.fix),
    )


def _disagreements(
    document: Document, file: FleetFile, learned: FleetLock, lock: str
) -> list[Problem]:
    """Return a problem for each stated tailnet address that runs have learned otherwise."""
    problems = []
    owners = {learned.tailnet_ipv4(name): name for name in file.hosts}
    for name, host in file.hosts.items():
        stated, seen = host.addresses.tailnet, learned.tailnet_ipv4(name)
        path = ("hosts", name, "addresses", "tailnet")
        if stated and seen and stated != seen:
            fix = f"remove it here, or mend the lock: {lock} says {seen}"
            fault = f"{stated} is not the address that was learned"
            problems.append(document.problem(path, fault, fix))
        elif stated and owners.get(stated, name) != name:
            fix = f"remove it here, or mend the lock: {lock} says it is {owners[stated]}'s"
            problems.append(document.problem(path, f"{stated} is another host's", fix))
    return problems


def _fleet(file: FleetFile, learned: FleetLock) -> Fleet:
    hosts = tuple(_host(name, host, file, learned) for name, host in file.hosts.items())
    orchestrator = next(host.name for host in hosts if host.role is Role.ORCHESTRATOR)
    return Fleet(
        name=_sure(file.name),
        hosts=hosts,
        scheduler=file.scheduler or orchestrator,
        relays=file.relays,
        backup=file.backup,
        toolchain=_toolchain(file.toolchain),
        budgets={role: _dollars(budget) for role, budget in file.budgets.items()},
        daily_budget=_some_dollars(file.daily_budgets.get("fleet")),
        anthropic_url=file.anthropic_url,
        operators=tuple(
            Operator(name=name, login=one.login, ssh_keys=one.ssh_keys)
            for name, one in file.operators.items()
        ),
        secrets=file.secrets,
    )


def _toolchain(stated: ToolchainEntry | None) -> Toolchain | None:
    if stated is None:
        return None
    return Toolchain(llvm=_sure(stated.llvm), sample_percent=stated.sample_percent)


def _host(name: str, host: HostEntry, file: FleetFile, learned: FleetLock) -> Host:
    role, cores = _sure(host.role), _sure(host.cores)
    budget = file.budgets.get(role) if host.budget is None else host.budget
    daily = file.daily_budgets.get(role) if host.daily_budget is None else host.daily_budget
    enabled, sudo = host.agent.enabled, host.agent.sudo
    return Host(
        name=name,
        role=role,
        os=_sure(host.os),
        arch=_sure(host.arch),
        power=host.power,
        site=host.site,
        cores=cores,
        max_jobs=host.max_jobs or cores - reserved_cores(role),
        addresses=Addresses(
            lan=host.addresses.lan,
            tailnet=host.addresses.tailnet or learned.tailnet_ipv4(name),
            tailnet6=learned.tailnet_ipv6(name),
            tailnet_name=learned.tailnet_name(name),
            mac=host.addresses.mac,
        ),
        ssh=Ssh(
            user=_sure(host.ssh.user or file.ssh.user),
            port=host.ssh.port or file.ssh.port or DEFAULT_SSH_PORT,
            key=host.ssh.key or file.ssh.key,
        ),
        budget=_dollars(_sure(budget)),
        daily_budget=_some_dollars(daily),
        agent=Agent(
            enabled=role in AGENT_ROLES if enabled is None else enabled,
            sudo=agent_sudo(role) if sudo is None else sudo,
        ),
        without=host.without,
        host_keys=learned.host_keys(name),
        dispatch_key=learned.dispatch_key(name),
        health_key=learned.health_key(name),
        compiler=learned.compiler(name),
        environments=learned.environments(name),
        mac_address=learned.mac_address(name),
        networking=learned.networking(name),
        hardware=host.hardware,
    )


def _dollars(amount: float) -> int | float:
    """Return whole dollars as an int, so that nobody reads 20.0."""
    return int(amount) if amount == int(amount) else amount


def _some_dollars(amount: float | None) -> int | float | None:
    return None if amount is None else _dollars(amount)


def _sure(value: T | None) -> T:
    """Return a value that the rules have made sure of."""
    if value is None:
        raise AssertionError("the rules let a required value be absent")
    return value
