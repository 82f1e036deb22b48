"""What is counted of requests, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import REGISTRY

from kafila.api.metrics import _counted, observe
from kafila.api.request import parse_target
from kafila.catalog.catalog import builtin_kinds

NAMES = ("verb", "group", "version", "resource", "subresource", "scope", "component")


def sample(name: str, **more: str) -> float:
    values = ("GET", "storage.k8s.io", "v1", "csinodes", "", "resource", "apiserver")
    return REGISTRY.get_sample_value(name, dict(zip(NAMES, values, strict=True)) | more) or 0.0


def test_requests_that_are_alike_are_counted_together() -> None:
    kind = next(kind for kind in builtin_kinds() if (kind.kind, kind.version) == ("CSINode", "v1"))
    target = parse_target("/apis/storage.k8s.io/v1/csinodes/a")
    assert target is not None
    _counted.clear()  # other tests ask too
    for status, seconds in ((200, 0.0005), (200, 0.005), (404, 0.03), (404, 99.0)):
        observe("get", kind, target, False, status, seconds, 1500)
    observe("watch", kind, target, False, 200, 5.0, 0)
    observe("update", kind, target, True, 200, 5.0, 0)
    assert sample("apiserver_request_total", code="200", dry_run="") == 2
    assert sample("apiserver_request_total", code="404", dry_run="") == 2
    assert sample("apiserver_request_total", code="200", dry_run="", verb="WATCH") == 1
    assert sample("apiserver_request_total", code="200", dry_run="All", verb="PUT") == 1
    duration = "apiserver_request_duration_seconds"
    bounds = ("0.005", "0.025", "0.05", "60.0", "+Inf")
    assert [sample(f"{duration}_bucket", le=le, dry_run="") for le in bounds] == [2, 2, 3, 3, 4]
    assert sample(f"{duration}_count", dry_run="") == 4
    assert round(sample(f"{duration}_sum", dry_run=""), 4) == 99.0355
    assert sample(f"{duration}_count", verb="WATCH", dry_run="") == 0  # how long one was open says nothing
    assert sample("apiserver_response_sizes_bucket", le="10000.0") == 4
    assert sample("apiserver_response_sizes_bucket", le="1000.0") == 0
