"""The compiler wrappers, run on this machine between compilers and an icecc that are told."""

from __future__ import annotations

import http.server
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from deploys import agentapi, compilers, llvm, quarantine
from fleet import exports
from fleet.model import Toolchain
from fleet.plan import view_of
from fleet.resources import File, Resources
from fleet.view import HostView
from tests.golden import target, views
from tests.unit.conftest import SHELLS, on_linux

pytestmark = on_linux

WORKER = "100.64.0.5"
SHEBANGS = {"dash": "#!/usr/bin/env dash", "bash": "#!/usr/bin/env -S bash --posix"}

# Writes down how it was called. What it compiles is a line of its name, of what it reads, and of
# what may rightly differ.
COMPILER = """#!/bin/sh
echo "{name} $*" >>{calls}
[ -z "${{ICECC_VERSION+x}}" ] || echo "{name} has ICECC_VERSION=$ICECC_VERSION" >>{calls}
out= source= before=
for it; do
    [ "$before" != -o ] || out=$it
    case $it in -MD) echo deps >>{calls} ;; *.c | *.cc) source=$it ;; esac
    before=$it
done
[ -n "$source" ] || exit 0
[ ! -e {broken} ] || {{ echo "$source: no" >&2; exit 3; }}
: "${{out:=$(basename "$source" .c).o}}"
{{ cat "$source"; echo "comment ${{BUILD:-here}}"; echo "debug ${{BUILD:-here}}"; }} >"$out"
! grep -q __TIME__ "$source" || date +%s%N >>"$out"
"""
OBJCOPY = """#!/bin/sh
debug=nothing
[ "$1" != -g ] || { debug=debug; shift; }
[ "$1 $2" = "-R .comment" ] || exit 9
! grep -q malformed "$3" || exit 1
grep -v -e "^comment" -e "^$debug" "$3" >"$4"
"""
# As icecream 1.4 writes it with ICECC_DEBUG=debug; without, not a word.
ICECC = """#!/bin/sh
echo "icecc $*" >>{calls}
echo "icecc has ICECC_VERSION=${{ICECC_VERSION-none}}" >>{calls}
log() {{ [ "$ICECC_DEBUG" != debug ] || echo "ICECC[7] 2026-01-01: $*" >>"$ICECC_LOGFILE"; }}
case $1 in "" | -*) exit 0 ;; esac
[ ! -e {hang} ] || {{ echo $$ >{hang}; exec sleep 30; }}
read -r where alter <{mode}
[ "$where" = home ] || log "Have to use host $where:10245 - Job ID: 3 - env: x86_64"
case $where in
home) log "building myself, but telling localhost" ;;
*) [ "$alter" != fails ] || {{ log "<building_local>"; alter=; }} ;;
esac
[ "$where" = home ] || [ -z "$alter" ] || export BUILD=there
"$@" || exit
out= before=
for it; do [ "$before" != -o ] || out=$it; before=$it; done
case $alter in wrong | malformed) echo "$alter" >>"$out" ;; esac
echo "a warning" >&2
"""


def with_toolchain(host: str, percent: float = 0) -> HostView:
    """A host of the golden fleet, where that has a compiler in common."""
    found = target()
    toolchain = Toolchain(llvm=16, sample_percent=percent)
    return view_of(
        replace(found, fleet=found.fleet.model_copy(update={"toolchain": toolchain})), host
    )


def host_of(*, mac: bool) -> str:
    return next(name for name, view in views().items() if view.host.is_mac is mac)


