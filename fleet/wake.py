"""Wake a host that is off: a neighbour on its LAN sends the packet that its network card obeys."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator

from fleet import reach
from fleet.model import Host, Power
from fleet.problems import FleetError
from fleet.settings import settings_for
from fleet.ssh import Answer, as_login, route
from fleet.target import Target

SEND_S = 20.0
POLL_S = 2.0
TIMES = 3  # nobody says whether a packet has arrived
NO_PROGRAM = 3  # exit code of the script
_PYTHON = f"""\
import socket, sys
packet = b"\\xff" * 6 + bytes.fromhex(sys.argv[1]) * 16
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sent, fault = 0, ""
for place in sys.argv[2:] * {TIMES}:
    try:
        sent += bool(sender.sendto(packet, (place, 9)))
    except OSError as error:
        fault = error
sys.exit(0 if sent else f"the packet does not leave: {{fault}}")
"""
_PERL = f"""\
use Socket;
my $packet = ("\\xff" x 6) . (pack("H12", shift) x 16);
socket(my $sender, PF_INET, SOCK_DGRAM, 17) or die "$!";
setsockopt($sender, SOL_SOCKET, SO_BROADCAST, pack("l", 1)) or die "$!";
my $sent = 0;
for my $place ((@ARGV) x {TIMES}) {{
    $sent++ if defined send($sender, $packet, 0, sockaddr_in(9, inet_aton($place)));
}}
$sent or die "the packet does not leave: $!\\n";
"""
_SCRIPT = r"""send() {{
    PATH=$PATH:/usr/sbin:/sbin
    if command -v ip >/dev/null; then
        places=$(ip -o -4 addr show | sed -n 's/.* brd \([0-9.]*\) .*/\1/p')
    else
        places=$(ifconfig | sed -n 's/.* broadcast \([0-9.]*\).*/\1/p')
    fi
    # A Mac without developer tools has a python3 that asks at its screen whether to install them.
    if command -v python3 >/dev/null &&
        {{ [ "$(uname -s)" != Darwin ] || xcode-select -p >/dev/null 2>&1; }}; then
        python3 -c {python} {card} 255.255.255.255 $places
    elif command -v perl >/dev/null; then
        perl -e {perl} {card} 255.255.255.255 $places
    else
        echo 'it has neither python3 nor perl to send the packet with' >&2
        return {no_program}
    fi
}}
send </dev/null
exit
"""


def wake_script(card: str) -> str:
    """Shell that sends the packet for a card into every LAN that the host is in."""
    return _SCRIPT.format(
        card=shlex.quote(card.replace(":", "")),
        python=shlex.quote(_PYTHON),
        perl=shlex.quote(_PERL),
        no_program=NO_PROGRAM,
    )


def card_of(host: Host) -> str:
    """The network card to name. Raises FleetError while nobody knows it."""
    if host.card:
        return host.card
    fault = "nobody knows the address of its network card yet"
    if settings_for(host.role).sees_network_card:
        fix = (
            f"wake it by hand: a run learns it while the host is on. Or state it: hosts.{host.name}"
        )
        fix += ".addresses.mac in fleet.yaml"
    else:
        fix = f"state hosts.{host.name}.addresses.mac in fleet.yaml: `ipconfig /all` there says it"
    raise FleetError.of(host.name, fault, fix)


def send(target: Target, host: Host) -> str:
    """Have the first neighbour that can do it send the packet; its name. Raises FleetError."""
    script = wake_script(card_of(host))
    faults = []
    for neighbour in _neighbours(target, host):
        answer = as_login(route(neighbour, target), script, SEND_S, _pass_over)
        if answer.code == 0:
            return neighbour.name
        faults.append(f"{neighbour.name}: {_fault(answer)}")
    where = f"at its site, {host.site}"
    if not faults:
        fix = "the packet has to come from its own LAN: a host with power: always-on"
        raise FleetError.of(host.name, f"no other host {where}, is always on", fix)
    fix = "see what `fleet status` says of them"
    raise FleetError.of(host.name, f"no neighbour {where}, sends: {'; '.join(faults)}", fix)


def _neighbours(target: Target, host: Host) -> Iterator[Host]:
    """Who may be in the same LAN and up; what WSL sends stays in it."""
    for one in target.fleet.hosts:
        near = one.site == host.site and one.name != host.name
        if near and one.power is Power.ALWAYS_ON and settings_for(one.role).sees_network_card:
            yield one


def _fault(answer: Answer) -> str:
    said = answer.stderr.splitlines()
    return said[-1] if said else f"exit code {answer.code}"


def _pass_over(line: str) -> None:
    """The script has nothing to say."""


def wait(target: Target, host: Host, timeout_s: float) -> bool:
    """Wait until the host's SSH server answers at any of its addresses; whether it did."""
    deadline = time.monotonic() + timeout_s
    while not reach.answers(host, target):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(POLL_S, left))
    return True
