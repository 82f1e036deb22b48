"""Whatever Kubernetes allows as a name is placed, and no two objects get in each other's way because their names are alike."""

from __future__ import annotations

import pytest

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.constants import Identity
from kafila.registry.codec import decode_entry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from tests.definitions import definition, properties, version
from tests.integration.reconcile.conftest import USER, Lab, _known_queues, lab, two

__all__ = ["_known_queues", "lab", "two"]
RBAC = "rbac.authorization.k8s.io/v1"
ANY = [
    {"apiVersion": RBAC, "kind": "Role"},
    {"apiVersion": RBAC, "kind": "ClusterRole", "name": "dev@example.com"},
    {"apiVersion": "v1", "kind": "ConfigMap"},
    {"apiVersion": "apps/v1", "kind": "StatefulSet"},
    {"apiVersion": "example.com/v1", "kind": "StatefulSet"},
]


def role(name: str, verb: str = "get", kind: str = "Role") -> Object:
    where = {} if kind == "ClusterRole" else {"namespace": "default"}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]
    return {"apiVersion": RBAC, "kind": kind, "metadata": {"name": name, **where}, "rules": rules}


def bindings(lab: Lab) -> dict[str, str]:
    """Name of the binding by the object it is of."""
    found = lab.list("ResourceBinding") + lab.list("ClusterResourceBinding")
    return {
        f"{b['spec']['resource']['apiVersion']} {b['spec']['resource']['name']}": b["metadata"]["name"] for b in found
    }


def works(lab: Lab) -> list[tuple[str, str]]:
    """(name, object) of the Works in m1 for what a policy selects."""
    found = []
    for work in lab.list("Work"):
        manifest = work["spec"]["workload"]["manifests"][0]
        if work["metadata"]["namespace"] == "karmada-es-m1" and manifest["kind"] in {s["kind"] for s in ANY}:
            found.append((work["metadata"]["name"], manifest["metadata"]["name"]))
    return found


@pytest.mark.parametrize(
    "template",
    [
        role("acme::reader"),
        role("dev@example.com", kind="ClusterRole"),
        role("Team_Blue"),
        role("Köln, Straße"),
        role("-"),
        role("..." + "a" * 240),
        role("x" * 248),
        {**Lab.config("n" * 253)},
        {**Lab.config("n" * 243)},  # of its binding just so, of its Work too long
    ],
    ids=lambda template: template["metadata"]["name"][:20],
)
async def test_every_name_that_kubernetes_allows_is_placed(two: Lab, template: Object) -> None:
    wide = two.policy("wide", namespace="", select=ANY)
    await two.create(wide)
    await two.create(template)
    kind, name = template["kind"], template["metadata"]["name"]
    await two.until(lambda: two.in_clusters(kind, name) == ["m1", "m2"], "placed")
    await two.rest()
    (binding,) = two.list("ResourceBinding") + two.list("ClusterResourceBinding")
    assert two.is_true(binding, "FullyApplied")
    assert not [event for event in two.list("Event") if event["type"] == "Warning"]
    before = bindings(two), works(two)
    await two.restart()
    await two.change(kind, name, lambda obj: obj["metadata"].setdefault("labels", {}).update(more="x"))
    await two.rest()
    assert two.in_member("m1", kind, name)["metadata"]["labels"]["more"] == "x"
    assert (bindings(two), works(two)) == before
    await two.delete(kind, name)
    await two.rest()
    assert two.in_clusters(kind, name) == []
    assert bindings(two) == {}


@pytest.mark.parametrize(("first", "second"), [("a:b", "a.b"), ("Case", "case"), ("a::", "A..")])
async def test_names_that_karmadas_formula_makes_one(two: Lab, first: str, second: str) -> None:
    await two.create(two.policy("wide", namespace="", select=ANY))
    await two.create(role(first, "get"))
    await two.rest()
    await two.create(role(second, "list"))
    await two.rest()

    def verbs() -> list[str]:
        return [two.in_member(m, "Role", n)["rules"][0]["verbs"][0] for m in ("m1", "m2") for n in (first, second)]

    assert verbs() == ["get", "list"] * 2
    before = bindings(two)
    assert len(set(before.values())) == 2
    assert len({name for name, _ in works(two)}) == 2
    await two.restart()
    await two.change("Role", first, lambda obj: obj["rules"][0].update(verbs=["watch"]))
    await two.change("Role", second, lambda obj: obj["rules"][0].update(verbs=["patch"]))
    await two.rest()
    assert verbs() == ["watch", "patch"] * 2
    assert bindings(two) == before
    # the first one goes, and the second stays what it is: under its name, in its clusters
    await two.delete("Role", first)
    await two.rest()
    await two.change("Role", second, lambda obj: obj["rules"][0].update(verbs=["get"]))
    await two.rest()
    assert bindings(two) == {f"{RBAC} {second}": before[f"{RBAC} {second}"]}
    assert two.in_clusters("Role", first) == []
    assert two.in_member("m1", "Role", second)["rules"][0]["verbs"] == ["get"]


async def test_many_at_once_in_any_order(two: Lab) -> None:
    """Two that collide are decided about at the same time; both come to the same end."""
    await two.create(two.policy("wide", namespace="", select=ANY))
    called = [f"{letter}{sign}x" for letter in "abcdefghABCDEFGH" for sign in ".:"]
    for name in called:
        await two.create(role(name, name))
    await two.rest()
    assert {name: two.in_clusters("Role", name) for name in called} == {name: ["m1", "m2"] for name in called}
    assert [two.in_member("m2", "Role", name)["rules"][0]["verbs"] for name in called] == [[name] for name in called]
    assert len(set(bindings(two).values())) == len(called)


