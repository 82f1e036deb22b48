"""Karmada's own kinds, as they are stored, and what the controllers' writes have in common."""

from __future__ import annotations

from typing import Final, final

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.registry import Options, Registry

WORKS: Final = "works.work.karmada.io"
BINDINGS: Final = "resourcebindings.work.karmada.io"
CLUSTERS: Final = "clusters.cluster.karmada.io"
CLUSTER_BINDINGS: Final = "clusterresourcebindings.work.karmada.io"
OPTIONS: Final = Options(manager="karmada-controller-manager")


@final
class Kinds:
    def __init__(self, registry: Registry) -> None:
        self.work = registry.kind("work.karmada.io", "v1alpha1", "works")
        self.binding = registry.kind("work.karmada.io", "v1alpha2", "resourcebindings")
        self.cluster_binding = registry.kind("work.karmada.io", "v1alpha2", "clusterresourcebindings")

    def of_binding(self, key: Key) -> Kind:
        return self.binding if key.resource == BINDINGS else self.cluster_binding
