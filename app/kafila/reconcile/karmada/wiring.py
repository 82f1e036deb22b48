"""How Karmada's controllers hang together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from kafila.autoscaling.metrics import NO_METRICS, MetricsClient
from kafila.autoscaling.pods import Tuning
from kafila.core.feature_gates import (
    DEFAULT_GATES,
    FAILOVER,
    FEDERATED_QUOTA_ENFORCEMENT,
    MULTI_CLUSTER_SERVICE,
    PROPAGATE_DEPS,
    Gates,
)
from kafila.members.tunnels import Tunnels
from kafila.placement.failover.pace import Rates
from kafila.placement.scheduler.plugins import SchedulerPlugin
from kafila.placement.withdrawal import Limits
from kafila.reconcile.controller import Controller
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import Interpreting
from kafila.registry import Registry
from kafila.settings.federation import DEFAULT_OPTIONS, FederationOptions

from .cluster.controller import ClusterController
from .cluster.health_monitor import HealthMonitor
from .cluster.namespace_sync import NamespaceSync
from .cluster.remedies import RemedyController
from .cluster.taint_policies import TaintPolicies
from .cluster.tunnels import TunnelConditions
from .cluster.unified_auth import UnifiedAuth
from .clusters import Clusters
from .cronfederatedhpa.controller import CronFederatedHPAs
from .dependency.distributor import DependenciesDistributor
from .deploymentreplicassyncer.controller import DeploymentReplicasSyncer
from .failover.application_failover import ApplicationFailover
from .failover.graceful_eviction import GracefulEviction
from .failover.taint_manager import TaintManager
from .federatedhpa.controller import FederatedHPAs
from .federatedhpa.copies import Copies
from .federatedhpa.members import Pods
from .hpascaletargetmarker.controller import HPAScaleTargetMarker
from .member.manager import MemberManager, TransportFor
from .member.readers import Readers
from .member.shards import Elsewhere, Shards
from .member.work_router import WorkRouter
from .quota.controller import QuotaEnforcement, QuotaStatus, QuotaSync
from .scheduler.context import Scheduler
from .scheduler.descheduler import Descheduler
from .scheduler.estimators import Estimators
from .scheduler.rebalancer import Rebalancer
from .search.controller import SearchController
from .search.tunnelled import TunnelledMembers
from .services.collection import EndpointSliceCollect, ServiceExports, SliceCollection
from .services.dispatch import EndpointSliceDispatch
from .services.endpoint_slices import EndpointSlices
from .services.index import ServiceWorks
from .services.multi_cluster_services import MultiClusterServices
from .services.service_imports import ServiceImports
from .sql_views.controller import SQLViews
from .template.controller import TemplateController


class Federation(NamedTuple):
    """Each in the order in which they start; they stop in the opposite one. ``led``: what one process does for all: templates, and
    what is global; ``members``: what each process does for the clusters that it has."""

    led: list[Controller]
    members: list[Controller]
    manager: MemberManager
    clusters: Clusters


def build(
    registry: Registry,
    recorder: Recorder,
    members_recorder: Recorder,
    shards: Shards,
    transport_for: TransportFor,
    options: FederationOptions = DEFAULT_OPTIONS,
    gates: Gates = DEFAULT_GATES,
    plugins: Sequence[SchedulerPlugin] = (),
    metrics: MetricsClient = NO_METRICS,
    tunnels: Tunnels | None = None,
) -> Federation:
    """``members_recorder``: of what happens to the clusters that this process has, which are in ``shards``; ``gates``: those that are on;
    ``metrics``: the control plane's own metrics APIs; ``tunnels``: of members in pull mode."""
    interpreting = Interpreting(registry, members_recorder, gates)
    clusters = Clusters(registry)
    scheduler = Scheduler(registry, clusters, gates, options, plugins)
    search = SearchController(registry, recorder, clusters, options.search_resource_mib)
    works = ServiceWorks(registry.cache)
    slices = SliceCollection(registry.cache, members_recorder, clusters, works, shards)
    pods = Pods()
    readers = (search.member_controllers, pods.member_controllers)
    router = WorkRouter(
        registry, members_recorder, interpreting, clusters, options, shards, (slices.member_controllers, *readers)
    )
    manager = MemberManager(registry, router, transport_for, shards, options.answers)
    elsewhere = MemberManager(
        registry, Readers(readers), transport_for, Elsewhere(shards, registry), options.answers, "member-readers"
    )
    controllers: list[Controller] = [
        ClusterController(registry, recorder, options.cluster_leave_timeout),
        HealthMonitor(registry, recorder, clusters, options),
        NamespaceSync(registry, recorder, clusters, options.skipped_propagating_namespaces),
        UnifiedAuth(registry, recorder, clusters),
        RemedyController(registry, recorder, clusters),
        TunnelConditions(registry, recorder, clusters),
        TemplateController(
            registry,
            recorder,
            interpreting,
            clusters,
            gates,
            options.skipped_propagating_namespaces,
            scheduler,
            Limits(options.withdrawal_max_objects, options.withdrawal_max_clusters),
        ),
        *([DependenciesDistributor(registry, recorder, interpreting)] if PROPAGATE_DEPS in gates else []),
        ApplicationFailover(registry, recorder, interpreting, gates),
        GracefulEviction(registry, recorder, options.graceful_eviction_timeout),
        Rebalancer(registry),
        Descheduler(
            registry,
            recorder,
            partial(Estimators, registry.cache, gates, options, always=True),
            options.descheduling_interval,
            options.unschedulable_threshold,
        ),
        QuotaSync(registry, recorder, clusters),
        QuotaStatus(registry, recorder, clusters, gates),
        EndpointSlices(registry, recorder, works),
        ServiceImports(registry, recorder),
        FederatedHPAs(
            registry,
            recorder,
            clusters,
            Copies(shards, router, elsewhere),
            pods,
            metrics,
            options.horizontal_pod_autoscaler_sync_period,
            tuning_of(options),
        ),
        CronFederatedHPAs(registry, recorder),
        HPAScaleTargetMarker(registry, recorder),
        DeploymentReplicasSyncer(registry),
        SQLViews(registry, recorder),
    ]
    ending_only = MULTI_CLUSTER_SERVICE not in gates
    controllers += [
        MultiClusterServices(registry, recorder, clusters, works, ending_only),
        EndpointSliceDispatch(registry, recorder, clusters, works, ending_only),
    ]
    members: list[Controller] = [interpreting, ServiceExports(slices)]
    if not ending_only:
        members.append(EndpointSliceCollect(slices))
    if FEDERATED_QUOTA_ENFORCEMENT in gates:
        controllers.append(QuotaEnforcement(registry, recorder, clusters, options.federated_resource_quota_sync_period))
    if FAILOVER in gates:
        controllers.append(TaintPolicies(registry, recorder, clusters))
        if options.enable_no_execute_taint_eviction:
            controllers.append(
                TaintManager(
                    registry,
                    recorder,
                    clusters,
                    gates,
                    options.no_execute_taint_eviction_purge_mode,
                    Rates(
                        options.resource_eviction_rate,
                        options.secondary_resource_eviction_rate,
                        options.unhealthy_cluster_threshold,
                        options.large_cluster_num_threshold,
                    ),
                    Limits(options.eviction_max_objects, options.eviction_max_clusters),
                )
            )
    controllers += [search, elsewhere]
    if tunnels is not None:
        controllers.append(TunnelledMembers(registry, clusters, tunnels, [search.member_controllers], options.answers))
    return Federation(controllers, [*members, router, manager], manager, clusters)


def tuning_of(options: FederationOptions) -> Tuning:
    return Tuning(
        options.horizontal_pod_autoscaler_tolerance,
        options.horizontal_pod_autoscaler_cpu_initialization_period,
        options.horizontal_pod_autoscaler_initial_readiness_delay,
        options.horizontal_pod_autoscaler_downscale_stabilization,
    )
