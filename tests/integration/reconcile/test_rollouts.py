"""Staged rollouts: clusters get a new revision one stage after the other, as the policy asks for."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement.rollout.revision import REVISION
from kafila.registry import sizes
from kafila.store.interface import LeaseLost
from tests.integration.reconcile import test_cluster_scoped_dependencies as dependencies
from tests.integration.reconcile import third_party as parties

Lab = Any
WIDGET = ("example.com/v1", "Widget")
BINDING = "web-deployment"
BROKEN = "registry.invalid/nothing:1"  # no simulated node can pull it


@pytest.fixture
async def three(lab: Lab) -> Lab:
    await lab.join("m1", "m2", "m3")
    return lab


def strategy(**staged: Any) -> Object:
    return {"type": "Staged", "staged": staged}


async def begin(lab: Lab, *clusters: str, **staged: Any) -> None:
    """The first revision is everywhere."""
    policy = lab.policy("policy", *clusters, rolloutStrategy=strategy(**staged))
    await lab.create(policy)
    await lab.create(lab.deployment())
    await lab.until(lambda: rollout(lab).get("phase") == "Succeeded", "the first revision is everywhere")


def rollout(lab: Lab, name: str = BINDING, namespace: str = "default") -> Object:
    binding = lab.get("ResourceBinding" if namespace else "ClusterResourceBinding", name, namespace)
    found: Object = (binding.get("status") or {}).get("rollout") or {}
    return found


def rollout_of_stored(lab: Lab) -> str:
    """The image that the stored rollout is of, "" for none."""
    if not lab.list("ResourceBinding"):
        return ""
    revision = rollout(lab).get("revision")
    (found,) = [obj for obj in lab.list("TemplateRevision") if obj["revision"] == revision]
    return str(found["template"]["spec"]["template"]["spec"]["containers"][0]["image"])


def phases(lab: Lab) -> list[str]:
    return [row["phase"] for row in rollout(lab).get("clusters") or ()]


async def image(lab: Lab, name: str) -> None:
    def change(obj: Object) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = name

    await lab.change("Deployment", "web", change)


def images(lab: Lab) -> dict[str, str]:
    found = {name: lab.in_member(name, "Deployment", "web") for name in lab.members}
    return {name: obj["spec"]["template"]["spec"]["containers"][0]["image"] for name, obj in found.items() if obj}


def reasons(lab: Lab, kind: str = "Deployment", name: str = "web") -> list[str]:
    return [each[1] for each in lab.events(kind, name) if each[1].startswith("Rollout")]


async def ask(lab: Lab, **control: Any) -> None:
    """As ``kafila rollout`` does."""

    def change(obj: Object) -> None:
        obj["spec"]["rollout"] = {**obj["spec"].get("rollout", {}), **control}

    await lab.change("ResourceBinding", BINDING, change)


async def test_one_cluster_after_the_other(three: Lab) -> None:
    seen: list[dict[str, str]] = []
    await begin(three, "m1", "m2", "m3")

    def observe(event: Any) -> None:
        if images(three) not in seen:
            seen.append(images(three))

    for member in three.members.values():
        member.registry.cache.listen("deployments.apps", observe)
    await image(three, "nginx:2")
    await three.until(lambda: set(images(three).values()) == {"nginx:2"})
    await three.until(lambda: rollout(three)["phase"] == "Succeeded")
    assert [sorted(each.values()).count("nginx:2") for each in seen] == [0, 1, 2, 3][-len(seen) :]
    assert phases(three) == ["Succeeded"] * 3
    await three.until(lambda: reasons(three)[-1:] == ["RolloutSucceeded"])
    assert reasons(three) == reasons(three, "ResourceBinding", BINDING)
    assert three.in_member("m1", "Deployment", "web")["metadata"]["annotations"][REVISION] == rollout(three)["revision"]


async def test_a_cluster_that_does_not_get_well_keeps_the_others_on_the_old_revision(three: Lab) -> None:
    await begin(three, "m1", "m2", "m3", timeout="1s")
    await image(three, BROKEN)
    await three.until(lambda: rollout(three)["phase"] == "Failed")
    assert images(three) == {"m1": BROKEN, "m2": "nginx:1", "m3": "nginx:1"}
    assert phases(three) == ["Failed", "Pending", "Pending"]
    await three.rest()
    await three.restart()  # what the others have is no process's memory
    await three.rest()
    assert images(three) == {"m1": BROKEN, "m2": "nginx:1", "m3": "nginx:1"}
    await image(three, "nginx:3")
    await three.until(lambda: set(images(three).values()) == {"nginx:3"})
    await three.until(lambda: "RolloutSuperseded" in reasons(three))


async def test_replicas_are_no_rollout_and_reach_clusters_that_wait(three: Lab) -> None:
    await begin(three, "m1", "m2", timeout="1s")
    before = rollout(three)["revision"]
    await three.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=3))
    await three.until(lambda: three.in_member("m2", "Deployment", "web")["spec"]["replicas"] == 3)
    assert rollout(three)["revision"] == before
    await image(three, BROKEN)
    await three.until(lambda: rollout(three)["phase"] == "Failed")
    await three.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=5))
    await three.until(lambda: three.in_member("m2", "Deployment", "web")["spec"]["replicas"] == 5)
    assert images(three) == {"m1": BROKEN, "m2": "nginx:1"}


async def test_a_cluster_that_comes_meanwhile_has_the_old_revision(three: Lab) -> None:
    await begin(three, "m1", "m2", timeout="1s")
    await image(three, BROKEN)
    await three.until(lambda: rollout(three)["phase"] == "Failed")

    def wider(obj: Object) -> None:
        obj["spec"]["placement"]["clusterAffinity"]["clusterNames"] = ["m1", "m2", "m3"]

    await three.change("PropagationPolicy", "policy", wider)
    await three.until(lambda: images(three) == {"m1": BROKEN, "m2": "nginx:1", "m3": "nginx:1"})
    assert len(three.list("TemplateRevision")) == 2


async def test_without_the_strategy_every_cluster_has_the_template(three: Lab) -> None:
    await begin(three, "m1", "m2", timeout="1s")
    await image(three, BROKEN)
    await three.until(lambda: rollout(three)["phase"] == "Failed")
    await three.change("PropagationPolicy", "policy", lambda obj: obj["spec"].pop("rolloutStrategy"))
    await three.until(lambda: set(images(three).values()) == {BROKEN})
    await three.rest()
    assert rollout(three) == {}
    assert three.list("TemplateRevision") == []
    assert REVISION not in three.in_member("m1", "Deployment", "web")["metadata"]["annotations"]


async def test_a_strategy_for_what_is_there_holds_from_the_next_change_on(three: Lab) -> None:
    await three.create(three.policy("policy", "m1", "m2"))
    await three.create(three.deployment())
    await three.until(lambda: images(three) == {"m1": "nginx:1", "m2": "nginx:1"})
    await three.rest()
    await three.change(
        "PropagationPolicy", "policy", lambda obj: obj["spec"].update(rolloutStrategy=strategy(timeout="1s"))
    )
    await three.until(lambda: rollout(three).get("phase") == "Succeeded")
    assert phases(three) == []
    await image(three, BROKEN)
    await three.until(lambda: rollout(three)["phase"] == "Failed")
    assert images(three) == {"m1": BROKEN, "m2": "nginx:1"}


async def test_a_change_that_comes_with_the_strategy_is_rolled_out(three: Lab) -> None:
    await three.create(three.policy("policy", "m1", "m2"))
    await three.create(three.deployment())
    await three.until(lambda: images(three) == {"m1": "nginx:1", "m2": "nginx:1"})
    await three.rest()
    await three.controllers_stop()  # nobody leads while both are changed
    staged = strategy(timeout="1s")
    await three.change("PropagationPolicy", "policy", lambda obj: obj["spec"].update(rolloutStrategy=staged))
    await image(three, BROKEN)
    await three.restart()
    await three.until(lambda: rollout(three).get("phase") == "Failed")
    assert images(three) == {"m1": BROKEN, "m2": "nginx:1"}


async def test_stages_approval_pause_and_undo(three: Lab) -> None:
    stages = [
        {"name": "canary", "targetClusters": {"clusterNames": ["m2"]}},
        {"name": "prod", "targetClusters": {"labelSelector": {}}, "requireApproval": True},
    ]
    policy = three.policy("policy", "m1", "m2", "m3", rolloutStrategy=strategy(stages=stages))
    await three.create(policy)
    await three.create(three.deployment())
    await three.until(lambda: rollout(three).get("phase") == "WaitingForApproval")
    assert images(three) == {"m2": "nginx:1"}
    first = rollout(three)["revision"]
    await ask(three, revision=first, approvedStages=["prod"])
    await three.until(lambda: rollout(three)["phase"] == "Succeeded")
    await image(three, "nginx:2")  # what was approved was the other one
    await three.until(lambda: rollout(three)["phase"] == "WaitingForApproval" and rollout(three)["revision"] != first)
    assert images(three) == {"m1": "nginx:1", "m2": "nginx:2", "m3": "nginx:1"}
    second = rollout(three)["revision"]
    await ask(three, paused=True)
    await three.until(lambda: rollout(three)["phase"] == "Paused")
    await ask(three, revision=second, undo=True, approvedStages=[], paused=False)
    await three.until(lambda: set(images(three).values()) == {"nginx:1"} and rollout(three)["phase"] == "RolledBack")
    await three.rest()
    await three.restart()
    await three.rest()
    assert set(images(three).values()) == {"nginx:1"}
    assert "RolloutRolledBack" in reasons(three)


async def test_rollback_by_itself(three: Lab) -> None:
    await begin(three, "m1", "m2", "m3", timeout="1s", onFailure={"action": "Rollback"})
    await image(three, BROKEN)
    await three.until(lambda: rollout(three)["phase"] == "RolledBack")
    await three.until(lambda: set(images(three).values()) == {"nginx:1"})
    await image(three, "nginx:2")
    await three.until(lambda: set(images(three).values()) == {"nginx:2"})


async def test_an_undo_is_over_with_the_rollout_that_it_was_about(three: Lab) -> None:
    await begin(three, "m1", "m2")
    first = rollout(three)["revision"]
    await image(three, "nginx:2")
    await three.until(lambda: rollout(three)["revision"] != first and rollout(three)["phase"] == "Succeeded")
    await ask(three, revision=rollout(three)["revision"], undo=True)
    await three.until(lambda: set(images(three).values()) == {"nginx:1"})
    await image(three, "nginx:1")
    await three.until(lambda: rollout(three)["revision"] == first and rollout(three)["phase"] == "Succeeded")
    assert "rollout" not in three.get("ResourceBinding", BINDING)["spec"]
    await image(three, "nginx:2")  # the same template comes back, and nobody has taken it back
    await three.until(lambda: rollout(three)["revision"] != first and rollout(three)["phase"] == "Succeeded")
    assert set(images(three).values()) == {"nginx:2"}


async def test_a_revision_that_somebody_has_deleted(three: Lab) -> None:
    await begin(three, "m1", "m2", timeout="1s", onFailure={"action": "Rollback"})
    (kept,) = (each["metadata"]["name"] for each in three.list("TemplateRevision"))
    await three.delete("TemplateRevision", kept)
    await three.until(lambda: three.list("TemplateRevision"), "it is kept anew from the template")
    await image(three, BROKEN)
    await three.until(lambda: len(three.list("TemplateRevision")) == 2)
    await three.delete("TemplateRevision", kept)
    await three.until(lambda: rollout(three)["phase"] == "Failed")
    assert "cannot be given back" in rollout(three)["message"]
    assert images(three) == {"m1": BROKEN, "m2": "nginx:1"}
    await three.until(lambda: "RolloutFailed" in reasons(three))
    assert "RolloutRolledBack" not in reasons(three)


async def test_an_edit_of_the_stages_takes_no_approval_away(three: Lab) -> None:
    stages = [
        {"name": "canary", "targetClusters": {"clusterNames": ["m1"]}},
        {"name": "prod", "targetClusters": {"clusterNames": ["m2"]}, "requireApproval": True},
    ]
    await three.create(three.policy("policy", "m1", "m2", rolloutStrategy=strategy(stages=stages)))
    await three.create(three.deployment())
    await three.until(lambda: rollout(three).get("phase") == "WaitingForApproval")

    def renamed(obj: Object) -> None:
        obj["spec"]["rolloutStrategy"]["staged"]["stages"][1]["name"] = "production"

    await three.change("PropagationPolicy", "policy", renamed)
    await three.rest()
    assert images(three) == {"m1": "nginx:1"}
    await ask(three, revision=rollout(three)["revision"], approvedStages=["prod"])
    await three.until(lambda: images(three) == {"m1": "nginx:1", "m2": "nginx:1"})


async def test_overrides_hold_for_either_revision(three: Lab) -> None:
    await begin(three, "m1", "m2", timeout="1s")
    await image(three, BROKEN)
    await three.until(lambda: rollout(three)["phase"] == "Failed")
    rule = {
        "targetCluster": {"clusterNames": ["m2"]},
        "overriders": {"labelsOverrider": [{"operator": "add", "value": {"where": "m2"}}]},
    }
    await three.create(
        {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "OverridePolicy",
            "metadata": {"name": "label", "namespace": "default"},
            "spec": {"overrideRules": [rule]},
        }
    )
    await three.until(lambda: three.in_member("m2", "Deployment", "web")["metadata"]["labels"].get("where") == "m2")
    assert images(three) == {"m1": BROKEN, "m2": "nginx:1"}


async def test_without_a_namespace(three: Lab) -> None:
    select = [{"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "name": "high"}]
    policy = three.policy("policy", "m1", "m2", namespace="", select=select, rolloutStrategy=strategy())
    await three.create(policy)
    made = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 7}
    await three.create(made)
    await three.until(lambda: rollout(three, "high-priorityclass", "").get("phase") == "Succeeded")
    await three.change("PriorityClass", "high", lambda obj: obj["metadata"].setdefault("labels", {}).update(v="2"), "")
    await three.until(lambda: three.in_member("m2", "PriorityClass", "high", "")["metadata"]["labels"].get("v") == "2")
    await three.rest()
    assert len(three.list("ClusterTemplateRevision")) == 2


async def test_a_condition_that_a_workload_s_reflected_status_leaves_out(three: Lab) -> None:
    gate = {"requireHealthy": False, "requiredConditions": [{"type": "Available"}]}
    await begin(three, "m1", "m2", gate=gate)
    await image(three, "nginx:2")
    await three.until(lambda: set(images(three).values()) == {"nginx:2"} and rollout(three)["phase"] == "Succeeded")
    assert "conditions" not in three.get("Deployment", "web")["status"]  # of that Karmada's clients see what they did


async def test_a_condition_of_an_earlier_generation_does_not_count(three: Lab) -> None:
    await parties.know(three, *WIDGET)
    widget = parties.object_of(*WIDGET, {"size": 1})
    gate = {"requiredConditions": [{"type": "Ready"}]}
    select = [{"apiVersion": WIDGET[0], "kind": WIDGET[1], "name": "it"}]
    await three.create(three.policy("policy", "m1", "m2", select=select, rolloutStrategy=strategy(gate=gate)))
    await parties.create(three, widget)
    for member in ("m1", "m2"):
        await three.until(lambda member=member: there(three, member, widget))
        await ready(three, member, widget)
    await three.until(lambda: rollout(three, "it-widget").get("phase") == "Succeeded")
    kind = parties.kind_of(three.registry, *WIDGET)
    await three.registry.modify(kind, "default", "it", lambda obj: {**obj, "spec": {"size": 2}}, parties.OPERATOR)
    await three.until(lambda: there(three, "m1", widget)["metadata"]["generation"] == 2)
    await three.rest()
    assert [row["phase"] for row in rollout(three, "it-widget")["clusters"]] == ["Progressing", "Pending"]
    assert "nothing says that it is of this revision" in rollout(three, "it-widget")["clusters"][0]["message"]
    await ready(three, "m1", widget)
    await three.until(lambda: there(three, "m2", widget)["metadata"]["generation"] == 2)


def there(lab: Lab, member: str, obj: Object) -> Object:
    return parties.stored(lab.members[member].registry, obj)


async def ready(lab: Lab, member: str, obj: Object) -> None:
    """Its operator has seen it."""
    seen = {"observedGeneration": there(lab, member, obj)["metadata"]["generation"]}
    await parties.write_status(lab, member, obj, {**seen, "conditions": [{"type": "Ready", "status": "True", **seen}]})


def kept(lab: Lab) -> set[str]:
    """Images of the revisions that are stored."""
    templates = [obj["template"]["spec"]["template"]["spec"] for obj in lab.list("TemplateRevision")]
    return {spec["containers"][0]["image"] for spec in templates}


@pytest.mark.parametrize("is_first", [False, True])
async def test_a_revision_that_was_written_before_a_process_died_is_collected(
    three: Lab, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    """What is too large for one transaction is written in several, the revision before the binding that names it."""
    lost = "nginx:1" if is_first else "nginx:2"
    died: list[str] = []

    def dies_once_it_is_stored() -> None:
        if lost in kept(three):
            died.append(lost)
            three.look()
            raise LeaseLost("the process is dead")

    if is_first:
        await three.create(three.policy("policy", "m1", "m2", rolloutStrategy=strategy()))
    else:
        await begin(three, "m1", "m2")
    await three.rest()
    with monkeypatch.context() as patched:
        patched.setattr(sizes, "MAX_TRANSACTION_BYTES", 4096)  # two changes are too much
        three.fence = dies_once_it_is_stored
        if is_first:
            await three.create(three.deployment())
        else:
            await image(three, lost)
        await three.until(lambda: died, "the revision is stored, and nothing else after it")
        await three.controllers_stop()
    assert rollout_of_stored(three) == ("" if is_first else "nginx:1")
    three.fence = lambda: None
    await image(three, "nginx:3")
    await three.restart()
    await three.until(lambda: set(images(three).values()) == {"nginx:3"} and rollout(three)["phase"] == "Succeeded")
    await three.rest()
    assert lost not in kept(three)


async def reads(lab: Lab, config: str) -> None:
    """A revision that needs another ConfigMap."""

    def change(obj: Object) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": config}}]

    await lab.change("Deployment", "web", change)


async def begin_with_config(lab: Lab, **staged: Any) -> None:
    for name in ("old", "new"):
        await lab.create(lab.config(name))
    await lab.create(lab.policy("policy", "m1", "m2", "m3", propagateDeps=True, rolloutStrategy=strategy(**staged)))
    obj = lab.deployment()
    obj["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "old"}}]
    await lab.create(obj)
    await lab.until(lambda: rollout(lab).get("phase") == "Succeeded", "the first revision is everywhere")
    await lab.until(lambda: lab.in_clusters("ConfigMap", "old") == ["m1", "m2", "m3"])


async def test_what_a_revision_needs_is_where_it_is(three: Lab) -> None:
    """In clusters that wait the old one runs, and goes on needing what it needed."""
    await begin_with_config(three)
    await three.change("PropagationPolicy", "policy", paused_after_first)
    await reads(three, "new")
    await three.until(lambda: three.in_clusters("ConfigMap", "new") == ["m1"])
    await three.until(lambda: rollout(three)["phase"] == "WaitingForApproval")
    await three.rest()
    assert three.in_clusters("ConfigMap", "new") == ["m1"]
    assert three.in_clusters("ConfigMap", "old") == ["m1", "m2", "m3"]  # it may come back
    await three.restart()
    await three.rest()
    assert three.in_clusters("ConfigMap", "old") == ["m1", "m2", "m3"]
    await ask(three, revision=rollout(three)["revision"], approvedStages=["rest"])
    await three.until(lambda: rollout(three)["phase"] == "Succeeded")
    await three.until(lambda: three.in_clusters("ConfigMap", "new") == ["m1", "m2", "m3"])
    await three.until(lambda: three.in_clusters("ConfigMap", "old") == [], "nobody needs it any more")


def paused_after_first(obj: Object) -> None:
    stages = [
        {"name": "first", "targetClusters": {"clusterNames": ["m1"]}},
        {"name": "rest", "targetClusters": {"clusterNames": ["m2", "m3"]}, "requireApproval": True},
    ]
    obj["spec"]["rolloutStrategy"] = strategy(stages=stages)


async def test_what_is_rolled_back_has_what_it_needs(three: Lab) -> None:
    await begin_with_config(three)
    await three.change("PropagationPolicy", "policy", paused_after_first)
    await reads(three, "new")
    await three.until(lambda: rollout(three)["phase"] == "WaitingForApproval")
    await ask(three, revision=rollout(three)["revision"], undo=True)
    await three.until(lambda: rollout(three)["phase"] == "RolledBack")
    await three.until(lambda: three.in_clusters("ConfigMap", "new") == [])
    assert three.in_clusters("ConfigMap", "old") == ["m1", "m2", "m3"]


async def test_what_has_no_namespace_waits_for_the_turn_of_what_needs_it(three: Lab) -> None:
    await three.create(dependencies.customization())
    await three.create(dependencies.role())
    policy = three.policy("policy", "m1", "m2", "m3", propagateDeps=True)
    paused_after_first(policy)
    await three.create(policy)
    await three.create(three.deployment(role="reader"))
    await three.until(lambda: rollout(three).get("phase") == "WaitingForApproval")
    await three.until(lambda: three.in_clusters("ClusterRole", "reader") == ["m1"])
    await three.rest()
    assert three.in_clusters("ClusterRole", "reader") == ["m1"]
    await ask(three, revision=rollout(three)["revision"], approvedStages=["rest"])
    await three.until(lambda: three.in_clusters("ClusterRole", "reader") == ["m1", "m2", "m3"])


async def test_what_nobody_knows_any_more_stays_with_what_it_needs(three: Lab) -> None:
    await begin_with_config(three)
    await three.change("PropagationPolicy", "policy", paused_after_first)
    await reads(three, "new")
    await three.until(lambda: rollout(three)["phase"] == "WaitingForApproval")
    stable = rollout(three)["stableRevision"]
    await three.delete("TemplateRevision", f"{BINDING}-{stable}")
    await three.change("ConfigMap", "old", lambda obj: obj["data"].update(a="2"))
    await reads(three, "other")
    await three.until(
        lambda: rollout(three)["phase"] == "WaitingForApproval" and rollout(three)["stableRevision"] == stable
    )
    await three.rest()
    assert three.in_clusters("ConfigMap", "old") == ["m1", "m2", "m3"]
