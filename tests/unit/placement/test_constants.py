from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kafila
from kafila.placement import constants

ROOT = Path(kafila.__file__).parent
WORDS = {
    "replicaSchedulingType": {constants.DUPLICATED, constants.DIVIDED},
    "replicaDivisionPreference": {constants.AGGREGATED, constants.WEIGHTED},
    "activationPreference": {constants.LAZY},
    "conflictResolution": {constants.OVERWRITE, constants.ABORT},
    "purgeMode": {*constants.PURGE_NOW, *constants.PURGE_LATER},
    "health": {constants.HEALTHY, constants.UNHEALTHY, constants.UNKNOWN},
}
FACTS = Path(__file__).parents[1] / "catalog/karmada/crdfacts.json"  # what test_crdfacts.py holds the schemas to
HOME = ROOT / "placement/constants.py"
TYPES = ROOT / "placement/types.py"
NAMES = {value for name, value in vars(constants).items() if name.isupper() and isinstance(value, str)}
PREFIXES = (*(name for name in NAMES if "karmada.io/" in name), constants.EXECUTION_NAMESPACE_PREFIX)
# defaults of flags of Karmada's and karmadactl's are facts of their own; columns are below this module
OTHERS = {
    "settings/federation.py": "karmada-system",
    "cli/init.py": "karmada-system",
    "cli/membership.py": "karmada-cluster",
    "core/cluster_report.py": constants.TAINT_UNSCHEDULABLE,
}


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


def test_no_other_module_writes_labels_annotations_finalizers_taints_or_namespaces() -> None:
    found = []
    for path in ROOT.rglob("*.py"):
        where = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())) if path != HOME else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                named = text.startswith(("karmada-system", "karmada-cluster", *PREFIXES))
                if named and OTHERS.get(where) != text:
                    found.append(f"{where}:{node.lineno}: {text}")
    assert found == []


def test_words_of_policies_and_bindings_stand_in_no_other_module() -> None:
    """The schemas in ``catalog/karmada`` have them too: neither package imports the other, and the next test compares.

    The types in ``placement/types.py`` are written from these schemas.
    """
    words = set().union(*(named for field, named in WORDS.items() if field != "health"))
    found = []
    for path in (
        file for package in ("placement", "admission", "reconcile") for file in (ROOT / package).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text())) if path not in (HOME, TYPES) else ():
            if isinstance(node, ast.Constant) and node.value in words:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}")
    assert found == []


@pytest.mark.parametrize(("field", "named"), WORDS.items())
def test_words_are_those_of_the_schemas(field: str, named: set[str]) -> None:
    allowed = list(_enums(json.loads(FACTS.read_text()), field))
    assert allowed
    assert all(each <= named | {"Never"} for each in allowed)
    assert set().union(*allowed) - {"Never"} == named


def _enums(node: Any, field: str) -> Iterator[set[str]]:
    """Of every field of that name, in Karmada's definitions."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if name == field and isinstance(value, dict) and "enum" in value:
            yield set(value["enum"])
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _enums(value, field)
