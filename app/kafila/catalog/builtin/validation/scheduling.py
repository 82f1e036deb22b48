"""Where pods may run: node selectors, affinity, tolerations, spreading."""

from __future__ import annotations

from kafila.core import names
from kafila.core.values import Object

from .common import (
    NOT_POSITIVE,
    Found,
    check_label_key,
    check_label_selector,
    check_number_of_values,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_BAD_OPERATOR = "not a valid selector operator"


def check_affinity(affinity: Object, path: str, found: Found) -> None:
    node = affinity.get("nodeAffinity")
    if node:
        needed = node.get("requiredDuringSchedulingIgnoredDuringExecution")
        if needed is not None:
            where = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
            check_node_selector(needed, where, found)
        where = f"{path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution"
        for i, term in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            _check_weight(term, f"{where}[{i}]", found)
            _check_term(term.get("preference") or {}, f"{where}[{i}].preference", found, values=False)
    for field in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(field)
        if pods:
            where = f"{path}.{field}.requiredDuringSchedulingIgnoredDuringExecution"
            for i, term in enumerate(pods.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
                _check_pod_term(term, f"{where}[{i}]", found)
            where = f"{path}.{field}.preferredDuringSchedulingIgnoredDuringExecution"
            for i, weighted in enumerate(pods.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
                _check_weight(weighted, f"{where}[{i}]", found)
                _check_pod_term(weighted.get("podAffinityTerm") or {}, f"{where}[{i}].podAffinityTerm", found)


def _check_weight(term: Object, path: str, found: Found) -> None:
    weight = term.get("weight") or 0
    if not 1 <= weight <= 100:
        found.append(invalid(f"{path}.weight", weight, "must be in the range 1-100"))


def check_node_selector(selector: Object, path: str, found: Found) -> None:
    terms = selector.get("nodeSelectorTerms")
    if not terms:
        found.append(required(f"{path}.nodeSelectorTerms", "must have at least one node selector term"))
    for i, term in enumerate(terms or ()):
        _check_term(term, f"{path}.nodeSelectorTerms[{i}]", found, values=True)


def _check_term(term: Object, path: str, found: Found, *, values: bool) -> None:
    for i, requirement in enumerate(term.get("matchExpressions") or ()):
        _check_expression(requirement, f"{path}.matchExpressions[{i}]", found, values)
    for i, requirement in enumerate(term.get("matchFields") or ()):
        _check_field(requirement, f"{path}.matchFields[{i}]", found)


def _check_expression(requirement: Object, path: str, found: Found, check_values: bool) -> None:
    operator, values = requirement.get("operator") or "", requirement.get("values") or ()
    if operator in ("Gt", "Lt"):
        if len(values) != 1:
            text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            found.append(required(f"{path}.values", text))
    elif not check_number_of_values(operator, values, path, found):
        found.append(invalid(f"{path}.operator", operator, _BAD_OPERATOR))
    check_label_key(requirement.get("key") or "", f"{path}.key", found)
    if check_values:
        for i, value in enumerate(values):
            for why in names.label_value(value):
                found.append(invalid(f"{path}.values[{i}]", value, why))


def _check_field(requirement: Object, path: str, found: Found) -> None:
    operator, values = requirement.get("operator") or "", requirement.get("values") or ()
    if operator not in ("In", "NotIn"):
        found.append(invalid(f"{path}.operator", operator, _BAD_OPERATOR))
    elif len(values) != 1:
        text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        found.append(required(f"{path}.values", text))
    if requirement.get("key") != "metadata.name":
        found.append(invalid(f"{path}.key", requirement.get("key") or "", "not a valid field selector key"))
        return
    for i, value in enumerate(values):
        for why in names.dns1123_subdomain(value):
            found.append(invalid(f"{path}.values[{i}]", value, why))


def _check_pod_term(term: Object, path: str, found: Found) -> None:
    selector = term.get("labelSelector")
    check_label_selector(selector, f"{path}.labelSelector", found)
    check_label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector", found)
    for name in term.get("namespaces") or ():
        for why in names.dns1123_label(name):
            found.append(invalid(f"{path}.namespace", name, why))
    _check_match_keys(term, selector, path, found)
    key = term.get("topologyKey") or ""
    if not key:
        found.append(required(f"{path}.topologyKey", "can not be empty"))
    check_label_key(key, f"{path}.topologyKey", found)


def _check_match_keys(holder: Object, selector: Object | None, path: str, found: Found) -> None:
    match = holder.get("matchLabelKeys") or ()
    mismatch = holder.get("mismatchLabelKeys") or ()
    if not match and not mismatch:
        return
    for field, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and selector is None:
            found.append(forbidden(f"{path}.{field}", "must not be specified when labelSelector is not set"))
            continue
        for i, key in enumerate(keys):
            check_label_key(key, f"{path}.{field}[{i}]", found)
    if selector is not None:
        seen = set(selector.get("matchLabels") or ())
        first = {name: i for i, name in reversed(list(enumerate(match)))}
        for expression in selector.get("matchExpressions") or ():
            key = expression.get("key") or ""
            if key in first and key in seen:
                text = "exists in both matchLabelKeys and labelSelector"
                found.append(invalid(f"{path}[{first[key]}]", key, text))
            seen.add(key)
    others = set(mismatch)
    for i, key in enumerate(match):
        if key in others:
            text = "exists in both matchLabelKeys and mismatchLabelKeys"
            found.append(invalid(f"{path}.matchLabelKeys[{i}]", key, text))


def check_tolerations(tolerations: list[Object], path: str, found: Found) -> None:
    for i, toleration in enumerate(tolerations):
        where = f"{path}[{i}]"
        key, operator = toleration.get("key") or "", toleration.get("operator") or ""
        value, effect = toleration.get("value") or "", toleration.get("effect") or ""
        if key:
            check_label_key(key, f"{where}.key", found)
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.append(invalid(f"{where}.operator", operator, text))
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            found.append(invalid(f"{where}.effect", effect, text))
        if operator in ("", "Equal"):
            reasons = names.label_value(value)
            if reasons:
                found.append(invalid(f"{where}.operator", value, ";".join(reasons)))
        elif operator == "Exists":
            if value:
                text = "value must be empty when `operator` is 'Exists'"
                found.append(invalid(f"{where}.operator", value, text))
        elif operator in ("Gt", "Lt"):
            found.append(not_supported(f"{where}.operator", operator, ("Equal", "Exists", "Lt", "Gt")))
        else:
            found.append(not_supported(f"{where}.operator", operator, ("Equal", "Exists")))
        if effect and effect not in EFFECTS:
            found.append(not_supported(f"{where}.effect", effect, EFFECTS))


def _spreads(constraint: Object) -> tuple[str, str]:
    return constraint.get("topologyKey") or "", constraint.get("whenUnsatisfiable") or ""


def check_spreading(constraints: list[Object], path: str, found: Found) -> None:
    last = {_spreads(constraint): i for i, constraint in enumerate(constraints)}
    for i, constraint in enumerate(constraints):
        where = f"{path}[{i}]"
        get = constraint.get
        key, action = _spreads(constraint)
        if (get("maxSkew") or 0) <= 0:
            found.append(invalid(f"{where}.maxSkew", get("maxSkew") or 0, NOT_POSITIVE))
        if not key:
            found.append(required(f"{where}.topologyKey", "can not be empty"))
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            found.append(not_supported(f"{where}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway")))
        if last[key, action] > i:
            found.append(duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
        minimum = get("minDomains")
        if minimum is not None:
            if minimum <= 0:
                found.append(invalid(f"{where}.minDomains", minimum, NOT_POSITIVE))
            if action != "DoNotSchedule":
                text = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                found.append(invalid(f"{where}.minDomains", minimum, text))
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if get(field) is not None and get(field) not in ("Honor", "Ignore"):
                found.append(not_supported(f"{where}.{field}", get(field), ("Honor", "Ignore")))
        _check_match_keys(constraint, get("labelSelector"), where, found)
        check_label_selector(get("labelSelector"), f"{where}.labelSelector", found)
