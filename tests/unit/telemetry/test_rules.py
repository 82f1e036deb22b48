"""deploy/chart/files: rules and dashboard ask for metrics that kafila.telemetry's neighbours make, by labels that these have, and the rules are
those of docs/operations.md."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from .test_metrics import PAGE, in_source

CHART = Path(__file__).parents[3] / "deploy" / "chart"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((CHART / "files" / "rules.yaml").read_text())["groups"] for rule in group["rules"]
]
PANELS = json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]
ASKED = [
    *((rule["alert"], rule["expr"]) for rule in RULES),
    *((panel["title"], target["expr"]) for panel in PANELS for target in panel.get("targets", ())),
]
FUNCTIONS = frozenset(
    [
        "abs",
        "absent",
        "by",
        "count",
        "histogram_quantile",
        "ignoring",
        "increase",
        "max",
        "min",
        "on",
        "or",
        "rate",
        "sum",
        "time",
        "topk",
        "vector",
        "without",
    ]
)
OF_TARGETS = frozenset(("instance", "job", "component", "le"))  # labels that come with every series, or with buckets


def names_of(expression: str) -> dict[str, frozenset[str]]:
    """Metrics of an expression, and labels that it asks them for."""
    text = re.sub(r"\[[0-9a-z]+\]", "", expression)
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"(?:by|ignoring|without|on) \(([^)]*)\)", text))))
    grouped |= set(re.findall(r"\w+", " ".join(re.findall(r"ignoring\(([^)]*)\)", text))))
    text = re.sub(r"(?:by|ignoring|without|on) ?\([^)]*\)", " ", text)
    found = {}
    for name, selected in re.findall(r"([a-zA-Z_]\w+)(\{[^}]*\})?", re.sub(r'"[^"]*"', '""', text)):
        if name in FUNCTIONS or not re.search(rf"(?<![\w{{,]){name}\b", text):
            continue
        found[name] = frozenset(re.findall(r"(\w+)\s*[=!]", selected)) | frozenset(grouped)
    return {name: labels for name, labels in found.items() if not re.fullmatch(r"e\d+", name)}


@cache
def series() -> dict[str, frozenset[str]]:
    found = dict(in_source())
    found["process_resident_memory_bytes"] = frozenset()
    for name, labels in list(found.items()):
        for suffix in ("_bucket", "_count", "_sum"):
            found[name + suffix] = labels
    return found


@pytest.mark.parametrize(("title", "expression"), ASKED, ids=[title for title, _ in ASKED])
def test_only_metrics_that_there_are_are_asked_for(title: str, expression: str) -> None:
    there, asked = series(), names_of(expression)
    assert asked
    for name, labels in asked.items():
        assert name in there, f"{name} is no metric"
        assert labels - OF_TARGETS <= there[name], f"{name} has no such labels"


def test_what_is_wrong_is_found() -> None:
    asked = names_of('sum by (verb) (rate(apiserver_request_total{code=~"5..",gone="x"}[5m])) / none_such > 5e6')
    assert asked["apiserver_request_total"] == {"verb", "code", "gone"}
    assert "none_such" in asked


def test_the_rules_are_those_of_the_documentation() -> None:
    table = PAGE.read_text().split("| worth an alert | when |")[1].split("\n\n")[0]
    documented = re.findall(r"^\| `(.*?)`", table, re.M)
    assert sorted(documented) == sorted(rule["expr"] for rule in RULES)


def test_every_rule_says_what_it_is_about() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["annotations"]["summary"].endswith((".", "left."))
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
