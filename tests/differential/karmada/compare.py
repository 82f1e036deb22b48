"""Answers of the two control planes side by side: differences, those that are known, and the score. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from normal import leaves

MOST_KNOWN = 15
Answers = list[dict[str, Any]]


@dataclass(frozen=True)
class Known:
    reason: str
    scenario: re.Pattern[str]
    path: re.Pattern[str]

    def covers(self, scenario: str, path: str) -> bool:
        return bool(self.scenario.fullmatch(scenario) and self.path.search(path))


@dataclass(frozen=True)
class Difference:
    path: str
    karmada: str | None
    kafila: str | None

    def __str__(self) -> str:
        return f"{self.path}\n    karmada: {_short(self.karmada)}\n    kafila:  {_short(self.kafila)}"


@dataclass
class Comparison:
    scenario: str
    facts: int
    differences: list[Difference] = field(default_factory=list)
    known: int = 0

    @property
    def equal(self) -> bool:
        return not self.differences


def load_known(path: Path) -> list[Known]:
    entries = yaml.safe_load(path.read_text()) or []
    assert len(entries) <= MOST_KNOWN, f"{len(entries)} known differences: at most {MOST_KNOWN} are let pass"
    return [Known(e["reason"], re.compile(e.get("scenario", ".*")), re.compile(e["path"])) for e in entries]


def compare(scenario: str, karmada: Answers, kafila: Answers, known: list[Known]) -> Comparison:
    return _compare(scenario, _facts(karmada), _facts(kafila), known)


def equal_at(scenario: str, number: int, karmada: Answers, state: Any, known: list[Known]) -> bool:
    """Whether ``state`` is what Karmada had at rest after so many steps."""
    if number >= len(karmada):
        return False
    theirs = karmada[number]
    ours = {"step": theirs["step"], "is": state}
    return _compare(scenario, _facts([theirs], number), _facts([ours], number), known).equal


def _compare(scenario: str, theirs: dict[str, Any], ours: dict[str, Any], known: list[Known]) -> Comparison:
    result = Comparison(scenario, len(theirs))
    for path in sorted(ours.keys() | theirs.keys()):
        if ours.get(path) == theirs.get(path) or _is_told_below(path, ours, theirs):
            continue
        if any(one.covers(scenario, path) for one in known):
            result.known += 1
        else:
            result.differences.append(Difference(path, theirs.get(path), ours.get(path)))
    return result


def _is_told_below(path: str, *sides: dict[str, Any]) -> bool:
    """Whether one side has nothing there and the other has something, of which each fact differs by itself."""
    values = [side.get(path) for side in sides]
    if sorted(values, key=str) not in ([None, "[]"], [None, "{}"]):
        return False
    other = sides[values.index(None)]
    return any(each.startswith(f"{path}|") for each in other)


def _facts(answers: Answers, first: int = 0) -> dict[str, Any]:
    return {
        path: value
        for number, answer in enumerate(answers, first + 1)
        for path, value in leaves(answer["is"], f"{number} {answer['step']}").items()
    }


def score(comparisons: list[Comparison]) -> str:
    equal = sum(one.equal for one in comparisons)
    facts = sum(one.facts for one in comparisons)
    different = sum(len(one.differences) for one in comparisons)
    known = sum(one.known for one in comparisons)
    return f"{equal} of {len(comparisons)} scenarios equal; {facts} facts, {different} differ, {known} more are known to differ"


def _short(value: str | None, most: int = 600) -> str:
    if value is None:
        return "(absent)"
    return value if len(value) <= most else value[:most] + " …"
