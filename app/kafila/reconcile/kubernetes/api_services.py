"""Whether extension servers can be reached: the condition Available of APIServices (kube-aggregator's availability controllers)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple, final

from prometheus_client import Gauge

from kafila.aggregation.apiservices import RESOURCE, APIService, read
from kafila.aggregation.requests import Extensions
from kafila.core.clock import rfc3339
from kafila.core.conditions import conditions_of
from kafila.core.values import Object
from kafila.members.transport import Unreachable
from kafila.reconcile.controller import ResourceController
from kafila.registry import Options, Registry
from kafila.watch import Event
from kafila.webhooks.services import SLICES, Unresolved, slices_of

OPTIONS: Final = Options(manager="kube-apiserver")
CHECKED: Final = 30.0  # seconds between two looks at a server that answers
RETRIED: Final = 5.0  # and at one that does not
TIMEOUT: Final = 5.0
_SERVICE_NAME: Final = "kubernetes.io/service-name"


class Availability(NamedTuple):
    status: str
    reason: str
    message: str


UNAVAILABLE: Final = Gauge(
    "aggregator_unavailable_apiservice", "APIServices whose extension server cannot be reached: 1.", ["name"]
)
LOCAL: Final = Availability("True", "Local", "Local APIServices are always available")
PASSED: Final = Availability("True", "Passed", "all checks passed")


@final
class APIServices(ResourceController):
    name = "apiservice"
    about = RESOURCE

    def __init__(self, registry: Registry, extensions: Extensions) -> None:
        super().__init__(registry.cache, self.name, concurrency=8)
        self._registry = registry
        self._extensions = extensions
        self._kind = registry.kind("apiregistration.k8s.io", "v1", "apiservices")
        registry.cache.listen("services", self._observe_service)
        registry.cache.listen(SLICES, self._observe_slice)

    def _observe_service(self, event: Event) -> None:
        self._enqueue(event.key.namespace, event.key.name)

    def _observe_slice(self, event: Event) -> None:
        entry = event.new or event.last
        if entry is not None:
            self._enqueue(event.key.namespace, (entry.meta.labels or {}).get(_SERVICE_NAME, ""))

    def _enqueue(self, namespace: str, service: str) -> None:
        for found in self._remote():
            if (found.namespace, found.service) == (namespace, service):
                self.queue.add(found.name)

    def _remote(self) -> Iterator[APIService]:
        for entry in self._registry.cache.resource(RESOURCE).entries():
            found = read(entry.decode())
            if found is not None:
                yield found

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(RESOURCE, "", name)
        if entry is None:
            with suppress(KeyError):
                UNAVAILABLE.remove(name)
            return
        obj = entry.decode()
        service = read(obj)
        if service is None:
            if not (obj.get("spec") or {}).get("service"):
                await self._write(name, obj, LOCAL)
            return
        found = self._looked_up(service) or await self._asked(service)
        UNAVAILABLE.labels(name).set(found.status != "True")
        await self._write(name, obj, found)
        self.queue.add_after(name, CHECKED if found is PASSED else RETRIED, background=True)

    def _looked_up(self, api: APIService) -> Availability | None:
        """What is wrong with its Service; None when nothing is."""
        cache, where = self._registry.cache, f'service/{api.service} in "{api.namespace}"'
        entry = cache.get("services", api.namespace, api.service)
        if entry is None:
            return Availability("False", "ServiceNotFound", f"{where} is not present")
        spec = entry.decode().get("spec") or {}
        if spec.get("type") != "ClusterIP":
            return None
        port = next((port for port in spec.get("ports") or () if port.get("port") == api.port), None)
        if port is None:
            return Availability("False", "ServicePortError", f"{where} is not listening on port {api.port}")
        slices = list(slices_of(cache, api.namespace, api.service))
        if not slices:
            return Availability("False", "EndpointsNotFound", f"cannot find endpointslices for {where}")
        if not any(_has_endpoint(found, port.get("name") or "") for found in slices):
            text = f'endpointslices for {where} have no addresses with port name "{port.get("name") or ""}"'
            return Availability("False", "MissingEndpoints", text)
        return None

    async def _asked(self, api: APIService) -> Availability:
        try:
            endpoint = (await self._extensions.connections(api)).upstream.endpoint
            try:
                async with asyncio.timeout(TIMEOUT):
                    status = (await self._extensions.document(api, api.path, "application/json")).status
            except TimeoutError:
                raise Unreachable("context deadline exceeded", sent=True) from None
        except Unresolved as error:
            return Availability("False", "FailedDiscoveryCheck", str(error))
        except (Unreachable, ValueError) as error:
            url = f"{endpoint}{api.path}"
            text = f'failing or missing response from {url}: Get "{url}": {error}'
            return Availability("False", "FailedDiscoveryCheck", text)
        if 200 <= status < 300:
            return PASSED
        url = f"{endpoint}{api.path}"
        text = f"failing or missing response from {url}: bad status from {url}: {status}"
        return Availability("False", "FailedDiscoveryCheck", text)

    async def _write(self, name: str, obj: Object, found: Availability) -> None:
        before = next((c for c in conditions_of(obj) if c.get("type") == "Available"), {})
        if tuple(before.get(field) for field in ("status", "reason", "message")) == found:
            return
        condition = {"type": "Available", "status": found.status, "reason": found.reason, "message": found.message}
        kept = before.get("status") == found.status
        condition["lastTransitionTime"] = before["lastTransitionTime"] if kept else rfc3339()

        def written(current: Object) -> Object:
            others = [c for c in conditions_of(current) if c.get("type") != "Available"]
            return {**current, "status": {**(current.get("status") or {}), "conditions": [*others, condition]}}

        await self._registry.modify(self._kind, "", name, written, OPTIONS, "status")


def _has_endpoint(found: Object, port: str) -> bool:
    if not any((each.get("name") or "") == port for each in found.get("ports") or ()):
        return False
    ready = (e for e in found.get("endpoints") or () if (e.get("conditions") or {}).get("ready") is not False)
    return any(endpoint.get("addresses") for endpoint in ready)
