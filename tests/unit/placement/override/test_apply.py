import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.placement.override.apply import applied_annotations, apply_overrides
from kafila.placement.override.patch import OverrideError
from tests.unit.placement.objects import cluster, deployment, policy, selector

M1 = cluster("m1", region="eu")


def override(name: str, overriders: dict[str, Any], namespace: str = "default", **spec: Any) -> dict[str, Any]:
    target = spec.pop("target", None)
    rule = {"overriders": overriders} | ({"targetCluster": target} if target else {})
    return policy(name, namespace, overrideRules=[rule], **spec)


def apply(overriders: dict[str, Any], obj: dict[str, Any] | None = None) -> dict[str, Any]:
    obj = deployment() if obj is None else obj
    before = copy.deepcopy(obj)
    result = apply_overrides(obj, M1, [], [override("op", overriders)]).obj
    assert obj == before
    return result


def container(obj: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = obj["spec"]["template"]["spec"]["containers"][0]
    return found


def test_nothing_that_matches_leaves_the_object_itself() -> None:
    obj = deployment()
    elsewhere = override("op", {"plaintext": []}, target={"clusterNames": ["m2"]})
    other_kind = override("op", {}, resourceSelectors=[selector("Job")])
    other_namespace = override("op", {}, "other")
    assert apply_overrides(obj, M1, [], [elsewhere, other_kind, other_namespace]).obj is obj


def test_images() -> None:
    changed = apply({"imageOverrider": [{"component": "Registry", "operator": "replace", "value": "test.io"}]})
    assert container(changed)["image"] == "test.io/library/nginx:1.2"
    path = "/spec/template/spec/containers/0/image"
    at = {"component": "Tag", "operator": "replace", "value": "9", "predicate": {"path": path}}
    assert container(apply({"imageOverrider": [at]}))["image"] == "docker.io/library/nginx:9"
    at["predicate"] = {"path": "/spec/template/image"}
    with pytest.raises(OverrideError, match="failed to obtain imageValue with predicate path"):
        apply({"imageOverrider": [at]})


def test_init_containers_keep_their_image() -> None:
    obj = deployment()
    obj["spec"]["template"]["spec"]["initContainers"] = [{"name": "init", "image": "busybox"}]
    changed = apply({"imageOverrider": [{"component": "Registry", "operator": "add", "value": "x.io"}]}, obj)
    assert changed["spec"]["template"]["spec"]["initContainers"][0]["image"] == "busybox"


def test_commands_and_arguments() -> None:
    obj = deployment()
    container(obj)["command"] = ["nginx", "-g"]
    wanted = [
        {"containerName": "web", "operator": "add", "value": ["x"]},
        {"containerName": "web", "operator": "remove", "value": ["-g", "y"]},
        {"containerName": "other", "operator": "add", "value": ["z"]},
    ]
    changed = apply({"commandOverrider": wanted, "argsOverrider": wanted[:1]}, obj)
    assert container(changed)["command"] == ["nginx", "x"]
    assert container(changed)["args"] == ["x"]


def test_labels_and_annotations() -> None:
    changed = apply(
        {
            "labelsOverrider": [
                {"operator": "add", "value": {"a/b": "1"}},
                {"operator": "replace", "value": {"app": "x", "missing": "y"}},
            ],
            "annotationsOverrider": [
                {"operator": "remove", "value": {"missing": ""}},
                {"operator": "add", "value": {"k": "v"}},
            ],
        }
    )
    assert changed["metadata"]["labels"] == {"app": "x", "a/b": "1"}
    assert changed["metadata"]["annotations"] == {"k": "v"}
    assert apply({"labelsOverrider": [{"operator": "remove", "value": {"app": ""}}]})["metadata"]["labels"] == {}


def test_plaintext_is_a_json_patch() -> None:
    changed = apply(
        {
            "plaintext": [
                {"path": "/spec/replicas", "operator": "replace", "value": 9},
                {"path": "/metadata/annotations", "operator": "add", "value": {"a": "b"}},
                {"path": "/metadata/annotations/a", "operator": "replace", "value": "c"},
                {"path": "/spec/selector", "operator": "remove"},
            ]
        }
    )
    assert changed["spec"]["replicas"] == 9
    assert changed["metadata"]["annotations"] == {"a": "c"}
    assert "selector" not in changed["spec"]


def test_what_is_missing_cannot_be_replaced() -> None:
    with pytest.raises(OverrideError, match="doc is missing key: /spec/nothing: missing value") as caught:
        apply({"plaintext": [{"path": "/spec/nothing", "operator": "replace", "value": 1}]})
    assert caught.value.event == "Apply override policy(default/op) for cluster(m1) failed."


def config_map(text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "default"},
        "data": {"f.x": text},
    }


