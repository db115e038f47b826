"""The fleet's policy goes into a tailnet's: all that is not the fleet's stays as it was."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.cli import main
from fleet.hujson import Document
from fleet.kinds import Role
from fleet.model import Fleet
from fleet.policy import GROUP, Policy
from fleet.policymerge import merge, rendered
from fleet.policywide import defeats
from fleet.problems import FleetError
from fleet.settings import settings_for
from fleet.target import ROOT
from tests.golden import FLEET
from tests.unit.fleet.tailnet import Tailnet, devices
from tests.unit.fleet.test_hujson import JSON
from tests.unit.fleet.test_policy import FLEETS, golden, unlearned

Capture = pytest.CaptureFixture[str]

THEIRS = """\
// The family's tailnet.
{
	"groups": {
		"group:kids": ["kid@example.com"], // both of them
	},
	/* Who may tag what. */
	"tagOwners": {"tag:printer": ["autogroup:admin"]},
	"hosts": {"nas": "100.99.0.1"}, // in the cellar
	"acls": [
		// The printer.
		{"action": "accept", "src": ["autogroup:member"], "dst": ["tag:printer:631"]},
	],
	"grants": [
		{"src": ["group:kids"], "dst": ["nas"], "ip": ["tcp:445"]}, // homework
		{
			// The operators' own.
			"src": ["group:agentfleet-operators"], "dst": ["tag:pi"], "ip": ["tcp:9"],
			"app": {"example.com/cap/x": [{}]}
		},
		{"src": ["alice@example.com"], "dst": ["tag:pi"], "ip": ["tcp:5900"]}
	],
	"ssh": [{"action": "check", "src": ["autogroup:member"], "dst": ["autogroup:self"],
		"users": ["autogroup:nonroot"]}],
	"nodeAttrs": [{"target": ["*"], "attr": ["funnel"]}],
	"autoApprovers": {"exitNode": ["tag:printer"]},
	"tests": [{"src": "kid@example.com", "deny": ["nas:22"]}],
	"randomizeClientPort": true
}
"""
LEGACY = """{"ACLs": [{"Action": "accept", "Users": ["kid@example.com"], "Ports": ["nas:445"]}],
"Hosts": {"nas": "100.99.0.1"}, "Groups": {}, "TagOwners": {}}"""
TEXTS = {
    "theirs": THEIRS,
    "legacy": LEGACY,
    "one line": '{"grants":[],"hosts":{"a":"100.64.0.1"}}',
    "CRLF": THEIRS.replace("\n", "\r\n"),
    "empty": "{}",
    "empty lines": "{\n\n}\n",
    "only comments": "{\n  // nothing yet\n}",
}
every_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


@cache
def policy_of(fleet: Fleet) -> Policy:
    return Policy(fleet)


@cache  # the same merges are asked for again and again
def merged(text: str, fleet: Fleet | None = None) -> Document:
    return merge(Document("p.hujson", text), policy_of(fleet or golden()))[0]


def notes(text: str, fleet: Fleet | None = None) -> str:
    found = merge(Document("p.hujson", text), policy_of(fleet or golden()))[1]
    return "\n".join(map(str, found))


def section(data: dict[str, Any], name: str) -> Any:
    return next(content for key, content in data.items() if key.casefold() == name.casefold())


@every_text
def test_everything_is_there_theirs_and_ours(text: str) -> None:
    before, after = Document("p", text).data, merged(text).data
    for name, ours in policy_of(golden()).sections.items():
        theirs = next((it for key, it in before.items() if key.casefold() == name.casefold()), None)
        if isinstance(ours, dict):
            assert section(after, name) == {**(theirs or {}), **ours}
        else:
            assert section(after, name) == [*(theirs or []), *ours]
    ours = {name.casefold() for name in policy_of(golden()).sections}
    assert [(key, it) for key, it in before.items() if key.casefold() not in ours] == [
        (key, it) for key, it in after.items() if key.casefold() not in ours
    ]


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\r\n]*|/\*.*?\*/|[][{}:]|[^][{}:\s,"]+')


@every_text
def test_every_word_and_comment_of_theirs_stays_in_order(text: str) -> None:
    after = iter(TOKEN.findall(merged(text).text))
    for token in TOKEN.findall(text):
        assert token in after, token


@every_text
@pytest.mark.parametrize("fleet", FLEETS.values(), ids=FLEETS)
def test_a_second_merge_changes_nothing(text: str, fleet: Fleet) -> None:
    once = merged(text, fleet)
    assert merged(once.text, fleet).text == once.text


def saying(elements: list[dict[str, Any]]) -> list[str]:
    """What grants or tests say: the order of names in a list means nothing."""
    lists = (
        {key: sorted(value) if isinstance(value, list) else value for key, value in one.items()}
        for one in elements
    )
    return sorted(map(json.dumps, lists))


@pytest.mark.parametrize("old", FLEETS.values(), ids=FLEETS)
@pytest.mark.parametrize("new", FLEETS.values(), ids=FLEETS)
def test_from_any_fleet_to_any_other(old: Fleet, new: Fleet) -> None:
    after = merged(merged(THEIRS, old).text, new).data
    want = merged(THEIRS, new).data
    for name in ("grants", "tests"):
        assert saying(after[name]) == saying(want[name])
    assert after.get("hosts") == want.get("hosts")
    assert {GROUP: [], **after["groups"]} == {GROUP: [], **want["groups"]}
    assert after["tagOwners"].items() >= want["tagOwners"].items()


def test_a_change_touches_its_own_lines_alone() -> None:
    before = merged(THEIRS).text
    after = merged(before, FLEETS["two operators"]).text
    changed = set(after.splitlines()) ^ set(before.splitlines())
    assert len(changed) == 2
    assert all(GROUP in line for line in changed)


def test_the_rendered_policy_is_as_it_should_be() -> None:
    for fleet in FLEETS.values():
        text = rendered(policy_of(fleet))
        assert Document("p", text).data == policy_of(fleet).sections
        assert merged(text, fleet).text == text
        assert notes(text, fleet) == ""


def test_the_merged_policy_does_what_the_doors_say() -> None:
    after = merged(merged(THEIRS, unlearned()).text)
    plain = {**after.data, "grants": [one for one in after.data["grants"] if "app" not in one]}
    net = Tailnet({**plain, "tests": after.data["tests"][1:]}, devices(golden()))
    assert net.failures() == []


def test_comments_of_ours_leave_with_what_they_are_about() -> None:
    text = merged(merged(THEIRS).text, FLEETS["only an orchestrator"]).text
    grants = text[text.index('"grants"') : text.index('"ssh"')]
    assert len(re.findall("// agentfleet: .*", grants)) == len(
        Policy(FLEETS["only an orchestrator"]).rules
    )


def test_somebodys_comment_above_ours_stays() -> None:
    text = merged(THEIRS).text.replace("// agentfleet: agent\n", "// agentfleet: agent\n// mine\n")
    assert "// mine\n" in merged(text, FLEETS["only an orchestrator"]).text


def test_what_is_removed_or_replaced_is_told() -> None:
    text = """{"tagOwners": {"tag:pi": ["kid@example.com"]},
      "grants": [
        {"src": ["tag:pi"], "dst": ["agentfleet-gone-v4"], "ip": ["tcp:7"]}]}"""
    said = notes(text)
    assert 'p.hujson:1: tagOwners."tag:pi": the owners were ["kid@example.com"]' in said
    assert "p.hujson:3: grants[0]: removed: " in said
    assert "tcp:7" in said
    assert notes(THEIRS) == ""


def test_a_policy_without_rules_is_said_to_close_the_tailnet() -> None:
    assert "every device reaches every other" in notes("{}")
    assert notes('{"acls": []}') == notes('{"Grants": []}') == ""


def test_names_that_others_use_stay_declared() -> None:
    text = """{"grants": [], "groups": {"group:agentfleet-operators": ["old@example.com"]},
      "hosts": {"agentfleet-old-v4": "100.64.0.9", "agentfleet-older-v4": "100.64.0.8"},
      "tagOwners": {"tag:x": ["group:agentfleet-operators"]},
      "acls": [{"action": "accept", "src": ["tag:x"], "dst": ["agentfleet-old-v4:22"]}]}"""
    after = merged(text, FLEETS["no operators"]).data
    assert after["groups"] == {GROUP: []}, "who has left fleet.yaml is out"
    assert after["hosts"]["agentfleet-old-v4"] == "100.64.0.9"
    assert "agentfleet-older-v4" not in after["hosts"]
    said = notes(text, FLEETS["no operators"])
    assert f'groups."{GROUP}": is still in use' in said
    assert "hosts.agentfleet-old-v4: is still in use" in said


def test_the_group_leaves_with_the_last_login() -> None:
    assert merged(merged("{}").text, FLEETS["no operators"]).data["groups"] == {}


def test_owners_of_a_tag_that_is_no_longer_in_the_fleet_stay_declared() -> None:
    after = merged(merged("{}").text, FLEETS["only an orchestrator"]).data
    assert after["tagOwners"]["tag:pi"] == [GROUP]
    nobody = FLEETS["only an orchestrator"].model_copy(update={"operators": ()})
    assert merged(merged("{}").text, nobody).data["groups"] == {GROUP: []}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"grants": {}}', "p.hujson:1: grants: this is not [ ]"),
        ('{"acls": 3}', "p.hujson:1: acls: this is not [ ]"),
        ('{\n"hosts": []}', "p.hujson:2: hosts: this is not { }"),
        ('{"groups": {},\n"Groups": {}}', "p.hujson:2: Groups: the section is there as groups too"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, fault: str) -> None:
    look = defeats if "acls" in text else merge
    with pytest.raises(FleetError) as error:
        look(Document("p.hujson", text), policy_of(golden()))
    assert str(error.value).startswith(fault)


def test_a_tag_that_the_fleet_has_not_may_be_somebodys() -> None:
    rule = {"src": ["tag:pi"], "dst": ["tag:pi"], "ip": ["tcp:80"]}
    text = json.dumps({"tagOwners": {"tag:pi": ["kid@example.com"]}, "grants": [rule]})
    after = merged(text, FLEETS["only an orchestrator"]).data
    assert after["grants"][0] == rule
    assert after["tagOwners"]["tag:pi"] == ["kid@example.com"]
    assert rule not in merged(text).data["grants"]


def test_odd_elements_are_somebodys_own() -> None:
    text = '{"grants": [1, null, {}, {"src": "tag:pi"}, {"src": [1]}], "tests": ["x", {"src": 1}]}'
    after = merged(text).data
    assert after["grants"][:5] == json.loads(text)["grants"]
    assert after["tests"][:2] == json.loads(text)["tests"]
    assert defeats(Document("p", text), policy_of(golden())) == ()


RULES = st.dictionaries(
    st.sampled_from(["src", "dst", "ip", "users", "ports", "proto", "accept", "deny", "action"]),
    st.sampled_from(["*", "tag:pi", "", ":", "::/0", "[::]:*", "*:1-2", "tcp:", "6:9-1"])
    | st.lists(
        st.sampled_from(["*", "tag:pi:*", "1-99999", ",", "tcp:-", GROUP]) | JSON, max_size=3
    )
    | JSON,
)
SECTIONS = st.sampled_from(["grants", "acls", "ACLs", "tests", "hosts", "groups", "tagOwners"])


@settings(deadline=None)
@given(st.dictionaries(SECTIONS, st.lists(RULES, max_size=3) | RULES | JSON))
def test_whatever_the_file_holds_it_is_refused_or_kept(content: dict[str, Any]) -> None:
    document = Document("p.hujson", json.dumps(content))
    policy = policy_of(golden())
    try:
        found = defeats(document, policy)
        after, _ = merge(document, policy)
    except FleetError:
        return
    assert len(defeats(after, policy)) == len(found)
    assert merge(after, policy)[0].text == after.text


def grant(src: str, dst: str, *ip: str) -> str:
    return json.dumps({"grants": [{"src": [src], "dst": [dst], "ip": ip}]})


def acl(src: str, dst: str, **more: str) -> str:
    return json.dumps({"acls": [{"action": "accept", "src": [src], "dst": [dst], **more}]})


WIDE = [
    grant("*", "*", "*"),
    grant("autogroup:member", "*", "tcp:3284"),
    grant("autogroup:member", "tag:pi", "3000-4000"),
    grant("autogroup:tagged", "autogroup:tagged", "tcp:*"),
    grant("autogroup:shared", "autogroup:member", "*"),
    grant("user:*@example.com", "agentfleet-macbook2-v6", "*"),
    grant("100.64.0.0/10", "100.101.0.0/16", "6:10245"),
    grant("*", "alice@example.com", "*"),
    grant("*", GROUP, "*"),
    acl("*", "*:*"),
    acl("autogroup:members", "tag:orchestrator:8766"),
    acl("*", "tag:headless-mac:22,3284", proto="tcp"),
    acl("*", "100.101.0.8:*"),
    acl("*", "[fd7a:115c:a1e0::8]:3284"),
    '{"ACLs": [{"Action": "accept", "Users": ["*"], "Ports": ["*:*"]}]}',
    '{"hosts": {"all": "0.0.0.0/0"}, "acls": [{"src": ["all"], "dst": ["all:*"]}]}',
]
NARROW = [
    THEIRS,
    grant("alice@example.com", "*", "*"),
    grant("autogroup:admin", "tag:pi", "*"),
    grant("100.99.0.1", "tag:pi", "*"),
    grant("autogroup:member", "autogroup:self", "*"),
    grant("autogroup:member", "autogroup:internet", "*"),
    grant("*", "tag:printer", "*"),
    grant("*", "*", "udp:*", "icmp:*"),
    grant("*", "*", "tcp:22", "tcp:8080"),
    grant("*", "kid@example.com", "*"),
    grant("autogroup:member", "100.99.0.0/16", "*"),
    acl("*", "*:*", proto="udp"),
    acl("*", "tag:pi:8765"),
    rendered(policy_of(golden())),
]


@pytest.mark.parametrize("text", WIDE)
def test_a_rule_for_everybody_is_named(text: str) -> None:
    (problem,) = defeats(Document("p.hujson", text), policy_of(golden()))
    assert re.match(r"lets \S+ through the fleet's doors: \w+", problem.fault)
    assert problem.line == 1


@pytest.mark.parametrize("text", NARROW)
def test_what_somebody_decided_for_somebody_is_not(text: str) -> None:
    assert defeats(Document("p.hujson", text), policy_of(golden())) == ()


def test_the_grant_that_shows_everybodys_agents_is_its_owners() -> None:
    """The one that the documentation names: it stays, and opens nothing to everybody."""
    text = (ROOT / "docs/architecture.md").read_text()
    (own,) = re.findall(r'^{"src": .*autogroup:member.*}$', text, re.MULTILINE)
    document = merged(f'{{"grants": [{own}]}}')
    assert own in document.text
    assert defeats(document, policy_of(golden())) == ()
    port = settings_for(Role.PI.value).agent_port
    assert json.loads(own)["ip"] == [f"tcp:{port}"]


def test_the_line_of_a_rule_for_everybody_and_the_doors_it_opens() -> None:
    text = '{"grants": [\n\n{"src": ["*"], "dst": ["tag:pi"], "ip": ["tcp:3000-11000"]}]}'
    (problem,) = defeats(Document("p.hujson", text), Policy(FLEETS["scheduler on a Pi"]))
    assert problem.line == 3
    served = "agent (3284), relayed artifacts (8081)"
    scheduled = "scheduler (8765), scheduler console (8766), worker (10245)"
    assert problem.fault == f"lets * through the fleet's doors: {served}, {scheduled}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Any:
    """Call `fleet policy` on the golden fleet; a text takes the place of FILE."""
    monkeypatch.setenv("FLEET_FILE", str(FLEET))
    monkeypatch.delenv("FLEET_TARGET", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*args: str, text: str | None = None) -> tuple[int, str, str]:
        if text is not None:
            (tmp_path / "p.hujson").write_text(text, newline="")
        code = main(["policy", *args])
        return code, *capsys.readouterr()

    return call


def test_it_prints_hujson_or_json(run: Any) -> None:
    assert run() == (0, rendered(policy_of(golden())), "")
    code, out, err = run("--json")
    assert (code, json.loads(out), err) == (0, policy_of(golden()).sections, "")


def test_merge_prints_the_tailnets_policy(run: Any) -> None:
    assert run("--merge", "p.hujson", text=THEIRS) == (0, merged(THEIRS).text, "")
    code, out, _ = run("--merge", "p.hujson", "--json")
    assert (code, json.loads(out)) == (0, merged(THEIRS).data)


def test_check_compares(run: Any) -> None:
    code, out, err = run("--check", "p.hujson", text=THEIRS)
    assert (code, err) == (2, "")
    assert out.startswith("--- p.hujson\n+++ p.hujson with the fleet's policy\n@@ ")
    assert '+\t\t"group:agentfleet-operators": ["alice@example.com"],\n' in out
    code, out, err = run("--check", "p.hujson", text=merged(THEIRS).text)
    assert (code, out, err) == (0, "p.hujson: as it should be\n", "")
    other = merged(THEIRS).text.replace("tcp:3284", "tcp:3285", 1)
    assert run("--check", "p.hujson", text=other)[0] == 2


def test_check_fails_where_a_rule_defeats_ours_and_merge_warns(run: Any) -> None:
    text = merged(grant("*", "*", "*")).text
    code, out, err = run("--check", "p.hujson", text=text)
    assert (code, out) == (1, "")
    assert err.startswith("p.hujson:1: grants[0]: lets * through the fleet's doors: agent (3284)")
    assert run("--merge", "p.hujson") == (0, text, err)
    code, out, err = run("--check", "p.hujson", text=grant("*", "*", "*"))
    assert (code, out[:4]) == (1, "--- ")


def test_what_cannot_be_is_said_without_a_traceback(run: Any) -> None:
    assert run("--check", "none")[0] == 1
    assert run("--merge", "p.hujson", text="{\n oh }")[0] == 1
    assert run("--merge", ".")[0] == 1
    assert run("--check", "p.hujson", "--merge", "p.hujson")[0] == 64
    assert run("--check", "p.hujson", "--json")[0] == 64
    assert run("extra")[0] == 64


def test_who_is_left_out_is_named(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = FLEET.read_text()
    start, end = text.index("operators:\n"), text.index("secrets:\n")
    (tmp_path / "fleet.yaml").write_text(text[:start] + text[end:])
    monkeypatch.setenv("FLEET_FILE", "fleet.yaml")
    code, out, err = run()
    assert code == 0
    assert "macbook2" not in out
    for host in ("macbook2", "windows-desktop", "windows-laptop"):
        assert f"fleet.yaml: hosts.{host}: left out: its tailnet address is not known" in err
    assert "rpi1" not in err
    assert "fleet.yaml: operators: nobody has a login" in err
