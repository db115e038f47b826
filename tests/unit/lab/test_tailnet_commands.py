"""The `tailscale` command: words, exit codes, and what becomes of the tailnet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.tailnet import store
from lab.tailnet.commands import FOREVER, Answer, Caller, names, run
from lab.tailnet.nodes import LOGIN, Tailnet
from lab.tailnet.show import World

NOW = 1_000_000_000.0
EXPIRED = "backend error: invalid key: API key does not exist"


class Lab:
    """A tailnet, and hosts whose machine is called as they are."""

    def __init__(self, folder: Path) -> None:
        self.tailnet = Tailnet(77)
        self.folder = folder
        self.key = store.new_key(folder, self.tailnet)
        self.off: set[str] = set()
        self.now = NOW

    def world(self) -> World:
        on = [n for n in self.tailnet.nodes if n.wanted and not n.needs_login(self.now)]
        running = frozenset(node.machine for node in on if node.machine not in self.off)
        return World(self.tailnet, running, {"mac": "macOS"}, self.now)

    def run(self, host: str, *words: str, root: bool = True) -> Answer:
        return run(self.world(), Caller(host, host, root, host, key=self.key), words)

    def join(self, host: str, *words: str) -> None:
        answer = self.run(host, "up", "--auth-key=file:/key", f"--hostname={host}", *words)
        assert answer == Answer(), answer

    def status(self, host: str) -> dict[str, object]:
        found: dict[str, object] = json.loads("\n".join(self.run(host, "status", "--json").out))
        return found


@pytest.fixture
def it(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_before_anything_a_host_needs_a_login(it: Lab) -> None:
    found = it.status("pi")
    assert (found["BackendState"], found["TailscaleIPs"], found["Peer"]) == (
        "NeedsLogin",
        None,
        None,
    )
    assert str(found["AuthURL"]).startswith("https://")
    plain = it.run("pi", "status")
    assert (plain.out[0], plain.code) == ("Logged out.", 1)
    assert it.run("pi", "ip").err == ["no current Tailscale IPs; state: NeedsLogin"]


def test_a_tagged_node_has_tags_and_no_end(it: Lab) -> None:
    it.join("mac")
    it.join("pi", "--advertise-tags=tag:pi", "--timeout=20s")
    me = it.status("pi")["Self"]
    assert isinstance(me, dict)
    assert me["Tags"] == ["tag:pi"]
    assert (me["HostName"], me["DNSName"], me["Online"]) == ("pi", "pi.lab.ts.net.", True)
    assert "KeyExpiry" not in me
    (peer,) = dict(it.status("pi")["Peer"]).values()  # type: ignore[call-overload]
    assert (peer["OS"], peer["KeyExpiry"]) == ("macOS", "2002-03-08T01:46:40Z")
    assert "Tags" not in peer
    assert it.status("pi")["BackendState"] == "Running"


def test_a_person_is_asked_to_log_in_and_not_for_ever(it: Lab) -> None:
    answer = it.run("pi", "up", "--timeout=1m30s")
    assert "To authenticate, visit:" in answer.err
    assert (answer.code, answer.silence) == (1, 90)
    assert "timeout waiting for Tailscale service to enter a Running state" in answer.last[0]
    assert it.run("pi", "up").silence == FOREVER


def test_an_expired_key_joins_nobody_and_hurts_nobody_who_is_in(it: Lab) -> None:
    it.join("pi")
    store.expire_key(it.folder, it.tailnet)
    again = it.run("pi", "up", "--auth-key=file:/key", "--hostname=pi")
    assert again == Answer()
    stranger = it.run("mac", "up", "--auth-key=file:/key", "--hostname=mac")
    assert (stranger.err, stranger.code) == ([EXPIRED], 1)
    assert [node.label for node in it.tailnet.nodes] == ["pi"]
    assert it.run("mac", "up", "--auth-key=tskey-auth-wrong").err == [EXPIRED]


def test_up_does_not_forget_settings_in_silence(it: Lab) -> None:
    it.join("pi", "--advertise-tags=tag:pi", "--ssh")
    answer = it.run("pi", "up", "--auth-key=file:/key", "--accept-dns=false")
    assert answer.code == 1
    assert "non-default flags. To proceed, either re-run your command with --reset or" in answer.err
    assert answer.err[-2:] == [
        "\ttailscale up --accept-dns=false --auth-key=file:/key --advertise-tags=tag:pi "
        "--hostname=pi --ssh",
        "",
    ]
    assert it.key not in "".join(answer.err)
    node = it.tailnet.nodes[0]
    assert (node.prefs["ssh"], node.tags) == (True, ("tag:pi",))
    assert it.run("pi", "up", "--reset", "--hostname=pi") == Answer()
    assert (node.prefs, node.tags) == ({"hostname": "pi"}, ())


def test_up_alone_goes_on_as_before(it: Lab) -> None:
    it.join("pi", "--advertise-tags=tag:pi")
    assert it.run("pi", "down") == Answer()
    assert it.status("pi")["BackendState"] == "Stopped"
    assert it.run("pi", "status") == Answer(["Tailscale is stopped."], code=1)
    assert it.run("pi", "up") == Answer()
    assert it.tailnet.nodes[0].tags == ("tag:pi",)
    assert it.status("pi")["BackendState"] == "Running"


def test_set_changes_what_it_names(it: Lab) -> None:
    it.join("pi", "--ssh")
    assert it.run("pi", "set", "--hostname=berry", "--accept-dns=false") == Answer()
    node = it.tailnet.nodes[0]
    assert (node.label, node.prefs) == (
        "berry",
        {"hostname": "berry", "ssh": True, "accept-dns": False},
    )
    tags = it.run("pi", "set", "--advertise-tags=tag:x")
    assert tags.err == ["flag provided but not defined: -advertise-tags"]


def test_tags_that_are_not_permitted(it: Lab) -> None:
    it.tailnet.policy = {"tagOwners": {"tag:pi": [LOGIN]}}
    said = ["backend error: requested tags [tag:x] are invalid or not permitted"]
    key = "--auth-key=file:/key"
    assert it.run("pi", "up", key, "--hostname=pi", "--advertise-tags=tag:x").err == said
    it.join("pi", "--advertise-tags=tag:pi")
    more = it.run("pi", "up", "--hostname=pi", "--advertise-tags=tag:x")
    assert (more.err, more.code) == (said, 1)
    assert it.tailnet.nodes[0].tags == ("tag:pi",)


def test_who_is_not_root_may_look(it: Lab) -> None:
    it.join("pi")
    for words in (["up"], ["down"], ["set", "--ssh"], ["logout"], ["serve", "reset"]):
        answer = it.run("pi", *words, root=False)
        assert answer.code == 1
        assert answer.err[0].startswith("Access denied: ")
    assert it.run("pi", "status", root=False).code == 0
    assert it.run("pi", "ip", "-4", root=False).out == ["100.64.77.100"]


def test_logout_and_back(it: Lab) -> None:
    it.join("pi", "--ssh")
    it.run("pi", "serve", "--bg", "8080")
    assert it.run("pi", "logout") == Answer()
    assert it.status("pi")["BackendState"] == "NeedsLogin"
    it.join("pi")  # no settings are left that would have to be mentioned
    assert it.run("pi", "serve", "status").out == ["No serve config"]
    assert it.run("pi", "ip").out == ["100.64.77.100", "fd7a:115c:a1e0:4d::100"]


def test_a_login_that_ended(it: Lab) -> None:
    it.join("pi")
    it.join("mac")
    it.now += 181 * 86400
    it.join("mac")
    assert it.status("pi")["BackendState"] == "NeedsLogin"
    assert it.status("mac")["Peer"] is None
    it.join("pi")
    assert it.run("pi", "ip", "-4").out == ["100.64.77.100"]


def test_ping(it: Lab) -> None:
    it.join("pi")
    it.join("mac")
    assert it.run("pi", "ping", "-c", "2", "mac").out == [
        "pong from mac (100.64.77.101) via mac:41641 in 1ms"
    ]
    many = it.run("pi", "ping", "-c", "2", "--until-direct=false", "mac.lab.ts.net")
    assert len(many.out) == 2
    assert it.run("pi", "ping", "pi").out == ["100.64.77.100 is local Tailscale IP"]
    assert it.run("pi", "ping", "100.64.77.200").err == ["no matching peer"]
    assert "no such host" in it.run("pi", "ping", "nobody").err[0]
    it.off = {"mac"}
    lost = it.run("pi", "ping", "-c", "2", "--timeout=1s", "mac")
    assert lost.out == ['ping "100.64.77.101" timed out'] * 2
    assert (lost.code, lost.silence, lost.last) == (1, 2, ["no reply"])


def test_whom_the_policy_hides_is_nowhere(it: Lab) -> None:
    it.join("pi")
    it.join("mac")
    it.tailnet.policy = {"grants": []}
    assert it.status("pi")["Peer"] is None
    assert it.run("pi", "ping", "100.64.77.101").err == ["no matching peer"]
    assert it.run("pi", "whois", "100.64.77.101").err == ["peer not found"]
    assert [*names(it.world(), it.tailnet.nodes[0])] == [
        "100.64.77.100 pi.lab.ts.net pi",
        "fd7a:115c:a1e0:4d::100 pi.lab.ts.net pi",
    ]


MAC6 = "fd7a:115c:a1e0:4d::101"


@pytest.mark.parametrize("who", ["100.64.77.101", "100.64.77.101:80", MAC6, f"[{MAC6}]:80"])
def test_whois(it: Lab, who: str) -> None:
    it.join("pi", "--advertise-tags=tag:pi")
    it.join("mac")
    found = json.loads("\n".join(it.run("pi", "whois", "--json", who).out))
    assert found["Node"]["Name"] == "mac.lab.ts.net."
    assert found["UserProfile"]["LoginName"] == LOGIN
    assert "  Name:          mac.lab.ts.net" in it.run("pi", "whois", who).out
    assert "  Tags:          tag:pi" in it.run("mac", "whois", "100.64.77.100").out


def test_anybody_on_a_host_may_ask_who_somebody_is(it: Lab) -> None:
    it.join("pi")
    it.join("mac")
    said = it.run("pi", "whois", "--json", "100.64.77.101:50000", root=False)
    assert json.loads("\n".join(said.out))["UserProfile"]["LoginName"] == LOGIN
    assert it.run("pi", "down", root=False).code == 1, "and change nothing"


def test_serve_is_remembered(it: Lab) -> None:
    it.join("pi")
    assert it.run("pi", "serve", "status").out == ["No serve config"]
    said = it.run("pi", "serve", "--bg", "--https=8443", "8080").out
    assert said[2:4] == ["https://pi.lab.ts.net:8443/", "|-- proxy http://127.0.0.1:8080"]
    assert json.loads("\n".join(it.run("pi", "serve", "status", "--json").out)) == {
        "TCP": {"8443": {"HTTPS": True}},
        "Web": {
            "pi.lab.ts.net:8443": {"Handlers": {"/": {"Proxy": "http://127.0.0.1:8080"}}},
        },
    }
    assert it.run("pi", "serve", "status").out == [
        "https://pi.lab.ts.net:8443 (tailnet only)",
        "|-- / proxy http://127.0.0.1:8080",
    ]
    assert it.run("pi", "serve", "reset") == Answer()
    assert it.run("pi", "serve", "status", "--json").out == ["{}"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "--no-such-flag"], "flag provided but not defined: -no-such-flag"),
        (["up", "--hostname"], "flag needs an argument: -hostname"),
        (["up", "--ssh=perhaps"], 'invalid boolean value "perhaps" for -ssh: parse error'),
        (["up", "--timeout=soon"], 'invalid value "soon" for flag -timeout: parse error'),
        (["up", "now"], 'too many non-flag arguments: ["now"]'),
        (["up", "--advertise-tags=pi"], "tag: \"pi\": tags must start with 'tag:'"),
        (["lock"], "tailscale (stand-in): lock is not covered"),
    ],
)
def test_wrong_usage_ends_with_1(it: Lab, words: list[str], said: str) -> None:
    answer = it.run("pi", *words)
    assert (answer.err, answer.code) == ([said], 1)
    assert it.tailnet.nodes == []
