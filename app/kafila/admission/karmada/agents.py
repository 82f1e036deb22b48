"""What agents of clusters, and whoever registers one, may write of what their roles allow (as NodeRestriction does for kubelets).

Karmada's agents need rights that no role can give for one name alone: to create a Cluster, a Lease or a Secret. With them an agent
could make itself a second member, keep a dead one alive, or leave credentials for one that comes later (GHSA-mg7w-c9x2-xh7r).
"""

from __future__ import annotations

from typing import Any, Final

from kafila.authorization.agents import lent
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.agents import LEASE_OF, PREFIX, TOKEN_OF, agent_of, is_generator, why_unfit
from kafila.core.errors import FieldError
from kafila.core.values import Object
from kafila.placement import constants

from .context import NOTHING, AdmissionContext

_GROUP: Final = "cluster.karmada.io"
CLUSTERS: Final = f"clusters.{_GROUP}"
_CREDENTIALS: Final = {
    "secretRef": "{}",
    "impersonatorSecretRef": "{}-impersonator",
}  # names of Secrets, by the cluster's
_OWN: Final = ("labels", "annotations", "finalizers", "ownerReferences")
WORKS: Final = "works.work.karmada.io"
_OF_BINDINGS: Final = (constants.RB_PERMANENT_ID, constants.CRB_PERMANENT_ID)
_RBAC: Final = "rbac.authorization.k8s.io"
_QUESTIONS: Final = ("authentication.k8s.io", "authorization.k8s.io")  # who am I, what may I: nothing is kept
_REGISTERING: Final = "agent-rbac-generator-"  # the requests of whoever registers: karmadactl's names


def admit_agent(
    kind: Kind, new: Object | None, old: Object | None, user: Any, around: AdmissionContext = NOTHING
) -> None:
    """``new``: None when it is deleted. Raises StatusError 403, 422."""
    if user is None or not str(user.name).startswith(PREFIX):
        return
    obj = new if new is not None else old
    if obj is None:
        return
    why = ""
    if cluster := agent_of(user):
        why = _refusal(kind, cluster, new, old, around) or _refusal_of_cluster(kind, cluster, new, old, user, around)
        if not why and kind.resource == WORKS and new is not None:
            why = _refusal_of_work(cluster, new, old, around)
    elif is_generator(user):
        why = _refusal_to_register(kind, obj, new, user)
    if why:
        metadata = obj["metadata"]
        raise errors.forbidden(kind.group, kind.plural, metadata.get("name") or "", why)


def _refusal(kind: Kind, cluster: str, new: Object | None, old: Object | None, around: AdmissionContext) -> str:
    obj = new if new is not None else old
    assert obj is not None
    name, namespace = obj["metadata"].get("name") or "", obj["metadata"].get("namespace") or ""
    who = f"the agent of cluster {cluster}"
    match kind.resource:
        case r if r == CLUSTERS:
            if name != cluster:
                return f"{who} writes no other Cluster"
            if any(each is not None and not _is_pulled(each) for each in (new, old)):
                return f"{who} writes a Cluster in Pull mode"
        case "leases.coordination.k8s.io":
            heartbeats = namespace == constants.NAMESPACE_KARMADA_CLUSTER
            own = name == (cluster if heartbeats else f"{LEASE_OF}{cluster}")
            return "" if own else f"{who} writes no Lease of others"
        case "secrets":
            own = name == cluster or (name == f"{cluster}{TOKEN_OF}" and not around.has_cluster(name))
            own = own and not cluster.endswith(TOKEN_OF)
            return "" if own else f"{who} writes no Secret of others"
        case r if r == WORKS:
            own = namespace == constants.execution_namespace(cluster)
            return "" if own else f"{who} writes no Work of other clusters"
    return ""


