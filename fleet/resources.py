"""What a capability wants on a host: plain values, made by deploy modules, consumed by operations.

Nothing here knows a fleet, a connection or a template; two equal resources render the same host.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

ROOT_GROUP = "0"  # the group is called root on Linux and wheel on macOS; both have gid 0


class Manager(StrEnum):
    """The package managers a host may have."""

    PACMAN = "pacman"
    APT = "apt"
    BREW = "brew"
    PORT = "port"


NO_MANAGER = "this Mac has neither Homebrew nor MacPorts: install MacPorts and run again"


@dataclass(frozen=True)
class File:
    """A regular file: its bytes and who may read them.

    `template` names the origin and is kept in the host's manifest. `check` is a shell command run
    as root on the host before the file takes its name; `{path}` in it is the staged file. With a
    `secret`, the content is the value of the secret of that name: empty until a run fills it in,
    and never in a diff, a record or a log. Without a `group`, any will do. A file that `stays` is
    left where it is when its capability leaves.
    """

    path: str
    content: bytes = field(repr=False)  # may be a secret
    template: str
    mode: str = "0644"
    owner: str = "root"
    group: str = ROOT_GROUP
    check: str = ""
    secret: str = ""
    stays: bool = False

    @cached_property
    def sha256(self) -> str:
        """The content's digest, as `sha256sum` prints it."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Directory:
    """A directory, made with its parents; parents that exist are left as they are.

    Without a `group`, any will do.
    """

    path: str
    mode: str = "0755"
    owner: str = "root"
    group: str = ROOT_GROUP


@dataclass(frozen=True)
class Package:
    """A package by the name we use; `names` says where a manager calls it otherwise.

    None there means: that manager has none and the host does without. A host that has one of
    `unless` does without it too. Without a `required` one the capability cannot be had: a host
    that has no manager fails.
    """

    name: str
    names: Mapping[Manager, str | None] = field(default_factory=dict)
    unless: tuple[str, ...] = ()
    required: bool = False

    def under(self, manager: Manager) -> str | None:
        """The package's name for this manager, None when it has none."""
        return self.names.get(manager, self.name)


@dataclass(frozen=True)
class User:
    """A system account without a password, with a group of its own name.

    Without a `login_shell` nobody can log in to it. Its home is somebody else's to make.
    """

    name: str
    home: str = "/var/empty"
    comment: str = ""
    login_shell: str = ""


@dataclass(frozen=True)
class Setting:
    """A value that no file holds, such as the host's name.

    `read` prints the current value in one line, `write` makes it `want`; both are shell.
    `complaint` is said when the value is not `want` afterwards. `later` is a value that becomes
    `want` by itself once what `complaint` asks for is done, such as a reboot: it stays pending.
    """

    name: str
    want: str
    read: str
    write: str
    complaint: str = ""
    later: str = ""


@dataclass(frozen=True)
class Reading:
    """A value that only the host can tell, and that a run learns; `read` is shell, see Setting."""

    name: str
    read: str


class RestartPolicy(StrEnum):
    """When a running service may be restarted because its inputs changed."""

    ALWAYS = "always"
    WHEN_IDLE = "when-idle"


@dataclass(frozen=True)
class Service:
    """A daemon of ours: one model, rendered to a systemd unit or a LaunchDaemon.

    `command` starts with an absolute path, or a name to find on `path`; `note` explains it.
    `inputs` are the files whose content decides whether the running process is current.
    `wait_for_address` is an IPv4 address that an interface must hold before the start;
    `{interface}` in `command` becomes its name.
    `prepare` is a command that has to succeed before each start (systemd). An `early` daemon
    starts before the network does.
    `busy` is shell that succeeds while a restart would cost somebody work (see RestartPolicy).
    `behind_wall` services run only while the host's firewall stands.
    `exceptions` loosens the default hardening: directive → (value, reason). `unconfined` is the
    reason for having none of it.
    `credentials` are secret files of root's that the daemon alone may read: name → path (systemd).
    `memory_max` is systemd's word for how much it and all that it starts may have.
    Of one that runs to its end: `after` are units that run to theirs first, `on_failure` one that
    starts when it fails, `limit_s` how long it may take (systemd).
    `hup_reopens`: it writes its log itself and opens it anew on HUP (macOS).
    An `off` service is installed and neither starts nor runs.
    """

    name: str
    description: str
    command: tuple[str, ...]
    note: str = ""
    user: str = "root"
    path: tuple[str, ...] = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
    environment: Mapping[str, str] = field(default_factory=dict)
    wait_for_address: str = ""
    busy: str = ""
    group: str = ""
    runtime_directory: str = ""
    runtime_mode: str = "0755"
    credentials: Mapping[str, str] = field(default_factory=dict)
    memory_max: str = ""
    hup_reopens: bool = False
    off: bool = False
    nice: int = 0
    restart_delay_s: int = 5
    inputs: tuple[str, ...] = ()
    policy: RestartPolicy = RestartPolicy.ALWAYS
    behind_wall: bool = False
    prepare: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    on_failure: str = ""
    limit_s: int = 0
    early: bool = False
    exceptions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    unconfined: str = ""


@dataclass(frozen=True)
class RunningService:
    """What must hold of a service on the host: the unit or label, running with current inputs.

    A daemon of ours stamps the inputs it starts with. Somebody else's service that only has to
    take notice of our files (`notify` is the command for it, the unit follows as last word) is
    not started or stopped by us; `teller` tells those apart who have something to tell the same
    one. `unless_virtual` skips the service where the clock is not ours,
    `unless_absent` where it is not installed. What is `off` neither starts nor runs.
    """

    name: str
    inputs: tuple[str, ...] = ()
    policy: RestartPolicy = RestartPolicy.ALWAYS
    busy: str = ""
    notify: str = ""
    teller: str = ""
    unless_virtual: bool = False
    unless_absent: bool = False
    off: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it is a daemon of ours, which stamps its inputs when it starts."""
        return bool(self.inputs) and not self.notify

    @classmethod
    def notified(
        cls, name: str, inputs: tuple[str, ...], command: str, teller: str = ""
    ) -> RunningService:
        """Somebody else's service, told by `command` when `inputs` changed."""
        return cls(name, inputs=inputs, notify=command, teller=teller)


