"""The single values of fleet.yaml: which texts and numbers it takes, and what it says of others."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from fleet.parse import wrong
from fleet.problems import show
from fleet.secrets import KNOWN as KNOWN_SECRETS
from fleet.secrets import looks_like_one

HOST_NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1123 label, in lower case
USER_NAME = r"[A-Za-z_][A-Za-z0-9._-]{0,31}"
CAPABILITY = r"[a-z][a-z0-9_]{0,39}"
TAILNET_IPV4 = ipaddress.IPv4Network("100.64.0.0/10")
MAX_CORES = 1024
MAX_DOLLARS = 10_000
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


def mac_address(text: str) -> str:
    """Return the address of one network card, in lower case with colons; else raise."""
    plain = text.casefold().replace("-", ":")
    if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", plain):
        fix = "write six pairs of hexadecimal digits, such as a8:5e:45:00:00:01"
        raise wrong(f"{show(text)} is not the address of a network card", fix)
    if int(plain[:2], 16) & 1 or set(plain) == {"0", ":"}:  # the first bit says: several cards
        raise wrong(f"{show(text)} is no single card's address", "write the one of its own card")
    return plain


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
UserName = Annotated[str, AfterValidator(_user), _matching(USER_NAME)]
KeyPath = Annotated[str, AfterValidator(_key_path)]
ApiAddress = Annotated[str, AfterValidator(_https)]
LanAddress = Annotated[str, AfterValidator(lan_address)]
MacAddress = Annotated[str, AfterValidator(mac_address)]
TailnetAddress = Annotated[str, AfterValidator(tailnet_address)]
References = Annotated[dict[str, Reference], BeforeValidator(_unseen_names)]
