import pytest

from kafila.placement import constants


@pytest.mark.parametrize(
    ("kind", "name", "namespace", "expected"),
    [
        ("Deployment", "nginx", "default", "nginx-687f7fb96f"),
        ("ClusterRole", "karmada-impersonator", "", "karmada-impersonator-7cbb6bd5c9"),
        ("ClusterRoleBinding", "karmada-impersonator", "", "karmada-impersonator-84f8c8f8c6"),
    ],
)
def test_work_names_are_those_of_karmada(kind: str, name: str, namespace: str, expected: str) -> None:
    assert constants.work_name(kind, name, namespace) == expected


def test_colons_become_dots_and_capitals_small() -> None:
    assert constants.binding_name("ClusterRole", "system:Aggregate") == "system.aggregate-clusterrole"
    assert constants.work_name("ClusterRole", "system:A").startswith("system.a-")


def test_execution_namespaces() -> None:
    assert constants.execution_namespace("member1") == "karmada-es-member1"
    assert constants.cluster_of("karmada-es-member1") == "member1"
    with pytest.raises(ValueError, match="the execution space name is in wrong format"):
        constants.cluster_of("default")


@pytest.mark.parametrize("namespace", ["karmada-system", "karmada-cluster", "karmada-es-x"])
def test_reserved_namespaces(namespace: str) -> None:
    assert constants.is_reserved_namespace(namespace)
    assert not constants.is_reserved_namespace("default")


def test_permanent_ids_repeat_and_differ() -> None:
    assert constants.permanent_id("a", "b") == constants.permanent_id("a", "b")
    assert constants.permanent_id("a", "b") != constants.permanent_id("ab")
    assert len(constants.permanent_id("a")) == 36