class Host:
    """A host with the wrappers, below a directory; programs are put there by the test."""

    def __init__(self, root: Path, shell: str, name: str, percent: float = 0) -> None:
        self.root, self.shell = root, shell
        self.calls, self.mode = root / "calls", root / "mode"
        self.broken, self.hang = root / "broken", root / "hang"
        self.ours, self.bin, self.llvm = root / "ours", root / "bin", root / "llvm" / "bin"
        self.masquerade, self.row = root / "masquerade", root / "etc" / "icecc-version"
        self.build, self.tmp = root / "build", root / "tmp"
        self.server: Server | None = None
        for one in (self.ours, self.bin, self.llvm, self.masquerade, self.row.parent):
            one.mkdir(parents=True)
        self.build.mkdir()
        self.tmp.mkdir()
        self.view = with_toolchain(name, percent)
        self.want = compilers.resources(self.view)
        for file in self.want.files:
            if file.mode == "0755":
                self.install(file)
        for compiler in ("gcc", "g++"):
            self.compiler(self.bin / compiler)
        for link in ("cc", "c++"):
            (self.bin / link).symlink_to({"cc": "gcc", "c++": "g++"}[link])
        self.compiler(self.llvm / "clang")
        (self.llvm / "clang++").symlink_to("clang")
        self.program(self.llvm / "llvm-objcopy", OBJCOPY)
        self.program(root / "icecc", self.told(ICECC))
        self.mode.write_text(f"{WORKER}\n")
        self.row.write_text("x86_64:/envs/x.tar.zst\n")
        self.calls.touch()
        self.env = {
            "PATH": f"{self.ours}:{self.masquerade}:{self.bin}:/usr/bin:/bin",
            "TMPDIR": str(self.tmp),
        }

    def told(self, text: str, **more: str) -> str:
        places = {name: getattr(self, name) for name in ("calls", "mode", "broken", "hang")}
        return text.format(**places, **more)

    def program(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def compiler(self, path: Path) -> None:
        self.program(path, self.told(COMPILER, name=path.name))

    def install(self, file: File) -> None:
        path = self.ours / Path(file.path).name
        text = file.content.decode()
        home = llvm.homes(self.view)[0]
        for old, new in (
            ("#!/bin/sh", SHEBANGS[self.shell]),
            ("sleep 1\n", "sleep 0.01\n"),
            ("/opt/agentfleet/compilers", str(self.ours)),
            ("/usr/local/libexec/agentfleet", str(self.ours)),
            ("/etc/agentfleet/icecc-version", str(self.row)),
            (home, str(self.llvm.parent)),
            (' "$ours" /usr/lib/ccache ', f' "$ours" {self.masquerade} '),
            ("in /usr/lib/icecream/bin/icecc /usr/bin/icecc", f"in {self.root}/icecc"),
            ("in /usr/local/opt/icecream/bin/icecc", f"in {self.root}/icecc"),
        ):
            text = text.replace(old, new)
        self.program(path, text)

    def report_to(self, server: Server) -> None:
        path = self.ours / "compile-and-compare"
        text = path.read_text()
        url = quarantine.url(self.view)
        assert f'"{url}"' in text
        path.write_text(text.replace(url, server.url))

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        return subprocess.run(
            command,
            env=self.env | env,
            cwd=self.build,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )

    def said(self, *command: str, **env: str) -> list[str]:
        """Which programs ran, in order, and what they had."""
        run = self.run(*command, **env)
        assert run.returncode == 0, run.stderr
        return self.called()

    def called(self) -> list[str]:
        """The programs, without what every clang of the fleet's is told."""
        return self.calls.read_text().replace(f"{' '.join(llvm.FLAGS)} ", "").splitlines()

    def sampled(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run(*command, AGENTFLEET_SAMPLE="100", **env)

    def litter(self) -> list[Path]:
        return sorted(self.tmp.iterdir())


class Server:
    """Where reports go."""

    def __init__(self) -> None:
        self.reports: list[dict[str, str]] = []
        reports = self.reports

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                reports.append({key: value[0] for key, value in parse_qs(body).items()})
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"rpi9 is blocked\n")

            def log_message(self, *_: object) -> None:
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/reports"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.httpd.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture(params=sorted(SHELLS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    host = Host(tmp_path, request.param, host_of(mac=False))
    (host.build / "x.c").write_text("int x;\n")
    return host


@pytest.fixture
def mac(tmp_path: Path) -> Host:
    return Host(tmp_path, "bash", host_of(mac=True))


ROW = "x86_64:/envs/x.tar.zst"


@pytest.mark.parametrize("name", ["clang", "clang++"])
def test_clang_goes_out_with_the_row_s_environments(host: Host, name: str) -> None:
    calls = host.said(name, "-c", "a b.h")
    assert calls[:2] == [f"icecc {host.llvm}/{name} -c a b.h", f"icecc has ICECC_VERSION={ROW}"]


def test_clang_has_the_fleet_s_defaults_and_a_build_s_own_words_count(host: Host) -> None:
    host.said("clang", "-fno-stack-protector", "-c")
    (sent, *_) = host.calls.read_text().splitlines()
    flags = " ".join(llvm.FLAGS)
    assert sent == f"icecc {host.llvm}/clang {flags} -fno-stack-protector -c"
    assert llvm.NO_CONFIG == "CLANG_NO_DEFAULT_CONFIG=1"
    assert "export CLANG_NO_DEFAULT_CONFIG=1" in (host.ours / "clang").read_text()


@pytest.mark.parametrize("name", ["gcc", "g++"])
def test_gcc_that_shall_stay_at_home_does(host: Host, name: str) -> None:
    assert host.said(name, "-c", **{exports.GCC_HOME: "home"}) == [f"{name} -c"]


@pytest.mark.parametrize("name", ["gcc", "g++", "cc", "c++"])
def test_gcc_goes_out_with_no_environment_not_even_the_caller_s(host: Host, name: str) -> None:
    calls = host.said(name, "-c", "x.h", ICECC_VERSION="aarch64:/envs/wrong", ICECC_CC="/x/clang")
    assert calls[:2] == [f"icecc {host.bin}/{name} -c x.h", "icecc has ICECC_VERSION=none"]


def test_who_sets_environments_keeps_them_for_clang(host: Host) -> None:
    host.row.unlink()
    calls = host.said("clang", "-c", ICECC_VERSION="only:this")
    assert "icecc has ICECC_VERSION=only:this" in calls


@pytest.mark.parametrize("row", ["", "\n", None])
def test_without_a_row_clang_stays_at_home(host: Host, row: str | None) -> None:
    host.row.unlink()
    if row is not None:
        host.row.write_text(row)
    assert host.said("clang", "-c") == ["clang -c"]
    assert host.said("icecc", "clang", "-c") == ["clang -c"]


def test_where_the_fleet_s_clang_is_missing_the_system_s_compiles_at_home(host: Host) -> None:
    (host.llvm / "clang").unlink()
    (host.llvm / "clang++").unlink()
    host.env["PATH"] = f"{host.ours}:{host.bin}"
    (host.bin / "env").symlink_to(shutil.which("env") or "")
    for shell in ("dash", "bash"):
        (host.bin / shell).symlink_to(shutil.which(shell) or "")
    run = host.run(str(host.ours / "clang"), "-c")
    assert (run.returncode, run.stdout) == (127, "")
    assert run.stderr == f"agentfleet: no clang on PATH behind {host.ours}\n"
    host.program(host.bin / "clang", f'#!{shutil.which("dash")}\necho mine "$@"\n')
    assert host.run(str(host.ours / "clang"), "-c").stdout == "mine -c\n"


def test_a_cc_that_is_no_gcc_stays_at_home(host: Host) -> None:
    (host.bin / "cc").unlink()
    host.compiler(host.bin / "cc")
    assert host.said("cc", "-c") == ["cc -c"]


def test_without_icecream_compilers_just_compile(host: Host) -> None:
    (host.root / "icecc").unlink()
    assert host.said("gcc", "-c") == ["gcc -c"]
    assert host.said("clang", "-c")[0] == "clang -c"


def test_questions_are_answered_at_home(host: Host) -> None:
    for question in ("--version", "-dumpmachine", "-print-prog-name=ld"):
        assert host.said("gcc", question) == [f"gcc {question}"]


@pytest.mark.parametrize(
    ("compiler", "real", "version"),
    [
        ("clang", "{llvm}/clang", ROW),
        ("clang++", "{llvm}/clang++", ROW),
        ("clang-16", "{llvm}/clang", ROW),
        ("clang++-16", "{llvm}/clang++", ROW),
        ("{ours}/clang", "{llvm}/clang", ROW),
        ("{ours}/../ours/clang++", "{llvm}/clang++", ROW),
        ("{llvm}/clang", "{llvm}/clang", ROW),
        ("{bin}/clang-16", "{llvm}/clang", ROW),
        ("gcc", "{bin}/gcc", "none"),
        ("{ours}/g++", "{bin}/g++", "none"),
        ("{masquerade}/gcc", "{bin}/gcc", "none"),
        ("{bin}/gcc-12", "{bin}/gcc-12", "none"),
        ("gcc-12", "{bin}/gcc-12", "none"),
    ],
)
def test_icecc_takes_the_compiler_it_is_given(
    host: Host, compiler: str, real: str, version: str
) -> None:
    (host.bin / "clang-16").symlink_to(host.llvm / "clang")
    host.compiler(host.bin / "gcc-12")
    places = vars(host)
    calls = host.said("icecc", compiler.format(**places), "-c", ICECC_VERSION="")
    assert calls[:2] == [f"icecc {real.format(**places)} -c", f"icecc has ICECC_VERSION={version}"]
    assert sum(call.startswith("icecc /") for call in calls) == 1


@pytest.mark.parametrize("compiler", ["clang-15", "{bin}/clang-15", "{bin}/clang", "clang-tidy"])
def test_another_clang_than_the_fleet_s_stays_at_home(host: Host, compiler: str) -> None:
    for name in ("clang", "clang-15", "clang-tidy"):
        host.compiler(host.bin / name)
    command = compiler.format(**vars(host))
    assert host.said("icecc", command, "-c", ICECC_VERSION="x") == [f"{Path(command).name} -c"]


@pytest.mark.parametrize("argument", [(), ("--help",), ("--version",)])
def test_icecc_itself_still_answers(host: Host, argument: tuple[str, ...]) -> None:
    assert host.said("icecc", *argument)[0] == f"icecc {' '.join(argument)}"


@pytest.mark.parametrize("before", ["{ours}:{ours}", "{ours}/:{bin}/../ours", ":.:{masquerade}"])
def test_wrappers_never_find_themselves(host: Host, before: str) -> None:
    host.env["PATH"] = f"{before.format(**vars(host))}:{host.env['PATH']}"
    for name in ("gcc", "c++"):
        (host.masquerade / name).symlink_to(host.ours / name)
        assert host.said(name, "-c")[0] == f"icecc {host.bin}/{name} -c"


def test_no_step_of_the_usual_path_forks(host: Host) -> None:
    lines = (host.ours / "gcc").read_text().splitlines()
    code = "\n".join(line.split(" # ")[0] for line in lines if not line.startswith("#"))
    assert not re.search(r"\$\((?!\()|`|&$", code, re.MULTILINE)
    host.env["PATH"] = f"{host.ours}:{host.bin}"
    host.program(host.root / "icecc", f"#!{shutil.which('dash')}\necho through\n")
    shell = [shutil.which(SHELLS[host.shell][0]) or "", *SHELLS[host.shell][1:]]
    run = host.run(*shell, str(host.ours / "gcc"), "-c")
    assert (run.stdout, run.stderr) == ("through\n", "")


# Behind ccache


CCACHE = shutil.which("ccache")


@pytest.mark.skipif(not CCACHE, reason="no ccache on this machine")
@pytest.mark.parametrize("compiler", ["clang", "gcc"])
@pytest.mark.parametrize("by", ["name", "masquerade"])
def test_ccache_hands_each_job_to_icecc_once(host: Host, compiler: str, by: str) -> None:
    (host.masquerade / compiler).symlink_to(CCACHE or "")
    (host.build / "x.c").write_text("int x;\n")
    if by == "masquerade":
        host.env["PATH"] = f"{host.masquerade}:{host.env['PATH']}"
    env = {**compilers.environment(host.view), "CCACHE_DIR": str(host.root / "cache")}
    command = (compiler,) if by == "masquerade" else ("ccache", compiler)
    calls = host.said(*command, "-c", "x.c", "-o", "x.o", **env)
    sent = [n for n, call in enumerate(calls) if call.startswith("icecc /") and " -c " in call]
    (real,) = [calls[n].split()[1] for n in sent]
    assert real == str((host.llvm if compiler == "clang" else host.bin) / compiler)
    version = ROW if compiler == "clang" else "none"
    assert calls[sent[0] + 1] == f"icecc has ICECC_VERSION={version}"


# What workers return is compared


@pytest.mark.parametrize("compiler", ["clang", "gcc"])
def test_equal_objects_pass_and_leave_nothing(host: Host, compiler: str) -> None:
    run = host.sampled(compiler, "-c", "x.c", "-o", "x.o", "-MD", "-MF", "x.d")
    assert (run.returncode, run.stderr) == (0, "a warning\n")
    calls = host.called()
    compiled = [call for call in calls if call.startswith(f"{compiler} -c")]
    assert compiled[0].endswith("-c x.c -o x.o -MD -MF x.d")
    assert compiled[1].startswith(f"{compiler} -c x.c -o {host.tmp}/agentfleet-compare.")
    assert len(compiled) == 2
    assert calls.count("deps") == 1
    assert host.litter() == []


def test_another_build_of_the_compiler_makes_no_difference(host: Host) -> None:
    host.mode.write_text(f"{WORKER} elsewhere\n")
    assert host.sampled("clang", "-c", "-g", "x.c", "-o", "x.o").returncode == 0
    without = host.sampled("clang", "-c", "x.c", "-o", "x.o")
    assert without.returncode == 1, "without -g there are no paths in it that may differ"


@pytest.mark.parametrize("alter", ["wrong", "malformed"])
@pytest.mark.parametrize("compiler", ["clang", "g++"])
def test_a_wrong_object_fails_the_build_and_is_reported(
    host: Host, server: Server, alter: str, compiler: str
) -> None:
    host.report_to(server)
    host.mode.write_text(f"{WORKER} {alter}\n")
    run = host.sampled(compiler, "-c", "x.c", "-o", "x.o")
    assert run.returncode == 1
    assert not (host.build / "x.o").exists(), "make would take it"
    assert f"agentfleet: {WORKER} returned an object of x.c that differs" in run.stderr
    assert "agentfleet: rpi9 is blocked" in run.stderr
    (report,) = server.reports
    where = host.llvm if compiler == "clang" else host.bin
    assert (report["worker"], report["compiler"]) == (WORKER, str(where / compiler))
    assert report["source"] == str(host.build / "x.c")
    assert "-c x.c -o x.o" in report["detail"]
    (kept,) = host.litter()
    assert str(kept) in run.stderr
    assert kept.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in kept.iterdir()) == ["here.o", "log", "there.o"]
    assert alter in (kept / "there.o").read_text()


