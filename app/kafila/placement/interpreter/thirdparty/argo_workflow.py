"""argoproj.io/v1alpha1 Workflow."""

from __future__ import annotations

from typing import Any, Final

from .calls import Needs, ThirdParty
from .references import References, add_account, add_pull_secrets, add_volumes
from .values import at, is_empty, own_map, values


def _replicas(obj: Any, needs: Needs) -> tuple[Any, Any]:
    """So many pods as may run at a time; what they need of nodes is said for all of them."""
    spec = at(obj, "spec")
    parallelism = at(spec, "parallelism")
    pod = {field: at(spec, field) for field in ("affinity", "nodeSelector", "tolerations")}
    requirements = needs({"spec": {field: value for field, value in pod.items() if value is not None}})
    return 1 if parallelism is None else parallelism, requirements


def _revise(obj: Any, replicas: int) -> Any:
    own_map(obj, "spec")["parallelism"] = replicas
    return obj


def _retain(desired: Any, observed: Any) -> Any:
    """Its controller keeps state in the status, which is no subresource, and in `spec.suspend`."""
    suspended = at(observed, "spec", "suspend")
    if suspended is not None:
        own_map(desired, "spec")["suspend"] = suspended
    status = at(observed, "status")
    if status is not None:
        desired["status"] = status
    return desired


def _is_healthy(obj: Any) -> bool:
    status = at(obj, "status")
    if status is None:
        return False
    phase = at(status, "phase")
    return not is_empty(phase) and phase not in ("Error", "Failed")


def _dependencies(obj: Any) -> Any:
    found, spec = References(), at(obj, "spec")
    executor = at(spec, "executor")
    if executor is not None:
        found.add_named("ServiceAccount", at(executor, "serviceAccountName"))
    claims = at(spec, "volumeClaimTemplates")
    for claim in values(claims, "volumeClaimTemplates") if claims is not None else ():
        found.add_named("PersistentVolumeClaim", at(claim, "metadata", "name"))
    # a volume names its Secret in `secretName`; Karmada's script looks for `name`
    add_volumes(found, at(spec, "volumes"), secret_name="name")
    add_pull_secrets(found, at(spec, "imagePullSecrets"))
    add_account(found, at(spec, "serviceAccountName"))
    return found.of(obj)


WORKFLOW: Final = ThirdParty(
    replicas=_replicas,
    revise=_revise,
    retain=_retain,
    health=_is_healthy,
    dependencies=_dependencies,
)
