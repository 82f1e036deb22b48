"""Kinds that neither control plane is born with: the third-party ones that Karmada interprets, those of the Multi-Cluster Services API, and one
that only scripts explain.

They are served by definitions that take every field, the same in the control planes and in the members. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from kafila.placement.interpreter.thirdparty.table import THIRD_PARTY

_NOT_NAMESPACED = frozenset({"SidecarSet", "ClusterPolicy"})
_SERVICES = ("multicluster.x-k8s.io/v1alpha1/ServiceExport", "multicluster.x-k8s.io/v1alpha1/ServiceImport")
_OF_SCRIPTS = ("example.io/v1/Widget",)
# Scenarios name a kind without its group; these are named like kinds of Kubernetes.
_NAMES = {
    "apps.kruise.io/v1alpha1/DaemonSet": "KruiseDaemonSet",
    "apps.kruise.io/v1beta1/StatefulSet": "KruiseStatefulSet",
    "batch.volcano.sh/v1alpha1/Job": "VolcanoJob",
    "kyverno.io/v1/Policy": "KyvernoPolicy",
}


class Defined(NamedTuple):
    """A kind of a CustomResourceDefinition. ``native``: control planes serve it, members do not."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    native: bool


def _defined(full: str) -> Defined:
    group, version, kind = full.split("/")
    lower = kind.lower()
    plural = f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}s"
    return Defined(group, version, kind, plural, kind not in _NOT_NAMESPACED, full in _SERVICES)


DEFINED = {_NAMES.get(full, full.split("/")[2]): _defined(full) for full in (*THIRD_PARTY, *_SERVICES, *_OF_SCRIPTS)}


def definitions(names: Iterable[str], in_member: bool) -> dict[str, Any]:
    """A List of the CustomResourceDefinitions of those of the kinds that have to be defined there."""
    found = [DEFINED[name] for name in sorted(set(names) & set(DEFINED))]
    return {"apiVersion": "v1", "kind": "List", "items": [_definition(d) for d in found if in_member or not d.native]}


def _definition(defined: Defined) -> dict[str, Any]:
    version = {
        "name": defined.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        "subresources": {"status": {}},
    }
    names = {"kind": defined.kind, "plural": defined.plural, "singular": defined.kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{defined.plural}.{defined.group}",
            # Kubernetes keeps what ends with k8s.io to itself
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": defined.group,
            "names": {**names, "listKind": f"{defined.kind}List"},
            "scope": "Namespaced" if defined.namespaced else "Cluster",
            "versions": [version],
        },
    }