def test_a_wrong_object_fails_the_build_though_nobody_can_be_told(
    host: Host, server: Server
) -> None:
    host.report_to(server)
    server.httpd.server_close()
    host.mode.write_text(f"{WORKER} wrong\n")
    run = host.sampled("gcc", "-c", "x.c")
    assert run.returncode == 1
    assert "nobody could be told" in run.stderr
    assert not (host.build / "x.o").exists()


def test_ccache_keeps_no_wrong_object(host: Host, server: Server) -> None:
    if not CCACHE:
        pytest.skip("no ccache on this machine")
    host.report_to(server)
    cache = {**compilers.environment(host.view), "CCACHE_DIR": str(host.root / "cache")}
    command = ("ccache", "gcc", "-c", "x.c", "-o", "x.o")
    host.mode.write_text(f"{WORKER} wrong\n")
    assert host.sampled(*command, **cache).returncode != 0
    host.mode.write_text(f"{WORKER}\n")
    assert host.sampled(*command, **cache).returncode == 0
    assert "wrong" not in (host.build / "x.o").read_text()
    assert len(server.reports) == 1


def test_what_depends_on_the_time_accuses_nobody(host: Host, server: Server) -> None:
    host.report_to(server)
    (host.build / "x.c").write_text("char *x = __TIME__;\n")
    run = host.sampled("gcc", "-c", "x.c", "-o", "x.o")
    assert run.returncode == 0
    assert "x.c depends on when it is compiled" in run.stderr
    assert server.reports == []
    assert (host.build / "x.o").exists()


