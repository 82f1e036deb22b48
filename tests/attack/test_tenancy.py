"""Two teams in one control plane: neither sees, places, overrides or starves the other, nor comes where it may not be.

``team-a`` and ``team-b`` are namespaces that may use m1 and m2; ann is bound to ``admin`` in the first. She asks over HTTP, as one
process; the controllers and their members are another one over the same database.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any, final

import pytest

from kafila.authorization import Attributes
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.allowed_clusters import NAMES
from kafila.registry import SYSTEM_ADMIN, User
from kafila.settings.settings import Settings
from kafila.workers.admission import admission
from tests.integration.api.conftest import APPLY_PATCH, CATALOG, Api, failure
from tests.integration.api.test_authorization import RBAC, binding
from tests.integration.reconcile.conftest import Lab

ANN = User("ann", ("team-a", "system:authenticated"))
A, B = "team-a", "team-b"
CONFIG = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]
KARMADA = "policy.karmada.io/v1alpha1"
BINDINGS = "/apis/work.karmada.io/v1alpha2/namespaces/{}/resourcebindings"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "hers"},
    "data": {"k": base64.b64encode(b"x").decode()},
}


@final
class Teams:
    def __init__(self, lab: Lab, api: Api) -> None:
        self.lab = lab
        self.api = api

    def as_admin(self) -> Api:
        self.api.user = SYSTEM_ADMIN
        return self.api

    def as_ann(self) -> Api:
        self.api.user = ANN
        return self.api

    async def make(self, obj: Object, namespace: str) -> Object:
        """By an administrator."""
        return await self.lab.create({**obj, "metadata": {**obj["metadata"], "namespace": namespace}})

    def policies(self, namespace: str = A) -> str:
        return f"/apis/{KARMADA}/namespaces/{namespace}/propagationpolicies"

    def overrides(self, namespace: str = A) -> str:
        return f"/apis/{KARMADA}/namespaces/{namespace}/overridepolicies"

    def where(self, kind: str, name: str, namespace: str) -> list[str]:
        return self.lab.in_clusters(kind, name, namespace)

    async def rest(self) -> None:
        """Until what ann wrote has come to the controllers, and they have nothing to do any more."""
        head = self.lab.database.head
        await self.lab.until(lambda: self.lab.registry.cache.revision >= head)
        await self.lab.rest()


@pytest.fixture
async def teams(lab: Lab) -> AsyncIterator[Teams]:
    await lab.join("m1", "m2")
    for name, cluster in ((A, "m1"), (B, "m2")):
        metadata = {"name": name, "annotations": {NAMES: cluster}}
        await lab.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        await lab.until(lambda name=name, cluster=cluster: lab.in_clusters("Namespace", name) == [cluster])
    api = await Api(lab.database).open()
    api.registry.staging.admission = admission(api.cache, CATALOG, Settings(), api.authorizer)
    await api.made(f"{RBAC}/namespaces/{A}/rolebindings", binding("admins", "admin", kind="RoleBinding"))
    try:
        yield Teams(lab, api)
    finally:
        await api.close()


def said(answer: Any) -> str:
    return failure(answer, 403, "Forbidden")["message"]


def policy(name: str = "hers", select: Any = None, **placement: Any) -> Object:
    spec = {"resourceSelectors": select or CONFIG, "placement": placement}
    return {"apiVersion": KARMADA, "kind": "PropagationPolicy", "metadata": {"name": name}, "spec": spec}


def override(select: Any, **overriders: Any) -> Object:
    rule = {"overriders": overriders or {"plaintext": [{"path": "/data/a", "operator": "replace", "value": "2"}]}}
    spec = {"overrideRules": [rule], **({"resourceSelectors": select} if select else {})}
    return {"apiVersion": KARMADA, "kind": "OverridePolicy", "metadata": {"name": "hers"}, "spec": spec}


def binding_of(template: Object, *clusters: str, name: str = "hers", **spec: Any) -> Object:
    metadata = template["metadata"]
    owner = {key: template[key] for key in ("apiVersion", "kind")} | {key: metadata[key] for key in ("name", "uid")}
    resource = {**owner, **({"namespace": metadata["namespace"]} if "namespace" in metadata else {})}
    return {
        "apiVersion": "work.karmada.io/v1alpha2",
        "kind": "ResourceBinding",
        "metadata": {"name": name, "ownerReferences": [{**owner, "controller": True}]},
        "spec": {"resource": resource, "clusters": [{"name": cluster} for cluster in clusters], **spec},
    }


# -- what the roles do not give ----------------------------------------------------------------------------------------

WIDE = [
    ("policy.karmada.io", "clusterpropagationpolicies"),
    ("policy.karmada.io", "clusteroverridepolicies"),
    ("policy.karmada.io", "clustertaintpolicies"),
    ("placement.kafila.io", "clusterscores"),
    ("policy.karmada.io", "federatedresourcequotas"),
    ("config.karmada.io", "resourceinterpretercustomizations"),
    ("config.karmada.io", "resourceinterpreterwebhookconfigurations"),
    ("apps.karmada.io", "workloadrebalancers"),
    ("remedy.karmada.io", "remedies"),
    ("cluster.karmada.io", "clusters"),
    ("cluster.karmada.io", "clusters/proxy"),
    ("search.karmada.io", "resourceregistries"),
    ("search.karmada.io", "proxying/proxy"),
    ("work.karmada.io", "clusterresourcebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("", "namespaces"),
    ("", "resourcequotas"),
    ("", "limitranges"),
]


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
async def test_no_role_of_a_team_writes_what_others_feel(api: Api, role: str) -> None:
    await api.made(f"{RBAC}/namespaces/default/rolebindings", binding("hers", role, kind="RoleBinding"))

    def may(verb: str, group: str, resource: str, namespace: str) -> bool:
        plain, _, sub = resource.partition("/")
        return api.authorizer.decide(Attributes(ANN, verb, group, "*", plain, sub, namespace)).allowed

    for group, resource in WIDE:
        for namespace in ("", "default", "karmada-es-m1"):
            for verb in ("create", "update", "patch", "delete", "deletecollection", "escalate", "impersonate"):
                assert not may(verb, group, resource, namespace), (verb, resource, namespace)
    for group, resource in (("", "secrets"), ("work.karmada.io", "works"), ("apps", "deployments")):
        for namespace in ("", "kube-system", "karmada-cluster", "karmada-es-m1"):
            for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
                assert not may(verb, group, resource, namespace), (verb, resource, namespace)


async def test_a_team_does_not_write_what_its_namespace_may_use(teams: Teams) -> None:
    ann, path = teams.as_ann(), f"/api/v1/namespaces/{A}"
    for changed in ({NAMES: "m1,m2"}, {NAMES: None}):
        assert "cannot patch" in said(await ann.patch(path, {"metadata": {"annotations": changed}}))
    assert "cannot patch" in said(await ann.patch(path + "/status", {"metadata": {"annotations": {NAMES: None}}}))


async def test_an_annotation_that_means_nothing_is_refused(teams: Teams) -> None:
    admin = teams.as_admin()
    for wrong in ({NAMES: "m1, M 2"}, {"placement.kafila.io/allowed-cluster-selector": "a in (("}):
        answer = failure(
            await admin.patch(f"/api/v1/namespaces/{A}", {"metadata": {"annotations": wrong}}), 422, "Invalid"
        )
        (cause,) = answer["details"]["causes"]
        assert cause["field"] == f"metadata.annotations[{next(iter(wrong))}]"


# -- placing -----------------------------------------------------------------------------------------------------------


async def test_no_policy_of_a_team_places_beyond_its_clusters(teams: Teams) -> None:
    answer = await teams.as_ann().post(teams.policies(), policy(clusterAffinity={"clusterNames": ["m1", "m2"]}))
    assert answer.headers["warning"] == '299 - "spec.placement: namespace team-a may not use m2: left out"'
    await teams.api.made(f"/api/v1/namespaces/{A}/configmaps", {"metadata": {"name": "settings"}, "data": {"a": "1"}})
    await teams.lab.until(lambda: teams.where("ConfigMap", "settings", A) == ["m1"])
    await teams.rest()
    assert teams.where("ConfigMap", "settings", A) == ["m1"]


@pytest.mark.parametrize(
    ("kind", "api_version", "resource"),
    [
        ("ResourceQuota", "v1", "resourcequotas"),
        ("LimitRange", "v1", "limitranges"),
        ("ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles"),
        ("FederatedResourceQuota", KARMADA, "federatedresourcequotas"),
        ("Anything", "not.served.example.com/v1", "*"),
    ],
)
async def test_a_policy_takes_nothing_that_its_writer_could_not_write(
    teams: Teams, kind: str, api_version: str, resource: str
) -> None:
    """It would take it from the policy of an administrator, and to where nobody is hindered by it."""
    select, group = [{"apiVersion": api_version, "kind": kind}], api_version.rpartition("/")[0]
    why = f'User "ann" cannot {{}} resource "{resource}" in API group "{group}" in the namespace "team-a"'
    ann = teams.as_ann()
    asked = said(await ann.post(teams.policies(), policy(select=select)))
    assert f"spec.resourceSelectors[0]: {why.format('create')}" in asked
    assert why.format("update") in said(await ann.post(teams.overrides(), override(select)))
    await ann.made(teams.policies(), policy())
    more = {"spec": {"resourceSelectors": [*CONFIG, *select]}}
    assert f"spec.resourceSelectors[1]: {why.format('create')}" in said(
        await ann.patch(teams.policies() + "/hers", more)
    )
    assert why.format("create") in said(
        await ann.patch(teams.policies() + "/other?fieldManager=x", policy("other", select=select), APPLY_PATCH)
    )


async def test_an_administrator_does(teams: Teams) -> None:
    select = [{"apiVersion": "v1", "kind": "ResourceQuota"}]
    await teams.as_admin().made(teams.policies(), policy(select=select))
    await teams.api.made(teams.overrides(), override(None))
    ann = teams.as_ann()
    for path in (teams.policies() + "/hers", teams.overrides() + "/hers"):
        for answer in (
            await ann.delete(path),
            await ann.delete(path.removesuffix("/hers")),
            await ann.patch(path, {"spec": {"resourceSelectors": CONFIG}}),
        ):
            assert 'User "ann" cannot' in said(answer)
    # what is there may be labelled by whoever may write policies
    labelled = await teams.as_ann().patch(teams.policies() + "/hers", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.status_code == 200


async def test_a_policy_selects_in_its_own_namespace_only(teams: Teams) -> None:
    await teams.make(teams.lab.config(), B)
    elsewhere = policy(select=[{**CONFIG[0], "namespace": B}])
    elsewhere["spec"]["preemption"] = "Always"
    answer = await teams.as_ann().post(teams.policies(), elsewhere)
    assert "namespace of resource selector must be the same as the namespace of the policy" in said(answer)
    await teams.rest()
    assert teams.where("ConfigMap", "settings", B) == []
    assert "permanent-id" not in str(teams.lab.get("ConfigMap", "settings", B)["metadata"])


@pytest.mark.parametrize("cluster_wide", [False, True])
async def test_a_claim_that_is_made_up_places_nothing(teams: Teams, cluster_wide: bool) -> None:
    """The marks of a policy that does not select the object."""
    theirs = teams.lab.policy("theirs", select=CONFIG, namespace="" if cluster_wide else B)
    theirs["spec"]["resourceSelectors"] = [{**CONFIG[0], "name": "theirs"}]
    stored = await teams.lab.create(theirs)
    (identity,) = (stored["metadata"].get("labels") or {}).values()
    if cluster_wide:
        marks = {constants.CPP_PERMANENT_ID: identity}, {constants.CPP_NAME: "theirs"}
    else:
        marks = {constants.PP_PERMANENT_ID: identity}, {constants.PP_NAMESPACE: B, constants.PP_NAME: "theirs"}
    labels, annotations = marks
    hers = {"metadata": {"name": "settings", "labels": labels, "annotations": annotations}, "data": {"a": "1"}}
    await teams.as_ann().made(f"/api/v1/namespaces/{A}/configmaps", hers)
    await teams.rest()
    assert teams.where("ConfigMap", "settings", A) == []


async def test_marks_of_another_teams_copy_change_nothing_of_it(teams: Teams) -> None:
    await teams.make(teams.lab.policy(select=CONFIG), B)
    await teams.make(teams.lab.config(), B)
    await teams.lab.until(lambda: teams.where("ConfigMap", "settings", B) == ["m2"])
    (work,) = (
        w
        for w in teams.lab.list("Work")
        if w["metadata"]["namespace"] == "karmada-es-m2"
        and w["spec"]["workload"]["manifests"][0]["kind"] == "ConfigMap"
    )
    copy = teams.lab.in_member("m2", "ConfigMap", "settings", B)
    marks = {key: copy["metadata"][key] for key in ("labels", "annotations")}
    await teams.as_ann().made(teams.policies(), policy())
    hers = {"metadata": {"name": "settings", **marks}, "data": {"a": "evil"}}
    await teams.api.made(f"/api/v1/namespaces/{A}/configmaps", hers)
    await teams.rest()
    assert teams.lab.in_member("m2", "ConfigMap", "settings", B)["data"] == {"a": "1"}
    now = teams.lab.get("Work", work["metadata"]["name"], "karmada-es-m2")
    assert now["spec"] == work["spec"]


# -- overriding --------------------------------------------------------------------------------------------------------


async def test_an_override_changes_nothing_of_another_namespace(teams: Teams) -> None:
    await teams.make(teams.lab.policy(select=CONFIG), B)
    await teams.make(teams.lab.config(), B)
    await teams.lab.until(lambda: teams.where("ConfigMap", "settings", B) == ["m2"])
    answer = await teams.as_ann().post(teams.overrides(), override([{**CONFIG[0], "namespace": B}]))
    assert "namespace of resource selector must be the same" in said(answer)
    await teams.rest()
    assert teams.lab.in_member("m2", "ConfigMap", "settings", B)["data"] == {"a": "1"}


async def test_an_override_of_everything_is_for_those_who_may_write_everything(teams: Teams) -> None:
    asked = said(await teams.as_ann().post(teams.overrides(), override(None)))
    assert "spec.resourceSelectors: it is about every kind: " in asked
    assert 'cannot update resource "*" in API group "*" in the namespace "team-a"' in asked


@pytest.mark.parametrize(
    ("kind", "verb", "resource"), [("Role", "escalate", "roles"), ("RoleBinding", "bind", "clusterroles")]
)
async def test_an_override_gives_nobody_rights_in_a_member(teams: Teams, kind: str, verb: str, resource: str) -> None:
    """ann may write Roles, where what she gives is compared with what she has: an override would not be."""
    select = [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind}]
    changed = [{"path": "/roleRef/name", "operator": "replace", "value": "cluster-admin"}]
    asked = said(await teams.as_ann().post(teams.overrides(), override(select, plaintext=changed)))
    assert f'User "ann" cannot {verb} resource "{resource}"' in asked


# -- bindings and Works ------------------------------------------------------------------------------------------------

CLUSTER_WIDE = (
    'User "ann" cannot {} resource "clusterresourcebindings" in API group "work.karmada.io" at the cluster scope'
)


@pytest.fixture
async def open_teams(teams: Teams) -> Teams:
    """Namespaces that nobody has limited, as in Karmada."""
    for namespace in (A, B):
        await teams.lab.change("Namespace", namespace, lambda obj: obj["metadata"].pop("annotations"))
    return teams


async def test_a_binding_is_about_its_own_namespace(open_teams: Teams) -> None:
    """Whatever uid its writer knows: an object without a namespace, or one of another team's."""
    teams = open_teams
    role = teams.lab.get("ClusterRole", "view", "")
    theirs = await teams.make(SECRET, B)
    ann, path = teams.as_ann(), BINDINGS.format(A)
    for template in (role, theirs):
        asked = said(await ann.post(path, binding_of(template, "m1")))
        assert f"spec.resource: it is not in this namespace: {CLUSTER_WIDE.format('create')}" in asked
    own = await ann.made(f"/api/v1/namespaces/{A}/configmaps", {"metadata": {"name": "settings"}})
    await ann.made(path, binding_of({**own, "apiVersion": "v1", "kind": "ConfigMap"}, "m1"))
    of_role, of_theirs = binding_of(role, "m1"), binding_of(theirs, "m1")
    for changed in (
        {"spec": {"resource": of_role["spec"]["resource"]}},
        {"spec": {"resource": of_theirs["spec"]["resource"]}},
        {"metadata": {"ownerReferences": of_role["metadata"]["ownerReferences"]}},
    ):
        assert CLUSTER_WIDE.format("update") in said(await ann.patch(f"{path}/hers", changed))
    followed = of_theirs["metadata"]["ownerReferences"]
    assert (await ann.patch(f"{path}/hers", {"metadata": {"ownerReferences": followed}})).status_code == 200
    await teams.rest()
    for member in ("m1", "m2"):
        assert not teams.lab.in_member(member, "Secret", "hers", A)


