"""The fleet's policy inside a tailnet's: what is ours there is brought up to date, all else stays.

Ours is what bears the fleet's names: the group, the aliases that begin with `agentfleet-`, the tags
of the roles; and a grant or a test that speaks of nothing else. A tag's owners are ours only while
the fleet has such hosts. A grant that has more to it than ports (`app`, `via`, `srcPosture`) is
somebody's own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from fleet.hujson import OURS, Document, Edit, Member, written
from fleet.policy import ALIAS_PREFIX, GROUP, SECTIONS, Policy, known_tags
from fleet.problems import FleetError, Problem, shorten

_T = TypeVar("_T")
_SELECTORS = frozenset({"src", "dst"})
_TESTED = frozenset({"src", "accept", "deny"})
_OURS_ONLY = {"grants": _SELECTORS | {"ip"}, "tests": _TESTED | {"proto"}}


def is_ours(selector: object, tags: Collection[str] | None = None) -> bool:
    """Whether a selector, with or without a port, has a name of the fleet's or one of these tags.

    Without `tags` they are those of all roles.
    """
    if not isinstance(selector, str):
        return False
    tags = known_tags() if tags is None else tags
    names = (selector, selector.rpartition(":")[0])
    return any(one == GROUP or one.startswith(ALIAS_PREFIX) or one in tags for one in names)


def section_of(document: Document, name: str) -> Member | None:
    """Where a section of the policy is; the tailnet reads its name in any case.

    Raises FleetError when it is there twice, in two spellings.
    """
    members = document.members(document.root)[0]
    found = [one for one in members if str(one.key).casefold() == name.casefold()]
    if len(found) > 1:
        fault = f"the section is there as {found[0].key} too"
        raise FleetError([document.problem(found[1].start, [found[1].key], fault, "keep one")])
    return found[0] if found else None


def elements_of(document: Document, name: str) -> list[tuple[Member, Any]]:
    """The elements of a section that is an array; raises FleetError when it is none."""
    section = section_of(document, name)
    if section is None:
        return []
    content = _content(document, section, list)
    return list(zip(document.members(section.value)[0], content, strict=True))


def _content(document: Document, section: Member, kind: type[_T]) -> _T:
    content = document.data[str(section.key)]
    if isinstance(content, kind):
        return content
    what = "{ }" if kind is dict else "[ ]"
    fault, fix = f"this is not {what}", "compare it with the tailnet's admin console"
    raise FleetError([document.problem(section.value, [section.key], fault, fix)])


def merge(document: Document, policy: Policy) -> tuple[Document, tuple[Problem, ...]]:
    """Return the tailnet's policy with the fleet's in it, and what a person should know of that.

    Elements that are as they should be stay where they are, with the comments on them. Raises
    FleetError when the file is no policy.
    """
    wanted = policy.sections
    edits: list[Edit] = []
    notes: list[Problem] = []
    missing: dict[str, Any] = {}
    for name in SECTIONS:
        change = _array_change if name in _OURS_ONLY else _object_change
        member, want = section_of(document, name), wanted.get(name)
        if member is not None:
            edits += change(document, name, member, want, policy, notes)
        elif want:
            missing[name] = want
    add = [_section(name, want, policy) for name, want in missing.items()]
    edits += document.edits(document.root, add=add)
    if not any(section_of(document, name) for name in ("grants", "acls")):
        notes.append(_closes(document))
    return Document(document.file, document.edited(edits)), tuple(notes)


def _closes(document: Document) -> Problem:
    fault = "without acls and grants every device reaches every other; with the fleet's, none does"
    fix = "add grants for your other devices before you save it"
    return document.problem(document.root, [], fault, fix)


def _object_change(
    document: Document,
    name: str,
    member: Member,
    want: Mapping[str, Any] | None,
    policy: Policy,
    notes: list[Problem],
) -> list[Edit]:
    """Groups, tagOwners, hosts: members by name."""
    present: dict[str, Any] = _content(document, member, dict)
    want = dict(want or {})
    members = {str(one.key): one for one in document.members(member.value)[0]}
    stale = {key for key in present if name != "tagOwners" and is_ours(key) and key not in want}
    used = {key for key in stale if _mentioned(document, key, policy)}
    if GROUP in used:
        want[GROUP] = []  # whoever was in it is out
    other = [key for key in want if key in present and present[key] != want[key]]
    for key in sorted(used):
        notes.append(_still_used(document, name, members[key]))
    for key in other if name == "tagOwners" else ():
        fault = f"the owners were {shorten(json.dumps(present[key]))}"
        fix = "they are the fleet's operators now: a tag opens the fleet's doors"
        notes.append(document.problem(members[key].start, [name, key], fault, fix))
    return document.edits(
        member.value,
        remove=stale - used,
        replace={key: json.dumps(want[key], ensure_ascii=False) for key in other},
        add=[_member(key, want[key]) for key in want if key not in present],
    )


def _still_used(document: Document, name: str, member: Member) -> Problem:
    fault = "is still in use by what is not the fleet's"
    fix = "it stays, though the fleet has no such host: remove it with what uses it"
    if member.key == GROUP:
        fix = "it stays as a group of nobody: no operator has a login"
    return document.problem(member.start, [name, member.key], fault, fix)


def _mentioned(document: Document, name: str, policy: Policy) -> bool:
    """Whether what is not ours speaks of a name."""

    def strings(value: object) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for key, one in value.items():
                yield from (key, *strings(one))
        elif isinstance(value, list):
            for one in value:
                yield from strings(one)

    return any(
        text == name or text.startswith(f"{name}:")
        for key, content in document.data.items()
        for text in strings(_foreign(key.casefold(), content, policy))
    )


def _foreign(section: str, content: Any, policy: Policy) -> Any:  # noqa: ANN401 - any JSON value
    """The part of a section that is not the fleet's."""
    if section in _OURS_ONLY and isinstance(content, list):
        return [one for one in content if not is_our_element(section, one, policy)]
    if section in ("groups", "hosts") and isinstance(content, dict):
        return [one for key, one in content.items() if not is_ours(key)]
    if section == "tagowners" and isinstance(content, dict):
        return [one for key, one in content.items() if key not in policy.tagged]
    return content


