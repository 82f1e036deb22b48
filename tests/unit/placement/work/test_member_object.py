import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.placement.interpreter.retain import RetainError
from kafila.placement.work.build import build_works
from kafila.placement.work.member_object import NotManaged, member_update
from tests.unit.placement.objects import binding, cluster, deployment


def desired(template: dict[str, Any] | None = None) -> dict[str, Any]:
    work = build_works(
        binding(2, clusters=[{"name": "m1", "replicas": 2}]), template or deployment(), {"m1": cluster("m1")}
    )
    found: dict[str, Any] = work.works[0]["spec"]["workload"]["manifests"][0]
    return found


def observed(manifest: dict[str, Any], **meta: Any) -> dict[str, Any]:
    found = copy.deepcopy(manifest)
    found["metadata"].update(
        uid="in-member", resourceVersion="9", generation=1, creationTimestamp="x", managedFields=[], **meta
    )
    found["status"] = {"replicas": 1}
    return found


def test_what_the_member_has_is_not_written_again() -> None:
    wanted = desired()
    found = observed(wanted)
    before = copy.deepcopy((wanted, found))
    assert member_update(wanted, found) is None
    assert (wanted, found) == before


def test_member_labels_and_annotations_survive() -> None:
    wanted = desired()
    found = observed(wanted, finalizers=["f"], ownerReferences=[{"uid": "o"}])
    found["metadata"]["labels"]["theirs"] = "x"
    found["metadata"]["annotations"]["theirs"] = "y"
    assert member_update(wanted, found) is None
    wanted["spec"]["replicas"] = 5
    merged = member_update(wanted, found)
    assert merged is not None
    assert merged["spec"]["replicas"] == 5
    assert merged["metadata"]["labels"]["theirs"] == "x"
    assert merged["metadata"]["annotations"]["theirs"] == "y"
    assert merged["metadata"]["resourceVersion"] == "9"
    assert merged["metadata"]["finalizers"] == ["f"]
    assert merged["metadata"]["ownerReferences"] == [{"uid": "o"}]
    assert "uid" not in merged["metadata"]


def test_what_the_template_lost_is_removed() -> None:
    template = deployment()
    template["metadata"]["labels"]["old"] = "x"
    template["metadata"]["annotations"] = {"note": "x"}
    found = observed(desired(template))
    merged = member_update(desired(), found)
    assert merged is not None
    assert "old" not in merged["metadata"]["labels"]
    assert "note" not in merged["metadata"]["annotations"]


def test_objects_of_others_are_left_alone() -> None:
    wanted = desired()
    found = observed(deployment())
    with pytest.raises(NotManaged) as caught:
        member_update(wanted, found, "m1")
    assert str(caught.value) == (
        "resource(kind=Deployment, default/nginx) already exists in the cluster m1 and the "
        "work.karmada.io/conflict-resolution strategy value is empty, Karmada will not manage this resource"
    )
    wanted["metadata"]["annotations"]["work.karmada.io/conflict-resolution"] = "overwrite"
    assert member_update(wanted, found) is not None


def test_retained_replicas() -> None:
    template = deployment(replicas=2)
    template["metadata"]["labels"]["resourcetemplate.karmada.io/retain-replicas"] = "true"
    wanted = desired(template)
    found = observed(wanted)
    found["spec"]["replicas"] = 8
    assert member_update(wanted, found) is None
    del found["spec"]["replicas"]
    with pytest.raises(RetainError, match=r"failed to get spec.replicas from Deployment default/nginx"):
        member_update(wanted, found)


