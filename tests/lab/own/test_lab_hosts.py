"""A host of the lab is a real one: systemd, sshd, two networks, a firewall, a package manager."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from fleet.model import load_fleet
from lab.api import Lab
from lab.overlay import overlay
from tests.lab.joining import install, join, node
from tests.lab.runs import SMALL

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="the lab needs root on Linux"
    ),
]

FLEET = """\
version: 1
name: small
ssh: {user: somebody}
budgets: {orchestrator: 20, pi: 5, headless-mac: 10, workstation-mac: 5, windows-wsl: 5}
hosts:
  boss: {role: orchestrator, os: arch, arch: x86_64, cores: 4}
  berry: {role: pi, os: raspios, arch: aarch64, cores: 4}
  apple: {role: headless-mac, os: macos, arch: x86_64, cores: 4}
  window: {role: windows-wsl, os: debian, arch: x86_64, cores: 4, ssh: {port: 2222}}
"""
LINUX = ("boss", "berry", "window")
ALL = ("boss", "berry", "apple", "window")
SYSTEMCTL = "PATH=$PATH:/opt/standin/libexec systemctl"  # a Mac's is out of sight


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    file = tmp_path_factory.mktemp("fleet") / "fleet.yaml"
    file.write_text(FLEET)
    lab = Lab(SMALL, fleet=load_fleet(file))
    lab.destroy()
    lab.up()
    yield lab
    lab.destroy()


@pytest.mark.parametrize("host", ALL)
def test_systemd_is_content(it: Lab, host: str) -> None:
    state = it.run(host, f"{SYSTEMCTL} is-system-running --wait", check=False).stdout.strip()
    assert state == "running", it.run(host, f"{SYSTEMCTL} --failed", check=False).stdout


@pytest.mark.parametrize("host", ALL)
def test_ssh_with_strict_host_keys_by_name_and_by_address(it: Lab, host: str) -> None:
    played = overlay(it._source, it.name)
    entry, known_hosts = played.fleet.host(host), played.known_hosts
    assert entry.ssh.key
    options = ["StrictHostKeyChecking=yes", "BatchMode=yes", f"Port={entry.ssh.port}"]
    login = ["ssh", "-F", "/dev/null", "-i", entry.ssh.key, *(f"-o{o}" for o in options)]
    target = f"{entry.ssh.user}@{entry.addresses.lan}"

    def answer(*extra: str) -> "subprocess.CompletedProcess[str]":
        words = [*login, *extra, target, "hostname -s || hostname; sudo -n id -u"]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    known = f"-oUserKnownHostsFile={known_hosts}"
    for done in (answer(known), answer(known, f"-oHostKeyAlias={host}")):
        assert done.stdout.split() == [host, "0"], done.stderr
    assert answer("-oUserKnownHostsFile=/dev/null").returncode == 255


def test_every_host_has_keys_and_an_identity_of_its_own(it: Lab) -> None:
    keys = [line.split()[-1] for line in it.place.known_hosts.read_text().splitlines()]
    assert len(set(keys)) == len(ALL)
    ids = {it.run(host, "cat /etc/machine-id").stdout for host in LINUX}
    assert len(ids) == len(LINUX)


@pytest.mark.parametrize(
    ("host", "interface"),
    [("boss", "tailscale0"), ("berry", "tailscale0"), ("apple", "utun4"), ("window", "eth1")],
)
def test_two_networks_and_no_internet(it: Lab, host: str, interface: str) -> None:
    status = {row.name: row for row in it.status()}[host]
    seen = it.run(host, "cat /proc/net/dev /proc/net/fib_trie").stdout
    assert f"{interface}:" in seen
    assert status.lan in seen
    assert status.tailnet in seen if status.tailnet else "100.64." not in seen
    other = it.place.lan6(next(one for one in it.hosts if one.name != host))
    it.run(host, f"ping -6 -c1 -W5 {other}")
    destinations = it.run(host, "cut -f2 /proc/net/route").stdout.split()
    assert "00000000" not in destinations


@pytest.fixture(scope="module")
def joined(it: Lab) -> None:
    for host in ("boss", "berry"):
        install(it, host)
        join(it, host)


@pytest.mark.usefixtures("joined")
@pytest.mark.parametrize("host", LINUX)
def test_the_firewall_filters_by_interface(it: Lab, host: str) -> None:
    other = "boss" if host != "boss" else "window"
    tailnet, lan = node(it, host).ipv4, it.fleet.host(host).addresses.lan
    interface = next(h for h in it.hosts if h.name == host).tailnet_interface
    it.run(
        host,
        "nft add table inet t; nft 'add chain inet t i { type filter hook input priority 0; }'; "
        f"nft add rule inet t i iifname {interface} icmp type echo-request drop",
    )
    assert it.run(other, f"ping -c1 -W2 {tailnet}", check=False).returncode == 1
    assert it.run(other, f"ping -c1 -W5 {lan}", check=False).returncode == 0
    it.run(host, "nft delete table inet t")
    assert it.run(other, f"ping -c1 -W5 {tailnet}", check=False).returncode == 0


@pytest.mark.parametrize("host", LINUX)
def test_services_restart_and_memory_limits_hold(it: Lab, host: str) -> None:
    it.run(host, "systemd-run -q --unit t1 -p Restart=always -p RestartSec=0 sleep 1000")
    first = it.run(host, "systemctl show -P MainPID t1").stdout
    it.run(host, "systemctl kill -s KILL t1; sleep 2")
    second = it.run(host, "systemctl show -P MainPID t1").stdout
    it.run(host, "systemctl stop t1")
    assert second not in (first, "0\n")
    hungry = "head -c 200M /dev/zero | tail > /dev/null"
    run = f"systemd-run --wait --pipe -p OOMPolicy=kill -p MemoryMax={{}} sh -c '{hungry}'"
    assert it.run(host, run.format("1G"), check=False).returncode == 0
    limited = it.run(host, run.format("40M"), check=False)
    assert limited.returncode == 128 + signal.SIGKILL
    assert "Killed" in limited.stderr, limited.stderr


@pytest.mark.parametrize("host", LINUX)
def test_a_host_reboots_itself(it: Lab, host: str) -> None:
    boot = "systemctl show -P UserspaceTimestampMonotonic"
    before = it.run(host, boot).stdout
    it.run(host, "touch /root/kept; systemctl reboot", check=False)
    for _ in range(100):
        it.wait_ssh([host])
        done = it.run(host, boot, check=False)
        if done.returncode == 0 and done.stdout != before:
            break
    else:
        pytest.fail("it never came back")
    assert (
        it.run(host, "test -e /root/kept && systemctl is-system-running --wait").stdout
        == "running\n"
    )


def test_packages_install_without_a_network(it: Lab) -> None:
    assert it.run(
        "window", "apt-get update -qq && apt-get install -y -qq jq ccache && jq --version"
    ).stdout
    assert it.run(
        "boss", "pacman -Sy --noconfirm --needed ripgrep git && rg --version && git --version"
    ).stdout
    assert it.run("boss", "command -v apt-get dpkg apt", check=False).stdout == ""


def test_every_package_of_the_list_is_in_the_repositories(it: Lab) -> None:
    from lab.images.packages import listed
    from lab.paths import IMAGES

    names = listed(IMAGES / "pool.txt")
    for host in ("window", "berry"):
        it.run(host, f"apt-get update -qq; apt-get install -s {' '.join(names)}")
    provided = " ".join(line.split()[0] for line in listed(IMAGES / "arch-provided.txt"))
    it.run("boss", f"pacman -Sy --noconfirm >/dev/null; pacman -Sp {provided}")


def test_the_pi_is_an_aarch64_system(it: Lab) -> None:
    seen = it.run("berry", "uname -m; dpkg --print-architecture; test -e /etc/rpi-issue && echo pi")
    assert seen.stdout.split() == ["aarch64", "arm64", "pi"]
    compile_it = "echo 'int main(void){return 0;}' | clang -xc -c - -o /tmp/t.o"
    machine = it.run("berry", f"{compile_it}; od -An -tu2 -j18 -N2 /tmp/t.o").stdout
    assert machine.strip() == "183"  # EM_AARCH64


def test_compilers_differ_on_purpose(it: Lab) -> None:
    assert "version 16." in it.run("boss", "clang --version").stdout
    assert "version 14." in it.run("window", "clang --version").stdout
    assert "version 14." in it.run("berry", "clang --version").stdout


CLANG_16 = {
    "boss": ("pacman -S --noconfirm clang16", "/usr/lib/llvm16/bin"),
    "berry": ("apt-get install -y -qq clang-16", "/usr/lib/llvm-16/bin"),
    "window": ("apt-get install -y -qq clang-16", "/usr/lib/llvm-16/bin"),
}


@pytest.mark.parametrize("host", LINUX)
def test_one_major_of_clang_can_be_had_everywhere(it: Lab, host: str) -> None:
    install_it, place = CLANG_16[host]
    plain = it.run(host, f"test ! -e {place}/clang && clang --version").stdout
    it.run(host, install_it)
    assert "version 16.0.6" in it.run(host, f"{place}/clang --version").stdout
    assert it.run(host, "clang --version").stdout == plain
    source = r"#include <vector>\nint main() { return std::vector<int>{7}.front(); }"
    build = f"printf '{source}' | {place}/clang++ -O1 -xc++ - -o /tmp/t16"
    assert it.run(host, f"{build} && /tmp/t16", check=False).returncode == 7


@pytest.mark.parametrize(("host", "machine"), [("window", 62), ("berry", 183)])  # EM_X86_64, …
def test_a_packed_compiler_is_of_one_architecture(it: Lab, host: str, machine: int) -> None:
    it.run(
        host,
        "apt-get install -y -qq icecc clang-16 file zstd && rm -rf /tmp/e && mkdir -p /tmp/e/x && "
        "cd /tmp/e && icecc-create-env --clang /usr/lib/llvm-16/bin/clang --compression zstd >log "
        "&& tar xf *.tar.zst -C x",
        timeout=300,
    )
    headers = it.run(
        host,
        "cd /tmp/e/x && find . -type f -size +1k | while read -r f; do "
        'echo "$f $(od -An -c -j1 -N3 "$f" | tr -d " ") $(od -An -tu2 -j18 -N2 "$f")"; done',
    ).stdout
    programs = {file: int(kind) for file, magic, kind in map(str.split, headers.splitlines())
                if magic == "ELF"}  # fmt: skip
    assert {"./bin/true", "./usr/bin/clang", "./usr/bin/as"} <= set(programs)
    assert set(programs.values()) == {machine}, programs


def test_icecream_builds_from_the_pinned_source(it: Lab) -> None:
    it.run(
        "boss",
        "cd /tmp && tar xzf /srv/artifacts/icecream-1.4.tar.gz && cd icecream-1.4 && "
        "./autogen.sh >log 2>&1 && ./configure --without-man >>log 2>&1 || { tail log; exit 1; }",
        timeout=300,
    )


def test_a_disk_can_be_full(it: Lab) -> None:
    it.limit_disk("boss", "/var/lib/small", 4 << 20)
    done = it.run("boss", "head -c 8M /dev/zero > /var/lib/small/file", check=False)
    assert "No space left" in done.stderr
    it.unlimit_disk("boss", "/var/lib/small")
    assert it.run("boss", "ls /var/lib/small").stdout == ""
    loops = subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout
    assert str(it.place.state) not in loops