async def test_one_kind_name_in_two_groups(two: Lab) -> None:
    crd = definition("example.com", "StatefulSet", version(schema=properties(a={"type": "string"})))
    kind = two.kind("CustomResourceDefinition")
    for registry in (two.registry, *(member.registry for member in two.members.values())):
        await registry.create(kind, "", decode_object(kind, crd, USER), USER)
        await two.until(lambda r=registry: r.catalog.storage_kind("statefulsets.example.com"), "known")
    await two.until(
        lambda: all("example.com" in str(c["status"]["apiEnablements"]) for c in two.list("Cluster")), "served"
    )
    await two.create(two.policy("wide", namespace="", select=ANY))
    real = two.deployment()
    real |= {"kind": "StatefulSet", "spec": {**real["spec"], "serviceName": "web"}}
    await two.create(real)
    await two.rest()
    kind = two.registry.catalog.storage_kind("statefulsets.example.com")
    assert kind is not None
    other = {
        "apiVersion": "example.com/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web", "namespace": "default"},
        "a": "1",
    }
    await two.registry.create(kind, "default", decode_object(kind, other, USER), USER)
    await two.rest()
    assert two.in_clusters("StatefulSet", "web") == ["m1", "m2"]
    for member in two.members.values():
        entry = member.registry.cache.get("statefulsets.example.com", "default", "web")
        assert entry is not None
        assert decode_entry(kind, entry)["a"] == "1"
    found = bindings(two)
    assert found["apps/v1 web"] == "web-statefulset"
    assert found["example.com/v1 web"].startswith("web-statefulset-")
    await two.registry.delete(kind, "default", "web", DeleteOptions())
    await two.rest()
    assert two.in_clusters("StatefulSet", "web") == ["m1", "m2"]
    assert all(m.registry.cache.get("statefulsets.example.com", "default", "web") is None for m in two.members.values())


async def test_another_tenants_work_is_not_taken_over(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Karmada's hash of a Work's name has 32 bits: a namespace can be found whose Works have the names of another's."""
    real = constants.work_name
    monkeypatch.setattr(constants, "work_name", lambda kind, name, namespace="": real(kind, name, "default"))
    await two.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "evil"}})
    await two.create(two.policy("wide", namespace="", select=ANY))
    await two.create(two.config("settings"))
    await two.rest()
    await two.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "evil"}, "data": {}}
    )
    await two.rest()
    assert two.in_member("m1", "ConfigMap", "settings")["data"] == {"a": "1"}
    assert two.in_clusters("ConfigMap", "settings", "evil") == ["m1", "m2"]
    await two.delete("ConfigMap", "settings", "evil")
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1", "m2"]


async def test_what_follows_a_workload(two: Lab) -> None:
    """The bindings of dependencies have the same names."""
    workload = two.deployment()
    volumes = [{"name": n, "secret": {"secretName": n}} for n in ("a.b", "s" * 253)]
    workload["spec"]["template"]["spec"]["volumes"] = [{**v, "name": f"v{i}"} for i, v in enumerate(volumes)]
    workload["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "n" * 250}}]
    await two.create(two.policy("policy", "m1", propagateDeps=True))
    await two.create(two.config("n" * 250))
    for name in ("a.b", "s" * 253):
        await two.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}})
    await two.create(workload)
    await two.rest()
    assert two.in_clusters("ConfigMap", "n" * 250) == ["m1"]
    assert [two.in_clusters("Secret", name) for name in ("a.b", "s" * 253)] == [["m1"], ["m1"]]
    await two.delete("Deployment", "web")
    await two.rest()
    assert two.in_clusters("ConfigMap", "n" * 250) == []
    assert two.in_clusters("Secret", "s" * 253) == []


async def test_a_rebalancer_finds_the_binding(two: Lab) -> None:
    await two.create(two.policy("wide", namespace="", select=ANY))
    await two.create(role("a:b"))
    await two.rest()
    await two.create(role("a.b"))
    await two.rest()
    workload = {"apiVersion": RBAC, "kind": "Role", "namespace": "default", "name": "a.b"}
    await two.create(
        {
            "apiVersion": "apps.karmada.io/v1alpha1",
            "kind": "WorkloadRebalancer",
            "metadata": {"name": "again"},
            "spec": {"workloads": [workload]},
        }
    )
    await two.rest()
    asked = [b["metadata"]["name"] for b in two.list("ResourceBinding") if b["spec"].get("rescheduleTriggeredAt")]
    assert asked == [bindings(two)[f"{RBAC} a.b"]]


def test_names_with_a_suffix_are_lawful_and_differ() -> None:
    odd = ["a:b", "a.b", "A.b", "a" * 253, "a" * 252 + "b", "-", "@", "é" * 100, "...", "x" * 240 + "-" * 5 + "yz"]
    objects = [
        Identity(group, kind, namespace, name)
        for group in ("", "apps")
        for kind in ("Role", "role", "VeryLongKindOfSomethingThatHasAName")
        for namespace in ("", "default", "other")
        for name in odd
    ]
    for make in (constants.own_binding_name, constants.own_work_name):
        made = [make(each) for each in objects]
        assert all(map(constants.is_lawful, made))
        assert len(set(made)) == len(objects)
