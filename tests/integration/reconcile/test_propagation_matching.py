"""Which policy gets a template, and what happens when policies come, change and go."""

from __future__ import annotations

from typing import Any

Lab = Any  # of conftest


def claim_of(obj: dict[str, Any]) -> tuple[str, str]:
    notes = obj["metadata"].get("annotations") or {}
    return (
        notes.get("propagationpolicy.karmada.io/name", ""),
        notes.get("clusterpropagationpolicy.karmada.io/name", ""),
    )


async def test_policy_before_template(two: Lab) -> None:
    policy = await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.until(lambda: two.is_true(two.get("ResourceBinding", "web-deployment"), "FullyApplied"))
    binding, template = two.get("ResourceBinding", "web-deployment"), two.get("Deployment", "web")
    identity = policy["metadata"]["labels"]["propagationpolicy.karmada.io/permanent-id"]
    for obj in (binding, template):
        assert obj["metadata"]["labels"]["propagationpolicy.karmada.io/permanent-id"] == identity
        assert claim_of(obj) == ("policy", "")
    assert binding["metadata"]["finalizers"] == ["karmada.io/binding-controller"]
    assert binding["status"]["schedulerObservedGeneration"] == binding["metadata"]["generation"]
    assert two.in_clusters("Deployment", "web") == ["m1"]


async def test_policy_after_template(two: Lab) -> None:
    await two.create(two.deployment())
    await two.rest()
    assert two.list("ResourceBinding") == []
    await two.create(two.policy("policy", "m2"))
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m2"])


async def test_names_labels_and_kinds_select(two: Lab) -> None:
    deployments = {"apiVersion": "apps/v1", "kind": "Deployment"}
    await two.create(
        two.policy("by-label", "m1", select=[{**deployments, "labelSelector": {"matchLabels": {"tier": "a"}}}])
    )
    await two.create(two.policy("by-name", "m2", select=[{**deployments, "name": "named"}]))
    await two.create(two.policy("configs", "m1", "m2", select=[{"apiVersion": "v1", "kind": "ConfigMap"}]))
    for template in (
        two.deployment("labelled", tier="a"),
        two.deployment("named", tier="a"),
        two.deployment("other"),
        two.config(),
    ):
        await two.create(template)
    await two.rest()
    assert two.in_clusters("Deployment", "labelled") == ["m1"]
    assert two.in_clusters("Deployment", "named") == ["m2"]  # a name says more than a label
    assert two.in_clusters("Deployment", "other") == []
    assert two.in_clusters("ConfigMap", "settings") == ["m1", "m2"]


async def test_explicit_priority_beats_precision_and_namespaced_beats_cluster_wide(two: Lab) -> None:
    everything = [{"apiVersion": "apps/v1", "kind": "Deployment"}]
    await two.create(two.policy("cluster-wide", "m2", namespace="", priority=100))
    await two.create(two.policy("exact", "m2"))
    await two.create(two.policy("loud", "m1", select=everything, priority=1))
    await two.create(two.deployment())
    await two.rest()
    assert claim_of(two.get("Deployment", "web")) == ("loud", "")
    await two.delete("PropagationPolicy", "loud")
    await two.delete("PropagationPolicy", "exact")
    await two.rest()
    assert claim_of(two.get("Deployment", "web")) == ("", "cluster-wide")
    assert two.in_clusters("Deployment", "web") == ["m2"]


async def test_a_better_policy_does_not_take_what_is_claimed(two: Lab) -> None:
    await two.create(two.policy("first", "m1"))
    await two.create(two.deployment())
    await two.rest()
    await two.create(two.policy("better", "m2", priority=10))
    await two.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=3))
    await two.rest()
    assert claim_of(two.get("Deployment", "web")) == ("first", "")
    assert two.in_clusters("Deployment", "web") == ["m1"]


async def test_changed_placement_moves_the_workload(two: Lab) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.rest()
    await two.change(
        "PropagationPolicy",
        "policy",
        lambda obj: obj["spec"]["placement"]["clusterAffinity"].update(clusterNames=["m2"]),
    )
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m2"])
    await two.rest()
    binding = two.get("ResourceBinding", "web-deployment")
    assert two.placed("web-deployment") == {"m2": 2}
    assert [w["metadata"]["namespace"] for w in two.list("Work") if "web" in w["metadata"]["name"]] == ["karmada-es-m2"]
    assert [i["clusterName"] for i in binding["status"]["aggregatedStatus"]] == ["m2"]
    assert binding["status"]["schedulerObservedGeneration"] == binding["metadata"]["generation"]


async def test_a_policy_that_selects_no_more_lets_go(two: Lab) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.rest()
    await two.change(
        "PropagationPolicy", "policy", lambda obj: obj["spec"]["resourceSelectors"][0].update(name="another")
    )
    await two.rest()
    for obj in (two.get("Deployment", "web"), two.get("ResourceBinding", "web-deployment")):
        assert claim_of(obj) == ("", "")
        assert "propagationpolicy.karmada.io/permanent-id" not in (obj["metadata"].get("labels") or {})
    assert two.in_clusters("Deployment", "web") == ["m1"]  # what was propagated stays
    await two.create(two.policy("next", "m2", priority=1))
    await two.rest()
    assert claim_of(two.get("ResourceBinding", "web-deployment")) == ("next", "")
    assert two.in_clusters("Deployment", "web") == ["m2"]


