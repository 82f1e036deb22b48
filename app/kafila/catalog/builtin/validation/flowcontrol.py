"""FlowSchema and PriorityLevelConfiguration. Without the mandatory ones nobody would be served: these are as they have to be."""

from __future__ import annotations

import math
from typing import Final

from kafila.core import names
from kafila.core.values import Object

from .common import Found, check_name, duplicate, forbidden, invalid, not_supported, required
from .gostructs import go_struct

_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_MAX_HASH_BITS = 60
EXEMPT: Final = "exempt"  # a FlowSchema and its level
CATCH_ALL: Final = "catch-all"  # a FlowSchema and its level


def rule_for_everything(*groups: str) -> Object:
    """A rule of a FlowSchema about all requests of members of these groups."""
    resources = {
        "verbs": ["*"],
        "apiGroups": ["*"],
        "resources": ["*"],
        "clusterScope": True,
        "namespaces": ["*"],
    }
    return {
        "subjects": [{"kind": "Group", "group": {"name": group}} for group in groups],
        "resourceRules": [resources],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }


MANDATORY_FLOW_SCHEMAS: Final[dict[str, Object]] = {
    EXEMPT: {
        "priorityLevelConfiguration": {"name": EXEMPT},
        "matchingPrecedence": 1,
        "rules": [rule_for_everything("system:masters")],
    },
    CATCH_ALL: {
        "priorityLevelConfiguration": {"name": CATCH_ALL},
        "matchingPrecedence": 10000,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [rule_for_everything("system:unauthenticated", "system:authenticated")],
    },
}
MANDATORY_LEVELS: Final[dict[str, Object]] = {
    EXEMPT: {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
    CATCH_ALL: {
        "type": "Limited",
        "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, "lendablePercent": 0},
    },
}
_VERBS = frozenset(("get", "list", "create", "update", "delete", "deletecollection", "patch", "watch", "proxy"))


def validate_flow_schema(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    name, precedence = (obj.get("metadata") or {}).get("name") or "", spec.get("matchingPrecedence") or 0
    path = "spec.matchingPrecedence"
    if precedence <= 0:
        found.append(invalid(path, precedence, "must be a positive value"))
    if precedence > 10000:
        found.append(invalid(path, precedence, "must not be greater than 10000"))
    if precedence == 1 and name != "exempt":
        found.append(invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in ("ByNamespace", "ByUser"):
        shown = {"Type": method.get("type") or ""}
        found.append(not_supported("spec.distinguisherMethod.type", shown, ("ByNamespace", "ByUser")))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name")
    if level:
        check_name(level, "spec.priorityLevelConfiguration.name", found)
    else:
        found.append(required("spec.priorityLevelConfiguration.name", "must reference a priority level"))
    for i, rule in enumerate(spec.get("rules") or ()):
        _check_rule(rule, f"spec.rules[{i}]", found)
    if name in MANDATORY_FLOW_SCHEMAS and spec != MANDATORY_FLOW_SCHEMAS[name]:
        shown = go_struct("api.flowcontrol.v1.FlowSchemaSpec", spec)
        found.append(invalid("spec", shown, f"spec of '{name}' must equal the fixed value"))
    return found + validate_condition_types(obj, {})


def validate_condition_types(obj: Object, old: Object) -> Found:
    """Conditions have a type, each its own. It is all that is asked of a change of status."""
    found: Found = []
    seen: set[str] = set()
    for i, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        kind, path = condition.get("type") or "", f"status.conditions[{i}].type"
        if kind in seen:
            found.append(duplicate(path, kind))
        seen.add(kind)
        if not kind:
            found.append(required(path))
    return found


def _check_rule(rule: Object, path: str, found: Found) -> None:
    subjects = rule.get("subjects")
    if not subjects:
        found.append(required(f"{path}.subjects", "subjects must contain at least one value"))
    for i, subject in enumerate(subjects or ()):
        _check_subject(subject, f"{path}.subjects[{i}]", found)
    resources, others = rule.get("resourceRules") or (), rule.get("nonResourceRules") or ()
    if not resources and not others:
        text = "at least one of resourceRules and nonResourceRules has to be non-empty"
        found.append(required(path, text))
    for i, resource in enumerate(resources):
        where = f"{path}.resourceRules[{i}]"
        _check_verbs(resource, where, found)
        _check_list(resource, "apiGroups", "resource rules must supply at least one api group", where, found)
        _check_list(resource, "resources", "resource rules must supply at least one resource", where, found)
        _check_namespaces(resource, where, found)
    for i, other in enumerate(others):
        where = f"{path}.nonResourceRules[{i}]"
        _check_verbs(other, where, found)
        text = "nonResourceURLs must contain at least one value"
        _check_list(other, "nonResourceURLs", text, where, found)
        urls = other.get("nonResourceURLs") or ()
        if "*" not in urls:
            for j, url in enumerate(urls):
                _check_url(url or "", f"{where}.nonResourceURLs[{j}]", found)


def _check_list(rule: Object, field: str, text: str, path: str, found: Found) -> None:
    values = rule.get(field) or []
    if not values:
        found.append(required(f"{path}.{field}", text))
    elif len(values) > 1 and "*" in values:
        found.append(invalid(f"{path}.{field}", values, "if '*' is present, must not specify other " + _WHAT[field]))


def _check_verbs(rule: Object, path: str, found: Found) -> None:
    _check_list(rule, "verbs", "verbs must contain at least one value", path, found)
    verbs = rule.get("verbs") or []
    if "*" not in verbs and not _VERBS.issuperset(verbs):
        found.append(not_supported(f"{path}.verbs", verbs, tuple(sorted(_VERBS))))


def _check_namespaces(rule: Object, path: str, found: Found) -> None:
    namespaces = rule.get("namespaces") or []
    if not namespaces and not rule.get("clusterScope"):
        text = "resource rules that are not cluster scoped must supply at least one namespace"
        found.append(required(f"{path}.namespaces", text))
    elif "*" in namespaces:
        if len(namespaces) > 1:
            text = "if '*' is present, must not specify other namespaces"
            found.append(invalid(f"{path}.namespaces", namespaces, text))
    else:
        for i, name in enumerate(namespaces):
            for why in names.dns1123_label(name or ""):
                text = f"each member of this list must be '*' or a DNS-1123 label; {why}"
                found.append(invalid(f"{path}.namespaces[{i}]", name or "", text))


def _check_url(url: str, path: str, found: Found) -> None:
    if not url:
        found.append(invalid(path, url, "must not be empty"))
    elif url == "/":
        return
    elif not url.startswith("/"):
        found.append(invalid(path, url, "must start with slash"))
    elif " " in url:
        found.append(invalid(path, url, "must not contain white-space"))
    elif "//" in url:
        found.append(invalid(path, url, "must not contain double slash"))
    elif "*" in url.removesuffix("/*"):
        found.append(invalid(path, url, "wildcard can only do suffix matching"))


_WHAT = {
    "verbs": "verbs",
    "apiGroups": "api groups",
    "resources": "resources",
    "nonResourceURLs": "non-resource URLs",
}


def _check_subject(subject: Object, path: str, found: Found) -> None:
    kind = subject.get("kind") or ""
    if kind not in _SUBJECTS:
        found.append(not_supported(f"{path}.kind", kind, tuple(_SUBJECTS)))
        return
    own = _SUBJECTS[kind]
    who = subject.get(own)
    if who is None:
        found.append(required(f"{path}.{own}", f"{own} is required when subject kind is '{kind}'"))
    else:
        name = who.get("name")
        if not name:
            found.append(required(f"{path}.{own}.name"))
        if kind == "ServiceAccount":
            if name and name != "*":
                check_name(name, f"{path}.{own}.name", found)
            if who.get("namespace"):
                check_name(who["namespace"], f"{path}.{own}.namespace", found, names.dns1123_label)
            else:
                found.append(required(f"{path}.{own}.namespace", "must specify namespace for service account"))
    for other, field in _SUBJECTS.items():
        if field != own and subject.get(field) is not None:
            text = f"{field} is forbidden when subject kind is not '{other}'"
            found.append(forbidden(f"{path}.{field}", text))


def validate_priority_level(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    kind, exempt, limited = spec.get("type") or "", spec.get("exempt"), spec.get("limited")
    if ((obj.get("metadata") or {}).get("name") == "exempt") != (kind == "Exempt"):
        found.append(invalid("spec.type", kind, "must be 'Exempt' if and only if `name` is 'exempt'"))
    if kind == "Exempt":
        if limited is not None:
            found.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
        if exempt is not None:
            _check_shares(exempt, "spec.exempt", found)
    elif kind == "Limited":
        if exempt is not None:
            found.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
        if limited is None:
            found.append(required("spec.limited", "must not be empty when type is Limited"))
        else:
            _check_limited(limited, "spec.limited", found)
    else:
        found.append(not_supported("spec.type", kind, ("Exempt", "Limited")) if kind else required("spec.type"))
    _check_mandatory_level((obj.get("metadata") or {}).get("name") or "", spec, found)
    return found


def _check_mandatory_level(name: str, spec: Object, found: Found) -> None:
    """What exempt requests lend is a user's to say."""
    fixed = MANDATORY_LEVELS.get(name)
    if fixed is None:
        return
    shown = go_struct("api.flowcontrol.v1.PriorityLevelConfigurationSpec", spec)
    if name == EXEMPT:
        if {**spec, "exempt": None} != {**fixed, "exempt": None}:
            text = f"spec of '{name}' except the 'spec.exempt' field must equal the fixed value"
            found.append(invalid("spec", shown, text))
    elif spec != fixed:
        found.append(invalid("spec", shown, f"spec of '{name}' must equal the fixed value"))


def _check_shares(level: Object, path: str, found: Found) -> None:
    shares, lendable = level.get("nominalConcurrencyShares") or 0, level.get("lendablePercent")
    if shares < 0:
        found.append(invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer"))
    if lendable is not None and not 0 <= lendable <= 100:
        found.append(invalid(f"{path}.lendablePercent", lendable, "must be between 0 and 100, inclusive"))


def _check_limited(level: Object, path: str, found: Found) -> None:
    response = level.get("limitResponse") or {}
    kind, queuing = response.get("type") or "", response.get("queuing")
    where = f"{path}.limitResponse"
    _check_shares(level, path, found)
    if kind == "Reject":
        if queuing is not None:
            text = "must be nil if limited.limitResponse.type is not Limited"
            found.append(forbidden(f"{where}.queuing", text))
    elif kind == "Queue":
        if queuing is None:
            text = "must not be empty if limited.limitResponse.type is Limited"
            found.append(required(f"{where}.queuing", text))
        else:
            _check_queuing(queuing, f"{where}.queuing", found)
    else:
        found.append(not_supported(f"{where}.type", kind, ("Queue", "Reject")) if kind else required(f"{where}.type"))
    borrowing = level.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        text = "if specified, must be a non-negative integer"
        found.append(invalid(f"{path}.borrowingLimitPercent", borrowing, text))


def _check_queuing(queuing: Object, path: str, found: Found) -> None:
    length, queues, hand = (queuing.get(field) or 0 for field in ("queueLengthLimit", "queues", "handSize"))
    if length <= 0:
        found.append(invalid(f"{path}.queueLengthLimit", length, "must be positive"))
    if queues <= 0:
        found.append(invalid(f"{path}.queues", queues, "must be positive"))
    elif queues > 10000000:
        found.append(invalid(f"{path}.queues", queues, "must not be greater than 10000000"))
    if hand <= 0:
        found.append(invalid(f"{path}.handSize", hand, "must be positive"))
    elif hand > queues:
        found.append(invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})"))
    elif _entropy_bits(queues, hand) > _MAX_HASH_BITS:
        text = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than 60"
        found.append(invalid(f"{path}.handSize", hand, text))


def _entropy_bits(queues: int, hand: int) -> int:
    """Bits that dealing ``hand`` of ``queues`` cards uses up."""
    return math.ceil(math.log2(math.perm(queues, hand))) if hand < 64 else _MAX_HASH_BITS + 1
