"""What Karmada's performance harness reads (hack/performance of its repository, 1.18.2) is there, by name, labels and type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pytest
from aiohttp import web
from prometheus_client import REGISTRY, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from kafila.members.client import MemberClient
from kafila.members.transport import Unreachable

from .conftest import Lab

QUEUES: Final = (
    "resource detector",
    "propagationPolicy reconciler",
    "dependencies-distributor",
    "binding-controller",
    "resource-binding-status-controller",
    "execution-controller",
    "work-status",
    "work-status-controller",
)
CONTROLLERS: Final = QUEUES[2:6] + QUEUES[7:]


class Read(NamedTuple):
    """A metric that a query names, with the labels that it selects by."""

    name: str
    type: str
    labels: Mapping[str, str] = {}
    may_be_nothing: bool = False  # nothing of the kind may have happened


def histogram(name: str, /, **labels: str) -> list[Read]:
    return [Read(f"{name}_bucket", "histogram", labels), Read(f"{name}_count", "histogram", labels)]


def in_queue(name: str) -> list[Read]:
    return [
        *histogram("workqueue_queue_duration_seconds", name=name),
        *histogram("workqueue_work_duration_seconds", name=name),
        Read("workqueue_depth", "gauge", {"name": name}, True),
        Read("workqueue_adds_total", "counter", {"name": name}),
        Read("workqueue_retries_total", "counter", {"name": name}, True),
    ]


def of_controller(name: str) -> list[Read]:
    return [
        *histogram("controller_runtime_reconcile_time_seconds", controller=name),
        Read("controller_runtime_reconcile_total", "counter", {"controller": name}),
        Read("controller_runtime_reconcile_errors_total", "counter", {"controller": name}, True),
    ]


READ: Final = [
    *histogram("resource_match_policy_duration_seconds"),
    *histogram("resource_apply_policy_duration_seconds", result="success"),
    *histogram("binding_sync_work_duration_seconds", result="success"),
    *histogram("work_sync_workload_duration_seconds", result="success"),
    *histogram("cluster_sync_status_duration_seconds"),
    *histogram("karmada_scheduler_e2e_scheduling_duration_seconds", result="scheduled"),
    *histogram("karmada_scheduler_e2e_scheduling_duration_seconds", result="error"),
    Read("karmada_scheduler_queue_incoming_bindings_total", "counter"),
    Read("karmada_scheduler_schedule_attempts_total", "counter"),
    *(each for name in CONTROLLERS for each in of_controller(name)),
    *(each for name in QUEUES for each in in_queue(name)),
]
BUCKETS: Final = {  # Karmada's
    "resource_match_policy_duration_seconds": [0.001 * 2**power for power in range(12)],
    "binding_sync_work_duration_seconds": [0.001 * 2**power for power in range(12)],
    "karmada_scheduler_e2e_scheduling_duration_seconds": [0.001 * 2**power for power in range(15)],
}


def families() -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(generate_latest(REGISTRY).decode())}


def missing(read: Read, found: Mapping[str, Metric]) -> str:
    """What a query would not find; "" when it finds it."""
    family = found.get(read.name.removesuffix("_total").removesuffix("_bucket").removesuffix("_count"))
    if family is None:
        return f"{read.name}: no such metric"
    if family.type != read.type:
        return f"{read.name}: {family.type}, not {read.type}"
    samples = [each for each in family.samples if each.name == read.name and read.labels.items() <= each.labels.items()]
    if not samples:
        return f"{read.name}: nothing with {read.labels}"
    return "" if read.may_be_nothing or any(each.value for each in samples) else f"{read.name}: 0 with {read.labels}"


async def test_the_harness_finds_what_it_reads(two: Lab) -> None:
    await two.create(two.config("settings"))
    await two.create(two.deployment("web", replicas=2))
    await two.create(two.policy("web", "m1", "m2", propagateDeps=True))
    await two.create(two.deployment("nowhere", replicas=1))
    select = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "nowhere"}]
    await two.create(two.policy("nowhere", "m9", select=select))

    def lacking() -> list[str]:
        found = families()
        return [text for read in READ if (text := missing(read, found))]

    await two.until(lambda: not lacking(), "the harness lacks something")
    found = families()
    for name, bounds in BUCKETS.items():
        family = found[name]
        seen = {float(each.labels["le"]) for each in family.samples if each.name.endswith("_bucket")}
        assert sorted(seen)[:-1] == pytest.approx(bounds)


async def test_requests_to_members_are_counted_by_host() -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.json_response({}, status=404 if request.path == "/missing" else 200)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host = "{}:{}".format(*runner.addresses[0][:2])
    client = MemberClient("m1", f"http://{host}")

    def counted(code: str) -> Any:
        labels = {"code": code, "host": host, "method": "GET"}
        return REGISTRY.get_sample_value("rest_client_requests_total", labels) or 0

    before = counted("200"), counted("404"), counted("<error>")  # a port may have been another server's earlier
    try:
        await client.request("GET", "/")
        await client.request("GET", "/missing")
        assert (counted("200"), counted("404")) == (before[0] + 1, before[1] + 1)
        await runner.cleanup()
        with pytest.raises(Unreachable):
            await client.request("GET", "/", probe=True)
        assert counted("<error>") == before[2] + 1
    finally:
        await client.close()