async def test_a_deleted_policy_leaves_binding_and_works(two: Lab) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.rest()
    assert two.get("PropagationPolicy", "policy")["metadata"]["finalizers"] == [
        "karmada.io/propagation-policy-controller"
    ]
    await two.delete("PropagationPolicy", "policy")
    await two.rest()
    assert two.get("PropagationPolicy", "policy") == {}
    assert claim_of(two.get("Deployment", "web")) == claim_of(two.get("ResourceBinding", "web-deployment")) == ("", "")
    assert two.placed("web-deployment") == {"m1": 2}
    assert two.in_clusters("Deployment", "web") == ["m1"]
    copy = two.in_member("m1", "Deployment", "web")["metadata"]
    assert copy["annotations"]["propagationpolicy.karmada.io/name"] == "policy", "the copy is left as it is"
    # what users change of the template waits for a policy, or until the Works are made anew for another reason
    await two.change("Deployment", "web", lambda obj: obj["metadata"]["labels"].update(extra="1"))
    await two.rest()
    assert "extra" not in two.in_member("m1", "Deployment", "web")["metadata"]["labels"]
    await two.change(
        "ResourceBinding", "web-deployment", lambda obj: obj["spec"].update(conflictResolution="Overwrite")
    )
    await two.until(lambda: "extra" in two.in_member("m1", "Deployment", "web")["metadata"]["labels"])


async def test_a_template_that_is_selected_no_more_stays_claimed_until_its_policy_changes(two: Lab) -> None:
    select = [{"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {"tier": "web"}}}]
    await two.create(two.policy("policy", "m1", select=select))
    template = two.config()
    template["metadata"]["labels"] = {"tier": "web"}
    await two.create(template)
    await two.rest()
    await two.change("ConfigMap", "settings", lambda obj: obj["metadata"]["labels"].pop("tier"))
    await two.rest()
    for kind, name in (("ConfigMap", "settings"), ("ResourceBinding", "settings-configmap")):
        assert claim_of(two.get(kind, name)) == ("policy", "")
    assert two.in_member("m1", "ConfigMap", "settings")["metadata"]["labels"]["tier"] == "web"
    await two.change("PropagationPolicy", "policy", lambda obj: obj["spec"].update(priority=3))
    await two.rest()
    for kind, name in (("ConfigMap", "settings"), ("ResourceBinding", "settings-configmap")):
        assert claim_of(two.get(kind, name)) == ("", "")
    assert two.in_clusters("ConfigMap", "settings") == ["m1"]


async def test_cluster_wide_policies_place_cluster_scoped_and_namespaced(two: Lab) -> None:
    select = [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "reader"},
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    ]
    await two.create(two.policy("all", "m1", select=select, namespace=""))
    await two.create(two.deployment())
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    await two.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "reader"},
            "rules": rules,
        }
    )
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader", "") == ["m1"]
    assert two.in_clusters("Deployment", "web") == ["m1"]
    assert two.placed("reader-clusterrole", "") == {"m1": None}
    assert two.get("ClusterResourceBinding", "reader-clusterrole")["metadata"]["finalizers"] == [
        "karmada.io/cluster-resource-binding-controller"
    ]
    await two.delete("ClusterPropagationPolicy", "all")
    await two.rest()
    assert two.get("ClusterPropagationPolicy", "all") == {}
    assert claim_of(two.get("ClusterRole", "reader")) == ("", "")
    await two.delete("ClusterRole", "reader")
    await two.until(lambda: two.in_clusters("ClusterRole", "reader", "") == [])


async def test_lazy_activation_waits_for_the_user(two: Lab) -> None:
    await two.create(two.policy("policy", "m1", activationPreference="Lazy"))
    await two.create(two.deployment())
    await two.rest()
    assert two.in_clusters("Deployment", "web") == ["m1"]
    before = two.get("ResourceBinding", "web-deployment")
    await two.change(
        "PropagationPolicy",
        "policy",
        lambda obj: obj["spec"]["placement"]["clusterAffinity"].update(clusterNames=["m2"]),
    )
    await two.rest()
    assert two.in_clusters("Deployment", "web") == ["m1"]
    assert two.get("ResourceBinding", "web-deployment") == before
    await two.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=3))
    await two.rest()
    assert two.placed("web-deployment") == {"m2": 3}
    assert two.in_clusters("Deployment", "web") == ["m2"]


async def test_a_lazy_policy_only_claims_what_was_there_before(two: Lab) -> None:
    await two.create(two.deployment())
    await two.rest()
    await two.create(two.policy("policy", "m1", activationPreference="Lazy"))
    await two.rest()
    assert claim_of(two.get("Deployment", "web")) == ("policy", "")
    assert two.list("ResourceBinding") == []
    await two.change("Deployment", "web", lambda obj: obj["metadata"]["labels"].update(touched="yes"))
    await two.rest()
    assert two.in_clusters("Deployment", "web") == ["m1"]


