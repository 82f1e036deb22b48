"""Whatever a decision depends on leads to another look when it changes, also while a look is under way."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, final

import pytest

from kafila.catalog.catalog import Catalog
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.members.health import Observation
from kafila.placement import constants
from kafila.reconcile.karmada.kinds import BINDINGS
from kafila.reconcile.karmada.member import cluster_status
from kafila.reconcile.karmada.quota.controller import QUOTAS
from kafila.registry import Registry
from kafila.registry.bootstrap import ensure
from kafila.registry.decoding import decode_object
from kafila.store.interface import Transaction, Write
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.watch import Cache
from kafila.watch.definitions import Definitions
from tests.definitions import definition

from .conftest import CATALOG, USER, Lab

GADGET = Key("gadgets.example.com", "default", "one")


@final
class Interrupted:
    """A store with which something else happens right before a certain transaction is stored."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._store = MemoryStore(database)
        self._writes: Callable[[Write], bool] | None = None
        self._meanwhile: Callable[[], Awaitable[Any]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def once(self, writes: Callable[[Write], bool], meanwhile: Callable[[], Awaitable[Any]]) -> None:
        self._writes, self._meanwhile = writes, meanwhile

    @property
    def happened(self) -> bool:
        return self._writes is None

    async def commit(self, transaction: Transaction) -> list[int]:
        if self._writes is not None and any(map(self._writes, transaction.writes)):
            self._writes = None
            await self._meanwhile()
        return await self._store.commit(transaction)


@contextlib.asynccontextmanager
async def interrupted(*members: str, **settings: Any) -> AsyncIterator[tuple[Lab, Interrupted]]:
    lab = Lab(**settings)
    lab.store = store = Interrupted(lab.database)
    await lab.start()
    await lab.join(*members)
    await lab.rest()
    try:
        yield lab, store
    finally:
        await lab.close()


def binds(name: str, text: str = "") -> Callable[[Write], bool]:
    return lambda write: write.key == Key(BINDINGS, "default", name) and text.encode() in (write.body or b"")


def works_of(lab: Lab, kind: str) -> list[Object]:
    return [w for w in lab.list("Work") if w["spec"]["workload"]["manifests"][0]["kind"] == kind]


async def go_away(lab: Lab, member: str) -> None:
    connection = lab.controllers.member_manager.get(member)
    assert connection is not None

    async def away(*arguments: Any) -> None:
        raise ConnectionError("nobody is there")

    transport: Any = connection.client._transport
    transport.app = away
    await lab.until(lambda: not lab.is_true(lab.get("Cluster", member), "Ready"), "the member is gone")


# -- while a look is under way ---------------------------------------------------------------------------------------


async def test_a_cluster_that_joins_while_a_binding_is_stored_gets_it() -> None:
    async with interrupted("m1") as (lab, store):
        store.once(binds("web-deployment"), lambda: lab.join("m2"))
        await lab.create(lab.policy())
        await lab.create(lab.deployment())
        await lab.until(lambda: set(lab.placed("web-deployment")) == {"m1", "m2"}, "placed in both")


async def test_a_dependency_that_comes_while_the_workload_is_told_to_need_it_follows() -> None:
    async with interrupted("m1") as (lab, store):
        store.once(binds("web-deployment", constants.RB_DEPENDENCIES), lambda: lab.create(lab.config()))
        deployment = lab.deployment()
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["envFrom"] = [{"configMapRef": {"name": "settings"}}]
        await lab.create(lab.policy(propagateDeps=True))
        await lab.create(deployment)
        await lab.until(lambda: lab.in_clusters("ConfigMap", "settings") == ["m1"], "it follows")


async def test_room_that_comes_while_nothing_fits_is_not_overlooked() -> None:
    async with interrupted("m1") as (lab, store):
        member = lab.members["m1"]

        async def another_node() -> None:
            before = lab.get("Cluster", "m1")["status"]["resourceSummary"]
            await ensure(member.registry, member._node(1))
            await member._make_ready("m1-node-2")
            await lab.until(
                lambda: lab.get("Cluster", "m1")["status"]["resourceSummary"]["allocatable"] != before["allocatable"]
            )

        dynamic = {"dynamicWeight": "AvailableReplicas"}
        divided = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}
        store.once(binds("web-deployment"), another_node)
        await lab.create(lab.policy(scheduling={**divided, "weightPreference": dynamic}))
        await lab.create(lab.deployment(replicas=2, cpu="8"))
        await lab.until(lambda: lab.placed("web-deployment") == {"m1": 2}, "there is room")


