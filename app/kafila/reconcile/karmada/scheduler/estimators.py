"""The accurate estimators of the members: where they are, and what they answer about a binding."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, final

import structlog
from prometheus_client import Counter

from kafila.core.errors import StatusError
from kafila.core.feature_gates import MULTIPLE_POD_TEMPLATES_SCHEDULING, Gates
from kafila.core.values import AnyObject, Object
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo
from kafila.placement.scheduler.estimate import Assumed
from kafila.placement.scheduler.estimator_wire import (
    MAX_REPLICAS,
    MAX_SETS,
    UNSCHEDULABLE,
    EstimatorError,
    replicas_request,
    sets_request,
    unschedulable_request,
)
from kafila.placement.spec import is_multi_component
from kafila.placement.types import Cluster, ResourceBindingSpec
from kafila.reconcile.facts import FactsNeeded
from kafila.settings.federation import EstimatorOptions
from kafila.watch import Cache

if TYPE_CHECKING:
    from kafila.members.estimator import EstimatorClient

log = structlog.get_logger(__name__)
ENOUGH: Final = 3  # times that they are asked in one decision
FAILURES = Counter(
    "kafila_estimator_failures_total", "Requests that an accurate estimator did not answer.", ["cluster"]
)


class EstimateRequest(NamedTuple):
    about: str  # the workload, for the estimators' logs
    method: str
    requests: Mapping[str, bytes]  # by cluster


@final
class Estimates:
    """What estimators have said in the course of one decision."""

    def __init__(self) -> None:
        self._said: list[tuple[EstimateRequest, dict[str, int]]] = []

    def of(self, request: EstimateRequest) -> dict[str, int] | None:
        """None: they have to be asked. Where others are placed faster than they answer, what they said last must do."""
        for asked, answers in reversed(self._said):
            if asked == request or len(self._said) >= ENOUGH:
                return answers
        return None

    def put(self, request: EstimateRequest, answers: dict[str, int]) -> None:
        self._said.append((request, answers))


class EstimatesNeeded(FactsNeeded):
    def __init__(self, estimators: Estimators, request: EstimateRequest, estimates: Estimates) -> None:
        super().__init__("estimators have to be asked")
        self._estimators = estimators
        self._request = request
        self._estimates = estimates

    async def fetch(self) -> None:
        self._estimates.put(self._request, await self._estimators.ask(self._request))


@final
class Estimators:
    def __init__(self, cache: Cache, gates: Gates, options: EstimatorOptions, always: bool = False) -> None:
        """``always``: they are asked whether or not the scheduler asks them."""
        self._cache = cache
        self._gates = gates
        self._options = options
        self._tls: ssl.SSLContext | None = None
        if options.enable_scheduler_estimator or always:
            from kafila.members.estimator import EstimatorTLS  # gRPC is loaded only where it is used

            files = (
                options.scheduler_estimator_ca_file,
                options.scheduler_estimator_cert_file,
                options.scheduler_estimator_key_file,
            )
            self._tls = EstimatorTLS(*files, insecure=options.insecure_skip_estimator_verify).context()
        self._clients: dict[str, EstimatorClient] = {}

    @property
    def enabled(self) -> bool:
        return self._options.enable_scheduler_estimator

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def request(
        self, spec: ResourceBindingSpec, members: Iterable[ClusterInfo], assumed: Mapping[str, Sequence[Assumed]]
    ) -> EstimateRequest:
        resource = spec.get("resource") or {}
        namespace = resource.get("namespace") or ""
        clusters = [member.name for member in members if not self._is_left_out(member.cluster)]
        if MULTIPLE_POD_TEMPLATES_SCHEDULING in self._gates and is_multi_component(spec):
            method, request = MAX_SETS, partial(sets_request, components=spec.get("components") or ())
        else:
            method, request = MAX_REPLICAS, partial(replicas_request, requirements=spec.get("replicaRequirements"))
        return EstimateRequest(
            _about(resource),
            method,
            {each: request(each, namespace=namespace, assumed=assumed.get(each, ())) for each in clusters},
        )

    def unschedulable_request(self, resource: AnyObject, clusters: Iterable[str], threshold: float) -> EstimateRequest:
        """How many of a workload's replicas have found no node for ``threshold`` seconds."""
        requests = {each: unschedulable_request(each, resource, threshold) for each in clusters}
        return EstimateRequest(_about(resource), UNSCHEDULABLE, requests)

    async def ask(self, request: EstimateRequest) -> dict[str, int]:
        """Replicas, or sets of components, by cluster. Empty when one does not answer: Karmada then does without all of them."""
        asked = await asyncio.gather(
            *(self._ask_one(cluster, request) for cluster in request.requests), return_exceptions=True
        )
        found: dict[str, int] = {}
        for cluster, result in zip(request.requests, asked, strict=True):
            if isinstance(result, (EstimatorError, StatusError)):
                FAILURES.labels(cluster).inc()
                log.warning("estimator not heard", cluster=cluster, error=str(result))
                return {}
            if isinstance(result, BaseException):
                raise result
            found[cluster] = result
        return found

    def _is_left_out(self, cluster: Cluster) -> bool:
        return self._options.disable_scheduler_estimator_in_pull_mode and cluster["spec"].get("syncMode") == "Pull"

    async def _ask_one(self, cluster: str, request: EstimateRequest) -> int:
        client, message = self._client(cluster), request.requests[cluster]
        return await client.call(request.method, message, request.about, self._options.scheduler_estimator_timeout)

    def _client(self, cluster: str) -> EstimatorClient:
        from kafila.members.estimator import EstimatorClient

        host, port = self._address(cluster)
        client = self._clients.get(cluster)
        if client is None or client.address != f"{host}:{port}":
            if client is not None:
                client.close()
            client = self._clients[cluster] = EstimatorClient(host, port, self._tls)
        return client

    def _address(self, cluster: str) -> tuple[str, int]:
        """The ExternalName Service of the cluster's estimator, else the DNS name that one in our own cluster would have."""
        options = self._options
        name = f"{options.scheduler_estimator_service_prefix}-{cluster}"
        entry = self._cache.get("services", options.scheduler_estimator_service_namespace, name)
        if entry is None:
            return f"{name}.{options.scheduler_estimator_service_namespace}.svc", options.scheduler_estimator_port
        spec = entry.decode().get("spec") or {}
        if spec.get("type") != "ExternalName":
            raise EstimatorError(f'unsupported service type "{spec.get("type")}"')
        target = _target_port(spec.get("ports") or (), options.scheduler_estimator_port)
        if target is None:
            raise EstimatorError(f'no service port {options.scheduler_estimator_port} found for service "{name}"')
        return spec["externalName"], target


def _about(resource: AnyObject) -> str:
    return f"kind={resource.get('kind')}, name={resource.get('namespace') or ''}/{resource.get('name')}"


def _target_port(ports: Iterable[Object], wanted: int) -> int | None:
    for port in ports:
        if port.get("port") == wanted:
            target = port.get("targetPort", wanted)
            return target if isinstance(target, int) else None
    return None
