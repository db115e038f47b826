"""The pages: all of them, on a fleet in every state; what their forms do; and hostile text."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from orchestrator.tasks.model import PlanState, State
from orchestrator.web.guard import csrf_token
from orchestrator.web.who import Door, Person
from tests.unit.orchestrator.web.desks import ALICE, HOSTS, MemoryDesk
from tests.unit.orchestrator.web.test_api import Client, guard

SECRET = b"forms"


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TAGS = words("""
    html head meta title link script body a header nav p main h1 h2 h3 ul ol li div span form label
    textarea select option input button code pre section aside progress strong time fieldset
    legend details summary dl dt dd table thead tbody tr th td br
""")
ATTRIBUTES = words("""
    lang charset name content rel href type src defer class id aria-label aria-labelledby
    aria-current role tabindex method action value for rows required placeholder form formaction
    formnovalidate selected checked max maxlength inputmode multiple enctype datetime title scope
    hx-ext sse-connect sse-swap hx-swap hx-get hx-include hx-target hx-trigger
""")


@dataclass
class Page(HTMLParser):
    """What a browser makes of a page."""

    text: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def links(self) -> set[str]:
        """Where the page leads, on this site."""
        return {
            urlsplit(one["href"])._replace(fragment="").geturl()
            for one in (*self.all("a"), *self.all("link"))
        }


class Visitor(Client):
    """Somebody with a browser."""

    name = ALICE

    def see(self, path: str, status: int = 200) -> Page:
        answer = self.ask("GET", path)
        assert answer.status_code == status, (path, answer.text)
        return Page(answer.text)

    def press(self, path: str, fields: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        token = csrf_token(SECRET, Person(ALICE, "wherever"))
        return self.ask("POST", path, data={"csrf": token, **(fields or {})}, **more)


def somebody(tmp_path: Path, desk: MemoryDesk) -> Visitor:
    return Visitor(guard(tmp_path, desk, Door.SOCKET), {"x-agentfleet-who": ALICE})


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def alice(tmp_path: Path, desk: MemoryDesk) -> Visitor:
    return somebody(tmp_path, desk)


def all_pages(somebody: Visitor) -> dict[str, httpx.Response]:
    """Everything that links lead to, from the first page on."""
    found: dict[str, httpx.Response] = {}
    waiting = ["/", "/tasks?before=5", "/plans?before=3", "/activity?before=2", "/nowhere"]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = answer = somebody.ask("GET", path)
        if answer.headers["content-type"].startswith("text/html"):
            waiting += [one for one in Page(answer.text).links if one not in ("", *found)]
    return found


@pytest.mark.parametrize("kind", [{}, {"hostile": True}, {"empty": True}])
def test_every_link_leads_somewhere_and_no_text_becomes_markup(
    tmp_path: Path, kind: dict[str, bool]
) -> None:
    """What an agent or a stranger says stays text: no element, no attribute, no script of it."""
    pages = all_pages(somebody(tmp_path, MemoryDesk(**kind)))
    odd = {path: one.status_code for path, one in pages.items() if one.status_code != 200}
    assert odd == {"/nowhere": 404}
    assert len(pages) > (50 if kind != {"empty": True} else 12)
    for path, answer in pages.items():
        assert "xss" not in str(answer.headers)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        for tag, attributes in Page(answer.text).elements:
            assert tag in TAGS, (path, tag)
            assert attributes.keys() <= ATTRIBUTES, (path, tag, attributes)
            for name in ("href", "src", "action", "formaction", "hx-get", "sse-connect"):
                assert attributes.get(name, "/").startswith(("/", "#")) or not attributes[name]


def test_control_characters_are_marked_and_line_ends_kept(tmp_path: Path) -> None:
    text = somebody(tmp_path, MemoryDesk(hostile=True)).ask("GET", "/tasks/3").text
    assert not {"\x1b", "\x00", "\r", "\u202e"} & set(text)
    assert "\N{REPLACEMENT CHARACTER}" in text
    assert "{{7*7}}" in text, "nothing fills it in"


def test_letters_that_join_stay_joined(alice: Visitor, desk: MemoryDesk) -> None:
    text = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f4bb"
    alice.press("/tasks", {"prompt": text})
    assert text in alice.ask("GET", "/tasks/10").text


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(alice: Visitor) -> None:
    page = alice.see("/")
    assert [one["src"].partition("?")[0] for one in page.all("script")] == [
        "/static/htmx.min.js", "/static/htmx-sse.min.js", "/static/page.js",
    ]  # fmt: skip
    answer = alice.ask("GET", page.all("script")[0]["src"])
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert alice.ask("GET", "/").headers["cache-control"] == "no-store"


def every_form() -> list[tuple[str, dict[str, str]]]:
    return [
        ("/tasks", {"prompt": "do it"}),
        ("/tasks/3/cancel", {}),
        ("/tasks/5/retry", {}),
        ("/tasks/7/settle", {}),
        ("/agents/rpi1/say", {"text": "hello"}),
        ("/agents/rpi1/session", {}),
        ("/kill", {"all": "yes"}),
        ("/plans", {"goal": "a clock"}),
        ("/plans/1/save", {"prompt-8": "other"}),
        ("/plans/1/approve", {}),
        ("/plans/1/discard", {}),
        ("/steps/9/drop", {}),
    ]


@pytest.mark.parametrize(("path", "fields"), every_form())
@pytest.mark.parametrize("kind", ["none", "of somebody else", "in the query"])
def test_forms_of_other_sites_do_nothing(
    tmp_path: Path, path: str, fields: dict[str, str], kind: str
) -> None:
    desk = MemoryDesk()
    before = repr((desk._tasks, desk._plans, desk._agents, desk.said, desk._audits))
    alice, right = somebody(tmp_path, desk), csrf_token(SECRET, Person(ALICE, ""))
    match kind:
        case "none":
            answer = alice.ask("POST", path, data=fields)
        case "of somebody else":
            eve = csrf_token(SECRET, Person("eve", ""))
            answer = alice.ask("POST", path, data=fields | {"csrf": eve})
        case _:
            answer = alice.ask("POST", f"{path}?csrf={right}", data=fields)
    assert (answer.status_code, "load the page anew" in answer.text) == (403, True)
    assert repr((desk._tasks, desk._plans, desk._agents, desk.said, desk._audits)) == before


@pytest.mark.parametrize(("path", "fields"), every_form())
def test_forms_of_ours_do_what_they_say_and_are_noted(
    tmp_path: Path, path: str, fields: dict[str, str]
) -> None:
    desk = MemoryDesk()
    noted = len(desk._audits)
    answer = somebody(tmp_path, desk).press(path, fields)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith("/")
    assert len(desk._audits) > noted
    assert desk._audits[-1].who == ALICE


def test_a_task_is_sent_with_all_that_was_chosen(alice: Visitor, desk: MemoryDesk) -> None:
    fields = {
        "prompt": "first line\r\nsecond",
        "host": "rpi2",
        "arch": "aarch64",
        "root": "yes",
        "cap": "$2.50",
    }
    answer = alice.press("/tasks", fields, files={"files": ("a b.txt", b"some text")})
    assert answer.headers["location"] == "/tasks/10"
    task = asyncio.run(desk.task(10))
    assert (task.prompt, task.cap, task.by) == ("first line\nsecond", 2_500_000, ALICE)
    assert (task.wish.host, task.wish.arch, task.wish.root) == ("rpi2", "aarch64", True)
    assert task.wish.failover is False
    assert [(one.name, one.size) for one in task.attachments] == [("a b.txt", 9)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "typed long", "cap": "much"}, "no amount of dollars"),
        ({"prompt": "typed long", "cap": "nan"}, "more than nothing"),
        ({"prompt": "typed long", "cap": "0"}, "more than nothing"),
        ({"prompt": "typed long", "title": "t" * 201}, "title"),
    ],
)
def test_what_was_typed_is_kept_when_it_is_refused(
    alice: Visitor, desk: MemoryDesk, fields: dict[str, str], words: str
) -> None:
    answer = alice.press("/tasks", fields | {"host": "rpi2"})
    assert answer.status_code == 409
    assert words in answer.text
    assert fields["prompt"].strip() in answer.text
    assert {"selected": ""} in [
        one for one in Page(answer.text).all("option") if one.keys() == {"selected"}
    ]
    assert max(desk._tasks) == 9


def test_where_it_would_run_is_shown_without_sending(alice: Visitor, desk: MemoryDesk) -> None:
    answer = alice.press("/tasks", {"prompt": "typed", "host": "rpi1", "preview": "yes"})
    assert answer.status_code == 200
    assert "typed</textarea>" in answer.text
    assert max(desk._tasks) == 9
    shown = alice.ask("GET", "/choose?arch=aarch64&failover=yes").text
    assert re.search(r"<strong>(Runs on rpi\d|Waits)</strong>", shown)
    assert "No host can do this" in alice.ask("GET", "/choose?arch=vax").text


def test_what_is_refused_is_said_on_a_page(alice: Visitor) -> None:
    answer = alice.press("/tasks/4/retry")
    assert answer.status_code == 409
    assert "task 4 is done" in answer.text
    for path in ("/tasks/99", "/plans/99", "/agents/nobody", "/tasks/99999999999999999999"):
        assert alice.see(path, 404).all("h1")
    assert alice.ask("GET", "/api/v1/nowhere").headers["content-type"].startswith("application/")


def test_one_is_stopped_only_by_name_and_all_only_by_saying_so(
    alice: Visitor, desk: MemoryDesk
) -> None:
    assert alice.press("/kill").status_code == 400
    assert alice.press("/kill", {"host": "nobody"}).status_code == 404
    before = {one.host.name: one.condition for one in desk.agents()}
    assert alice.press("/kill", {"host": "rpi1"}).headers["location"] == "/agents/rpi1"
    changed = [one.host.name for one in desk.agents() if one.condition is not before[one.host.name]]
    assert changed == ["rpi1"]
    assert "Stop all agents now" in alice.ask("GET", "/kill").text
    alice.press("/kill", {"all": "yes"})
    assert len({one.condition for one in desk.agents()}) == 1


def test_approving_a_plan_keeps_what_was_typed_into_it(alice: Visitor, desk: MemoryDesk) -> None:
    page = alice.see("/plans/1")
    fields = {"prompt-8": "build it well", "host-8": "rpi2", "failover-8": "yes"}
    names = {
        one.get("name") for one in (*page.all("textarea"), *page.all("select"), *page.all("input"))
    }
    assert fields.keys() <= names
    alice.press("/plans/1/approve", fields | {"prompt-9": "test", "host-9": "", "after-9": ["8"]})
    build, test = asyncio.run(desk.task(8)), asyncio.run(desk.task(9))
    assert (build.prompt, build.wish.host, build.wish.failover) == ("build it well", "rpi2", True)
    assert (test.prompt, test.wish.host, test.wish.failover) == ("test", "", False)
    assert (build.state, test.state, test.after) == (State.QUEUED, State.QUEUED, (8,))
    assert asyncio.run(desk.plan(1)).state is PlanState.APPROVED


def test_what_the_form_left_out_of_a_plan_stays(alice: Visitor, desk: MemoryDesk) -> None:
    before = asyncio.run(desk.task(8)), asyncio.run(desk.task(9))
    alice.press("/plans/1/save", {})
    assert (asyncio.run(desk.task(8)), asyncio.run(desk.task(9))) == before
    alice.press("/steps/9/drop", {"prompt-8": "kept"})
    assert asyncio.run(desk.task(8)).prompt == "kept"
    assert asyncio.run(desk.task(9)).state is State.CANCELLED


def test_a_task_of_no_plan_is_no_step(alice: Visitor, desk: MemoryDesk) -> None:
    """And nothing else is changed by a form that says so."""
    before = repr(desk._tasks)
    assert alice.press("/steps/1/drop", {"prompt-8": "other"}).status_code == 409
    assert repr(desk._tasks) == before


def test_lists_lead_on_to_what_is_older(alice: Visitor, desk: MemoryDesk) -> None:
    for _ in range(60):
        alice.press("/tasks", {"prompt": "more"})
    first = alice.see("/tasks?state=queued")
    (older,) = [one["href"] for one in first.all("a") if one.get("rel") == "next"]
    assert "state=queued" in older
    rest = alice.see(older)
    titles = re.compile(r">(\d+): ")
    both = [int(one) for page in (first, rest) for one in titles.findall(page.text)]
    assert both == sorted(both, reverse=True)
    assert len(both) == 61
    assert len(set(both)) == 61


def test_every_host_has_a_card_and_a_page(alice: Visitor) -> None:
    fleet = alice.see("/")
    for host in HOSTS:
        assert f"/agents/{host.name}" in fleet.links
        assert host.role in alice.see(f"/agents/{host.name}").text
