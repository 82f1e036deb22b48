"""Metrics for controllers of this process, as a client of the API would read them: :class:`MetricsSource`.

Where an APIService gives a group to another server (Karmada's metrics-adapter), that server is asked, as the control plane itself;
else the members are, without a request to our own API.

    source = MetricsSource.over(cache, transport_for, limits, extensions)
    pods = await source.pod_metrics("default", "app=web")
    values = await source.custom_metrics("default", "pods", "app=web", "requests_per_second")
    object = await source.custom_metric_of("default", "ingresses.networking.k8s.io", "main", "requests_per_second")
    queue = await source.external_metrics("default", "queue_length", "queue=jobs")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Self, TypeVar, final
from urllib.parse import quote, urlencode

import orjson

from kafila.aggregation import APIService, Routes
from kafila.aggregation.requests import Extensions
from kafila.core.clock import parse_rfc3339
from kafila.core.errors import StatusError, service_unavailable
from kafila.core.quantity import Quantity, parse
from kafila.core.values import Object
from kafila.members.answers import status_error
from kafila.members.clients import MemberClients, TransportFor
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.registry.threads import in_thread
from kafila.settings.answers import AnswerLimits
from kafila.watch import Cache
from kafila.webhooks.services import Unresolved

from . import answers
from .members import MemberMetrics
from .values import (
    ALL_OBJECTS,
    CUSTOM,
    EXTERNAL,
    QUERY_SOURCE,
    RESOURCE,
    VERSIONS,
    ExternalValue,
    MetricValue,
    Usage,
)

T = TypeVar("T")
_PART: Final = re.compile(r"([0-9.]+)(h|ms|m|us|µs|ns|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class ContainerUsage(NamedTuple):
    """``usage``: by resource, as "cpu" and "memory"."""

    name: str
    usage: Mapping[str, Quantity]


class PodMetrics(NamedTuple):
    """``cluster``: the member it runs in, "" where nobody says; ``timestamp``: Unix seconds; ``window``: seconds."""

    cluster: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    timestamp: float
    window: float
    containers: tuple[ContainerUsage, ...]


@final
class MetricsSource:
    """Every method raises StatusError: 404 for a metric that nobody has, 503 where nobody can be asked."""

    def __init__(self, members: MemberMetrics, routes: Routes, extensions: Extensions) -> None:
        self._members = members
        self._routes = routes
        self._extensions = extensions

    @classmethod
    def over(cls, cache: Cache, transport_for: TransportFor, limits: AnswerLimits, extensions: Extensions) -> Self:
        return cls(MemberMetrics(MemberClients(cache, transport_for, limits)), Routes(cache), extensions)

    async def close(self) -> None:
        await self._members.close()

    async def pod_metrics(self, namespace: str, labels: str = "") -> list[PodMetrics]:
        """Of the pods in a namespace that a label selector selects, in all members, by name."""
        service = self._elsewhere(RESOURCE)
        if service is None:
            found = (await self._members.pods(namespace, labels)).found
        else:
            path = f"{service.path}/namespaces/{quote(namespace, safe='')}/pods"
            found = await self._asked(
                service, path, {"labelSelector": labels}, lambda body: answers.pods(body, f"GET {path}", "", namespace)
            )
        return await in_thread(sum(len(usage.body) for usage in found), lambda: [pod_of(usage) for usage in found])

    async def custom_metrics(
        self, namespace: str, resource: str, labels: str, metric: str, metric_labels: str = ""
    ) -> list[MetricValue]:
        """Of the objects that ``labels`` select; ``resource``: as "pods" or "jobs.batch"."""
        service = self._elsewhere(CUSTOM)
        if service is not None:
            return await self._custom(service, (namespace, resource, ALL_OBJECTS, metric), labels, metric_labels)
        return (await self._members.custom_by_selector(namespace, resource, labels, metric, metric_labels)).found

    async def custom_metric_of(
        self, namespace: str, resource: str, name: str, metric: str, metric_labels: str = ""
    ) -> MetricValue:
        """Of one object."""
        service = self._elsewhere(CUSTOM)
        if service is None:
            found = (await self._members.custom_by_name(namespace, resource, name, metric, metric_labels)).found
        else:
            found = await self._custom(service, (namespace, resource, name, metric), "", metric_labels)
        if not found:
            raise StatusError(404, "NotFound", f"the server could not find the metric {metric} for {resource} {name}")
        return found[0]

    async def external_metrics(self, namespace: str, metric: str, labels: str = "") -> list[ExternalValue]:
        """``labels``: a selector of the metric's own labels."""
        service = self._elsewhere(EXTERNAL)
        if service is None:
            return (await self._members.external(namespace, metric, labels)).found
        path = f"{service.path}/namespaces/{quote(namespace, safe='')}/{quote(metric, safe='')}"
        return await self._asked(
            service, path, {"labelSelector": labels}, lambda body: answers.external(body, f"GET {path}", metric)
        )

    # -- another server --------------------------------------------------------------------------------------------------

    def _elsewhere(self, group: str) -> APIService | None:
        """The APIService that gives a group away: of its versions the first that we know."""
        found = (self._routes.of(group, version) for version in VERSIONS[group])
        return next((service for service in found if service is not None), None)

    async def _custom(
        self, service: APIService, place: tuple[str, str, str, str], labels: str, metric_labels: str
    ) -> list[MetricValue]:
        namespace, resource, name, metric = place
        if resource == "namespaces":
            parts = ["namespaces", name, "metrics", metric]
        else:
            parts = [*(["namespaces", namespace] if namespace else []), resource, name, metric]
        path = "/".join((service.path, *(quote(part, safe="*") for part in parts)))
        query = {"labelSelector": labels, "metricLabelSelector": metric_labels}
        return await self._asked(service, path, query, lambda body: answers.custom(body, f"GET {path}", metric))

    async def _asked(
        self, service: APIService, path: str, query: dict[str, str], read: Callable[[bytes], list[T]]
    ) -> list[T]:
        asked = urlencode({name: value for name, value in query.items() if value})
        try:
            answer = await self._extensions.document(service, f"{path}?{asked}" if asked else path, "application/json")
            if answer.status == 200:
                return await in_thread(len(answer.body), lambda: read(answer.body))
        except (Unresolved, Unreachable, UnusableAnswer, TimeoutError) as error:
            raise service_unavailable(f"the server of APIService {service.name}: {error}") from None
        raise status_error(answer.status, answer.body)


def pod_of(usage: Usage) -> PodMetrics:
    """What was read already, as values."""
    obj: Object = orjson.loads(usage.body)
    metadata: Object = obj["metadata"]
    containers = tuple(
        ContainerUsage(container["name"], {name: parse(amount) for name, amount in container["usage"].items()})
        for container in obj["containers"]
    )
    cluster = usage.cluster or (metadata.get("annotations") or {}).get(QUERY_SOURCE, "")
    labels: Mapping[str, str] = metadata.get("labels") or {}
    at = parse_rfc3339(obj["timestamp"])
    return PodMetrics(cluster, usage.namespace, usage.name, labels, at, seconds_of(obj["window"]), containers)


def seconds_of(duration: str) -> float:
    """Of a duration as Go writes it: "1m30s"."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))
