"""pfctl's options: what it keeps, says and has the kernel filter."""

from pathlib import Path

import pytest

from lab.standins.macos.darwin import pfctl
from lab.standins.macos.darwin.common import ToolError

ANCHOR = "com.apple/agentfleet"


class Tool:
    """pfctl on a root of its own, where the nft rules are written and not loaded."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.capsys = capsys

    def __call__(self, *argv: str, quiet: bool = True) -> list[str]:
        """The lines that it prints to stdout, or without -q those to stderr."""
        assert pfctl.main([*(["-q"] if quiet else []), *argv], self.root) == 0
        caught = self.capsys.readouterr()
        return (caught.out if quiet else caught.err).splitlines()

    def fails(self, *argv: str) -> str:
        with pytest.raises(ToolError) as caught:
            pfctl.main(["-q", *argv], self.root)
        self.capsys.readouterr()
        return str(caught.value)

    def file(self, *lines: str, name: str = "rules") -> str:
        path = self.root / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    def filters(self) -> bool:
        return "chain" in (self.root / pfctl.FILTER).read_text()


@pytest.fixture
def tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(tmp_path, capsys)


def test_a_file_is_loaded_with_its_anchors(tool: Tool) -> None:
    apple = tool.file("table <t> persist { ::1, 10.0.0.0/8 }", "block in on en0", name="apple")
    tool("-f", tool.file('anchor "com.apple/*"', f'load anchor "com.apple/x" from "{apple}"'))
    assert tool("-sr") == ['anchor "com.apple/*" all']
    assert tool("-a", "com.apple/x", "-s", "rules") == ["block drop in on en0 all"]
    assert tool("-a", "com.apple/x", "-t", "t", "-T", "show") == ["   ::1", "   10.0.0.0/8"]
    assert tool("-sA") == ["  com.apple"]
    assert tool("-vsA") == ["  com.apple", "  com.apple/x"]
    assert tool("-a", "com.apple", "-sA") == ["  com.apple/x"]
    assert not tool.filters()
    tool("-e")
    assert tool.filters()


def test_rules_come_from_stdin_too(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(tool.file("block in", "blok out")).open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        said = tool.fails("-a", ANCHOR, "-f", "-")
    assert said.splitlines()[0] == "stdin:2: syntax error near blok"
    with Path(tool.file("block in")).open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        tool("-a", ANCHOR, "-f", "-")
    assert tool("-a", ANCHOR, "-sr") == ["block drop in all"]


def test_a_fault_changes_nothing(tool: Tool) -> None:
    tool("-e", "-f", tool.file("block in"))
    bad = tool.file("pass out", name="good"), tool.file("block", "blok", name="bad")
    load = tool.file(f'load anchor "a" from "{bad[0]}"', f'load anchor "b" from "{bad[1]}"')
    assert tool.fails("-f", load) == (
        f"{bad[1]}:2: syntax error near blok\n"
        "pfctl: Syntax error in config file: pf rules not loaded"
    )
    assert tool.fails("-nf", bad[1]).startswith(f"{bad[1]}:2: syntax error")
    assert tool.fails("-f", "/nowhere").startswith("pfctl: /nowhere: No such file or directory\n")
    assert tool("-sr") == ["block drop in all"]
    assert tool("-sA") == []


def test_a_dry_run_loads_nothing(tool: Tool) -> None:
    tool("-n", "-f", tool.file("block in"))
    assert tool("-sr") == []


def test_a_new_file_replaces_only_its_own_ruleset(tool: Tool) -> None:
    tool("-a", ANCHOR, "-f", tool.file("block in"))
    tool("-f", tool.file("table <t> persist { 10.0.0.1 }", "block out", 'anchor "com.apple/*"'))
    assert tool("-a", ANCHOR, "-sr") == ["block drop in all"]
    tool("-f", tool.file("pass out no state"))
    assert tool("-sr") == ["pass out all no state"]
    assert tool("-sT") == []


def test_flushing(tool: Tool) -> None:
    tool("-a", ANCHOR, "-f", tool.file("table <t> persist { 10.0.0.1 }", "block in"))
    tool("-e", "-f", tool.file("set skip on lo0", 'anchor "com.apple/*"'))
    assert tool("-F", "all", quiet=False)[2:] == [
        "rules cleared", "0 tables deleted.", "states cleared", "pf: interface flags reset",
    ]  # fmt: skip
    assert tool("-sr") == []
    assert not tool.filters()
    assert tool("-a", ANCHOR, "-sr") == ["block drop in all"]
    tool("-f", tool.file('anchor "com.apple/*"'))
    assert tool.filters()
    tool("-a", ANCHOR, "-F", "rules")
    assert not tool.filters()
    assert tool("-a", ANCHOR, "-s", "Tables") == ["t"]
    tool("-a", ANCHOR, "-F", "all")
    assert tool("-sA") == []


def test_flushed_states_are_not_known_any_more(tool: Tool) -> None:
    tool("-e", "-f", tool.file("pass in"))
    before = (tool.root / pfctl.FILTER).read_text()
    tool("-a", ANCHOR, "-F", "all")
    assert (tool.root / pfctl.FILTER).read_text() == before
    tool("-F", "states")
    after = (tool.root / pfctl.FILTER).read_text()
    assert "ct mark & 0x1 == 0x1" in before
    assert "ct mark & 0x1 == 0x1" not in after
    assert "ct mark & 0x4 == 0x4" in after


def test_tables_that_nobody_refers_to_are_gone(tool: Tool) -> None:
    rules = ("table <used> const { 10.0.0.1 }", "table <unused> const { 10.0.0.2 }",
             "table <kept> persist { 10.0.0.3 }", "block in from <used>")  # fmt: skip
    tool("-a", ANCHOR, "-f", tool.file(*rules))
    assert tool("-a", ANCHOR, "-sT") == ["used", "kept"]
    assert tool("-sT") == []
    said = tool.fails("-a", ANCHOR, "-t", "unused", "-T", "show")
    assert said == "pfctl: Table does not exist."


def test_enabling_and_disabling(tool: Tool) -> None:
    rules = tool.file("block in")
    assert tool("-sinfo") == ["Status: Disabled                              Debug: Urgent"]
    assert tool.fails("-d") == "pfctl: pf not enabled"
    assert tool("-e", quiet=False)[-1] == "pf enabled"
    assert tool("-si") == ["Status: Enabled for 0 days 00:00:01           Debug: Urgent"]
    assert tool.fails("-ef", rules) == "pfctl: pf already enabled"
    assert tool("-sr") == ["block drop in all"]  # loaded all the same
    assert tool.filters()
    tool("-d")
    assert not tool.filters()


def test_pf_stays_enabled_while_somebody_refers_to_it(tool: Tool) -> None:
    assert tool("-s", "References") == ["No pf starter references held"]
    tokens = [tool("-E", quiet=False)[-1].removeprefix("Token : ") for _ in range(2)]
    rows = [line.split() for line in tool("-s", "References")[2:]]
    assert [row[2] for row in rows] == tokens[::-1]
    assert tool.fails("-X", "17") == "pfctl: pf: token invalid"
    assert tool("-X", tokens[0], quiet=False)[-1] == (
        "disable request successful. 1 more pf enable reference(s) remaining, pf still enabled."
    )
    assert tool.fails("-X", tokens[0]) == "pfctl: pf: token invalid"
    assert tool("-X", tokens[1], quiet=False)[-1] == "pf disabled"
    assert tool.fails("-X", tokens[1]) == "pfctl: pf not enabled"


@pytest.mark.parametrize(
    "argv",
    [["-t", "t", "-T", "add", "10.0.0.1"], ["-t", "t"], ["-sn"], ["-F", "nat"], ["-k", "host"],
     ["-a", "com.apple/*", "-sr"], ["-a", "/x", "-sr"], ["-R", "-f", "x"], ["rules"]],
)  # fmt: skip
def test_options_that_are_not_covered(tool: Tool, argv: list[str]) -> None:
    assert "not covered" in tool.fails(*argv)


def test_unknown_options_and_ordinary_users(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tool.fails("-Q") == "pfctl: illegal option -- Q"
    monkeypatch.setattr(pfctl, "is_root", lambda: False)
    with pytest.raises(ToolError, match=r"^pfctl: /dev/pf: Permission denied$"):
        pfctl.main(["-sr"], Path("/"))


def test_a_refusal_of_the_kernel_is_a_fault(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    tool("-f", tool.file("block in"))
    kept = (tool.root / pfctl.STATE).read_text()

    def refuse(text: str, root: Path) -> None:
        raise ToolError("nft refuses")

    monkeypatch.setattr(pfctl, "apply", refuse)
    assert tool.fails("-e") == "nft refuses"
    assert (tool.root / pfctl.STATE).read_text() == kept
