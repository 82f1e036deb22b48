"""The native interpreter: which kinds answer which operation, and the functions that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from kafila.core.resources import GroupVersionKind, gvk_of
from kafila.core.values import Object
from kafila.placement.interpreter import aggregate, dependencies, health, reflect, replicas, retain
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.operations import Operation
from kafila.placement.interpreter.thirdparty.calls import answering
from kafila.placement.interpreter.thirdparty.table import THIRD_PARTY
from kafila.placement.interpreter.thirdparty.values import settled


class Interpreter(Protocol):
    """Answers are only defined for kinds whose hook is enabled; statuses are reflected for every kind."""

    def hook_enabled(self, gvk: GroupVersionKind, operation: Operation) -> bool: ...

    def get_replicas(self, obj: Object, *, with_priority_class: bool = False) -> tuple[int, Object | None]: ...

    def get_components(self, obj: Object, *, with_priority_class: bool = False) -> list[Object]: ...

    def revise_replica(self, obj: Object, replicas: int) -> Object: ...

    def retain(self, desired: Object, observed: Object) -> Object: ...

    def aggregate_status(self, obj: Object, items: aggregate.Items) -> Object: ...

    def reflect_status(self, obj: Object) -> Object | None: ...

    def interpret_health(self, obj: Object) -> bool: ...

    def get_dependencies(self, obj: Object) -> list[Object] | None: ...


def _kind(text: str) -> GroupVersionKind:
    group, version, kind = text.split("/")
    return GroupVersionKind(group, version, kind)


def _by_kind(operation: Operation, native: Mapping[str, Any]) -> Mapping[GroupVersionKind, Any]:
    """Kubernetes' kinds, and those of others."""
    return {_kind(text): function for text, function in {**native, **answering(THIRD_PARTY, operation)}.items()}


DEPLOYMENT, REPLICA_SET, STATEFUL_SET = "apps/v1/Deployment", "apps/v1/ReplicaSet", "apps/v1/StatefulSet"
DAEMON_SET, JOB, CRON_JOB = "apps/v1/DaemonSet", "batch/v1/Job", "batch/v1/CronJob"
POD, SERVICE, INGRESS = "/v1/Pod", "/v1/Service", "networking.k8s.io/v1/Ingress"
CLAIM, VOLUME = "/v1/PersistentVolumeClaim", "/v1/PersistentVolume"
BUDGET, AUTOSCALER = "policy/v1/PodDisruptionBudget", "autoscaling/v2/HorizontalPodAutoscaler"

_REPLICAS: Final = _by_kind(
    Operation.REPLICA,
    {
        DEPLOYMENT: replicas.of_replicas,
        REPLICA_SET: replicas.of_replicas,
        STATEFUL_SET: replicas.of_replicas,
        JOB: replicas.of_job,
        POD: replicas.of_pod,
    },
)
_COMPONENTS: Final = _by_kind(Operation.COMPONENT, {})  # only third-party kinds have several
_REVISE: Final = _by_kind(
    Operation.REVISE_REPLICA,
    {
        DEPLOYMENT: replicas.revise_replicas,
        REPLICA_SET: replicas.revise_replicas,
        STATEFUL_SET: replicas.revise_replicas,
        JOB: replicas.revise_job,
    },
)
_RETAIN: Final = _by_kind(
    Operation.RETAIN,
    {
        DEPLOYMENT: retain.workload_replicas,
        REPLICA_SET: retain.workload_replicas,
        STATEFUL_SET: retain.workload_replicas,
        POD: retain.pod,
        SERVICE: retain.service,
        "/v1/ServiceAccount": retain.service_account,
        CLAIM: retain.persistent_volume_claim,
        VOLUME: retain.persistent_volume,
        JOB: retain.job,
        "/v1/Secret": retain.secret,
        "/v1/ConfigMap": retain.closed,
        INGRESS: retain.ingress,
        "rbac.authorization.k8s.io/v1/ClusterRole": retain.cluster_role,
        "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration": retain.webhooks,
        "admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration": retain.webhooks,
        "apiregistration.k8s.io/v1/APIService": retain.api_service,
        "apiextensions.k8s.io/v1/CustomResourceDefinition": retain.definition,
    },
)
_AGGREGATE: Final = _by_kind(
    Operation.AGGREGATE_STATUS,
    {
        DEPLOYMENT: aggregate.deployment,
        REPLICA_SET: aggregate.replica_set,
        SERVICE: aggregate.service,
        INGRESS: aggregate.ingress,
        JOB: aggregate.job,
        CRON_JOB: aggregate.cron_job,
        DAEMON_SET: aggregate.daemon_set,
        STATEFUL_SET: aggregate.stateful_set,
        POD: aggregate.pod,
        VOLUME: aggregate.persistent_volume,
        CLAIM: aggregate.persistent_volume_claim,
        BUDGET: aggregate.pod_disruption_budget,
        AUTOSCALER: aggregate.horizontal_pod_autoscaler,
    },
)
_REFLECT: Final = _by_kind(
    Operation.REFLECT_STATUS,
    {
        DEPLOYMENT: reflect.with_generations(reflect.DEPLOYMENT),
        REPLICA_SET: reflect.with_generations(reflect.REPLICA_SET),
        DAEMON_SET: reflect.with_generations(reflect.DAEMON_SET),
        STATEFUL_SET: reflect.with_generations(reflect.STATEFUL_SET),
        SERVICE: reflect.service,
        INGRESS: reflect.whole,
        JOB: reflect.job,
        BUDGET: reflect.pod_disruption_budget,
        AUTOSCALER: reflect.horizontal_pod_autoscaler,
    },
)
_HEALTH: Final = _by_kind(
    Operation.HEALTH,
    {
        DEPLOYMENT: health.rolled_out,
        STATEFUL_SET: health.rolled_out,
        REPLICA_SET: health.replica_set,
        DAEMON_SET: health.daemon_set,
        SERVICE: health.service,
        INGRESS: health.has_ingress,
        CLAIM: health.persistent_volume_claim,
        POD: health.pod,
        BUDGET: health.pod_disruption_budget,
    },
)
_DEPENDENCIES: Final = _by_kind(
    Operation.DEPENDENCY,
    {
        DEPLOYMENT: dependencies.of_template,
        REPLICA_SET: dependencies.of_template,
        DAEMON_SET: dependencies.of_template,
        JOB: dependencies.of_template,
        STATEFUL_SET: dependencies.of_stateful_set,
        CRON_JOB: dependencies.of_cron_job,
        POD: dependencies.of_pod,
        INGRESS: dependencies.of_ingress,
        "multicluster.x-k8s.io/v1alpha1/ServiceImport": dependencies.of_service_import,
    },
)
_THIRD_PARTY: Final = frozenset(map(_kind, THIRD_PARTY))
_HOOKS: Final[Mapping[Operation, Mapping[GroupVersionKind, Callable[..., Any]]]] = {
    Operation.REPLICA: _REPLICAS,
    Operation.COMPONENT: _COMPONENTS,
    Operation.REVISE_REPLICA: _REVISE,
    Operation.RETAIN: _RETAIN,
    Operation.AGGREGATE_STATUS: _AGGREGATE,
    Operation.REFLECT_STATUS: _REFLECT,
    Operation.HEALTH: _HEALTH,
    Operation.DEPENDENCY: _DEPENDENCIES,
}