async def test_dependencies_that_are_made_up_bring_nothing_of_others(open_teams: Teams) -> None:
    teams = open_teams
    await teams.make(SECRET, B)
    await teams.as_ann().made(teams.policies(), {**policy(), "spec": {**policy()["spec"], "propagateDeps": True}})
    await teams.api.made(f"/api/v1/namespaces/{A}/configmaps", {"metadata": {"name": "settings"}})
    await teams.lab.until(lambda: "m1" in teams.where("ConfigMap", "settings", A))
    text = f'[{{"apiVersion":"v1","kind":"Secret","namespace":"{B}","name":"hers"}}]'
    path = BINDINGS.format(A) + "/settings-configmap"
    await teams.rest()
    answer = await teams.api.patch(path, {"metadata": {"annotations": {constants.RB_DEPENDENCIES: text}}})
    assert answer.status_code == 200
    await teams.rest()
    assert teams.where("Secret", "hers", B) == teams.where("Secret", "hers", A) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"spec": {"clusters": [{"name": "m2"}]}},
        {"spec": {"requiredBy": [{"namespace": B, "name": "x", "clusters": [{"name": "m2"}]}]}},
        {"spec": {"replicaRequirements": {"resourceRequest": {"cpu": "1m"}}}},  # to take less of a quota
        {"metadata": {"labels": {constants.PP_PERMANENT_ID: None}}},
        {"metadata": {"annotations": {constants.RB_DEPENDENCIES: "[]"}}},
    ],
)
async def test_bindings_of_a_team_are_the_control_planes(teams: Teams, changed: Object) -> None:
    await teams.as_ann().made(teams.policies(), policy())
    own = await teams.api.made(f"/api/v1/namespaces/{A}/configmaps", {"metadata": {"name": "settings"}})
    await teams.lab.until(lambda: teams.where("ConfigMap", "settings", A) == ["m1"])
    path = BINDINGS.format(A)
    written = binding_of({**own, "apiVersion": "v1", "kind": "ConfigMap"}, "m1", "m2")
    theirs = "spec.resource: it is the control plane's in this namespace: "
    assert theirs + CLUSTER_WIDE.format("create") in said(await teams.api.post(path, written))
    await teams.rest()
    asked = said(await teams.api.patch(f"{path}/settings-configmap", changed))
    assert theirs + CLUSTER_WIDE.format("update") in asked
    for one in (f"{path}/settings-configmap", path):  # its copies would be gone for a moment
        assert theirs + CLUSTER_WIDE.format("delete") in said(await teams.api.delete(one))


