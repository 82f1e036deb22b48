"""What our account may do in a member that gives it no more than policies need (``kafila join --permissions=policies``).

The rules follow from the kinds that policies select when the cluster joins, and from the copies that it has then: what is placed there
must be taken back after its policy is gone. What a later policy needs is refused by the member, which its Cluster tells
(``kafila.io/PermissionsSufficient``); joining again brings the rules up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from kafila.core.errors import ignoring_not_found
from kafila.core.resources import GroupVersionKind, gvk_of, split_api_version
from kafila.core.values import AnyObject, Object
from kafila.placement import constants

from .accounts import EVERYTHING, IMPERSONATOR, RBAC, Waiting, create_once, role_name
from .client import MemberClient, resource_path
from .discovery import APIResource, Discovery

ANNOTATION: Final = "kafila.io/permissions"  # of the ClusterRole in the member: how it was joined
READ: Final = ["get", "list", "watch"]
WRITE: Final = [*READ, "create", "update", "delete"]
POLICY: Final = "policy.karmada.io/v1alpha1"
WORK: Final = "work.karmada.io/v1alpha1"
IMPERSONATION: Final = 15.0  # seconds for the control plane to say whom the member shall let through

# kinds that follow a workload (propagateDeps), as far as no interpreter names others
DEPENDENTS: Final = (
    GroupVersionKind("", "v1", "ConfigMap"),
    GroupVersionKind("", "v1", "PersistentVolumeClaim"),
    GroupVersionKind("", "v1", "Secret"),
    GroupVersionKind("", "v1", "Service"),
    GroupVersionKind("", "v1", "ServiceAccount"),
    GroupVersionKind("discovery.k8s.io", "v1", "EndpointSlice"),
)
SERVICE: Final = GroupVersionKind("", "v1", "Service")
SLICE: Final = GroupVersionKind("discovery.k8s.io", "v1", "EndpointSlice")
NETWORKING: Final = "networking.karmada.io/v1alpha1"
QUOTA: Final = GroupVersionKind("", "v1", "ResourceQuota")

# whatever policies select: namespaces are made, nodes and pods counted, callers let through (RBAC itself sees to it that nobody is
# given there what our account may not do), and health, version and APIs looked at
BASIC: Final[tuple[Object, ...]] = (
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": WRITE},
    {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": READ},
    {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles", "clusterrolebindings"],
        "verbs": WRITE,
    },
    {"nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/readyz", "/version"], "verbs": ["get"]},
)
_WRITTEN: Final = {
    (group, name)
    for rule in BASIC
    if rule["verbs"] is WRITE
    for group in rule["apiGroups"]
    for name in rule["resources"]
}


class Permissions(StrEnum):
    ALL = "all"
    POLICIES = "policies"


def selected(policies: Iterable[AnyObject], quotas: bool, services: bool = False) -> set[GroupVersionKind]:
    """The kinds that policies select, and what follows these; ``services``: whether there are MultiClusterServices. Pure."""
    found: set[GroupVersionKind] = set()
    for policy in policies:
        spec = policy.get("spec") or {}
        found |= {gvk_of(selector) for selector in spec.get("resourceSelectors") or ()}
        if spec.get("propagateDeps"):
            found.update(DEPENDENTS)
    if quotas:
        found.add(QUOTA)
    if services:
        found |= {SERVICE, SLICE}
    if any(gvk.kind == constants.SERVICE_EXPORT_KIND for gvk in found):
        found.add(SLICE)  # those of the exported services are collected
    return found


def placed(works: Iterable[AnyObject]) -> set[GroupVersionKind]:
    """The kinds of the copies in a member. Pure."""
    workloads = ((work.get("spec") or {}).get("workload") or {} for work in works)
    return {gvk_of(manifest) for workload in workloads for manifest in workload.get("manifests") or ()}


def rules(resources: Iterable[APIResource], kept: Iterable[tuple[str, str]] = ()) -> list[Object]:
    """Of a ClusterRole: the basic ones, and one for each group. ``kept``: groups and resources beside. Pure."""
    groups: dict[str, set[str]] = {}
    written = {(split_api_version(resource.api_version)[0], resource.name) for resource in resources}
    for group, name in (written | set(kept)) - _WRITTEN:
        groups.setdefault(group, set()).add(name)
    more = [{"apiGroups": [group], "resources": sorted(groups[group]), "verbs": WRITE} for group in sorted(groups)]
    return [*BASIC, *more]


async def known(member: MemberClient, cluster: str) -> Permissions | None:
    """How the cluster was joined before; None when it was not."""
    role = await _role(member, cluster)
    return None if role is None else _noted(role)


async def _role(member: MemberClient, cluster: str) -> Object | None:
    return await member.find(resource_path(RBAC, "clusterroles", name=role_name(cluster)))


def _noted(role: Object) -> Permissions:
    noted = (role["metadata"].get("annotations") or {}).get(ANNOTATION)
    return Permissions.POLICIES if noted == Permissions.POLICIES else Permissions.ALL


def _given(role: Object | None) -> set[tuple[str, str]]:
    """Groups and resources that a role of ours lets us write, if it is one of few rights."""
    if role is None or _noted(role) is not Permissions.POLICIES:
        return set()
    given = {
        (group, name)
        for rule in role.get("rules") or ()
        if rule.get("verbs") == WRITE
        for group in rule.get("apiGroups") or ()
        for name in rule.get("resources") or ()
    }
    return {pair for pair in given if "*" not in pair}


async def needed(
    control_plane: MemberClient, member: MemberClient, permissions: Permissions, cluster: str
) -> tuple[Sequence[Object], list[str]]:
    """The rules, and the kinds that policies select and the member does not serve. What it does not tell of now stays as it was."""
    if permissions is Permissions.ALL:
        return EVERYTHING, []
    policies: list[Object] = []
    for resource in ("propagationpolicies", "clusterpropagationpolicies"):
        policies += (await control_plane.list(resource_path(POLICY, resource)))[0]
    quotas, _ = await control_plane.list(resource_path(POLICY, "federatedresourcequotas"))
    space = constants.execution_namespace(cluster)
    works, _ = await control_plane.list(resource_path(WORK, "works", space))
    services, _ = await control_plane.list(resource_path(NETWORKING, "multiclusterservices"))
    wanted = selected(policies, bool(quotas), bool(services))
    discovery = Discovery(member)
    complete = (await discovery.refresh()).complete
    served: list[APIResource] = []
    absent: list[str] = []
    for gvk in sorted(wanted | placed(works)):
        found = await discovery.find(gvk)
        if found is not None:
            served.append(found)
        elif gvk in wanted:
            absent.append(f"{gvk.kind}.{gvk.version}.{gvk.group}" if gvk.group else gvk.kind)
    return rules(served, () if complete else _given(await _role(member, cluster))), absent


async def let_callers_through(control_plane: MemberClient, member: MemberClient, cluster: str) -> None:
    """Whom the impersonator may stand in for is a ClusterRole that our restricted account may not write: it would give what it
    does not have. So who joins writes it, as the control plane wants it by now."""
    space = constants.execution_namespace(cluster)
    waiting = Waiting(IMPERSONATION, f"the control plane to say whom cluster {cluster} shall let through")
    for kind, resource in (("ClusterRole", "clusterroles"), ("ClusterRoleBinding", "clusterrolebindings")):
        path = resource_path(WORK, "works", space, constants.work_name(kind, IMPERSONATOR))
        while (work := await control_plane.find(path)) is None:
            if waiting.is_over():
                return  # no controllers run there now; the Cluster will tell what is missing
            await waiting.pause()
        for manifest in (work["spec"].get("workload") or {}).get("manifests") or ():
            await _put(member, resource_path(RBAC, resource), manifest)


async def _put(member: MemberClient, collection: str, manifest: Object) -> None:
    path = f"{collection}/{manifest['metadata']['name']}"
    current = await member.find(path)
    if current is None:
        await create_once(member, collection, manifest)
        return
    changes = {part: manifest[part] for part in ("rules", "subjects") if manifest.get(part) != current.get(part)}
    metadata = {part: manifest["metadata"].get(part) or {} for part in ("labels", "annotations")}
    with ignoring_not_found():
        await member.patch(path, {"metadata": metadata, **changes})
