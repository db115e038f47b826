"""The fleet at its sites, and the compile cluster: the two pictures that are made of hosts."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from fleet.doors import Who
from fleet.environments import number
from fleet.graph.icons import CHIP, CLOUD, PEOPLE
from fleet.graph.layout import Beside, Card, Chip, Line, Panel, Picture
from fleet.graph.reach import Way, ways, where
from fleet.kinds import Arch, Power
from fleet.model import Fleet, Host
from fleet.settings import settings_for
from fleet.toolchains import is_worker, matrix

_NAMED = 4  # operators; more are counted


def mesh(fleet: Fleet) -> Picture:
    """Every host at its site, and who may reach whom."""
    boss = fleet.orchestrator
    sites = dict.fromkeys(host.site for host in fleet.hosts)
    agents = [host for host in fleet.hosts if host.is_agent]
    subtitle = (
        f"{_count(len(fleet.hosts), 'host')} at {_count(len(sites), 'site')},"
        f" {_count(len(agents), 'agent')}, a compile cluster of"
        f" {_count(len([h for h in fleet.hosts if is_worker(h)]), 'worker')}"
    )
    panels = [_site(fleet, site) for site in sites]
    return Picture(
        title=f"The fleet {fleet.name}",
        subtitle=subtitle,
        told=_told(fleet),
        top=Card(boss, _chips(fleet, boss)),
        beside=(*_operators(fleet), _api(fleet)),
        lines=_lines(fleet),
        panels=tuple(panel for panel in panels if panel.cards),
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _site(fleet: Fleet, site: str) -> Panel:
    hosts = [host for host in fleet.hosts if host.site == site and host != fleet.orchestrator]
    relayed = [way for way in ways(fleet) for name in way.hosts if _relays(fleet, way, name, site)]
    note = f"downloads come through {fleet.relays[site]}: {relayed[0].label}" if relayed else ""
    cards = tuple(Card(host, _chips(fleet, host)) for host in hosts)
    takes = any(is_worker(host) for host in hosts)
    reached = ("agents", *(["compile"] if takes else []))
    return Panel(site, note, cards, reached, ("services", "compile"))


def _relays(fleet: Fleet, way: Way, name: str, site: str) -> bool:
    """Whether the door is the one by which this host serves its site."""
    by_relays = set(way.hosts) <= set(fleet.relays.values())
    return by_relays and fleet.orchestrator.name not in way.hosts and fleet.relays.get(site) == name


def _chips(fleet: Fleet, host: Host) -> tuple[Chip, ...]:
    return tuple(_properties(fleet, host))


def _properties(fleet: Fleet, host: Host) -> Iterator[Chip]:
    if host.is_agent:
        yield Chip("agent", "agents")
    yield from _compiles(fleet, host)
    if fleet.is_relay(host):
        yield Chip("relay", "services")
    if fleet.backup_host == host:
        yield Chip("backups", "services")
    if host.power is not Power.ALWAYS_ON:
        yield Chip(host.power.value, "soft")


def _compiles(fleet: Fleet, host: Host) -> Iterator[Chip]:
    if fleet.scheduler == host.name:
        yield Chip("scheduler", "compile")
    if is_worker(host):
        yield Chip(_count(host.max_jobs, "job"), "compile")
    elif _in_cluster(host):
        yield Chip("sends jobs", "compile")


def _in_cluster(host: Host) -> bool:
    return "icecream" not in host.without and "icecream" in settings_for(host.role).capabilities


def _operators(fleet: Fleet) -> tuple[Beside, ...]:
    people = [one.name for one in fleet.operators if one.login]
    doors = [way for way in ways(fleet) if way.operators and way.who is Who.TAILNET]
    if not people or not doors:
        return ()
    names = ", ".join(people[:_NAMED])
    rest = len(people) - _NAMED
    words = f"{names} and {rest} more" if rest > 0 else names
    return (Beside(PEOPLE, "people", "Operators", words, _labels(doors), inward=True),)


def _api(fleet: Fleet) -> Beside:
    host = urlsplit(fleet.anthropic_url).netloc
    return Beside(CLOUD, "agents", "The API agents use", host, "gateway, with key")


def _lines(fleet: Fleet) -> tuple[Line, ...]:
    boss, every = fleet.orchestrator.name, ways(fleet)
    reached = [way for way in every if way.who is Who.ORCHESTRATOR]
    others = {host.name for host in fleet.hosts} - {boss}
    logins = [
        way.label if others <= {*way.dispatch} else f"{way.label} where an agent runs"
        for way in every
        if way.dispatch
    ]
    served = [way for way in every if _of_all(way) and way.hosts == (boss,)]
    shared = [way for way in every if _of_all(way) and way not in served]
    mine = [way for way in shared if len(way.hosts) == 1 and way.hosts != (boss,)]
    scheduled = [way for way in (*served, *mine) if way.hosts == (fleet.scheduler,)]
    scheduled = [way for way in scheduled if way.name.startswith("scheduler")]
    served = [way for way in served if way not in scheduled]
    workers = [way for way in shared if way.hosts == tuple(host.name for host in fleet.hosts)]
    compile_ports = _labels([*workers, *scheduled])
    return (
        Line("agents", f"{boss} reaches every host", _labels(reached, *logins), down=True),
        Line("services", f"every host reaches {boss}", _labels(served), up=True),
        Line(
            "compile",
            f"every host compiles on others; scheduler: {fleet.scheduler}",
            compile_ports,
            up=True,
            down=True,
        ),
    )


def _of_all(way: Way) -> bool:
    return way.who in (Who.FLEET, Who.TAILNET)


def _labels(those: list[Way], *more: str) -> str:
    return " · ".join((*(way.label for way in those), *more))


def _told(fleet: Fleet) -> str:
    """The picture in words, for those who do not see it."""
    hosts = [
        f"{host.name} ({host.role}, {host.site}): "
        + ", ".join(chip.words for chip in _chips(fleet, host))
        for host in fleet.hosts
    ]
    doors = [f"{way.label} on {where(way.hosts, fleet)}, open to {way.who}" for way in ways(fleet)]
    return f"Hosts: {'; '.join(hosts)}. Ports: {'; '.join(doors)}."


def cluster(fleet: Fleet) -> Picture:
    """The compile cluster: scheduler, workers by platform, clients."""
    scheduler = fleet.scheduler_host
    others = [host for host in fleet.hosts if host != scheduler]
    groups = [
        *(_workers(fleet, arch, others) for arch in Arch),
        _group(fleet, "Clients", "send jobs and take none", others, takes=False),
        _apart(fleet, others),
    ]
    jobs = sum(host.max_jobs for host in fleet.hosts if is_worker(host))
    clients = [host for host in fleet.hosts if _in_cluster(host)]
    return Picture(
        title=f"The compile cluster of {fleet.name}",
        subtitle=f"{_count(jobs, 'job')} at once, {_count(len(clients), 'client')}",
        told=_told(fleet),
        top=Card(scheduler, tuple(_compiles(fleet, scheduler))),
        beside=_toolchain(fleet),
        lines=_cluster_lines(fleet),
        panels=tuple(group for group in groups if group.cards),
    )


def _cluster_lines(fleet: Fleet) -> tuple[Line, ...]:
    every = [way for way in ways(fleet) if _of_all(way)]
    asked = [way for way in every if way.name == "scheduler"]
    sent = [way for way in every if way.name == "worker"]
    words = f"every daemon asks {fleet.scheduler} for workers"
    return (
        Line("services", words, _labels(asked), up=True),
        Line("compile", "clients send jobs to workers", _labels(sent), up=True, down=True),
    )


def _workers(fleet: Fleet, arch: Arch, hosts: list[Host]) -> Panel:
    made = matrix(fleet)
    note = ""
    if published := made.published.get(arch):
        clang = number(published.environment.compiler)
        note = f"clang {clang}, packed on {', '.join(published.builders)}"
    elif trouble := made.troubles.get(arch):
        note = trouble
    mine = [host for host in hosts if host.arch is arch]
    return _group(fleet, f"{arch} workers", note, mine, takes=True)


def _group(fleet: Fleet, title: str, note: str, hosts: list[Host], *, takes: bool) -> Panel:
    those = [host for host in hosts if _in_cluster(host) and is_worker(host) is takes]
    cards = tuple(Card(host, tuple(_compiles(fleet, host))) for host in those)
    return Panel(title, note, cards, ("compile",) if takes else (), ("services", "compile"))


def _apart(fleet: Fleet, hosts: list[Host]) -> Panel:
    cards = tuple(Card(host, ()) for host in hosts if not _in_cluster(host))
    return Panel("Apart", "without icecream in fleet.yaml", cards, ())


def _toolchain(fleet: Fleet) -> tuple[Beside, ...]:
    if fleet.toolchain is None:
        return ()
    sample = f"{fleet.toolchain.sample_percent:g} % of jobs are compiled at home, too"
    title = f"clang {fleet.toolchain.llvm} on every host"
    return (Beside(CHIP, "compile", title, sample),)
