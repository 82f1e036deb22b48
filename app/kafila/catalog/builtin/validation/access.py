"""RBAC and certificate requests."""

from __future__ import annotations

from kafila.core import names
from kafila.core.values import Object

from .common import Found, check_label_selector, check_name, invalid, not_supported, required

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


def validate_role(obj: Object) -> Found:
    found: Found = []
    for i, rule in enumerate(obj.get("rules") or ()):
        _check_rule(rule, f"rules[{i}]", found, namespaced=True)
    return found


def validate_cluster_role(obj: Object) -> Found:
    found: Found = []
    for i, rule in enumerate(obj.get("rules") or ()):
        _check_rule(rule, f"rules[{i}]", found, namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is not None:
        path = "aggregationRule.clusterRoleSelectors"
        selectors = aggregation.get("clusterRoleSelectors")
        if not selectors:
            text = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            found.append(required(path, text))
        for i, selector in enumerate(selectors or ()):
            before = len(found)
            check_label_selector(selector, f"{path}[{i}]", found)
            if len(found) > before:
                found.append(invalid(f"{path}[{i}]", None, "invalid label selector."))
    return found


def _check_rule(rule: Object, path: str, found: Found, *, namespaced: bool) -> None:
    if not rule.get("verbs"):
        found.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            text = "namespaced rules cannot apply to non-resource URLs"
            found.append(invalid(f"{path}.nonResourceURLs", urls, text))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            found.append(invalid(f"{path}.nonResourceURLs", urls, text))
        return
    if not rule.get("apiGroups"):
        found.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        found.append(required(f"{path}.resources", "resource rules must supply at least one resource"))


def validate_role_binding(obj: Object) -> Found:
    return _validate_binding(obj, ("Role", "ClusterRole"), namespaced=True)


def validate_cluster_role_binding(obj: Object) -> Found:
    return _validate_binding(obj, ("ClusterRole",), namespaced=False)


def _validate_binding(obj: Object, kinds: tuple[str, ...], *, namespaced: bool) -> Found:
    found: Found = []
    role = obj.get("roleRef") or {}
    if role.get("apiGroup") != GROUP:
        found.append(not_supported("roleRef.apiGroup", role.get("apiGroup") or "", (GROUP,)))
    if role.get("kind") not in kinds:
        found.append(not_supported("roleRef.kind", role.get("kind") or "", kinds))
    if not role.get("name"):
        found.append(required("roleRef.name"))
    else:
        check_name(role["name"], "roleRef.name", found, names.path_segment)
    for i, subject in enumerate(obj.get("subjects") or ()):
        _check_subject(subject, f"subjects[{i}]", found, namespaced)
    return found


def _check_subject(subject: Object, path: str, found: Found, namespaced: bool) -> None:
    name, kind, group = subject.get("name") or "", subject.get("kind") or "", subject.get("apiGroup") or ""
    if not name:
        found.append(required(f"{path}.name"))
    if kind == "ServiceAccount":
        if name:
            check_name(name, f"{path}.name", found)
        if group:
            found.append(not_supported(f"{path}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            found.append(required(f"{path}.namespace"))
    elif kind in ("User", "Group"):
        if group != GROUP:
            found.append(not_supported(f"{path}.apiGroup", group, (GROUP,)))
    else:
        found.append(not_supported(f"{path}.kind", kind, _SUBJECTS))


def validate_binding_update(new: Object, old: Object) -> Found:
    fields = ("apiGroup", "kind", "name")
    role, before = new.get("roleRef") or {}, old.get("roleRef") or {}
    if all((role.get(field) or "") == (before.get(field) or "") for field in fields):
        return []
    shown = {"APIGroup": role.get("apiGroup") or "", "Kind": role.get("kind") or "", "Name": role.get("name") or ""}
    return [invalid("roleRef", shown, "cannot change roleRef")]  # as Go prints the internal struct
