"""The table of Karmada's kinds: what the registry has to know about each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kafila.catalog.kind import Column, Kind, Strategy
from kafila.catalog.tables import schema_of
from kafila.core.errors import FieldError
from kafila.core.values import Object

from . import autoscaling, cluster, conversion, override, policy, search, services, work
from . import config as configuration
from .cluster_strategy import cluster_strategy
from .columns import CLUSTER, CREATED_AT, DEFAULT, additional, cluster_cells
from .defaulting import compile_defaults
from .model import Model
from .registry_strategy import registry_strategy
from .schemas import Builder, Resolve
from .validation import compile_status_validation, compile_validation

Validate = Callable[[Any], list[FieldError]]

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_AGE = ("AGE", "date", CREATED_AT)


def _condition(name: str, condition: str) -> tuple[str, str, str]:
    return name, "string", f'.status.conditions[?(@.type=="{condition}")].status'


class Row(NamedTuple):
    group: str
    kind: str
    plural: str
    model: type[Model]
    namespaced: bool = True
    version: str = "v1alpha1"
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ("karmada-io",)
    status: bool = True
    columns: tuple[tuple[str, str, str] | tuple[str, str, str, str], ...] = ()
    stored: str = ""  # version that is stored, when it is another


_POLICY_COLUMNS = (
    ("CONFLICT-RESOLUTION", "string", ".spec.conflictResolution"),
    ("PRIORITY", "string", ".spec.priority"),
    _AGE,
)
_BINDING_COLUMNS = (_condition("SCHEDULED", "Scheduled"), _condition("FULLYAPPLIED", "FullyApplied"), _AGE)
_TARGET_COLUMNS = (
    ("REFERENCE-KIND", "string", ".spec.scaleTargetRef.kind"),
    ("REFERENCE-NAME", "string", ".spec.scaleTargetRef.name"),
)
_HPA_COLUMNS = (
    ("MINPODS", "integer", ".spec.minReplicas"),
    ("MAXPODS", "integer", ".spec.maxReplicas"),
    ("REPLICAS", "integer", ".status.currentReplicas"),
)
_MCS = "multicluster.x-k8s.io"

_ROWS = (
    Row("apps.karmada.io", "WorkloadRebalancer", "workloadrebalancers", configuration.WorkloadRebalancer,
         namespaced=False, categories=()),
    Row("autoscaling.karmada.io", "CronFederatedHPA", "cronfederatedhpas", autoscaling.CronFederatedHPA,
         short_names=("cronfhpa",), columns=(*_TARGET_COLUMNS, _AGE)),
    Row("autoscaling.karmada.io", "FederatedHPA", "federatedhpas", autoscaling.FederatedHPA,
         short_names=("fhpa",), columns=(*_TARGET_COLUMNS, *_HPA_COLUMNS, _AGE)),
    Row("config.karmada.io", "ResourceInterpreterCustomization", "resourceinterpretercustomizations",
         configuration.ResourceInterpreterCustomization, namespaced=False, short_names=("ric",), status=False,
         columns=(("TARGET-API-VERSION", "string", ".spec.target.apiVersion"),
                  ("TARGET-KIND", "string", ".spec.target.kind"), _AGE)),
    Row("config.karmada.io", "ResourceInterpreterWebhookConfiguration", "resourceinterpreterwebhookconfigurations",
         configuration.ResourceInterpreterWebhookConfiguration, namespaced=False, status=False),
    Row(_MCS, "ServiceExport", "serviceexports", services.ServiceExport, short_names=("svcex",), categories=(),
         columns=(("Age", "date", CREATED_AT),)),
    Row(_MCS, "ServiceImport", "serviceimports", services.ServiceImport, short_names=("svcim",), categories=(),
         columns=(("Type", "string", ".spec.type", "The type of this ServiceImport"),
                  ("IP", "string", ".spec.ips", "The VIP for this ServiceImport"), ("Age", "date", CREATED_AT))),
    Row("networking.karmada.io", "MultiClusterIngress", "multiclusteringresses", services.MultiClusterIngress,
         short_names=("mci",)),
    Row("networking.karmada.io", "MultiClusterService", "multiclusterservices", services.MultiClusterService,
         short_names=("mcs",)),
    Row("policy.karmada.io", "ClusterOverridePolicy", "clusteroverridepolicies", override.ClusterOverridePolicy,
         namespaced=False, short_names=("cop",), status=False),
    Row("policy.karmada.io", "OverridePolicy", "overridepolicies", override.OverridePolicy, short_names=("op",),
         status=False),
    Row("policy.karmada.io", "ClusterPropagationPolicy", "clusterpropagationpolicies",
         policy.ClusterPropagationPolicy, namespaced=False, short_names=("cpp",), status=False,
         columns=_POLICY_COLUMNS),
    Row("policy.karmada.io", "PropagationPolicy", "propagationpolicies", policy.PropagationPolicy,
         short_names=("pp",), status=False, columns=_POLICY_COLUMNS),
    Row("policy.karmada.io", "ClusterTaintPolicy", "clustertaintpolicies", policy.ClusterTaintPolicy,
         namespaced=False, categories=(), status=False),
    Row("policy.karmada.io", "FederatedResourceQuota", "federatedresourcequotas", policy.FederatedResourceQuota,
         columns=(("OVERALL", "string", ".status.overall"), ("OVERALL_USED", "string", ".status.overallUsed"))),
    Row("remedy.karmada.io", "Remedy", "remedies", configuration.Remedy, namespaced=False, status=False),
    Row("work.karmada.io", "ResourceBinding", "resourcebindings", work.ResourceBinding, version="v1alpha2",
         short_names=("rb",), columns=_BINDING_COLUMNS),
    Row("work.karmada.io", "ResourceBinding", "resourcebindings", work.ResourceBindingV1alpha1, short_names=("rb",),
         stored="v1alpha2"),
    Row("work.karmada.io", "ClusterResourceBinding", "clusterresourcebindings", work.ClusterResourceBinding,
         namespaced=False, version="v1alpha2", short_names=("crb",), columns=_BINDING_COLUMNS),
    Row("work.karmada.io", "ClusterResourceBinding", "clusterresourcebindings", work.ClusterResourceBindingV1alpha1,
         namespaced=False, short_names=("crb",), stored="v1alpha2"),
    Row("work.karmada.io", "Work", "works", work.Work, short_names=("wk",),
         columns=(("WORKLOAD-KIND", "string", ".spec.workload.manifests[*].kind"), _condition("APPLIED", "Applied"),
                  _AGE)),
)  # fmt: skip


def kinds(resolve: Resolve | None = None, resource_models: bool = True) -> list[Kind]:
    """All stored kinds of Karmada, in both versions where there are two.

    ``resolve`` gives Kubernetes' definitions by name (``kafila.catalog.tables.schema_of`` when None); ``resource_models`` is
    the gate CustomizedClusterResourceModeling.
    """
    resolve = resolve or schema_of
    build = Builder(resolve)
    out = [custom_kind(row, build) for row in _ROWS]
    typed = Builder(resolve, typed=True)
    out.append(_cluster(typed, resource_models))
    out.append(_registry(typed))
    return out


def custom_kind(row: Row, build: Builder) -> Kind:
    reversed_group = ".".join(reversed(row.group.split(".")))
    columns: Sequence[Column]
    columns, cells = additional(*row.columns) if row.columns else DEFAULT
    return Kind(
        group=row.group,
        version=row.version,
        kind=row.kind,
        plural=row.plural,
        singular=row.kind.lower(),
        namespaced=row.namespaced,
        verbs=VERBS,
        schema=build.root(row.model, f"{reversed_group}.{row.version}.{row.kind}"),
        strategy=_strategy(row, build.resolve),
        short_names=row.short_names,
        categories=row.categories,
        subresources=("status",) if row.status else (),
        storage_version=row.stored,
        to_storage=conversion.to_v1alpha2 if row.stored else None,
        from_storage=conversion.to_v1alpha1 if row.stored else None,
        columns=columns,
        cells=cells,
        custom=True,
    )


def _strategy(row: Row, resolve: Resolve) -> Strategy:
    strategy = Strategy(
        validate=_on_first_use(compile_validation, row.model, resolve),
        # a custom resource's generation follows everything but metadata and status; without the status
        # subresource that is still so
        generation_fields=("*",),
        status=row.status,
        unconditional_update=False,
        returns_deleted_object=False,
    )
    if row.status:
        status = _on_first_use(compile_status_validation, row.model, resolve)
        strategy.validate_status = lambda new, old: status(new)
    fill = compile_defaults(row.model)
    if fill is not None:
        strategy.default = fill
    return strategy


def _on_first_use(
    compile: Callable[[type[Model], Resolve], Validate], model: type[Model], resolve: Resolve
) -> Validate:
    """Most kinds of a control plane never see a write: their checks are compiled when the first one comes."""
    compiled: list[Validate] = []

    def validate(obj: Object) -> list[FieldError]:
        if not compiled:
            compiled.append(compile(model, resolve))
        return compiled[0](obj)

    return validate


_KARMADA = "com.github.karmada-io.karmada.pkg.apis."


def _cluster(build: Builder, resource_models: bool) -> Kind:
    return Kind(
        group="cluster.karmada.io",
        version="v1alpha1",
        kind="Cluster",
        plural="clusters",
        singular="cluster",
        namespaced=False,
        verbs=VERBS,
        schema=build.root(cluster.Cluster, _KARMADA + "cluster.v1alpha1.Cluster"),
        strategy=cluster_strategy(resource_models),
        subresources=("status", "proxy"),
        columns=CLUSTER,
        cells=cluster_cells,
        custom=True,
    )


def _registry(build: Builder) -> Kind:
    return Kind(
        group="search.karmada.io",
        version="v1alpha1",
        kind="ResourceRegistry",
        plural="resourceregistries",
        singular="resourceregistry",
        namespaced=False,
        verbs=VERBS,
        schema=build.root(search.ResourceRegistry, _KARMADA + "search.v1alpha1.ResourceRegistry"),
        strategy=registry_strategy(),
        subresources=("status",),
        custom=True,
    )
