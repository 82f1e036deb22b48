"""Karmada's own kinds, as they are stored, and what the controllers' writes have in common."""

from __future__ import annotations

from typing import Final, cast, final

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.placement.types import Binding, Cluster, FederatedResourceQuota, OverridePolicy, PropagationPolicy, Work
from kafila.registry import Options, Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Entry

WORKS: Final = "works.work.karmada.io"
BINDINGS: Final = "resourcebindings.work.karmada.io"
CLUSTERS: Final = "clusters.cluster.karmada.io"
CLUSTER_BINDINGS: Final = "clusterresourcebindings.work.karmada.io"
OPTIONS: Final = Options(manager="karmada-controller-manager")
WITH_STATUS: Final = Options(manager=OPTIONS.manager, include_status=True)


# What is stored has passed validation: from where it is read on, its type says what it holds (docs/adr/0012).


def stored_binding(entry: Entry) -> Binding:
    """Without apiVersion and kind, which are not stored."""
    return cast(Binding, entry.decode())


def stored_work(entry: Entry) -> Work:
    """Without apiVersion and kind, which are not stored."""
    return cast(Work, entry.decode())


def read_cluster(kind: Kind, entry: Entry) -> Cluster:
    return cast(Cluster, decode_entry(kind, entry))


def read_policy(kind: Kind, entry: Entry) -> PropagationPolicy:
    """Also a ClusterPropagationPolicy."""
    return cast(PropagationPolicy, decode_entry(kind, entry))


def read_override_policy(kind: Kind, entry: Entry) -> OverridePolicy:
    """Also a ClusterOverridePolicy."""
    return cast(OverridePolicy, decode_entry(kind, entry))


def read_quota(kind: Kind, entry: Entry) -> FederatedResourceQuota:
    return cast(FederatedResourceQuota, decode_entry(kind, entry))


@final
class Kinds:
    def __init__(self, registry: Registry) -> None:
        self.work = registry.kind("work.karmada.io", "v1alpha1", "works")
        self.binding = registry.kind("work.karmada.io", "v1alpha2", "resourcebindings")
        self.cluster_binding = registry.kind("work.karmada.io", "v1alpha2", "clusterresourcebindings")

    def of_binding(self, key: Key) -> Kind:
        return self.binding if key.resource == BINDINGS else self.cluster_binding

    def read_binding(self, entry: Entry) -> Binding:
        """Also a ClusterResourceBinding."""
        return cast(Binding, decode_entry(self.of_binding(entry.key), entry))

    def read_work(self, entry: Entry) -> Work:
        return cast(Work, decode_entry(self.work, entry))
