"""The accurate estimators of the members: where they are, and what they answer about a binding."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import structlog
from prometheus_client import Counter

from app.core.errors import StatusError
from app.placement.estimate import Assumed
from app.placement.estimatorwire import MAX_REPLICAS, MAX_SETS, EstimatorError, replicas_request, sets_request
from app.placement.fleet import Member
from app.placement.gates import MULTIPLE_POD_TEMPLATES_SCHEDULING
from app.placement.spec import is_multi_component
from app.settings.federation import EstimatorOptions

from .federation import Federation

if TYPE_CHECKING:
    from app.members.estimator import EstimatorClient

log = structlog.get_logger(__name__)
Object = dict[str, Any]
FAILURES = Counter(
    "kafila_estimator_failures_total", "Requests that an accurate estimator did not answer.", ["cluster"]
)


class EstimatesNeeded(Exception):
    """Deciding has to wait for what estimators say about these clusters."""

    def __init__(self, spec: Object, members: Sequence[Member], assumed: Mapping[str, Sequence[Assumed]]) -> None:
        super().__init__("estimators have to be asked")
        self.spec = spec
        self.members = members
        self.assumed = assumed


@final
class Estimators:
    def __init__(self, federation: Federation, options: EstimatorOptions) -> None:
        self._federation = federation
        self._options = options
        self._tls: ssl.SSLContext | None = None
        if options.enabled:
            from app.members.estimator import EstimatorTLS  # gRPC is loaded only where it is used

            files = (options.authority_file, options.certificate_file, options.key_file)
            self._tls = EstimatorTLS(*files, insecure=options.insecure).context()
        self._clients: dict[str, EstimatorClient] = {}

    @property
    def enabled(self) -> bool:
        return self._options.enabled

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    async def ask(self, needed: EstimatesNeeded) -> dict[str, int]:
        """Replicas, or sets of components, by cluster. Empty when one does not answer: Karmada then does without all of them."""
        clusters = [m.name for m in needed.members if not self._is_left_out(m.cluster)]
        asked = await asyncio.gather(
            *(self._ask_one(cluster, needed.spec, needed.assumed.get(cluster, ())) for cluster in clusters),
            return_exceptions=True,
        )
        found: dict[str, int] = {}
        for cluster, result in zip(clusters, asked, strict=True):
            if isinstance(result, (EstimatorError, StatusError)):
                FAILURES.labels(cluster).inc()
                log.warning("estimator not heard", cluster=cluster, error=str(result))
                return {}
            if isinstance(result, BaseException):
                raise result
            found[cluster] = result
        return found

    def _is_left_out(self, cluster: Object) -> bool:
        return self._options.not_in_pull_mode and cluster["spec"].get("syncMode") == "Pull"

    async def _ask_one(self, cluster: str, spec: Object, assumed: Sequence[Assumed]) -> int:
        resource = spec.get("resource") or {}
        namespace = resource.get("namespace") or ""
        about = f"kind={resource.get('kind')}, name={namespace}/{resource.get('name')}"
        if MULTIPLE_POD_TEMPLATES_SCHEDULING in self._federation.gates and is_multi_component(spec):
            method, request = MAX_SETS, sets_request(cluster, spec.get("components") or (), namespace, assumed)
        else:
            method = MAX_REPLICAS
            request = replicas_request(cluster, spec.get("replicaRequirements"), namespace, assumed)
        return await self._client(cluster).call(method, request, about, self._options.timeout)

    def _client(self, cluster: str) -> EstimatorClient:
        from app.members.estimator import EstimatorClient

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
        name = f"{options.service_prefix}-{cluster}"
        entry = self._federation.registry.cache.get("services", options.service_namespace, name)
        if entry is None:
            return f"{name}.{options.service_namespace}.svc", options.port
        spec = entry.decode().get("spec") or {}
        if spec.get("type") != "ExternalName":
            raise EstimatorError(f'unsupported service type "{spec.get("type")}"')
        target = _target_port(spec.get("ports") or (), options.port)
        if target is None:
            raise EstimatorError(f'no service port {options.port} found for service "{name}"')
        return spec["externalName"], target


def _target_port(ports: Iterable[Object], wanted: int) -> int | None:
    for port in ports:
        if port.get("port") == wanted:
            target = port.get("targetPort", wanted)
            return target if isinstance(target, int) else None
    return None