async def test_a_policy_that_turns_away_while_it_claims_lets_go() -> None:
    async with interrupted("m1") as (lab, store):
        other = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}]

        def claims(write: Write) -> bool:
            return write.key == Key("deployments.apps", "default", "web") and constants.PP_NAME.encode() in (
                write.body or b""
            )

        store.once(
            claims,
            lambda: lab.change("PropagationPolicy", "policy", lambda obj: obj["spec"].update(resourceSelectors=other)),
        )
        await lab.create(lab.policy())
        await lab.create(lab.deployment())
        await lab.until(lambda: store.happened)
        await lab.rest()
        assert constants.PP_PERMANENT_ID not in lab.get("Deployment", "web")["metadata"]["labels"]


async def test_two_that_shun_each_other_do_not_meet_though_decided_together() -> None:
    async with interrupted("m1", "m2", feature_gates="WorkloadAffinity=true") as (lab, store):

        async def second() -> None:
            await lab.create(lab.deployment("second", team="a"))
            await lab.until(lambda: lab.placed("second-deployment"))

        store.once(binds("first-deployment", '"clusters"'), second)
        one = [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]
        placement = {"workloadAffinity": {"antiAffinity": {"groupByLabelKey": "team"}}, "spreadConstraints": one}
        await lab.create(lab.policy(select=[{"apiVersion": "apps/v1", "kind": "Deployment"}], placement=placement))
        await lab.create(lab.deployment("first", team="a"))
        await lab.until(lambda: lab.placed("first-deployment"))
        assert lab.placed("first-deployment").keys() != lab.placed("second-deployment").keys()


async def test_what_was_charged_meanwhile_stays_charged() -> None:
    """The sum of what members report leaves alone what bindings take."""
    async with interrupted("m1", feature_gates="FederatedQuotaEnforcement=true") as (lab, store):
        assigned = [{"clusterName": "m1", "hard": {"cpu": "4"}}]
        await lab.create(
            {
                "apiVersion": "policy.karmada.io/v1alpha1",
                "kind": "FederatedResourceQuota",
                "metadata": {"name": "team", "namespace": "default"},
                "spec": {"overall": {"cpu": "10"}, "staticAssignments": assigned},
            }
        )
        await lab.until(lambda: lab.in_clusters("ResourceQuota", "team") == ["m1"])
        await lab.rest()

        def charged(obj: Object) -> None:
            obj["status"]["overallUsed"] = {"cpu": "3"}

        store.once(
            lambda write: write.key == Key(QUOTAS, "default", "team"),
            lambda: lab.change("FederatedResourceQuota", "team", charged, subresource="status"),
        )
        kind = lab.kind("ResourceQuota")
        used = {"hard": {"cpu": "4"}, "used": {"cpu": "1"}}
        await lab.members["m1"].registry.modify(
            kind, "default", "team", lambda obj: {**obj, "status": used}, USER, "status"
        )
        await lab.until(
            lambda: lab.get("FederatedResourceQuota", "team")["status"].get("aggregatedStatus", [{}])[0].get("used")
        )
        assert lab.get("FederatedResourceQuota", "team")["status"]["overallUsed"] == {"cpu": "3"}


