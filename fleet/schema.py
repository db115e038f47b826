"""The shape of fleet.yaml: its keys, their types, and the JSON Schema that editors use.

Every key is optional here, so that one missing key hides no other fault; what must be there is
in each model's `required`, which the schema prints and `fleet.rules` checks.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from fleet.kinds import Arch, Os, Power, Role, Sudo
from fleet.parse import wrong
from fleet.problems import show
from fleet.secrets import KNOWN as KNOWN_SECRETS
from fleet.secrets import looks_like_one

HOST_NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1123 label, in lower case
USER_NAME = r"[A-Za-z_][A-Za-z0-9._-]{0,31}"
CAPABILITY = r"[a-z][a-z0-9_]{0,39}"
TAILNET_IPV4 = ipaddress.IPv4Network("100.64.0.0/10")
ANTHROPIC_URL = "https://api.anthropic.com"
MAX_CORES = 1024
MAX_DOLLARS = 10_000
MIN_LLVM = 13  # the first that takes what deploys/llvm.py says to it
_DNS_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def _label(text: str) -> str:
    if not re.fullmatch(HOST_NAME, text):
        raise wrong(f"{show(text)} is not a name", "use a-z, 0-9 and -, at most 63 characters")
    return text


def _line(text: str) -> str:
    if len(text) > 200 or not text.isprintable():
        raise wrong(f"{show(text)} is not one line of text", "write at most 200 characters")
    return text


def _user(text: str) -> str:
    if not re.fullmatch(USER_NAME, text):
        raise wrong(f"{show(text)} is not a user name", "write a login name such as admin")
    return text


def _key_path(text: str) -> str:
    if not text or not text.isprintable() or len(text) > 1000:
        raise wrong(f"{show(text)} is not a path", "write the path of a private key file")
    return text


def _capability(text: str) -> str:
    if not re.fullmatch(CAPABILITY, text):
        fix = "write a deploy module's name, such as icecream"
        raise wrong(f"{show(text)} is not a capability", fix)
    return text


def is_public_key(text: str) -> bool:
    """Whether the text is `TYPE BASE64`, an OpenSSH public key that names the same type inside."""
    match = re.fullmatch(r"((?:ssh|ecdsa|sk)-[a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})", text)
    try:
        blob = base64.b64decode(match[2], validate=True) if match else b""
    except binascii.Error:
        return False
    fields = _wire_strings(blob)
    return match is not None and len(fields) > 1 and fields[0] == match[1].encode()


def _wire_strings(blob: bytes) -> list[bytes]:
    """The strings of SSH's wire format (RFC 4251); empty when the bytes are something else."""
    found = []
    while blob:
        length, blob = int.from_bytes(blob[:4], "big"), blob[4:]
        if length > len(blob):
            return []
        found.append(blob[:length])
        blob = blob[length:]
    return found


def _ssh_key(text: str) -> str:
    words = text.split(" ", 2)
    fix = "write a line of a .pub file: `ssh-ed25519 AAAA… comment`, without options"
    if "PRIVATE KEY" in text:
        raise wrong("this is a private key, which belongs to one machine alone", fix)
    if not text.isprintable() or len(text) > 4000 or not is_public_key(" ".join(words[:2])):
        raise wrong(f"{show(text)} is not an SSH public key", fix)
    if words[0] == "ssh-dss":
        raise wrong("a DSA key is no longer accepted by SSH", "make an ed25519 key")
    if "-cert-v" in words[0]:  # sshd takes it for a key of a kind it does not know
        raise wrong("this is a certificate, not a key", "write the .pub file it was made of")
    return text


def _login(text: str) -> str:
    name, _, domain = text.rpartition("@")
    named = re.fullmatch(r"[^\s@/:*]{1,64}", name) and name.isprintable()
    if not named or not all(_DNS_LABEL.fullmatch(label) for label in domain.split(".")):
        fix = "write it as the tailnet shows it: alice@example.com, alice@github"
        raise wrong(f"{show(text)} is not a login of the tailnet", fix)
    return text


def _command(text: str) -> str:
    """Accept what sudoers takes as it is: an absolute path, and plain arguments."""
    if not re.fullmatch(r"/[A-Za-z0-9/._+-]+( [A-Za-z0-9@%/._+-]+)*", text) or len(text) > 400:
        fix = "write an absolute path and plain arguments: /usr/bin/systemctl restart nginx"
        raise wrong(f"{show(text)} is not a command for sudo", fix)
    return text


def _https(text: str) -> str:
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", text):
        raise wrong(f"{show(text)} is no address of an API", "write https://host, without a query")
    return text.rstrip("/")


_REFERENCE = r"(env|file|command):.+"
_REFERENCE_FIX = "write env:NAME, file:PATH or command:…, never the secret itself"


def _unseen_value(value: object) -> object:
    """Refuse what is no text without repeating it; nothing at all is told as everywhere."""
    if value is not None and not isinstance(value, str):
        raise wrong("this is not a reference to a secret", _REFERENCE_FIX)
    return value