def _refusal_of_cluster(
    kind: Kind, cluster: str, new: Object | None, old: Object | None, user: Any, around: AdmissionContext
) -> str:
    """Whom nobody lets update it names in it the Secrets that he has left, where it names none, and changes nothing else."""
    if kind.resource != CLUSTERS or new is None or old is None:
        return ""
    spec, before = dict(new.get("spec") or {}), old.get("spec") or {}
    for field, name in _CREDENTIALS.items():
        if not before.get(field) and (spec.get(field) or {}).get("name") == name.format(cluster):
            del spec[field]
    kept = {field: value for field, value in before.items() if value or field in spec}
    parts = [(spec, kept), *((new["metadata"].get(part) or None, old["metadata"].get(part) or None) for part in _OWN)]
    if all(now == then for now, then in parts) or around.may(user, "update", _GROUP, "clusters", "", cluster):
        return ""
    return f"the agent of cluster {cluster} names the credentials that it has left, and changes nothing else of its Cluster"


def _refusal_of_work(cluster: str, new: Object, old: Object | None, around: AdmissionContext) -> str:
    """A binding's Work is the control plane's but for its status and its finalizers: others sum up what is in it."""
    before: Object = old or {"metadata": {}}
    is_binding_s = any(
        label in (obj["metadata"].get("labels") or {}) for label in _OF_BINDINGS for obj in (new, before)
    )
    parts = [(new.get("spec"), before.get("spec"))]
    parts += [
        (new["metadata"].get(part) or {}, before["metadata"].get(part) or {}) for part in ("labels", "annotations")
    ]
    if is_binding_s and any(now != then for now, then in parts):
        return f"the agent of cluster {cluster} writes status and finalizers of a binding's Work, and nothing else"
    status, known = new.get("status") or {}, before.get("status") or {}
    if status.get("manifestStatuses") == known.get("manifestStatuses"):
        return ""
    manifests = ((new.get("spec") or {}).get("workload") or {}).get("manifests") or ()
    for index, reported in enumerate(status.get("manifestStatuses") or ()):
        field, why = "status", _misfit(reported, around)
        if not any(_is_of(reported.get("identifier") or {}, manifest) for manifest in manifests):
            field, why = "identifier", "it is of no manifest of this Work"
        if why:
            found = [FieldError.invalid(f"status.manifestStatuses[{index}].{field}", "<omitted>", why)]
            raise errors.invalid("work.karmada.io", "Work", new["metadata"].get("name") or "", found)
    return ""


def _is_of(identifier: Object, manifest: Object) -> bool:
    metadata, group = manifest.get("metadata") or {}, identifier.get("group") or ""
    version = identifier.get("version") or ""
    asked = (f"{group}/{version}" if group else version, identifier.get("kind"))
    if asked != (manifest.get("apiVersion"), manifest.get("kind")):
        return False
    return all((identifier.get(field) or "") == (metadata.get(field) or "") for field in ("namespace", "name"))


def _misfit(reported: Object, around: AdmissionContext) -> str:
    """Why it is no status of its kind, as what a member in Push mode answers is checked where it is read."""
    identifier = reported.get("identifier") or {}
    group, version = identifier.get("group") or "", identifier.get("version") or ""
    if reported.get("status") is None:
        return ""
    return around.misfit(f"{group}/{version}" if group else version, identifier.get("kind") or "", reported["status"])


def _refusal_to_register(kind: Kind, obj: Object, new: Object | None, user: Any) -> str:
    name = obj["metadata"].get("name") or ""
    if kind.resource == "namespaces":
        own = name.startswith(constants.EXECUTION_NAMESPACE_PREFIX) or name == constants.NAMESPACE_KARMADA_CLUSTER
        return "" if own else "who registers a cluster makes no other namespace than those of clusters"
    if kind.resource == "certificatesigningrequests.certificates.k8s.io" and new is None:
        own = name.startswith(_REGISTERING)
        return "" if own else "who registers a cluster deletes no request but his own"
    if kind.group == _RBAC:
        own = new is not None and bool(lent(kind.kind, new, user))
        return "" if own else "who registers a cluster writes the roles and bindings of its agent, and no others"
    if kind.group in _QUESTIONS:
        return ""
    return "who registers a cluster writes its namespace and the roles of its agent, and nothing else"


def misnamed(new: Object, old: Object | None) -> str:
    """Why such a Cluster cannot become one in Pull mode, "" where it can or is one."""
    if not _is_pulled(new) or (old is not None and _is_pulled(old)):
        return ""
    return why_unfit(new["metadata"].get("name") or "")


def _is_pulled(cluster: Object) -> bool:
    return (cluster.get("spec") or {}).get("syncMode") == "Pull"
