import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core import feature_gates as gates
from kafila.placement.detector.binding import (
    BindingError,
    OwnerMismatch,
    applied_event,
    binding_spec,
    build_binding,
    claim,
    claimed_by,
    still_matches,
    unclaim,
)
from kafila.placement.objects import semantically_equal
from kafila.placement.replica_bounds import ANNOTATION
from tests.unit.placement.objects import deployment, policy, selector

PP = policy("pp", resourceSelectors=[selector()], placement={"clusterAffinity": {"clusterNames": ["m1"]}})
CPP = policy("cpp", "", resourceSelectors=[selector()], placement={})


def test_claim_and_unclaim() -> None:
    template = deployment()
    before = copy.deepcopy(template)
    claimed = claim(template, PP)
    assert template == before
    assert claimed["metadata"]["labels"]["propagationpolicy.karmada.io/permanent-id"] == "id-of-pp"
    assert claimed["metadata"]["annotations"] == {
        "propagationpolicy.karmada.io/namespace": "default",
        "propagationpolicy.karmada.io/name": "pp",
    }
    assert claim(claimed, PP) is claimed
    assert claimed_by(claimed) == ("default", "pp", "id-of-pp")
    assert unclaim(claimed, PP) == before
    assert unclaim(claimed) == before
    assert unclaim(template) is template


def test_a_propagation_policy_takes_over_from_a_cluster_policy() -> None:
    claimed = claim(deployment(), CPP)
    assert claimed_by(claimed) == ("", "cpp", "id-of-cpp")
    taken = claim(claimed, PP)
    assert claimed_by(taken) == ("default", "pp", "id-of-pp")
    assert "clusterpropagationpolicy.karmada.io/permanent-id" not in taken["metadata"]["labels"]
    assert "clusterpropagationpolicy.karmada.io/name" not in taken["metadata"]["annotations"]
    # The former owner finds nothing of its own any more.
    assert unclaim(taken, CPP) is taken


def test_a_new_binding() -> None:
    made = build_binding(claim(deployment(), PP), PP)
    meta = made["metadata"]
    assert (made["kind"], meta["namespace"], meta["name"]) == ("ResourceBinding", "default", "nginx-deployment")
    assert meta["finalizers"] == ["karmada.io/binding-controller"]
    assert meta["labels"]["propagationpolicy.karmada.io/permanent-id"] == "id-of-pp"
    assert meta["labels"]["resourcebinding.karmada.io/permanent-id"]
    assert meta["ownerReferences"] == [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "nginx",
            "uid": "uid-of-template",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert made["spec"] == {
        "resource": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "namespace": "default",
            "name": "nginx",
            "uid": "uid-of-template",
            "resourceVersion": "7",
        },
        "placement": {"clusterAffinity": {"clusterNames": ["m1"]}},
        "replicas": 2,
    }


def test_a_cluster_scoped_template() -> None:
    template = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a:b", "uid": "u"}}
    made = build_binding(template, CPP)
    assert (made["kind"], made["metadata"]["name"]) == ("ClusterResourceBinding", "a.b-node")
    assert "namespace" not in made["metadata"]
    assert made["metadata"]["finalizers"] == ["karmada.io/cluster-resource-binding-controller"]
    assert made["metadata"]["labels"]["clusterresourcebinding.karmada.io/permanent-id"]


def test_what_others_decide_is_kept() -> None:
    old = build_binding(deployment(), policy("cpp", "", resourceSelectors=[selector()], failover={"application": {}}))
    old["metadata"]["finalizers"].append("karmada.io/binding-dependencies-distributor")
    old["spec"].update(
        clusters=[{"name": "m1", "replicas": 2}],
        requiredBy=[{"name": "x"}],
        suspension={"scheduling": True, "dispatching": True},
    )
    old["status"] = {"conditions": []}
    made = build_binding(deployment(replicas=5), PP, old)
    assert made["spec"]["clusters"] == [{"name": "m1", "replicas": 2}]
    assert made["spec"]["requiredBy"] == [{"name": "x"}]
    assert made["spec"]["suspension"] == {"scheduling": True}
    assert made["spec"]["replicas"] == 5
    assert "failover" not in made["spec"]
    assert made["status"] == {"conditions": []}
    assert made["metadata"]["finalizers"] == old["metadata"]["finalizers"]
    assert "clusterpropagationpolicy.karmada.io/permanent-id" not in made["metadata"]["labels"]
    identity = "resourcebinding.karmada.io/permanent-id"
    assert made["metadata"]["labels"][identity] == old["metadata"]["labels"][identity]
    assert build_binding(deployment(replicas=5), PP, made) is made


