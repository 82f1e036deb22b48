"""What a simulated member says of its metrics, as metrics-server and an adapter of custom metrics do in a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, final

from kafila.api.negotiation import accepted
from kafila.api.request import Request, Target
from kafila.api.responses import Sender, encoded, send_response
from kafila.core import errors, selectors
from kafila.core.clock import rfc3339
from kafila.core.quantity import Quantity, parse
from kafila.core.values import Object
from kafila.metricsadapter.documents import custom_list, external_list
from kafila.metricsadapter.merging import metric_not_found
from kafila.metricsadapter.values import ALL_OBJECTS, CUSTOM, EXTERNAL, RESOURCE, ExternalValue, MetricValue
from kafila.registry import Registry

_WINDOW: Final = "15s"


@final
class SimulatedMetrics:
    """Every container uses ``cpu`` and ``memory``, where ``usage`` does not say otherwise for its pod.

    ``custom``: values of custom metrics of pods, by metric, each the same for all pods. ``external``: values of external metrics by
    metric. All are read whenever somebody asks.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.cpu, self.memory = "25m", "16Mi"
        self.usage: Callable[[Object], dict[str, str]] | None = None
        self.custom: dict[str, str] = {}
        self.external: dict[str, list[tuple[dict[str, str], str]]] = {}

    def serves(self, target: Target) -> bool:
        return target.group in (RESOURCE, CUSTOM, EXTERNAL) and bool(target.plural)

    def groups(self) -> list[str]:
        return [group for group, values in ((CUSTOM, self.custom), (EXTERNAL, self.external)) if values]

    async def serve(self, request: Request, send: Sender) -> None:
        target = request.target
        assert target is not None
        if target.group == CUSTOM:
            document = self._custom(target, request)
        elif target.group == EXTERNAL:
            document = self._external(target)
        elif target.name:
            document = self._one(target)
        else:
            document = self._list(target, request)
        await send_response(send, request, encoded(document, accepted(request.header(b"accept"), False)))

    def _list(self, target: Target, request: Request) -> Object:
        kind = "PodMetrics" if target.plural == "pods" else "NodeMetrics"
        items = [self._metrics(target.plural, obj) for obj in self._objects(target.plural, target.namespace, request)]
        return {"kind": f"{kind}List", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}

    def _one(self, target: Target) -> Object:
        entry = self._registry.cache.get(target.plural, target.namespace, target.name)
        if entry is None:
            raise errors.not_found("", target.plural, target.name)
        kind = "PodMetrics" if target.plural == "pods" else "NodeMetrics"
        head = {"kind": kind, "apiVersion": "metrics.k8s.io/v1beta1"}
        return {**head, **self._metrics(target.plural, entry.decode())}

    def _objects(self, plural: str, namespace: str, request: Request) -> list[Object]:
        wanted = selectors.parse(request.query.get("labelSelector", ""))
        entries = self._registry.cache.resource(plural).entries(namespace)
        return [entry.decode() for entry in entries if wanted.matches(entry.meta.labels)]

    def _metrics(self, plural: str, obj: Object) -> Object:
        metadata = {field: value for field in ("name", "namespace", "labels") if (value := obj["metadata"].get(field))}
        sample = {"metadata": metadata, "timestamp": rfc3339(), "window": _WINDOW}
        if plural == "nodes":
            pods = [entry.decode() for entry in self._registry.cache.resource("pods").entries()]
            here = [pod for pod in pods if pod["spec"].get("nodeName") == metadata["name"]]
            return {**sample, "usage": _sum(usage for pod in here for usage in self._containers(pod).values())}
        return {**sample, "containers": [{"name": n, "usage": u} for n, u in self._containers(obj).items()]}

    def _containers(self, pod: Object) -> dict[str, dict[str, str]]:
        used = self.usage(pod) if self.usage is not None else {"cpu": self.cpu, "memory": self.memory}
        return {container["name"]: used for container in pod["spec"]["containers"]}

    def _custom(self, target: Target, request: Request) -> Object:
        amount = self.custom.get(target.subresource)
        if amount is None or target.plural != "pods":
            raise metric_not_found(target.plural, target.subresource)
        pods = self._objects("pods", target.namespace, request)
        values = [
            MetricValue(_reference(pod), target.subresource, None, rfc3339(), None, parse(amount))
            for pod in pods
            if target.name in (ALL_OBJECTS, pod["metadata"]["name"])
        ]
        return custom_list(values, target.version)

    def _external(self, target: Target) -> Object:
        found = self.external.get(target.plural)
        if found is None:
            raise metric_not_found(f"namespace {target.namespace}", target.plural)
        values = [
            ExternalValue(target.plural, tuple(sorted(labels.items())), rfc3339(), None, parse(amount))
            for labels, amount in found
        ]
        return external_list(values, target.version)


def _reference(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "apiVersion": "/v1"}


def _sum(all_usage: Iterable[dict[str, str]]) -> dict[str, str]:
    total: dict[str, Quantity] = {"cpu": Quantity(0), "memory": Quantity(0)}
    for usage in all_usage:
        for name, amount in usage.items():
            total[name] = total.get(name, Quantity(0)) + parse(amount)
    return {name: str(amount) for name, amount in total.items()}
