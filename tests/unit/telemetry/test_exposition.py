"""Metrics are written in pieces, as ``generate_latest`` of prometheus_client writes them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
)
from prometheus_client.core import GaugeHistogramMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.registry import Collector

from kafila.api.meta import build_shell
from kafila.api.metrics import Requests, observe
from kafila.api.request import parse_target
from kafila.catalog.catalog import builtin_kinds
from kafila.telemetry.exposition import PIECE, exposition


class Others(Collector):
    def collect(self) -> Iterator[Metric]:
        yield UnknownMetricFamily("unknown", "What it is\nnobody \\ knows.", value=-0.5)
        yield GaugeHistogramMetricFamily("sizes", "Of now.", buckets=[("1.0", 2), ("+Inf", 3)], gsum_value=7)


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Info("build", "Version.", registry=registry).info({"version": "1", "a": "b"})
    Enum("state", "Of it.", states=["on", "off"], registry=registry).state("off")
    Summary("took", "Seconds.", ["what"], registry=registry).labels('a "quoted"\\\none é').observe(0.1)
    Gauge("level", 'With "quotes", a \\ and\na line.', registry=registry).set(float("inf"))
    Gauge("never_set", "It has labels and no samples.", ["a"], registry=registry)
    Gauge("nan", "Not a number.", registry=registry).set(float("nan"))
    counter = Counter("asked", "How often.", ["z", "a"], registry=registry)
    seconds = Histogram("seconds", "How long.", ["z"], registry=registry)
    for number in range(3 * PIECE):
        counter.labels(str(number), "x").inc(number / 3)
        seconds.labels(str(number)).observe(10**number if number < 9 else 1e-9)
    registry.register(Others())
    return registry


def test_the_text_is_that_of_the_library(registry: CollectorRegistry) -> None:
    assert "".join(exposition(registry)).encode() == generate_latest(registry)


def test_the_text_of_what_is_measured_of_requests() -> None:
    registry = CollectorRegistry()
    registry.register(Requests())
    target = parse_target("/api/v1/namespaces/a/pods/b")
    assert target is not None
    for kind in builtin_kinds():
        for verb in ("get", "create", "watch"):
            observe(verb, kind, target, False, 200, 0.02, 1500)
    found = list(exposition(registry))
    assert "".join(found).encode() == generate_latest(registry)
    assert len(found) > 10


def test_no_piece_is_long(registry: CollectorRegistry) -> None:
    pieces = list(exposition(registry))
    assert max(piece.count("\n") for piece in pieces) <= PIECE + 2  # and what is said of the metric


async def test_others_get_the_event_loop_between_two_pieces() -> None:
    many = Gauge("kafila_test_many", "Very many.", ["number"])
    try:
        for number in range(20 * PIECE):
            many.labels(str(number)).set(1)
        transport = httpx.ASGITransport(build_shell({}))
        async with httpx.AsyncClient(transport=transport, base_url="http://kafila.test") as client:
            asked = asyncio.create_task(client.get("/metrics"))
            turns = 0
            while not asked.done():
                await asyncio.sleep(0)
                turns += 1
        assert turns >= 20
        answer = asked.result()
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert answer.text.count("\nkafila_test_many{") == 20 * PIECE
    finally:
        REGISTRY.unregister(many)
