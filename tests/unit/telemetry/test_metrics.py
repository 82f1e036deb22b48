"""docs/operations.md has a row for every metric of the source, with its labels, and none for what there is not."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import kafila
from kafila.flowcontrol.fairness import Fairness
from kafila.flowcontrol.metrics import FlowControl
from kafila.telemetry import members, runtime

PACKAGE = Path(kafila.__file__).parent
PAGE = PACKAGE.parents[1] / "docs" / "operations.md"
SUFFIXES = {"Counter": "_total", "CounterMetricFamily": "_total", "Info": "_info", "InfoMetricFamily": "_info"}
LABELS_AT_RUN_TIME = {"kafila_build_info": frozenset({"version"})}


def documented() -> dict[str, frozenset[str]]:
    table = PAGE.read_text().split("\n## Metrics\n", 1)[1].split("\n\n", 1)[0]
    rows = [line.split("|") for line in table.splitlines()[2:]]
    return {
        name: frozenset(filter(None, re.split(r",\s*", row[2].strip())))
        for row in rows
        for name in re.findall(r"`(\w+)`", row[1])
    }


def in_source() -> dict[str, frozenset[str]]:
    made = {name: labels for file in PACKAGE.rglob("*.py") for name, labels in _made(file)}
    return {**made, **_of_flow_control()}


def _of_flow_control() -> dict[str, frozenset[str]]:
    """Made from tables: they are asked for."""
    return {
        family.name + SUFFIXES.get(family.type.capitalize(), ""): frozenset(family._labelnames)  # type: ignore[attr-defined]
        for family in FlowControl(Fairness(600)).collect()
    }


def _made(file: Path) -> Iterator[tuple[str, frozenset[str]]]:
    """Name and labels of each metric that a module makes, whether it is registered at import or read on demand."""
    module = ast.parse(file.read_text())
    name_of_module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    theirs = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "prometheus_client"
        for alias in node.names
    }
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        first, made = node.args[0], theirs.get(node.func.id)
        if made is None or not isinstance(first, ast.Constant) or not isinstance(first.value, str):
            continue
        suffix = SUFFIXES.get(made, "")
        lists = [*node.args[2:3], *(word.value for word in node.keywords if word.arg in ("labels", "labelnames"))]
        names = vars(importlib.import_module(name_of_module))  # several metrics may share one list of labels
        labels = frozenset(str(label) for each in lists for label in eval(ast.unparse(each), names))
        labels |= LABELS_AT_RUN_TIME.get(first.value + suffix, frozenset())
        yield first.value.removesuffix(suffix) + suffix, labels


def test_every_metric_has_a_row_with_its_labels() -> None:
    assert documented() == in_source()


def test_metrics_of_either_sort_are_found() -> None:
    found = in_source()
    assert found["workqueue_depth"] == {"name"}  # registered at import
    assert found["apiserver_storage_objects"] == {"resource"}  # read on demand


def test_the_build_says_its_version() -> None:
    assert runtime.BUILD
    assert REGISTRY.get_sample_value("kafila_build_info", {"version": kafila.__version__}) == 1


def test_whatever_measures_a_member_is_forgotten_with_it() -> None:
    in_source()  # all modules are imported
    measuring = {
        collector
        for collector in REGISTRY._collector_to_names
        if isinstance(collector, MetricWrapperBase) and "member_cluster" in collector._labelnames
    }
    assert measuring
    assert measuring == set(members._METRICS)