def is_our_element(section: str, element: object, policy: Policy) -> bool:
    """Whether a grant or a test speaks of the fleet alone, and not just of tags it has not."""
    if not isinstance(element, dict) or not element.keys() <= _OURS_ONLY.get(section, set()):
        return False
    lists = _SELECTORS if section == "grants" else _TESTED
    named = [element.get(key, []) for key in lists]
    flat = [one for value in named for one in (value if isinstance(value, list) else [value])]
    complete = element.keys() >= lists or (section == "tests" and "src" in element)
    ours = all(map(is_ours, flat)) and any(is_ours(one, policy.tagged) for one in flat)
    return complete and ours


def _canonical(element: object) -> str:
    """The same text for elements that say the same."""
    if isinstance(element, dict):
        element = {
            key: sorted(value, key=str) if isinstance(value, list) else value
            for key, value in element.items()
        }
    return json.dumps(element, sort_keys=True)


def _array_change(
    document: Document,
    name: str,
    member: Member,
    want: list[Any] | None,
    policy: Policy,
    notes: list[Problem],
) -> list[Edit]:
    """Grants and tests: elements without a name, which are the same when they say the same."""
    missing = {_canonical(one): one for one in want or ()}
    remove = set()
    for number, (place, one) in enumerate(elements_of(document, name)):
        if is_our_element(name, one, policy) and missing.pop(_canonical(one), None) is None:
            remove.add(number)
            if name == "grants":
                fault = f"removed: {json.dumps(one, ensure_ascii=False)}"
                fix = "the fleet's doors do not ask for it (any more)"
                notes.append(document.problem(place.start, [name, number], fault, fix))
    add = [_element(name, one, policy) for one in missing.values()]
    return document.edits(member.value, remove=remove, add=add)


def _section(name: str, want: Any, policy: Policy) -> list[str]:  # noqa: ANN401 - object or array
    """The lines of a whole section."""
    if isinstance(want, dict):
        inner = [_member(key, value) for key, value in want.items()]
        brackets = "{}"
    else:
        inner = [_element(name, one, policy) for one in want]
        brackets = "[]"
    lines = [f"  {line}" for lines in inner for line in (*lines[:-1], f"{lines[-1]},")]
    return [f"{json.dumps(name)}: {brackets[0]}", *lines, brackets[1]]


def _member(key: str, value: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    return written(value, f"{json.dumps(key, ensure_ascii=False)}: ")


def _element(name: str, element: Any, policy: Policy) -> list[str]:  # noqa: ANN401 - a JSON object
    """The lines of a grant, below a comment that names its doors, or of a test."""
    said = [", ".join(rule.doors) for rule in policy.rules if rule.grant() == element]
    return [*(f"{OURS} {doors}" for doors in said if name == "grants"), *written(element)]


_HEADER = """\
// The fleet {fleet} in the tailnet: who may reach which port of whom.
// Rendered from fleet.yaml by `fleet policy`. It goes into the tailnet by hand: paste it in the
// admin console, under "Access controls".
"""


def rendered(policy: Policy) -> str:
    """The policy of a tailnet that holds the fleet and nothing else, as HuJSON."""
    lines = ["{"]
    for name, content in policy.sections.items():
        section = _section(name, content, policy)
        lines += [f"  {line}" for line in (*section[:-1], f"{section[-1]},")]
    header = _HEADER.format(fleet=json.dumps(policy.fleet.name))
    return header + "\n".join((*lines, "}")) + "\n"
