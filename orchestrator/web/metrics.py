"""What a Prometheus server may read: asked of the desk when it comes, nothing is counted twice."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.desk import Desk
from orchestrator.health.model import Verdict
from orchestrator.health.report import Report
from orchestrator.registry.model import Condition
from orchestrator.tasks.model import Counts, State
from orchestrator.web.values import clean

_MICROS = 1_000_000


class Snapshot(Collector):
    """The desk as it is at one moment."""

    def __init__(self, desk: Desk, counts: Counts) -> None:
        self._desk, self._counts = desk, counts

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        yield self._agents()
        yield self._tasks()
        yield self._spent()
        yield from self._cluster()
        if report := self._desk.health():
            yield from _health(report)

    def _agents(self) -> Metric:
        found = GaugeMetricFamily(
            "agentfleet_agent_condition", "1 for how an agent is", labels=["host", "condition"]
        )
        for agent in self._desk.agents():
            for condition in Condition:
                is_so = float(agent.condition is condition)
                found.add_metric([agent.host.name, condition.value], is_so)
        return found

    def _tasks(self) -> Metric:
        found = GaugeMetricFamily("agentfleet_tasks", "tasks by state", labels=["state"])
        for state in State:
            found.add_metric([state.value], self._counts.by_state.get(state, 0))
        return found

    def _spent(self) -> Metric:
        found = GaugeMetricFamily(
            "agentfleet_spent_today_dollars", "what agents spent today", labels=["host"]
        )
        for host, money in self._desk.budgets().hosts.items():
            found.add_metric([host], money.of_day.spent / _MICROS)
        return found

    def _cluster(self) -> Iterator[Metric]:
        cluster = self._desk.cluster()
        known = [node for node in cluster.nodes if node.known]
        for name, words, value in (
            ("nodes", "daemons that are hosts of the fleet", len(known)),
            ("missing", "workers of fleet.yaml that are not in", len(cluster.missing)),
            ("jobs", "jobs being compiled", sum(node.jobs for node in known)),
        ):
            yield GaugeMetricFamily(f"agentfleet_cluster_{name}", words, value=value)


def _health(report: Report) -> Iterator[Metric]:
    age = report.age_s(time.time()) if report.ended else math.inf
    words = "since the monitoring's latest round; without end: there was none"
    yield GaugeMetricFamily("agentfleet_health_age_seconds", words, value=age)
    words = ", ".join(f"{number} {verdict.value}" for number, verdict in enumerate(Verdict))
    found = GaugeMetricFamily("agentfleet_health_item", words, labels=["kind", "host"])
    for item in report.items:
        found.add_metric([clean(item.kind), clean(item.host)], [*Verdict].index(item.verdict))
    yield found


def routes(desk: Desk) -> list[Route]:
    """`/metrics`, and `/healthz`."""

    async def metrics(request: Request) -> Response:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Snapshot(desk, await desk.counts()))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(request: Request) -> JSONResponse:
        counts = await desk.counts()  # the database answers
        tasks = sum(counts.by_state.values())
        return JSONResponse({"ok": True, "tasks": tasks, "watched": not desk.unwatched()})

    return [
        Route("/metrics", metrics, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
    ]