async def test_a_condition_of_others_that_comes_while_a_member_is_asked_stays(
    two: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, told = cluster_status.observe, {"type": "Theirs", "status": "True", "reason": "Seen", "message": ""}
    left = ["once"]

    async def slow(client: Any, *arguments: Any) -> Observation:
        found = (await ask(client, *arguments))._replace(version="v9.9.9")
        if client.name == "m1" and left:
            left.clear()
            await two.change(
                "Cluster", "m1", lambda obj: obj["status"]["conditions"].append(told), subresource="status"
            )
        return found

    monkeypatch.setattr(cluster_status, "observe", slow)
    await two.until(lambda: two.get("Cluster", "m1")["status"]["kubernetesVersion"] == "v9.9.9")
    assert two.is_true(two.get("Cluster", "m1"), "Theirs")


# -- what comes again, or goes -----------------------------------------------------------------------------------------


async def test_a_namespace_that_is_there_again_comes_to_members_that_were_slow_to_let_it_go(two: Lab) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
    work, space = constants.work_name("Namespace", "team"), "karmada-es-m2"
    await two.create(namespace)
    await two.until(lambda: two.in_clusters("Namespace", "team") == ["m1", "m2"])
    await two.change("Work", work, lambda obj: obj["metadata"]["finalizers"].append("example.com/held"), space)
    await two.delete("Namespace", "team")
    await two.until(lambda: not two.get("Namespace", "team") and two.in_clusters("Namespace", "team") == [])
    await two.create(namespace)
    await two.until(lambda: two.in_clusters("Namespace", "team") == ["m1"])
    await two.rest()
    await two.change("Work", work, lambda obj: obj["metadata"].pop("finalizers"), space)
    await two.until(lambda: two.in_clusters("Namespace", "team") == ["m1", "m2"], "it is there again")


async def test_a_recreated_template_of_a_lazy_policy_is_a_change_by_its_user(two: Lab) -> None:
    await two.create(two.policy("policy", "m1", activationPreference="Lazy"))
    await two.create(two.deployment())
    await two.rest()
    await two.change(
        "ResourceBinding", "web-deployment", lambda obj: obj["metadata"]["finalizers"].append("example.com/held")
    )
    await two.delete("Deployment", "web")
    await two.until(lambda: two.in_clusters("Deployment", "web") == [])
    await two.create(two.deployment(replicas=5))
    await two.rest()
    await two.change("ResourceBinding", "web-deployment", lambda obj: obj["metadata"].pop("finalizers"))
    await two.until(lambda: two.placed("web-deployment") == {"m1": 5}, "placed")


async def test_a_cluster_goes_though_a_work_waited_for_its_member(make_lab: type[Lab]) -> None:
    lab = await make_lab(cluster_failure_threshold=0.0).start()
    try:
        await lab.join("m1")
        await lab.create(lab.policy("policy", "m1"))
        await lab.create(lab.deployment())
        await lab.until(lambda: lab.in_clusters("Deployment", "web") == ["m1"])
        await go_away(lab, "m1")
        await lab.delete("Deployment", "web")
        await lab.until(lambda: not lab.get("ResourceBinding", "web-deployment"))
        await lab.rest()
        assert works_of(lab, "Deployment")[0]["metadata"]["deletionTimestamp"]
        await lab.delete("Cluster", "m1")
        await lab.until(lambda: not lab.get("Cluster", "m1"), "the cluster is gone")
    finally:
        await lab.close()


async def test_what_a_connection_has_not_ended_when_it_is_closed_is_ended(two: Lab) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m1"])
    connection = two.controllers.member_manager.get("m1")
    assert connection is not None
    await connection.controllers[1].queue.stop()  # type: ignore[attr-defined] # it did not come to it
    await two.delete("Deployment", "web")
    await two.until(lambda: not two.get("ResourceBinding", "web-deployment"))
    await two.delete("Cluster", "m1")
    await two.change("Cluster", "m1", lambda obj: obj["metadata"].pop("finalizers"))
    await two.until(lambda: not two.get("Cluster", "m1"))
    await two.until(lambda: not works_of(two, "Deployment"), "its Works are gone")


async def test_a_quota_that_went_while_nobody_looked_leaves_the_members(two: Lab) -> None:
    await two.create(
        {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "FederatedResourceQuota",
            "metadata": {"name": "team", "namespace": "default"},
            "spec": {"overall": {"cpu": "4"}, "staticAssignments": [{"clusterName": "m1", "hard": {"cpu": "4"}}]},
        }
    )
    await two.until(lambda: two.in_clusters("ResourceQuota", "team") == ["m1"])
    await two.rest()
    await two.controllers_stop()
    await two.delete("FederatedResourceQuota", "team")
    await two.restart()
    await two.until(lambda: two.in_clusters("ResourceQuota", "team") == [], "the member is free of it")


async def test_a_connection_whose_cluster_vanished_with_its_history_is_closed(two: Lab) -> None:
    """The database was put back to a time before the cluster joined."""
    two.registry.cache.resource("clusters.cluster.karmada.io").objects.pop("m2")
    two.resync_controllers()
    await two.rest()
    assert two.controllers.member_manager.get("m1") is not None
    assert two.controllers.member_manager.get("m2") is None


async def test_what_shunned_a_workload_that_goes_finds_its_place(make_lab: type[Lab]) -> None:
    lab = await make_lab(feature_gates="WorkloadAffinity=true").start()
    try:
        await lab.join("m1")
        apart = {"workloadAffinity": {"antiAffinity": {"groupByLabelKey": "team"}}}
        await lab.create(lab.policy(select=[{"apiVersion": "apps/v1", "kind": "Deployment"}], placement=apart))
        await lab.create(lab.deployment("first", team="a"))
        await lab.until(lambda: lab.placed("first-deployment"))
        await lab.create(lab.deployment("second", team="a"))
        await lab.until(lambda: lab.condition(lab.get("ResourceBinding", "second-deployment"), "Scheduled"))
        assert lab.placed("second-deployment") == {}
        await lab.rest()
        await lab.delete("Deployment", "first")
        await lab.until(lambda: set(lab.placed("second-deployment")) == {"m1"}, "there is a place")
    finally:
        await lab.close()


# -- inputs of other decisions -----------------------------------------------------------------------------------------


async def test_evictions_that_wait_for_their_turn_do_not_come_sooner(make_lab: type[Lab]) -> None:
    lab = await make_lab(
        feature_gates="Failover=true", enable_no_execute_taint_eviction=True, resource_eviction_rate=0
    ).start()
    try:
        await lab.join("m1", "m2")
        await lab.create(lab.policy(select=[{"apiVersion": "apps/v1", "kind": "Deployment"}]))
        for name in ("a", "b", "c"):
            await lab.create(lab.deployment(name))
        bindings = [f"{name}-deployment" for name in ("a", "b", "c")]
        await lab.until(lambda: all(len(lab.placed(each)) == 2 for each in bindings))
        await lab.rest()
        taints = [{"key": "broken", "effect": "NoExecute"}]
        await lab.change("Cluster", "m2", lambda obj: obj["spec"].update(taints=taints))
        await lab.until(lambda: any("m2" not in lab.placed(each) for each in bindings), "one is evicted at once")
        await lab.rest()
        await lab.change("Cluster", "m2", lambda obj: obj["spec"].update(provider="someone"))
        await lab.rest()
        assert len([each for each in bindings if "m2" not in lab.placed(each)]) == 1
    finally:
        await lab.close()


async def test_a_namespace_is_overridden_as_the_region_of_its_cluster_says(two: Lab) -> None:
    marked = {"labelsOverrider": [{"operator": "add", "value": {"where": "north"}}]}
    north = {"fieldSelector": {"matchExpressions": [{"key": "region", "operator": "In", "values": ["north"]}]}}
    await two.create(
        {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "ClusterOverridePolicy",
            "metadata": {"name": "north"},
            "spec": {
                "resourceSelectors": [{"apiVersion": "v1", "kind": "Namespace"}],
                "overrideRules": [{"targetCluster": north, "overriders": marked}],
            },
        }
    )
    await two.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    await two.until(lambda: two.in_clusters("Namespace", "team") == ["m1", "m2"])
    await two.rest()
    await two.change("Cluster", "m2", lambda obj: obj["spec"].update(region="north"))
    await two.until(lambda: two.in_member("m2", "Namespace", "team")["metadata"]["labels"].get("where") == "north")
    assert "where" not in two.in_member("m1", "Namespace", "team")["metadata"]["labels"]


async def test_what_lacks_a_namespace_that_is_suspended_says_so(two: Lab) -> None:
    marks = {"namespace.karmada.io/skip-auto-propagation": "true"}
    await two.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": marks}})
    select = [{"apiVersion": "v1", "kind": "Namespace", "name": "team"}]
    await two.create(two.policy("spaces", "m1", select=select, namespace="", suspension={"dispatching": True}))
    await two.until(lambda: works_of(two, "Namespace"))
    deployments = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "team"}]
    deployment = two.deployment()
    deployment["metadata"]["namespace"] = "team"
    await two.create(two.policy("policy", "m1", select=deployments, namespace="team"))
    await two.create(deployment)
    await two.until(lambda: works_of(two, "Deployment"))
    await two.until(lambda: two.condition(works_of(two, "Deployment")[0], "Applied").get("status") == "False", "told")


