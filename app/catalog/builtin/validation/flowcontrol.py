"""FlowSchema and PriorityLevelConfiguration: kept for clients, nothing is queued by them."""

from __future__ import annotations

import math
from typing import Any

from .common import Found, check_name, forbidden, invalid, not_supported, required

Object = dict[str, Any]

_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_MAX_HASH_BITS = 60


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
        _check_list(resource, "verbs", "verbs must contain at least one value", where, found)
        _check_list(resource, "apiGroups", "resource rules must supply at least one api group", where, found)
        _check_list(resource, "resources", "resource rules must supply at least one resource", where, found)
        if not resource.get("namespaces") and not resource.get("clusterScope"):
            text = "resource rules that are not cluster scoped must supply at least one namespace"
            found.append(required(f"{where}.namespaces", text))
    for i, other in enumerate(others):
        where = f"{path}.nonResourceRules[{i}]"
        _check_list(other, "verbs", "verbs must contain at least one value", where, found)
        text = "nonResourceURLs must contain at least one value"
        _check_list(other, "nonResourceURLs", text, where, found)


def _check_list(rule: Object, field: str, text: str, path: str, found: Found) -> None:
    values = rule.get(field) or []
    if not values:
        found.append(required(f"{path}.{field}", text))
    elif len(values) > 1 and "*" in values:
        found.append(invalid(f"{path}.{field}", values, "if '*' is present, must not specify other " + _WHAT[field]))


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
    elif not who.get("name"):
        found.append(required(f"{path}.{own}.name"))
    if kind == "ServiceAccount" and who is not None and not who.get("namespace"):
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
    return found


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
