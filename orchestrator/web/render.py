"""Templates to HTML: what is put into one is escaped, and without what only terminals obey."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.gateway.money import shown
from orchestrator.health.model import Verdict
from orchestrator.registry.model import Condition, Purse
from orchestrator.tasks.model import Patch, PlanState, State
from orchestrator.web.static_files import address

_MARK = "\N{REPLACEMENT CHARACTER}"
_KEPT = "\n\t\u200c\u200d"  # the last two join and part letters, in Persian and in emoji
PATCH_LINES = 4_000  # on a page; the file has all of them
# How much attention something asks for; the style sheet has a colour and a sign for each.
_TONES = {
    Condition.UNKNOWN: "quiet",
    Condition.IDLE: "good",
    Condition.WORKING: "busy",
    Condition.ASLEEP: "quiet",
    Condition.UNREACHABLE: "bad",
    Condition.LOGGED_OUT: "bad",
    Condition.STUCK: "warn",
    Condition.OVER_BUDGET: "warn",
    Condition.OFF: "quiet",
    State.DRAFT: "quiet",
    State.QUEUED: "quiet",
    State.RESERVED: "busy",
    State.RUNNING: "busy",
    State.DONE: "good",
    State.FAILED: "bad",
    State.CANCELLED: "quiet",
    State.LOST: "warn",
    PlanState.THINKING: "busy",
    PlanState.REVIEW: "warn",
    PlanState.APPROVED: "good",
    PlanState.FAILED: "bad",
    PlanState.DISCARDED: "quiet",
    Verdict.OK: "good",
    Verdict.WARNING: "warn",
    Verdict.FAILED: "bad",
    Verdict.PENDING: "quiet",
    Verdict.UNKNOWN: "quiet",
}


def html(template: str, /, **values: object) -> Markup:
    """The template, filled in."""
    return Markup(_ENVIRONMENT.get_template(template).render(values))  # noqa: S704 - it escapes


def seemly(value: object) -> object:
    """The value; of a text, what would control a terminal or turn the writing is only marked.

    Half a surrogate pair, which no encoding has, is marked too. `Markup` was made here.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(_MARK if _is_unseemly(one) else one for one in value)


def _is_unseemly(character: str) -> bool:
    return character not in _KEPT and unicodedata.category(character) in {"Cc", "Cf", "Cs"}


def ago(moment: float) -> Markup:
    """A moment as people say it, with the exact time for whoever wants it."""
    if not moment:
        return Markup("never")
    exact = datetime.fromtimestamp(moment, UTC)
    element = Markup('<time datetime="{}" title="{}">{}</time>')
    return element.format(
        exact.isoformat(timespec="seconds"), f"{exact:%Y-%m-%d %H:%M} UTC", _ago(moment)
    )


def _ago(moment: float) -> str:
    passed = time.time() - moment
    for unit, seconds in (("day", 86_400), ("h", 3_600), ("min", 60)):
        if passed >= seconds:
            number = int(passed // seconds)
            plural = "s" if unit == "day" and number > 1 else ""
            return f"{number} {unit}{plural} ago"
    return "just now"


def size(number: int) -> str:
    """Bytes for people."""
    for unit, least in (("MB", 1_000_000), ("kB", 1_000)):
        if number >= least:
            return f"{number / least:.1f} {unit}"
    return f"{number} bytes"


def tone(of: Condition | State | PlanState | Verdict) -> str:
    """How much attention it asks for: good, busy, warn, bad or quiet."""
    return _TONES[of]


def words(of: Condition | State | PlanState | Verdict) -> str:
    """What it is called on a page."""
    return of.value.replace("-", " ")


def level(purse: Purse) -> str:
    """How a purse stands: nothing to say, `near` its end from 80 % on, or `full`."""
    percent = purse.percent or 0
    return "full" if percent >= 100 else "near" if percent >= 80 else ""


def patch_lines(patch: Patch) -> Iterator[tuple[str, str]]:
    """The lines of a patch that a page shows: what kind of line it is, and the line."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    for line in patch.text.split("\n")[:PATCH_LINES]:
        if line.startswith(("diff ", "index ", "--- ", "+++ ", "From ")):
            yield "file", line
        else:
            yield kinds.get(line[:1], "same"), line


def _source(name: str) -> str:
    return (files("orchestrator.web") / "templates" / name).read_text()


def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=seemly,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    made.filters |= {"ago": ago, "money": shown, "size": size, "tone": tone, "words": words}
    made.filters |= {"level": level}
    made.globals["static"] = address
    return made


_ENVIRONMENT = _environment()