async def test_how_a_rollout_goes_on_is_a_teams_own_and_what_is_kept_of_it_is_not(teams: Teams) -> None:
    strategy = {"type": "Staged", "staged": {}}
    await teams.as_ann().made(teams.policies(), {**policy(), "spec": {**policy()["spec"], "rolloutStrategy": strategy}})
    await teams.api.made(f"/api/v1/namespaces/{A}/configmaps", {"metadata": {"name": "settings"}})
    await teams.lab.until(lambda: teams.where("ConfigMap", "settings", A) == ["m1"])
    path = f"{BINDINGS.format(A)}/settings-configmap"
    assert (await teams.api.patch(path, {"spec": {"rollout": {"paused": True}}})).status_code == 200
    moved = {"spec": {"rollout": {"paused": False}, "clusters": [{"name": "m2"}]}}
    assert "it is the control plane's in this namespace" in said(await teams.api.patch(path, moved))
    for verb in ("get", "list", "watch", "create", "delete"):
        asked = Attributes(ANN, verb, "placement.kafila.io", "v1alpha1", "templaterevisions", "", A)
        assert not teams.api.authorizer.decide(asked).allowed


async def test_works_of_a_team_reach_no_member(teams: Teams) -> None:
    evil = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "evil", "namespace": B}, "data": {}}
    work = {
        "apiVersion": "work.karmada.io/v1alpha1",
        "kind": "Work",
        "metadata": {"name": "evil"},
        "spec": {"workload": {"manifests": [evil]}},
    }
    path = "/apis/work.karmada.io/v1alpha1/namespaces/{}/works"
    ann = teams.as_ann()
    assert "cannot create" in said(await ann.post(path.format("karmada-es-m1"), work))
    await ann.made(path.format(A), work)
    await teams.rest()
    assert teams.where("ConfigMap", "evil", B) == []


# -- starving ----------------------------------------------------------------------------------------------------------


async def test_what_one_team_does_not_get_keeps_the_other_waiting_for_nothing(teams: Teams) -> None:
    """Objects without end that fit nowhere."""
    ann = teams.as_ann()
    kind = [{"apiVersion": "v1", "kind": "ConfigMap"}]
    await ann.made(teams.policies(), policy(select=kind, clusterAffinity={"clusterNames": ["m2"]}))
    await asyncio.gather(
        *(ann.post(f"/api/v1/namespaces/{A}/configmaps", {"metadata": {"name": f"n{i}"}}) for i in range(100))
    )
    await teams.make(teams.lab.policy(select=CONFIG), B)
    await teams.make(teams.lab.config(), B)
    await teams.lab.until(lambda: teams.where("ConfigMap", "settings", B) == ["m2"])
    await teams.rest()
    assert not any(teams.where("ConfigMap", f"n{i}", A) for i in range(100))