async def test_dependent_overrides_are_waited_for(two: Lab) -> None:
    await two.create(two.policy("policy", "m1", dependentOverrides=["needed"]))
    await two.create(two.deployment())
    await two.until(lambda: two.controllers is not None and not two.list("ResourceBinding"))
    rule = {"overriders": {"labelsOverrider": [{"operator": "add", "value": {"overridden": "yes"}}]}}
    await two.create(
        {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "OverridePolicy",
            "metadata": {"name": "needed", "namespace": "default"},
            "spec": {"overrideRules": [rule]},
        }
    )
    await two.rest()
    assert two.in_member("m1", "Deployment", "web")["metadata"]["labels"]["overridden"] == "yes"


async def test_templates_that_belong_to_others_are_left_alone(two: Lab) -> None:
    everything = [{"apiVersion": "apps/v1", "kind": "Deployment"}, {"apiVersion": "v1", "kind": "ConfigMap"}]
    await two.create(two.policy("all", "m1", select=everything, namespace=""))
    taken = two.deployment("taken")
    taken["metadata"]["labels"]["resourcetemplate.karmada.io/claimed-by"] = "MultiClusterService"
    await two.create(taken)
    system = two.config("settings")
    system["metadata"]["namespace"] = "kube-system"
    await two.create(system)
    reserved = two.config("settings")
    reserved["metadata"]["namespace"] = "karmada-system"
    await two.create(reserved)
    await two.rest()
    assert two.list("ResourceBinding") == []


def role(name: str) -> dict[str, Any]:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }


async def test_two_templates_whose_bindings_have_one_name(two: Lab) -> None:
    """A colon becomes a dot in the binding's name: that of the second template gets a suffix (tests/attack/test_names.py)."""
    select = [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": n} for n in ("a.b", "a:b")]
    await two.create(two.policy("roles", "m1", select=select, namespace=""))
    await two.create(role("a.b"))
    await two.rest()
    binding = two.get("ClusterResourceBinding", "a.b-clusterrole")
    await two.create(role("a:b"))
    await two.rest()
    assert two.in_clusters("ClusterRole", "a:b", "") == ["m1"]
    assert two.get("ClusterResourceBinding", "a.b-clusterrole") == binding
    assert two.in_clusters("ClusterRole", "a.b", "") == ["m1"]
    # without a policy the second one has nothing to do with the binding of the first
    await two.change("ClusterPropagationPolicy", "roles", lambda obj: obj["spec"]["resourceSelectors"].pop())
    await two.rest()
    assert two.get("ClusterResourceBinding", "a.b-clusterrole")["spec"] == binding["spec"]


async def test_a_recreated_template_gets_a_binding_of_its_own(two: Lab) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.rest()
    before = two.get("ResourceBinding", "web-deployment")
    await two.delete("Deployment", "web")
    await two.create(two.deployment(replicas=5))
    await two.until(lambda: two.placed("web-deployment") == {"m1": 5})
    await two.rest()
    after = two.get("ResourceBinding", "web-deployment")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    identity = "resourcebinding.karmada.io/permanent-id"
    assert after["metadata"]["labels"][identity] != before["metadata"]["labels"][identity]
    assert two.in_member("m1", "Deployment", "web")["spec"]["replicas"] == 5


async def test_a_binding_does_not_wait_for_its_works_and_the_next_one_does(two: Lab) -> None:
    await two.create(two.policy("policy", "m1", "m2"))
    await two.create(two.deployment())
    await two.rest()
    name = next(w["metadata"]["name"] for w in two.list("Work") if w["metadata"]["name"].startswith("web-"))
    await two.change(
        "Work", name, lambda obj: obj["metadata"]["finalizers"].append("example.com/held"), "karmada-es-m2"
    )
    await two.delete("Deployment", "web")
    await two.until(lambda: two.list("ResourceBinding") == [] and two.in_clusters("Deployment", "web") == [])
    assert two.get("Work", name, "karmada-es-m2")["metadata"]["deletionTimestamp"]
    await two.create(two.deployment())
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m1"])
    failed = ("Warning", "SyncWorkFailed", f"work karmada-es-m2/{name} is being deleted")
    await two.until(lambda: failed in [e[:3] for e in two.events("ResourceBinding", "web-deployment")])
    await two.change("Work", name, lambda obj: obj["metadata"].pop("finalizers"), "karmada-es-m2")
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m1", "m2"])


async def test_a_selector_that_is_none_selects_nothing_and_disturbs_nobody(two: Lab) -> None:
    """Karmada takes such a policy too."""
    wrong = {"matchExpressions": [{"key": "tier", "operator": "Like", "values": ["a"]}]}
    await two.create(two.deployment("other"))
    await two.create(
        two.policy("wrong", "m1", select=[{"apiVersion": "apps/v1", "kind": "Deployment", "labelSelector": wrong}])
    )
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m1"])
    assert two.in_clusters("Deployment", "other") == []
    assert two.registry.cache.epoch == 0  # nothing had to be read again
