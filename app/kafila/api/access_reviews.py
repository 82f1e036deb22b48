"""What an access review asks: checked, and as an authorizer sees it."""

from __future__ import annotations

from typing import Any, Final

from kafila.authorization import Attributes
from kafila.authorization.rules import Rule
from kafila.catalog.builtin.validation.common import check_number_of_values
from kafila.catalog.kind import Kind
from kafila.core import errors, selectors
from kafila.core.errors import FieldError
from kafila.core.selectors import Requirement, SelectorError
from kafila.core.values import Object
from kafila.registry import User

_LABEL_OPERATORS: Final = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_FIELD_OPERATORS: Final = {"In": "=", "NotIn": "!="}


def subject_of(spec: Object) -> User:
    extra = tuple((name, tuple(values or ())) for name, values in (spec.get("extra") or {}).items())
    return User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)


# -- what is wrong with a review -------------------------------------------------------------------------------------------


def check(kind: Kind, review: Object, *, subject: bool) -> None:
    """Raises StatusError 422 for a review that cannot be answered."""
    spec, metadata = review.get("spec") or {}, review["metadata"]
    found: list[FieldError] = []
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    shown_path = None if path is None else {"Path": path.get("path", ""), "Verb": path.get("verb", "")}
    if resource is not None and path is not None:
        text = "cannot be specified in combination with resourceAttributes"
        found.append(FieldError.invalid("spec.nonResourceAttributes", shown_path, text))
    elif resource is None and path is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        found.append(FieldError.invalid("spec.resourceAttributes", None, text))
    if subject and not spec.get("user") and not spec.get("groups"):
        found.append(FieldError.invalid("spec.user", "", "at least one of user or group must be specified"))
    for part in ("fieldSelector", "labelSelector"):
        _check_selector((resource or {}).get(part), f"spec.resourceAttributes.{part}", found)
    if kind.namespaced:
        asked = (resource or {}).get("namespace") or ""
        if resource is not None and asked != metadata.get("namespace", ""):
            found.append(
                FieldError.invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace")
            )
        if path is not None:
            text = "disallowed on this kind of request"
            found.append(FieldError.invalid("spec.nonResourceAttributes", shown_path, text))
    if found:
        raise errors.invalid(kind.group, "", "", found)


def _check_selector(selector: Object | None, path: str, found: list[FieldError]) -> None:
    if selector is None:
        return
    raw, requirements = selector.get("rawSelector"), selector.get("requirements")
    if raw and requirements:
        text = "may not specified at the same time as requirements"
        found.append(FieldError.invalid(f"{path}.rawSelector", raw, text))
    if not raw and not requirements:
        text = f"when {path} is specified, requirements or rawSelector is required"
        found.append(FieldError.required(f"{path}.requirements", text))
    for i, requirement in enumerate(requirements or ()):
        where = f"{path}.requirements[{i}]"
        check_number_of_values(requirement.get("operator") or "", requirement.get("values"), where, found)
        if not requirement.get("key"):
            found.append(FieldError.required(f"{where}.key", "must be specified"))


# -- a review as an authorizer sees it -------------------------------------------------------------------------------------


def attributes_of(user: User, spec: Object) -> tuple[Attributes, list[str]]:
    """And what of its selectors cannot be read: that narrows nothing, and is said."""
    resource = spec.get("resourceAttributes")
    if resource is None:
        path = spec["nonResourceAttributes"]
        return Attributes(user, path.get("verb") or "", path=path.get("path") or ""), []
    problems: list[str] = []
    fields = _read("fieldSelector", resource, _raw_fields, _field, problems)
    labels = _read("labelSelector", resource, _raw_labels, _label, problems)
    text = {name: resource.get(name) or "" for name in ("group", "resource", "subresource", "namespace", "name")}
    version = resource.get("version") or "*"
    return Attributes(user, resource.get("verb") or "", version=version, fields=fields, labels=labels, **text), problems


def _read(part: str, resource: Object, raw: Any, single: Any, problems: list[str]) -> tuple[Requirement, ...]:
    selector = resource.get(part) or {}
    found: list[Requirement] = []
    wrong = False
    try:
        found += raw(selector["rawSelector"]) if selector.get("rawSelector") else ()
    except SelectorError:
        wrong = True
    for requirement in selector.get("requirements") or ():
        try:
            found.append(single(requirement))
        except SelectorError:
            wrong = True
    if wrong:
        how = "partially ignored" if found else "ignored"
        problems.append(f"spec.resourceAttributes.{part} {how} due to parse error")
    return tuple(found)


def _raw_fields(text: str) -> tuple[Requirement, ...]:
    return tuple(Requirement(each.field, each.operator, (each.value,)) for each in selectors.parse_fields(text))


def _raw_labels(text: str) -> tuple[Requirement, ...]:
    return selectors.parse(text).requirements


def _field(requirement: Object) -> Requirement:
    operator, values = _FIELD_OPERATORS.get(requirement.get("operator", "")), requirement.get("values") or ()
    if operator is None or len(values) != 1:
        raise SelectorError("fieldSelectors have one value")
    return Requirement(requirement.get("key") or "", operator, tuple(values))  # type: ignore[arg-type]


def _label(requirement: Object) -> Requirement:
    operator = _LABEL_OPERATORS.get(requirement.get("operator", ""))
    if operator is None:
        raise SelectorError(f"{requirement.get('operator')!r} is not a valid label selector operator")
    return selectors.requirement(requirement.get("key") or "", operator, tuple(requirement.get("values") or ()))  # type: ignore[arg-type]


# -- rules as a review shows them ------------------------------------------------------------------------------------------


def shown_resources(rule: Rule) -> Object:
    fields = {"apiGroups": rule.apiGroups, "resources": rule.resources, "resourceNames": rule.resourceNames}
    return {"verbs": rule.verbs} | {name: values for name, values in fields.items() if values}


def shown_paths(rule: Rule) -> Object:
    return {"verbs": rule.verbs} | ({"nonResourceURLs": rule.nonResourceURLs} if rule.nonResourceURLs else {})
