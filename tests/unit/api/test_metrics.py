"""What is counted of requests, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import REGISTRY

from kafila.api.metrics import _SERVED, observe
from kafila.api.request import parse_target
from kafila.catalog.catalog import builtin_kinds

NAMES = ("verb", "group", "version", "resource")


def sample(name: str, **more: str) -> float:
    labels = dict(zip(NAMES, ("GET", "storage.k8s.io", "v1", "csinodes"), strict=True)) | more
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_requests_that_are_alike_are_counted_together() -> None:
    kind = next(kind for kind in builtin_kinds() if (kind.kind, kind.version) == ("CSINode", "v1"))
    target = parse_target("/apis/storage.k8s.io/v1/csinodes/a")
    assert target is not None
    _SERVED.clear()  # other tests ask too
    for status, seconds in ((200, 0.0005), (200, 0.001), (404, 0.03), (404, 99.0)):
        observe("GET", kind, target, status, seconds)
    observe("WATCH", kind, target, 200, 5.0)
    of = {"subresource": "", "scope": "resource"}
    assert sample("apiserver_request_total", code="200", **of) == 2
    assert sample("apiserver_request_total", code="404", **of) == 2
    assert sample("apiserver_request_total", code="200", **of, verb="WATCH") == 1
    duration = "apiserver_request_duration_seconds"
    assert [sample(f"{duration}_bucket", le=le) for le in ("0.001", "0.025", "0.05", "60.0", "+Inf")] == [2, 2, 3, 3, 4]
    assert sample(f"{duration}_count") == 4
    assert round(sample(f"{duration}_sum"), 4) == 99.0315
    assert sample(f"{duration}_count", verb="WATCH") == 0  # how long one was open says nothing
