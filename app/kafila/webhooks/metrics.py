"""How webhooks answer: kube-apiserver's metrics, under its names."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# two of kube-apiserver's counters do not end in _total, as this library's counters have to: they only rise all the same
_HIGHEST: Final = 600  # code that is told apart from others

SECONDS: Final = Histogram(
    "apiserver_admission_webhook_admission_duration_seconds",
    "Admission webhook latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).",
    ["name", "type", "operation", "rejected"],
    buckets=(0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10, 25),
)
REJECTIONS: Final = Gauge(
    "apiserver_admission_webhook_rejection_count",
    "Admission webhook rejection count, identified by name and broken out for each admission type and operation.",
    ["name", "type", "operation", "error_type", "rejection_code"],
)
REQUESTS: Final = Counter(
    "apiserver_admission_webhook_request",
    "Admission webhook request total, identified by name and broken out for each admission type and operation.",
    ["name", "type", "operation", "code", "rejected"],
)
FAIL_OPEN: Final = Gauge(
    "apiserver_admission_webhook_fail_open_count",
    "Admission webhook fail open count, identified by name and broken out for each admission type (validating or admit).",
    ["name", "type"],
)

CONDITION_ERRORS: Final = Counter(
    "apiserver_admission_match_condition_evaluation_errors",
    "Admission match condition evaluation errors count, identified by name of resource containing the match condition.",
    ["name", "kind", "type", "operation"],
)
CONDITION_EXCLUSIONS: Final = Counter(
    "apiserver_admission_match_condition_exclusions",
    "Admission match condition evaluation exclusions count, identified by name of resource containing the match condition.",
    ["name", "kind", "type", "operation"],
)


def observe(name: str, step: str, operation: str, code: int, seconds: float, *, rejected: bool) -> None:
    said = "true" if rejected else "false"
    REQUESTS.labels(name, step, operation, str(min(code, _HIGHEST)), said).inc()
    SECONDS.labels(name, step, operation, said).observe(seconds)


def observe_rejection(name: str, step: str, operation: str, error_type: str, code: int) -> None:
    REJECTIONS.labels(name, step, operation, error_type, str(min(code, _HIGHEST))).inc()


CONVERSIONS: Final = Histogram(
    "apiserver_crd_conversion_webhook_duration_seconds",
    "CRD webhook conversion duration in seconds.",
    ["crd_name", "succeeded"],
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384),
)


def observe_conversion(definition: str, seconds: float, *, failed: bool) -> None:
    CONVERSIONS.labels(definition, "false" if failed else "true").observe(seconds)