def _unseen_names(value: object) -> object:
    """Refuse a block of secrets whose messages would repeat a secret, as its text or as a name."""
    names = ", ".join(sorted(KNOWN_SECRETS))
    if value is not None and not isinstance(value, dict):
        raise wrong("is not a mapping of names to references", f"write NAME: env:…; names: {names}")
    for name in value or ():
        if not re.fullmatch("[A-Za-z_-]{1,40}", name):  # keys and tokens have digits
            fault = "a name here is none of a secret, and not repeated: it may be one itself"
            raise wrong(fault, f"use one of: {names}")
    return value


def _reference(text: str) -> str:
    """Accept a reference. What is refused is not repeated: it may be a secret itself."""
    kind, colon, place = text.partition(":")
    fix = _REFERENCE_FIX
    if looks_like_one(text) and kind not in ("file", "command"):
        fix = f"make a new one, since this may have been read; then {fix}"
        raise wrong("this looks like a secret itself", fix)
    if not colon or kind not in ("env", "file", "command") or not place.strip():
        raise wrong("this is not a reference to a secret", fix)
    if not place.isprintable() or len(place) > 1000:
        raise wrong(f"what follows {kind}: is not one line of text", fix)
    if kind == "env" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", place):
        raise wrong("what follows env: is not the name of a variable", fix)
    if kind == "file" and not place.startswith(("/", "~")):
        raise wrong("what follows file: is not an absolute path", "begin it with / or ~")
    return text


def tailnet_address(text: str) -> str:
    """Return the text when it is an IPv4 address that Tailscale gives out, else raise."""
    try:
        if ipaddress.IPv4Address(text) in TAILNET_IPV4:
            return text
    except ValueError:
        pass
    fix = f"write an IPv4 address in {TAILNET_IPV4}, or leave it out until it has one"
    raise wrong(f"{show(text)} is not a tailnet address", fix)


def lan_address(text: str) -> str:
    """Return the text when it is an IP address or a DNS name that SSH can reach, else raise."""
    fix = "write an IP address or a DNS name, without port or user"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        named = len(text) <= 253 and all(_DNS_LABEL.fullmatch(label) for label in labels)
        if named and not labels[-1].isdigit():
            return text
        raise wrong(f"{show(text)} is no address", fix) from None
    if address in TAILNET_IPV4:
        raise wrong(f"{show(text)} is a tailnet address", "write it as `tailnet:`, not as `lan:`")
    if address.is_unspecified or address.is_multicast or "%" in text:
        raise wrong(f"{show(text)} is not the address of a host", fix)
    return text


def _matching(pattern: str) -> Any:  # noqa: ANN401 - pydantic's own type
    """Tell editors the pattern; our validators say more than "does not match"."""
    return Field(json_schema_extra={"pattern": f"^{pattern}$"})


Text = Annotated[str, AfterValidator(_line)]
Label = Annotated[str, AfterValidator(_label), _matching(HOST_NAME)]
Capability = Annotated[str, AfterValidator(_capability), _matching(CAPABILITY)]
Command = Annotated[str, AfterValidator(_command)]
SshKey = Annotated[str, AfterValidator(_ssh_key)]
Login = Annotated[str, AfterValidator(_login)]
Reference = Annotated[
    str, BeforeValidator(_unseen_value), AfterValidator(_reference), _matching(_REFERENCE)
]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Cores = Annotated[int, Field(strict=True, ge=1, le=MAX_CORES)]
Dollars = Annotated[float, Field(strict=True, ge=0, le=MAX_DOLLARS)]


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

    lan: Annotated[str, AfterValidator(lan_address)] | None = Field(
        default=None, description="IP address or DNS name on the local network"
    )
    tailnet: Annotated[str, AfterValidator(tailnet_address)] | None = Field(
        default=None,
        description="IPv4 address in 100.64.0.0/10; what `tailscale ip -4` prints; may "
        "stand in fleet.lock.yaml instead",
    )


class SshEntry(_Entry):
    """How to log in: the file's own block is the default of every host."""

    user: Annotated[str, AfterValidator(_user), _matching(USER_NAME)] | None = Field(
        default=None, description="login name; must be able to become root with sudo"
    )
    port: Port | None = Field(default=None, description="TCP port of the SSH server; default 22")
    key: Annotated[str, AfterValidator(_key_path)] | None = Field(
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
    anthropic_url: Annotated[str, AfterValidator(_https)] = Field(
        default=ANTHROPIC_URL, description="the API that agents are paid at"
    )
    operators: dict[str, OperatorEntry] = Field(
        default_factory=dict,
        description="who administers the fleet, by name; without any, keys are left as they are",
        json_schema_extra={"propertyNames": {"pattern": f"^{HOST_NAME}$"}},
    )
    secrets: Annotated[dict[str, Reference], BeforeValidator(_unseen_names)] = Field(
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
