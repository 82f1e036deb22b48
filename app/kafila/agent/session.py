"""One life of an agent: registers its cluster, runs the member's controllers, and renews lease and certificate."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast, final

import structlog
from cryptography import x509
from prometheus_client import Counter

from kafila.catalog.catalog import load_catalog
from kafila.core.agents import PREFIX
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.core.values import Object
from kafila.identity.serving import is_due
from kafila.members.accounts import SYSTEM_LABELS, JoinError, obtain_credentials
from kafila.members.agent_authority import is_current
from kafila.members.client import MemberClient, resource_path
from kafila.members.credentials import Connection
from kafila.members.join import CLUSTER_API, CLUSTERS, DEFAULT_NAMESPACE
from kafila.members.kubeconfig import KubeconfigError
from kafila.members.register import certificate_for
from kafila.members.transport import TLS, Unreachable
from kafila.placement import constants
from kafila.placement.services.collected import LABELS
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import Interpreting
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import CLUSTERS as CLUSTERS_RESOURCE
from kafila.reconcile.karmada.member.manager import MemberConnection
from kafila.reconcile.karmada.member.shards import AllClusters
from kafila.reconcile.karmada.member.work_router import WorkRouter
from kafila.reconcile.karmada.services.collection import SliceCollection
from kafila.reconcile.karmada.services.index import ServiceWorks
from kafila.registry import Registry
from kafila.settings.federation import FederationOptions

from .forwarding import RemoteRecorder, RemoteRegistry
from .health import Health
from .mirror import Mirror, followed_by
from .tunnel import TunnelKeeper

log = structlog.get_logger(__name__)
APPROVAL: Final = 60.0  # seconds that a request for another certificate may wait
RENEWALS: Final = Counter("kafila_agent_lease_renewals", "Renewals of the cluster's lease.", ["outcome"])


class Renewed(Exception):
    """There is another certificate: connections are made anew with it."""


@final
@dataclass(frozen=True, slots=True)
class AgentOptions:
    name: str
    endpoint: str  # of the member, for the control plane
    provider: str = ""
    region: str = ""
    zones: tuple[str, ...] = ()
    proxy: str = ""
    cluster_namespace: str = DEFAULT_NAMESPACE
    report_secrets: bool = True
    lease_duration: float = 40.0
    insecure: bool = False
    rotation_interval: float = 300.0
    rotation_threshold: float = 0.2  # share of a certificate's life that is left when it is renewed
    secret: tuple[str, str] = ("", "")  # namespace and name in the member, where its kubeconfig may stand


@final
class Session:
    """``tls``: by which ``plane`` is reached. ``store``: takes a new certificate and its key (PEM), and the CA that the control plane says,
    which the next session uses, and gives the kubeconfig with them. ``told``: asks the control plane for its CA. ``health``: ready while it works."""

    def __init__(
        self,
        plane: MemberClient,
        member: MemberClient,
        tls: TLS,
        options: AgentOptions,
        federation: FederationOptions,
        store: Callable[[bytes, bytes, bytes], str],
        tunnel: TunnelKeeper | None = None,
        told: Callable[[], Awaitable[bytes]] | None = None,
        health: Health | None = None,
    ) -> None:
        self._plane = plane
        self._member = member
        self._tls = tls
        self._certificate = tls.certificate
        self._options = options
        self._federation = federation
        self._store = store
        self._tunnel = tunnel
        self._told = told
        self._health = health or Health()

    async def run(self) -> None:
        """Until it is cancelled. Raises Renewed; JoinError, KubeconfigError, StatusError, Unreachable when it cannot begin; a group of what
        made it stumble later."""
        cluster = await self._register()
        catalog = load_catalog()
        async with AsyncExitStack() as ending:  # also when it does not even begin
            mirror = Mirror(self._plane, catalog, followed_by(self._options.name, self._space))
            ending.push_async_callback(mirror.stop)
            await mirror.start()
            recorder = RemoteRecorder(self._plane)
            registry = cast(Registry, RemoteRegistry(self._plane, catalog, mirror.cache))
            recording = cast(Recorder, recorder)
            interpreting = Interpreting(registry, recording)
            clusters = Clusters(registry)
            works = ServiceWorks(mirror.cache)
            shards = AllClusters(registry)
            slices = SliceCollection(mirror.cache, recording, clusters, works, shards, frozenset(LABELS))
            further = (slices.member_controllers,)
            router = WorkRouter(registry, recording, interpreting, clusters, self._federation, shards, further)
            connection = MemberConnection(self._member, Connection(self._options.endpoint, TLS(), ""))
            ending.push_async_callback(recorder.stop)
            ending.push_async_callback(interpreting.stop)
            ending.push_async_callback(router.stop)
            ending.push_async_callback(_stop_controllers, connection)
            recorder.start()
            await router.start()
            await self._compare_clocks()
            connection.open(router.controllers_for(connection))
            log.info("agent ready", cluster=self._options.name)
            self._health.ready = True
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(mirror.follow())
                    tasks.create_task(self._keep_lease(cluster, mirror))
                    tasks.create_task(self._keep_certificate())
                    if self._tunnel is not None:
                        tasks.create_task(self._tunnel.keep())
            except* Renewed:
                raise Renewed from None
            finally:
                self._health.ready = False

    @property
    def _space(self) -> str:
        return constants.execution_namespace(self._options.name)

    # -- the Cluster -----------------------------------------------------------------------------------------------------

    async def _register(self) -> Object:
        """The Cluster, made where there is none."""
        options, plane = self._options, self._plane
        identity = (await self._member.get(resource_path("v1", "namespaces", name="kube-system")))["metadata"]["uid"]
        secrets = await self._report_secrets() if options.report_secrets else {}
        references = {field: _reference(secret) for field, secret in secrets.items()}
        found = await plane.find(f"{CLUSTERS}/{options.name}")
        if found is not None:
            if found["spec"].get("id") not in (None, "", identity):
                raise JoinError(f"another cluster is registered as {options.name}: its ID is {found['spec']['id']}")
            missing = {field: references[field] for field in sorted(references) if not found["spec"].get(field)}
            if missing:
                await self._name_in(found, missing)
            await self._own(found, secrets.values())
            return found
        spec: Object = {"syncMode": "Pull", "id": identity, "apiEndpoint": options.endpoint, **references}
        optional = {
            "provider": options.provider,
            "region": options.region,
            "zones": list(options.zones),
            "proxyURL": options.proxy,
            "insecureSkipTLSVerification": options.insecure,
        }
        spec |= {field: value for field, value in optional.items() if value}
        head = {"apiVersion": CLUSTER_API, "kind": "Cluster", "metadata": {"name": options.name}}
        cluster = await plane.create(CLUSTERS, {**head, "spec": spec})
        await self._own(cluster, secrets.values())
        return cluster

    async def _name_in(self, cluster: Object, missing: Object) -> None:
        """Secrets that are reported later than the Cluster was made. An older control plane does not let an agent do so."""
        metadata = {"resourceVersion": cluster["metadata"]["resourceVersion"]}
        try:
            await self._plane.patch(f"{CLUSTERS}/{self._options.name}", {"metadata": metadata, "spec": missing})
        except StatusError as error:
            if error.code != 403:
                raise
            for field, reference in missing.items():
                log.warning("the Cluster does not name the Secret", field=f"spec.{field}", secret=reference)

    async def _own(self, cluster: Object, secrets: Iterable[Object]) -> None:
        """They go with the Cluster. That may have been made by an agent that was cut short."""
        owner: Object = {"apiVersion": CLUSTER_API, "kind": "Cluster", "name": self._options.name}
        owner |= {"uid": cluster["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}
        for secret in secrets:
            metadata = secret["metadata"]
            owners = metadata.get("ownerReferences") or []
            if any(each.get("uid") == owner["uid"] for each in owners):
                continue
            path = resource_path("v1", "secrets", metadata["namespace"], metadata["name"])
            others = [each for each in owners if each.get("kind") != "Cluster"]  # an earlier one of that name is gone
            await self._plane.patch(path, {"metadata": {"ownerReferences": [*others, owner]}})

    async def _report_secrets(self) -> Object:
        """What users of the proxy reach the cluster with: Secrets, by the field of the Cluster that names them."""
        options = self._options
        token, authority, impersonator = await obtain_credentials(self._member, options.name, options.cluster_namespace)
        wanted = {
            "impersonatorSecretRef": (f"{options.name}-impersonator", {"token": impersonator.encode()}),
            "secretRef": (options.name, {"token": token.encode(), "caBundle": authority}),
        }
        return {
            field: await self._write_secret(
                name, {key: base64.b64encode(value).decode() for key, value in data.items()}
            )
            for field, (name, data) in wanted.items()
        }

    async def _write_secret(self, name: str, data: dict[str, str]) -> Object:
        namespace = self._options.cluster_namespace
        collection = resource_path("v1", "secrets", namespace)
        metadata = {"name": name, "namespace": namespace, "labels": dict(SYSTEM_LABELS)}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        try:
            return await self._plane.create(collection, secret)
        except StatusError as error:
            if not error.is_already_exists:
                raise
            return await self._plane.patch(f"{collection}/{name}", {"data": data})

    # -- what is renewed -------------------------------------------------------------------------------------------------

    async def _keep_lease(self, cluster: Object, mirror: Mirror) -> None:
        """As long as the Cluster is there. It counts as seen while we are here, whatever its own API server does."""
        while True:
            if mirror.cache.get(CLUSTERS_RESOURCE, "", self._options.name) is not None:
                try:
                    await self._renew_lease(cluster)
                    RENEWALS.labels("success").inc()
                    await self._compare_clocks()
                except (KubeconfigError, StatusError, Unreachable) as error:
                    RENEWALS.labels("error").inc()
                    log.warning("lease not renewed", error=str(error))
            await asyncio.sleep(self._options.lease_duration / 4)

    async def _compare_clocks(self) -> None:
        """What is said of the member's clock is said to who reads it there: by the control plane's, and not by ours."""
        clock = asyncio.get_running_loop().time
        began, conduct = clock(), self._plane.conduct
        try:
            _, headers, _ = await self._plane.exchange("GET", "/livez")
        except (KubeconfigError, StatusError, Unreachable):
            return  # it stays as it was
        conduct.probed(clock() - began, headers, time.time())
        self._member.conduct.ours = -conduct.skew

    async def _renew_lease(self, cluster: Object) -> None:
        name, namespace = self._options.name, constants.NAMESPACE_KARMADA_CLUSTER
        collection = resource_path("coordination.k8s.io/v1", "leases", namespace)
        lease = await self._plane.find(f"{collection}/{name}")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": name,
            "renewTime": now,
            "leaseDurationSeconds": max(int(self._options.lease_duration), 1),
        }
        if lease is None:
            owner = {"apiVersion": CLUSTER_API, "kind": "Cluster", "name": name, "uid": cluster["metadata"]["uid"]}
            metadata = {"name": name, "namespace": namespace, "ownerReferences": [owner]}
            made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            await self._plane.create(collection, made)
        else:
            await self._plane.update(f"{collection}/{name}", {**lease, "spec": {**(lease.get("spec") or {}), **spec}})

    async def _keep_certificate(self) -> None:
        """Renews it before it ends, and when the control plane's CA is exchanged: both are believed for a while only. Raises Renewed."""
        if not self._certificate:
            await asyncio.Event().wait()  # it has a token, which others renew
        found = x509.load_pem_x509_certificate(self._certificate)
        lifetime = int((found.not_valid_after_utc - found.not_valid_before_utc).total_seconds())
        while True:
            authority = await self._told() if self._told is not None else b""
            is_old = is_due(self._certificate, datetime.now(UTC), 1 - self._options.rotation_threshold)
            if is_old or not is_current(self._tls, authority):
                try:
                    kubeconfig = await self._renew_certificate(lifetime, authority)
                except (JoinError, KubeconfigError, StatusError, Unreachable) as error:
                    log.warning("certificate not renewed, tried again", error=str(error))
                else:
                    await self._try_to_keep(kubeconfig)
                    raise Renewed
            await asyncio.sleep(min(self._options.rotation_interval, lifetime / 10))

    async def _renew_certificate(self, lifetime: int, authority: bytes) -> str:
        """The kubeconfig with it."""
        name = self._options.name
        request = f"{name}-{new_uid()[:5]}"
        pair = await certificate_for(self._plane, request, PREFIX + name, lifetime, APPROVAL)
        kubeconfig = self._store(*pair, authority)
        log.info("certificate renewed", request=request)
        return kubeconfig

    async def _try_to_keep(self, kubeconfig: str) -> None:
        """In its Secret, where it came from there: for the next pod, which asks for another certificate where that fails."""
        if not all(self._options.secret):
            return
        namespace, name = self._options.secret
        try:
            await self._keep(resource_path("v1", "secrets", namespace, name), kubeconfig)
        except (KubeconfigError, StatusError, Unreachable, ValueError) as error:
            log.warning("the Secret keeps the old certificate", secret=f"{namespace}/{name}", error=str(error))

    async def _keep(self, path: str, kubeconfig: str) -> None:
        """Raises StatusError, Unreachable, ValueError."""
        data = (await self._member.find(path) or {}).get("data") or {}
        own = base64.b64encode(self._certificate)
        for key, value in data.items():
            if own in base64.b64decode(value):  # it is ours, and not another agent's
                await self._member.patch(path, {"data": {key: base64.b64encode(kubeconfig.encode()).decode()}})


def _reference(secret: Object) -> Object:
    return {field: secret["metadata"][field] for field in ("namespace", "name")}


async def _stop_controllers(connection: MemberConnection) -> None:
    for controller in reversed(connection.controllers):
        await controller.stop()