# -- custom kinds ------------------------------------------------------------------------------------------------------


async def create_gadget(registry: Registry, name: str = "one") -> None:
    kind = registry.catalog.storage_kind(GADGET.resource)
    assert kind is not None
    gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": name, "namespace": "default"}}
    await registry.create(kind, "default", decode_object(kind, gadget, USER), USER)


GADGETS = [{"apiVersion": "example.com/v1", "kind": "Gadget"}]
SCRIPT = """
function GetDependencies(obj)
  return {{apiVersion = "example.com/v1", kind = "Gadget", namespace = "default", name = "one"}}
end"""


async def test_an_object_that_another_process_took_before_we_knew_its_kind_is_propagated(
    two: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore(two.database)
    await store.open()
    cache = Cache(store)
    await cache.load()
    catalog = Catalog(CATALOG)
    definitions = Definitions(catalog, cache)
    await definitions.start()
    take_over, waiting = two.definitions._take_over, list[list[str]]()

    async def not_yet(which: list[str]) -> None:
        waiting.append(which)

    monkeypatch.setattr(two.definitions, "_take_over", not_yet)
    try:
        await two.create(two.policy(select=GADGETS))
        await two.create(definition("example.com", "Gadget"))
        await two.rest()
        await definitions.settled()
        await create_gadget(Registry(catalog, store, cache))
        await two.rest()
        assert two.list("ResourceBinding") == []
        await take_over([each for which in waiting for each in which])
        await two.until(lambda: two.get("ResourceBinding", "one-gadget"), "it has a binding")
    finally:
        await definitions.stop()
        await store.close()


async def test_a_dependency_of_a_kind_that_comes_later_follows(two: Lab) -> None:
    scripts = {"dependencyInterpretation": {"luaScript": SCRIPT}}
    await two.create(
        {
            "apiVersion": "config.karmada.io/v1alpha1",
            "kind": "ResourceInterpreterCustomization",
            "metadata": {"name": "gadgets"},
            "spec": {"target": {"apiVersion": "apps/v1", "kind": "Deployment"}, "customizations": scripts},
        }
    )
    await two.create(two.policy("policy", "m1", propagateDeps=True))
    await two.create(two.deployment())
    bound = Key(BINDINGS, "default", "web-deployment")
    await two.until(
        lambda: (entry := two.registry.cache.get(*bound)) and b"Gadget" in entry.body, "it is told to need it"
    )
    await two.create(definition("example.com", "Gadget"))
    await two.until(lambda: two.registry.catalog.storage_kind(GADGET.resource))
    await two.change(
        "Deployment", "web", lambda obj: obj["spec"].update(replicas=3)
    )  # the kind is there, the object not
    await two.rest()
    await create_gadget(two.registry)
    await two.until(lambda: two.get("ResourceBinding", "one-gadget"), "it follows")


async def test_bindings_go_with_the_definition_of_their_objects(two: Lab) -> None:
    await two.create(two.policy(select=GADGETS))
    await two.create(definition("example.com", "Gadget"))
    await two.until(lambda: two.registry.catalog.storage_kind(GADGET.resource))
    for number in range(100):
        await create_gadget(two.registry, f"gadget{number}")
    await two.until(lambda: len(two.list("ResourceBinding")) == 100)
    await two.rest()
    await two.delete("CustomResourceDefinition", "gadgets.example.com")
    await two.until(lambda: not two.list("ResourceBinding"), "all are gone")