@pytest.mark.parametrize("mode", ["home", f"{WORKER} fails"])
def test_what_was_compiled_here_is_not_compiled_again(host: Host, mode: str) -> None:
    host.mode.write_text(f"{mode}\n")
    run = host.sampled("gcc", "-c", "x.c", "-o", "x.o")
    assert run.returncode == 0
    assert host.calls.read_text().count("\ngcc -c") == 1


def test_a_compiler_s_failure_is_passed_on(host: Host) -> None:
    host.broken.touch()
    run = host.sampled("gcc", "-c", "x.c")
    assert (run.returncode, run.stderr) == (3, "x.c: no\n")
    assert host.litter() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("x.c",),
        ("-c", "x.c", "y.c"),
        ("-c", "x.c", "-flto"),
        ("-c", "x.c", "-gsplit-dwarf"),
        ("-c", "x.c", "--coverage"),
        ("-c", "x.c", "-o", "/dev/null"),
        ("-c", "-xc", "-"),
        ("-E", "x.c"),
        ("-c", "@arguments"),
    ],
)
def test_what_cannot_be_compared_goes_its_usual_way(host: Host, arguments: tuple[str, ...]) -> None:
    (host.build / "y.c").touch()
    host.sampled("gcc", *arguments)
    calls = host.calls.read_text().splitlines()
    assert calls[0] == f"icecc {host.bin}/gcc {' '.join(arguments)}"
    assert sum(call.startswith("gcc ") for call in calls) == 1