# Functions for Kubernetes' kinds reckon with what an API server lets through, but a member's may be anybody's.
_UNREADABLE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def _asked(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except _UNREADABLE as error:
        raise InterpretError(f"the object cannot be read: {error}") from error


class NativeInterpreter:
    """Raises KeyError for a kind whose hook is not enabled, InterpretError for an object that is not as its kind is."""

    def hook_enabled(self, gvk: GroupVersionKind, operation: Operation) -> bool:
        return gvk in _HOOKS[operation]

    def get_replicas(self, obj: Object, *, with_priority_class: bool = False) -> tuple[int, Object | None]:
        """Replicas, and what each needs (ReplicaRequirements) or None."""
        found: tuple[int, Object | None] = _asked(_REPLICAS[gvk_of(obj)], obj, with_priority_class)
        return found

    def get_components(self, obj: Object, *, with_priority_class: bool = False) -> list[Object]:
        found: list[Object] = _asked(_COMPONENTS[gvk_of(obj)], obj, with_priority_class)
        return found

    def revise_replica(self, obj: Object, replicas: int) -> Object:
        """A new object; it shares what it does not change with ``obj``."""
        found: Object = _asked(_REVISE[gvk_of(obj)], obj, replicas)
        return found

    def retain(self, desired: Object, observed: Object) -> Object:
        """Changes ``desired``, and may put parts of ``observed`` into it."""
        found: Object = _asked(_RETAIN[gvk_of(desired)], desired, observed)
        return found

    def aggregate_status(self, obj: Object, items: aggregate.Items) -> Object:
        """The template with its new status; the same object when nothing changes."""
        found: Object = _asked(_AGGREGATE[gvk_of(obj)], obj, items)
        if found is not obj:
            _asked(settled, found.get("status"))  # raises where it has a number that JSON cannot have
        return found

    def reflect_status(self, obj: Object) -> Object | None:
        found: Object | None = _asked(_REFLECT.get(gvk_of(obj), reflect.whole), obj)
        return found

    def interpret_health(self, obj: Object) -> bool:
        return bool(_asked(_HEALTH[gvk_of(obj)], obj))

    def get_dependencies(self, obj: Object) -> list[Object] | None:
        """None when there are none: Karmada writes that down as null, and an empty list of a script or third-party kind as []."""
        gvk = gvk_of(obj)
        found: list[Object] | None = _asked(_DEPENDENCIES[gvk], obj)
        return found or ([] if gvk in _THIRD_PARTY else None)


NATIVE: Final = NativeInterpreter()
