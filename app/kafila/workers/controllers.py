"""All controllers and how they are wired: which exist, which run, in which order they start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import final

from kafila.aggregation.requests import Extensions
from kafila.authorization import Authorizer
from kafila.autoscaling.metrics import NO_METRICS
from kafila.identity.authority import Authority
from kafila.identity.tokens import Tokens
from kafila.members.tunnels import Tunnels
from kafila.reconcile.controller import Controller, ReportsFailures
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.certificate.agent_csr_approving import AgentCSRApproving
from kafila.reconcile.karmada.event_sources import source_of
from kafila.reconcile.karmada.federatedhpa.metrics_api import APIMetrics, OwnAPI
from kafila.reconcile.karmada.member.manager import TransportFor
from kafila.reconcile.karmada.member.shards import AllClusters, Shards
from kafila.reconcile.karmada.wiring import build
from kafila.reconcile.kubernetes.account_tokens import AccountTokens
from kafila.reconcile.kubernetes.api_services import APIServices
from kafila.reconcile.kubernetes.autoregister import AutoRegister
from kafila.reconcile.kubernetes.bootstrap_tokens import BootstrapSigner, TokenCleaner
from kafila.reconcile.kubernetes.certificate_requests import CertificateRequestCleaner, CertificateSigning
from kafila.reconcile.kubernetes.clusterrole_aggregation import ClusterRoleAggregation
from kafila.reconcile.kubernetes.definitions import DefinitionController
from kafila.reconcile.kubernetes.garbage_collector import GarbageCollector
from kafila.reconcile.kubernetes.namespace_objects import DefaultServiceAccounts, RootCAPublisher
from kafila.reconcile.kubernetes.namespaces import NamespaceController
from kafila.reconcile.kubernetes.policy_types import PolicyTypes
from kafila.reconcile.kubernetes.priority_and_fairness import PriorityAndFairness
from kafila.reconcile.kubernetes.resource_quotas import ResourceQuotas
from kafila.reconcile.kubernetes.ttl_after_finished import FinishedJobs
from kafila.reconcile.refusals import Refusals
from kafila.registry import Registry
from kafila.settings.settings import Settings
from kafila.watch.definitions import Definitions

from .plugins import load_plugins


@final
class Controllers:
    def __init__(
        self,
        registry: Registry,
        definitions: Definitions,
        settings: Settings,
        transport_for: TransportFor,
        tokens: Tokens | None = None,
        authority: bytes = b"",
        extensions: Extensions | None = None,
        signing: Callable[[], Authority] | None = None,
        authorizer: Authorizer | None = None,
        api: OwnAPI | None = None,
        tunnels: Tunnels | None = None,
        shards: Shards | None = None,
        members_registry: Registry | None = None,
    ) -> None:
        """``tokens``, ``authority``: of service accounts, and PEM of what the server's certificate is checked with.
        ``signing``: the authority that signs certificates now; ``authorizer``: who is asked for whom one is;
        ``api``: this control plane's own, whose metrics autoscalers follow; ``tunnels``: of members in pull mode.
        ``shards``: the clusters of this process, for which :attr:`members` run, and ``members_registry``, by which events of theirs
        are written; without them it has all, and those start with the others.
        """
        self.recorder = self.members_recorder = Recorder(registry, source_of=source_of)
        if members_registry is not None:
            self.members_recorder = Recorder(members_registry, source_of=source_of)
        karmada = build(
            registry,
            self.recorder,
            self.members_recorder,
            shards or AllClusters(registry),
            transport_for,
            settings,
            settings.gates,
            load_plugins(settings.plugins),
            APIMetrics(api, registry.catalog) if api is not None else NO_METRICS,
            tunnels,
        )
        self.member_manager, self.clusters = karmada.manager, karmada.clusters
        root_authority = RootCAPublisher(registry, authority)
        account_tokens = AccountTokens(registry, tokens, authority)
        self._publishers = (root_authority, account_tokens)
        self.token_keys_changed = account_tokens.keys_changed
        candidates: list[Controller] = [
            NamespaceController(registry),
            GarbageCollector(registry),
            FinishedJobs(registry),
            ClusterRoleAggregation(registry),
            ResourceQuotas(registry),
            CertificateSigning(registry, signing, timedelta(seconds=settings.cluster_signing_duration)),
            CertificateRequestCleaner(registry),
            AgentCSRApproving(registry, authorizer, self.recorder),
            BootstrapSigner(registry),
            TokenCleaner(registry),
            APIServices(registry, extensions or Extensions(registry.cache)),
            PolicyTypes(registry),
            DefaultServiceAccounts(registry),
            root_authority,
            account_tokens,
            *karmada.led,
        ]
        # kube-apiserver has these in itself: they run whatever --controllers says
        own: list[Controller] = [DefinitionController(registry, definitions), AutoRegister(registry)]
        if settings.enable_priority_and_fairness:
            own.append(PriorityAndFairness(registry))
        self._controllers = [*own, *(c for c in candidates if settings.runs(c.name))]
        self.members = [c for c in karmada.members if settings.runs(c.name)]
        _report(self._controllers, Refusals(registry, self.recorder))
        _report(self.members, Refusals(registry, self.members_recorder))
        if shards is None:
            self._controllers += self.members
        self.names = frozenset(c.name for c in (*candidates, *karmada.members))  # what --controllers may say

    def publish(self, authority: bytes) -> None:
        """What the server's certificate is checked with from now on (PEM)."""
        for publisher in self._publishers:
            publisher.publish(authority)

    async def start(self) -> None:
        self.recorder.start()
        for controller in self._controllers:
            await controller.start()

    async def stop(self) -> None:
        for controller in reversed(self._controllers):
            await controller.stop()
        await self.recorder.stop()


def _report(controllers: Iterable[Controller], refusals: Refusals) -> None:
    for controller in controllers:
        if isinstance(controller, ReportsFailures):
            controller.report_failures(refusals.record)