@pytest.mark.parametrize("off", ["disable", "no", "NO"])
def test_who_keeps_jobs_at_home_is_not_sampled(host: Host, off: str) -> None:
    host.sampled("gcc", "-c", "x.c", ICECC=off)
    assert host.calls.read_text().count("\ngcc -c") == 1


def test_the_caller_s_log_still_gets_icecream_s_words(host: Host) -> None:
    log = host.root / "log"
    log.write_text("before\n")
    host.sampled("gcc", "-c", "x.c", ICECC_LOGFILE=str(log), ICECC_DEBUG="debug")
    assert log.read_text().startswith("before\nICECC[7]")


@pytest.mark.parametrize(("said", "times"), [("100", 2), ("0", 1), ("101", 1), ("x", 1)])
def test_the_environment_may_say_how_many(host: Host, said: str, times: int) -> None:
    host.run("gcc", "-c", "x.c", AGENTFLEET_SAMPLE=said)
    assert host.calls.read_text().count("\ngcc -c") == times


def test_about_as_many_are_compared_as_fleet_yaml_says(tmp_path: Path) -> None:
    host = Host(tmp_path, "dash", host_of(mac=False), percent=25)
    host.program(host.root / "icecc", "#!/bin/sh\n")
    host.program(host.ours / "compile-and-compare", "#!/bin/sh\necho compared\n")
    script = "i=0; while [ $i -lt 200 ]; do gcc -c x.c; i=$((i+1)); done"
    compared = host.run("dash", "-c", script).stdout.count("compared")
    assert 25 <= compared <= 75


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_compile(host: Host, number: signal.Signals) -> None:
    host.hang.touch()
    process = subprocess.Popen(
        [str(host.ours / "gcc"), "-c", "x.c"],
        env=host.env | {"AGENTFLEET_SAMPLE": "100"},
        cwd=host.build,
    )
    deadline = time.monotonic() + 10
    while not host.hang.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=5) == -number
    child = int(host.hang.read_text())
    assert not Path(f"/proc/{child}").exists()
    assert host.litter() == []


@pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("objcopy")), reason="no gcc or binutils here"
)
def test_real_objects_are_compared_by_what_runs(host: Host, server: Server) -> None:
    """With debug information from elsewhere it is the same; with one instruction more it is not."""
    host.report_to(server)
    real = shutil.which("gcc")
    (host.bin / "gcc").unlink()
    (host.llvm / "llvm-objcopy").unlink()
    host.program(host.bin / "gcc", f'#!/bin/sh\nexec {real} "$@"\n')
    log = f"ICECC[7] x: Have to use host {WORKER}:1 - Job ID: 1"
    (host.root / "worker").mkdir()
    host.program(
        host.root / "icecc",
        f'#!/bin/sh\necho "{log}" >>"$ICECC_LOGFILE"\nhere=$PWD\ncd {host.root}/worker\n'
        f'{real} -g $WORSE -c "$here/x.c" -o "$here/x.o"\n',
    )
    (host.build / "x.c").write_text("int twice(int a) { return a + a; }\n")
    run = host.sampled("gcc", "-g", "-c", "x.c")
    assert (run.returncode, run.stderr) == (0, "")
    run = host.sampled("gcc", "-g", "-c", "x.c", WORSE="-O2")
    assert run.returncode == 1
    assert len(server.reports) == 1


def mach_o(build: tuple[int, int], code: bytes) -> bytes:
    """An object for a Mac, with one load command before that of the version, and its code."""
    header = struct.pack("<8I", 0xFEEDFACF, 0x01000007, 3, 1, 2, 40, 0, 0)
    commands = struct.pack("<4I6I", 2, 16, 0, 0, 50, 24, 1, *build, 0)
    return header + commands + code


