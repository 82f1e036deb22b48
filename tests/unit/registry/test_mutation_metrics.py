"""Mutations of policies are counted as ``prometheus_client`` would count them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from kafila.registry.mutation_metrics import BOUNDS, Mutations, observe

NAME = "apiserver_mutating_admission_policy_check"
LABELS = ("policy", "policy_binding", "error_type")


def test_the_text_is_that_of_the_library() -> None:
    own, theirs = CollectorRegistry(), CollectorRegistry()
    own.register(Mutations())
    checks = Counter(NAME, "", LABELS, registry=theirs)
    seconds = Histogram(f"{NAME}_duration_seconds", "", LABELS, registry=theirs, buckets=BOUNDS)
    for number, took in enumerate((0.0, 0.0000005, 0.0005, 0.001, 0.5, 1.0, 7.0)):
        labels = ("counted-here", f"b{number % 2}", "no_error")
        observe(*labels, took)
        checks.labels(*labels).inc()
        seconds.labels(*labels).observe(took)
    assert told(own) == told(theirs)
    assert len(told(own)) == 2 + 2 * (len(BOUNDS) + 3)


def told(registry: CollectorRegistry) -> list[str]:
    """But for when a sample came into being, which nobody asks."""
    return [
        line
        for line in generate_latest(registry).decode().splitlines()
        if "counted-here" in line and "_created" not in line
    ]