def managed(kind: str, api_version: str = "v1", **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "x", "labels": {"karmada.io/managed": "true"}},
        **fields,
    }


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        (
            managed("Service", spec={"a": 1}),
            managed("Service", spec={"clusterIP": "1.1.1.1", "healthCheckNodePort": 3, "b": 1}),
            {"spec": {"a": 1, "clusterIP": "1.1.1.1", "healthCheckNodePort": 3}},
        ),
        (
            managed("ServiceAccount", secrets=[{"name": "a"}]),
            managed("ServiceAccount", secrets=[{"name": "b"}, {"name": "a"}], imagePullSecrets=[{"name": "c"}]),
            {"secrets": [{"name": "a"}, {"name": "b"}], "imagePullSecrets": [{"name": "c"}]},
        ),
        (
            managed("Secret", type="kubernetes.io/service-account-token", data=None),
            managed("Secret", type="kubernetes.io/service-account-token", data={"token": "t"}, x=1),
            {"type": "kubernetes.io/service-account-token", "data": {"token": "t"}},
        ),
        (
            managed("PersistentVolumeClaim", spec={"y": 1}),
            managed("PersistentVolumeClaim", spec={"volumeName": "v", "storageClassName": "fast"}),
            {"spec": {"y": 1, "volumeName": "v", "storageClassName": "fast"}},
        ),
        (
            managed("PersistentVolume", spec={}),
            managed("PersistentVolume", spec={"claimRef": {"name": "c"}, "x": 1}),
            {"spec": {"claimRef": {"name": "c"}}},
        ),
        (
            managed("Job", "batch/v1", spec={"template": {"spec": {}}}),
            managed(
                "Job",
                "batch/v1",
                spec={"selector": {"matchLabels": {"u": "1"}}, "template": {"metadata": {"labels": {"u": "1"}}}},
            ),
            {
                "spec": {
                    "selector": {"matchLabels": {"u": "1"}},
                    "template": {"spec": {}, "metadata": {"labels": {"u": "1"}}},
                }
            },
        ),
        (
            managed(
                "Pod",
                spec={
                    "containers": [{"name": "a", "volumeMounts": [{"name": "old"}], "image": "i"}, {"name": "b"}],
                    "nodeName": "z",
                },
            ),
            managed(
                "Pod",
                spec={
                    "nodeName": "n",
                    "serviceAccountName": "s",
                    "volumes": [{"name": "v"}],
                    "containers": [{"name": "b", "volumeMounts": [{"name": "v"}]}, {"name": "a"}],
                },
            ),
            {
                "spec": {
                    "containers": [{"name": "b", "volumeMounts": [{"name": "v"}]}, {"name": "a", "image": "i"}],
                    "nodeName": "n",
                    "serviceAccountName": "s",
                    "volumes": [{"name": "v"}],
                }
            },
        ),
    ],
)
def test_what_the_member_decides_is_retained(
    wanted: dict[str, Any], found: dict[str, Any], expected: dict[str, Any]
) -> None:
    merged = member_update(wanted, found)
    assert merged is not None
    assert {key: merged[key] for key in merged if key not in ("apiVersion", "kind", "metadata")} == expected


LABELS = st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,3}", fullmatch=True), st.text(max_size=4))


@given(LABELS, LABELS)
def test_an_update_written_once_is_settled(labels: dict[str, str], theirs: dict[str, str]) -> None:
    template = deployment()
    template["metadata"]["labels"] = labels
    wanted = desired(template)
    found = observed(desired())
    found["metadata"]["labels"].update(theirs)
    merged = member_update(wanted, found)
    assert member_update(wanted, observed(merged if merged is not None else found)) is None


@pytest.mark.parametrize(
    ("wanted", "generated"),
    [
        (managed("Service", spec={}), {"clusterIP": "1.1.1.1", "clusterIPs": ["1.1.1.1"]}),
        (
            managed("Job", "batch/v1", spec={"selector": {}, "template": {"metadata": {}, "spec": {"x": 1}}}),
            {
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "1"}},
                "template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "1"}}, "spec": {"x": 1}},
            },
        ),
    ],
)
def test_what_the_member_generated_is_not_written_back(wanted: dict[str, Any], generated: dict[str, Any]) -> None:
    assert member_update(wanted, observed(wanted | {"spec": generated})) is None


def test_two_variables_of_one_name_stay() -> None:
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    wanted = managed("Pod", spec={"containers": [{"name": "c", "image": "2", "env": twice}]})
    found = managed("Pod", spec={"containers": [{"name": "c", "image": "1", "env": twice}], "nodeName": "n"})
    update = member_update(wanted, found)
    assert update is not None
    assert update["spec"] == {"containers": [{"name": "c", "image": "2", "env": twice}], "nodeName": "n"}


@pytest.mark.parametrize("spec", [{"containers": "x"}, {"containers": [1]}, {"containers": [{"name": []}]}])
def test_a_member_may_answer_anything(spec: dict[str, Any]) -> None:
    wanted = managed("Pod", spec={"containers": [{"name": "c", "image": "2"}]})
    update = member_update(wanted, managed("Pod", spec=spec))
    assert update is not None
    assert {"name": "c", "image": "2"} in update["spec"]["containers"]