@pytest.mark.parametrize(("code", "status"), [(b"code", 0), (b"evil", 1)])
def test_a_mac_s_object_may_say_which_sdk_it_was(
    host: Host, server: Server, code: bytes, status: int
) -> None:
    """Workers have none."""
    host.report_to(server)
    (host.root / "here").write_bytes(mach_o((0xB0000, 0xB0300), b"code"))
    (host.root / "there").write_bytes(mach_o((0xB0000, 0), code))
    text = f'#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\ncp {host.root}/${{BUILD-here}} "$1"\n'
    host.program(host.bin / "gcc", text)
    host.program(host.llvm / "llvm-objcopy", '#!/bin/sh\ncp "$3" "$4"\n')
    host.mode.write_text(f"{WORKER} elsewhere\n")
    assert host.sampled("gcc", "-c", "x.c", "-o", "x.o").returncode == status
    assert len(server.reports) == status


# Shells, and Macs


def test_a_mac_keeps_its_gcc(mac: Host) -> None:
    installed = {path.name for path in mac.ours.iterdir()}
    assert installed == {"icecc", "clang", "clang++", "compile-and-compare"}
    assert mac.said("clang", "-c")[0] == f"icecc {mac.llvm}/clang -c"
    assert mac.said("icecc", "gcc", "-c", ICECC_VERSION="x") == ["gcc -c"]


def shell_file(want: Resources, path: str) -> File:
    (found,) = [file for file in want.files if file.path == path]
    return found


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_shells_have_the_wrappers_first_and_once(shell: str, tmp_path: Path) -> None:
    path = tmp_path / "profile"
    want = compilers.resources(with_toolchain(host_of(mac=False)))
    path.write_bytes(shell_file(want, compilers.PROFILE).content)
    script = f". {path}; . {path}; echo $PATH; echo $CCACHE_PREFIX $CCACHE_COMPILERCHECK"
    ours = "/opt/agentfleet/compilers"
    for before, after in (
        ("/usr/bin", f"{ours}:/usr/bin"),
        (f"{ours}:/usr/bin", f"{ours}:/usr/bin"),
        (f"/usr/bin:{ours}", f"{ours}:/usr/bin:{ours}"),
    ):
        command = [shutil.which(SHELLS[shell][0]) or "", *SHELLS[shell][1:], "-c", script]
        env = {"PATH": before, "CCACHE_PREFIX": "mine"}
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
        assert run.stdout == f"{after}\nmine %compiler% --version\n"


def test_ssh_without_a_shell_has_them_too() -> None:
    want = compilers.resources(with_toolchain(host_of(mac=False)))
    file = shell_file(want, compilers.SSHD_CONFIG)
    (line,) = [line for line in file.content.decode().splitlines() if not line.startswith("#")]
    assert line.startswith('SetEnv "PATH=/opt/agentfleet/compilers:/usr/local/sbin:')
    assert '"CCACHE_COMPILERCHECK=%compiler% --version"' in line
    assert "authorized_keys" not in file.check, "it locks nobody out"
    (told,) = want.services
    assert told.inputs == (file.path,)


def test_a_mac_s_owner_keeps_a_file_of_that_name(tmp_path: Path) -> None:
    want = compilers.resources(with_toolchain(host_of(mac=True)))
    for where in compilers.ZSH:
        there, staged = tmp_path / "there", tmp_path / "staged"
        file = shell_file(want, where)
        staged.write_bytes(file.content)
        check = file.check.replace(where, str(there)).replace("{path}", str(staged))
        there.unlink(missing_ok=True)
        assert subprocess.run(["sh", "-c", check], check=False).returncode == 0
        there.write_bytes(file.content)
        assert subprocess.run(["sh", "-c", check], check=False).returncode == 0
        there.write_text("alias ls=exa\n")
        run = subprocess.run(["sh", "-c", check], check=False, capture_output=True, text=True)
        assert run.returncode == 1
        assert f"{there} is somebody else's" in run.stderr


@pytest.mark.parametrize("on_mac", [False, True])
def test_agents_compile_with_them(on_mac: bool) -> None:
    view = with_toolchain(host_of(mac=on_mac))
    text = b"\n".join(file.content for file in agentapi.resources(view).files).decode()
    assert re.search(r"[=>]/opt/agentfleet/compilers:/usr/local/bin:", text)
    assert re.search(r"CCACHE_COMPILERCHECK\W.*%{1,2}compiler%{1,2} --version", text, re.DOTALL)


def test_a_fleet_without_a_toolchain_gets_nothing() -> None:
    found = target()
    bare = replace(found, fleet=found.fleet.model_copy(update={"toolchain": None}))
    for name in views():
        assert compilers.resources(view_of(bare, name)) == Resources()
