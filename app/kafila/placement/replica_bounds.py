"""How many replicas a cluster gets at least and at most: an annotation of policies, ours, that their bindings carry.

Karmada has nothing like it. An annotation outlives clients that know Karmada's fields only, and real Karmada leaves it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from kafila.core.errors import FieldError
from kafila.core.names import dns1123_label
from kafila.core.remembered import remembered
from kafila.core.selectors import EVERYTHING, Selector, SelectorError, parse
from kafila.core.values import AnyObject
from kafila.machinery.yaml import YAMLError, load
from kafila.placement.objects import labels_of, name

ANNOTATION: Final = "placement.kafila.io/replica-bounds"
PATH: Final = f"metadata.annotations[{ANNOTATION}]"
UNLIMITED: Final = 2**31 - 1
LONGEST: Final = 8 << 10  # characters
MOST_RULES: Final = 32
NAMED: Final = 5  # clusters and rules in one text
_FIELDS: Final = ("clusterNames", "clusterSelector", "minReplicas", "maxReplicas")


class BoundsError(ValueError):
    """The annotation cannot be read."""

    def __init__(self, found: Iterable[FieldError]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(map(str, self.found)))


class Bounds(NamedTuple):
    """Replicas; both included."""

    minimum: int = 0
    maximum: int = UNLIMITED

    def __str__(self) -> str:
        if self.maximum == UNLIMITED:
            return f"at least {self.minimum}"
        return f"{self.minimum} to {self.maximum}" if self.minimum else f"at most {self.maximum}"


NO_BOUNDS: Final = Bounds()


class Rule(NamedTuple):
    """Of clusters with these names and labels; no names mean every name."""

    names: frozenset[str]
    selector: Selector
    bounds: Bounds
    about: str  # the clusters, in words

    def is_about(self, cluster: AnyObject) -> bool:
        return (not self.names or name(cluster) in self.names) and self.selector.matches(labels_of(cluster))


def bounds_of(text: str, clusters: Iterable[AnyObject]) -> dict[str, Bounds]:
    """By name, of the clusters that have any; where several rules are about one, all of them hold. Raises BoundsError."""
    rules = rules_of(text)
    found: dict[str, Bounds] = {}
    for cluster in clusters:
        if held := [rule.bounds for rule in rules if rule.is_about(cluster)]:
            found[name(cluster)] = Bounds(max(each.minimum for each in held), min(each.maximum for each in held))
    return found


def bounds_text(text: str) -> str:
    """The rules in words: ``each cluster: at least 1; m1, m2: 2 to 5``."""
    try:
        rules = rules_of(text)
    except BoundsError as error:
        return str(error)
    shown = [f"{rule.about}: {rule.bounds}" for rule in rules[:NAMED]]
    if len(rules) > NAMED:
        shown.append(f"{len(rules) - NAMED} more rules")
    return "; ".join(shown)


@remembered(1024)
def rules_of(text: str) -> tuple[Rule, ...]:
    """Of the annotation, YAML or JSON. Raises BoundsError with everything that is wrong."""
    if len(text) > LONGEST:
        raise BoundsError([FieldError.invalid(PATH, f"{text[:100]}…", f"must be no longer than {LONGEST} characters")])
    if "&" in text or "*" in text:  # no name or label has one, and aliases make a short text a long one
        raise BoundsError([FieldError.invalid(PATH, text, "must have no anchors or aliases")])
    if "\n---" in text.strip():
        raise BoundsError([FieldError.invalid(PATH, text, "must be one document")])
    try:
        value, repeated = load(text)
    except YAMLError as error:
        raise BoundsError([FieldError.invalid(PATH, text, str(error))]) from None
    if repeated:
        raise BoundsError([FieldError.invalid(PATH, text, each) for each in repeated])
    if not isinstance(value, list) or not value:
        raise BoundsError([FieldError.invalid(PATH, text, "must be a list of rules")])
    if len(value) > MOST_RULES:
        raise BoundsError([FieldError.too_many(PATH, len(value), MOST_RULES)])
    found = [problem for index, rule in enumerate(value) for problem in _problems(rule, f"{PATH}[{index}]")]
    if found:
        raise BoundsError(found)
    return tuple(map(_rule, value))


def _rule(rule: Mapping[str, Any]) -> Rule:
    selector = parse(rule["clusterSelector"]) if rule.get("clusterSelector") else EVERYTHING
    bounds = Bounds(rule.get("minReplicas", 0), rule.get("maxReplicas", UNLIMITED))
    names = rule.get("clusterNames") or ()
    about = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    if rule.get("clusterSelector"):
        about += f"{' ' if about else ''}with {rule['clusterSelector']}"
    return Rule(frozenset(names), selector, bounds, about or "each cluster")


def _problems(rule: Any, path: str) -> Iterable[FieldError]:
    if not isinstance(rule, dict):
        yield FieldError.invalid(path, rule, f"must be a rule with {', '.join(_FIELDS)}")
        return
    for field in rule.keys() - set(_FIELDS):
        yield FieldError.invalid(f"{path}.{field}", rule[field], f"no such field; there are {', '.join(_FIELDS)}")
    yield from _naming_problems(rule, path)
    limits = [field for field in ("minReplicas", "maxReplicas") if field in rule]
    wrong = [field for field in limits if type(rule[field]) is not int or not 0 <= rule[field] <= UNLIMITED]
    for field in wrong:
        yield FieldError.invalid(f"{path}.{field}", rule[field], f"must be a number from 0 to {UNLIMITED}")
    if not limits:
        yield FieldError.required(path, "minReplicas or maxReplicas")
    elif len(limits) == 2 and not wrong and rule["minReplicas"] > rule["maxReplicas"]:
        yield FieldError.invalid(f"{path}.minReplicas", rule["minReplicas"], "must not be more than maxReplicas")


def _naming_problems(rule: Mapping[str, Any], path: str) -> Iterable[FieldError]:
    names = rule.get("clusterNames", [])
    if not isinstance(names, list):
        yield FieldError.invalid(f"{path}.clusterNames", names, "must be a list of names")
    else:
        for index, each in enumerate(names):
            if why := dns1123_label(each) if isinstance(each, str) else ["must be a name"]:
                yield FieldError.invalid(f"{path}.clusterNames[{index}]", each, "; ".join(why))
    selector = rule.get("clusterSelector", "")
    try:
        if not isinstance(selector, str):
            raise SelectorError("must be a selector as in kubectl get -l")
        parse(selector)
    except SelectorError as error:
        yield FieldError.invalid(f"{path}.clusterSelector", selector, str(error))