def test_annotations_that_add_to_the_placement_follow_the_policy() -> None:
    adding = policy(placement={})
    adding["metadata"]["annotations"] = {ANNOTATION: "[{minReplicas: 1}]", "note": "mine"}
    made = build_binding(deployment(), adding)
    assert made["metadata"]["annotations"][ANNOTATION] == "[{minReplicas: 1}]"
    assert "note" not in made["metadata"]["annotations"]
    changed = policy(placement={})
    assert ANNOTATION not in build_binding(deployment(), changed, made)["metadata"]["annotations"]


def test_a_binding_of_an_earlier_template_is_waited_for() -> None:
    old = build_binding(deployment(), PP)
    template = deployment()
    template["metadata"]["uid"] = "another"
    with pytest.raises(OwnerMismatch, match="due to different owner reference UID"):
        build_binding(template, PP, old)


def test_gates() -> None:
    wanted = policy(
        placement={
            "workloadAffinity": {"affinity": {"groupByLabelKey": "app"}, "antiAffinity": {"groupByLabelKey": "x"}}
        },
        schedulePriority={"priorityClassSource": "KubePriorityClass", "priorityClassName": "high"},
        suspension={"dispatching": True},
    )
    every = frozenset({gates.WORKLOAD_AFFINITY, gates.PRIORITY_BASED_SCHEDULING, gates.RESOURCE_QUOTA_ESTIMATE})
    template = deployment()
    template["spec"]["template"]["spec"].update(priorityClassName="high", nodeSelector={"a": "b"})
    spec = binding_spec(template, wanted, gates=every, priority_classes={"high": 10})
    assert spec["workloadAffinityGroups"] == {"affinityGroup": "app=nginx"}
    assert spec["schedulePriority"] == {"priority": 10}
    assert spec["suspension"] == {"dispatching": True}
    assert spec["replicaRequirements"] == {
        "namespace": "default",
        "nodeClaim": {"nodeSelector": {"a": "b"}},
        "priorityClassName": "high",
    }
    assert "schedulePriority" not in binding_spec(template, wanted, gates=frozenset())
    with pytest.raises(BindingError, match=r'PriorityClass\.scheduling\.k8s\.io "high" not found'):
        binding_spec(template, wanted, gates=every)
    wanted["spec"]["schedulePriority"]["priorityClassSource"] = "PodPriorityClass"
    with pytest.raises(BindingError, match="PodPriorityClass is not supported yet"):
        binding_spec(template, wanted, gates=every)


def test_nothing_is_shared_with_the_policy() -> None:
    spec = binding_spec(deployment(), PP)
    spec["placement"]["clusterAffinity"]["clusterNames"].append("x")
    assert PP["spec"]["placement"] == {"clusterAffinity": {"clusterNames": ["m1"]}}


def test_matching_and_events() -> None:
    assert still_matches(deployment(), PP)
    assert not still_matches(deployment(), policy(resourceSelectors=[selector("Job")]))
    assert applied_event(PP) == ("Normal", "ApplyPolicySucceed", "Apply policy(default/pp) succeed")
    assert applied_event(CPP, "x") == ("Warning", "ApplyPolicyFailed", "Apply cluster policy(cpp) failed: x")


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON, JSON)
def test_semantic_equality_is_an_equivalence_wider_than_equality(a: object, b: object) -> None:
    assert semantically_equal(a, a)
    assert semantically_equal(a, b) == semantically_equal(b, a)
    assert semantically_equal({"x": []}, {"x": None})
    assert not semantically_equal({"x": []}, {})