def test_fields_that_hold_json() -> None:
    patch = {"fieldPath": "/data/f.x", "json": [{"subPath": "/a", "operator": "replace", "value": "é"}]}
    assert (
        apply({"fieldOverrider": [patch]}, config_map('{"b": [1, 2], "a": 0}'))["data"]["f.x"] == '{"b":[1,2],"a":"é"}'
    )


def test_fields_that_hold_yaml() -> None:
    patch = {"fieldPath": "/data/f.x", "yaml": [{"subPath": "/a/0", "operator": "replace", "value": "true"}]}
    text = "b: 2001-01-01\na:\n- x\nc: |\n  one\n  two\n"
    assert apply({"fieldOverrider": [patch]}, config_map(text))["data"]["f.x"] == (
        'a:\n- "true"\nb: "2001-01-01"\nc: |\n  one\n  two\n'
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [("/data/none", 'object has no key "none"'), ("/data", "is not string"), ("data", "JSON pointer must be empty")],
)
def test_fields_that_do_not_hold_text(path: str, message: str) -> None:
    with pytest.raises(OverrideError, match=message):
        apply(
            {"fieldOverrider": [{"fieldPath": path, "json": [{"subPath": "/a", "operator": "remove"}]}]},
            config_map("{}"),
        )


def annotate(value: str) -> dict[str, Any]:
    return {"annotationsOverrider": [{"operator": "add", "value": {"by": value}}]}


def test_the_most_precise_policy_has_the_last_word() -> None:
    exact = override("a", annotate("exact"), resourceSelectors=[selector(name="nginx")])
    every = override("z", annotate("every"))
    labelled = override("b", annotate("labelled"), resourceSelectors=[selector(labelSelector={})])
    cluster_wide = override("y", annotate("cluster"), "", resourceSelectors=[selector(name="nginx")])
    result = apply_overrides(deployment(), M1, [cluster_wide], [exact, every, labelled])
    assert result.obj["metadata"]["annotations"] == {"by": "exact"}
    assert [applied.policy for applied in result.by_policies] == ["z", "b", "a"]
    assert result.events[0] == "Apply cluster override policy(y) for cluster(m1) succeed."
    assert result.events[1] == "Apply override policy(default/z) for cluster(m1) succeed."
    assert applied_annotations(result)["policy.karmada.io/applied-cluster-overrides"] == (
        '[{"policyName":"y","overriders":{"annotationsOverrider":[{"operator":"add","value":{"by":"cluster"}}]}}]'
    )


def test_the_older_form_of_a_policy() -> None:
    old = policy("op", targetCluster={"clusterNames": ["m1"]}, overriders=annotate("old"))
    assert apply_overrides(deployment(), M1, [], [old]).obj["metadata"]["annotations"] == {"by": "old"}
    assert apply_overrides(deployment(), cluster("m2"), [], [old]).by_policies == ()


OVERRIDERS = st.fixed_dictionaries(
    {},
    optional={
        "imageOverrider": st.just([{"component": "Tag", "operator": "add", "value": "x"}]),
        "commandOverrider": st.just([{"containerName": "web", "operator": "add", "value": ["x"]}]),
        "labelsOverrider": st.just(
            [{"operator": "replace", "value": {"app": "x"}}, {"operator": "add", "value": {"n": "x"}}]
        ),
        "annotationsOverrider": st.just([{"operator": "add", "value": {"n": "x"}}]),
        "plaintext": st.just([{"path": "/spec/template/spec/containers/0/name", "operator": "replace", "value": "x"}]),
    },
)


@given(OVERRIDERS)
def test_the_input_is_never_changed(overriders: dict[str, Any]) -> None:
    apply(overriders)