@dataclass(frozen=True)
class TailnetNode:
    """The host's place in the tailnet: its name and tags there.

    `programs` are where its `tailscale` may be. A host that `joins` is brought there by a run, with
    the auth key `secret`; where it does not, a person does it, on Windows for instance. A key that
    expires within `warn_days` is reported.
    """

    name: str
    tags: tuple[str, ...]
    programs: tuple[str, ...]
    warn_days: int
    joins: bool = True
    secret: str = "tailscale_auth_key"  # noqa: S105 - the name of one


@dataclass(frozen=True)
class AgentSession:
    """The session that the host's agent works in; the file `mark` is there once it has one.

    Whoever may spend money begins it, from the orchestrator; a run begins only the first.
    """

    mark: str


@dataclass(frozen=True)
class Artifact:
    """A file on the host that is known by its digest: a pinned download, or what a host packed.

    Hosts that serve it do so as `SHA256/NAME`, NAME being the last part of the path. `beside` is
    where the host may have the same bytes already. One that is `kept` stays, and is never fetched.
    """

    name: str
    version: str
    path: str
    sha256: str
    size: int
    beside: str = ""
    kept: bool = False


@dataclass(frozen=True)
class Program:
    """A pinned artifact made an executable, at a path that has the artifact's digest in it.

    It gets that name when all of it is there, so that it exists means that it is right: no look
    reads it. For the same reason it is no input of a service; what has its path in it is, such as
    a unit or a wrapper. `member` is its path inside the artifact, a .tgz; without, the artifact is
    the executable. With a `tree` all of its archive is installed, without its top directory, and
    that is the program's path inside. The version before stays beside it, for whoever still runs
    that.
    """

    name: str
    version: str
    path: str
    artifact: Artifact
    member: str = ""
    tree: str = ""

    @property
    def directory(self) -> str:
        """The directory that holds this version."""
        return self.path.removesuffix(
            f"/{self.tree}" if self.tree else f"/{self.path.rsplit('/')[-1]}"
        )

    @property
    def generation(self) -> str:
        """The name of the directory that holds this version."""
        return self.directory.rsplit("/", 1)[1]

    @property
    def home(self) -> str:
        """Where all versions of the program are."""
        return self.directory.rsplit("/", 1)[0]

    @property
    def current(self) -> str:
        """A file with the name of the generation that is in use."""
        return f"{self.home}/current"


@dataclass(frozen=True)
class Guard:
    """Files whose change could lock us out: undone unless a fresh connection confirms it.

    `revert` is shell that makes the old files count again.
    """

    paths: tuple[str, ...]
    revert: str
    window_s: int = 90


@dataclass(frozen=True)
class Build:
    """Something made on the host, once per version: a program from pinned source, or a package.

    `script` is a file on the host that makes it, called with the artifact's path, or without one
    with the version; it is done when the file `stamp` holds the line `version`, and the file that
    it `makes` is still there. With a `manager`, only for hosts that use that. `says` tells in the
    user's words what happens.
    """

    name: str
    version: str
    script: str
    stamp: str
    artifact: Artifact | None = None
    manager: Manager | None = None
    makes: str = ""
    says: str = "build from source (takes minutes)"


@dataclass(frozen=True)
class WindowsRule:
    """What Windows lets through to WSL: TCP `ports`, from `sources` (networks; none: anybody)."""

    name: str
    title: str
    ports: tuple[int, ...]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class WindowsProgram:
    """A program of the person's on Windows: the command, and what winget and Chocolatey call it.

    Any version will do, unless `version` says which: that one is Claude Code, which npm brings.
    """

    name: str
    winget: str = ""
    choco: str = ""
    version: str = ""


@dataclass(frozen=True)
class WindowsSide:
    """What shall hold on the Windows that surrounds a host in WSL, and in its WSL.

    `keep_alive` is the scheduled task that keeps `distribution` running. `look` is PowerShell that
    tells what is there (facts/windows.py); `functions` are those that `operations/windows.py` calls
    to change it.
    """

    distribution: str
    keep_alive: str
    rules: tuple[WindowsRule, ...]
    programs: tuple[WindowsProgram, ...]
    look: str = field(default="", repr=False)
    functions: str = field(default="", repr=False)


@dataclass(frozen=True)
class Resources:
    """Everything one capability wants on one host, in the order in which it is brought there.

    `masked` are systemd units that a package would start by itself and that must never run.
    `later` names the kinds of resources that an earlier part of the same run may add, when it has
    learned what they follow from. `remarks` are for people: nothing is done about them.
    """

    masked: tuple[str, ...] = ()
    packages: tuple[Package, ...] = ()
    users: tuple[User, ...] = ()
    programs: tuple[Program, ...] = ()
    directories: tuple[Directory, ...] = ()
    guard: Guard | None = None
    files: tuple[File, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    builds: tuple[Build, ...] = ()
    settings: tuple[Setting, ...] = ()
    readings: tuple[Reading, ...] = ()
    services: tuple[RunningService, ...] = ()
    node: TailnetNode | None = None
    session: AgentSession | None = None
    windows: WindowsSide | None = None
    later: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[Setting | Reading, ...]:
        """Everything of one line that the host is asked for."""
        return (*self.settings, *self.readings)
