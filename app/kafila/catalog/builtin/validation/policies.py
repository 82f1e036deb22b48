"""Admission policies and their bindings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kafila.cel.bounds import compiled_together
from kafila.cel.parser import RESERVED
from kafila.cel.types import Type
from kafila.core import names
from kafila.core.resources import split_api_version
from kafila.core.values import Object, repeats

from .admission import CONDITION_NAMES, check_choice, check_match_conditions, check_rule_with_operations
from .common import (
    Found,
    check_label_selector,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from .expressions import ANNOTATION, ANYTHING, APPLY, MESSAGE, PATCH, check_expression

MOST_AUDIT_ANNOTATIONS = 20
LONGEST_VALUE_EXPRESSION = 5 * 1024  # bytes
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_MUTATED = ("*", "CONNECT", "CREATE", "UPDATE")  # operations; nothing is left of what is deleted
_PATCHES = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
_is_identifier = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*").fullmatch


@compiled_together()
def validate_policy(obj: Object) -> Found:
    """Validating and mutating policies alike; what each must contain differs."""
    found: Found = []
    spec = obj.get("spec") or {}
    policy = spec.get("failurePolicy")
    if policy is None:
        found.append(required("spec.failurePolicy"))
    check_choice(policy, ("Fail", "Ignore"), "spec.failurePolicy", found)
    if spec.get("paramKind") is not None:
        _check_param_kind(spec["paramKind"], "spec.paramKind", found)
    match = spec.get("matchConstraints")
    if match is None:
        found.append(required("spec.matchConstraints"))
    else:
        _check_match_resources(match, "spec.matchConstraints", found)
        if not match.get("resourceRules"):
            found.append(required("spec.matchConstraints.resourceRules"))
    if obj.get("kind") == "MutatingAdmissionPolicy":
        _check_mutated_operations(match or {}, "spec.matchConstraints", found)
    known = [*CONDITION_NAMES, *(("params",) if spec.get("paramKind") is not None else ())]
    check_match_conditions(spec.get("matchConditions") or (), known, "spec.matchConditions", found)
    mutating = obj.get("kind") == "MutatingAdmissionPolicy"
    variables = _check_variables(spec, known, found, mutating)
    if mutating:
        _check_mutations(spec, known, variables, found)
    else:
        name = (obj.get("metadata") or {}).get("name") or ""
        _check_validations(spec, name, known, variables, found)
    return found


def _check_variables(spec: Object, known: list[str], found: Found, mutating: bool) -> Mapping[str, Type] | None:
    """The types of what comes after ``variables.``; None when the expressions know no such thing."""
    declared: dict[str, Type] = {}
    for i, variable in enumerate(spec.get("variables") or ()):
        path = f"spec.variables[{i}]"
        name, expression = variable.get("name") or "", variable.get("expression") or ""
        if not name.strip():
            found.append(required(f"{path}.name", "name is not specified"))
        elif not _is_identifier(name) or name in RESERVED:
            found.append(invalid(f"{path}.name", name, "must be a valid CEL identifier"))
        if expression.strip():
            declared[name] = check_expression(expression, known, f"{path}.expression", found, declared, ANYTHING)
        else:
            found.append(required(f"{path}.expression", "expression is not specified"))
    return declared if mutating or spec.get("variables") else None


def _check_validations(
    spec: Object, name: str, known: list[str], variables: Mapping[str, Type] | None, found: Found
) -> None:
    validations, audits = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not audits:
        text = "validations or auditAnnotations must contain at least one item"
        found.append(required("spec.validations", text))
        found.append(required("spec.auditAnnotations", text))
    for i, validation in enumerate(validations):
        _check_validation(validation, known, variables, f"spec.validations[{i}]", found)
    if len(audits) > MOST_AUDIT_ANNOTATIONS:
        text = f"must not have more than {MOST_AUDIT_ANNOTATIONS} auditAnnotations"
        found.append(invalid("spec.auditAnnotations", list(audits), text))
    seen: set[str] = set()
    for i, audit in enumerate(audits):
        key, path = audit.get("key") or "", f"spec.auditAnnotations[{i}]"
        if name:
            for why in names.qualified_name(f"{name}/{key}"):
                found.append(invalid(f"{path}.key", f"{name}/{key}", why))
        else:
            found.append(invalid(f"{path}.key", key, "requires metadata.name be non-empty"))
        expression = (audit.get("valueExpression") or "").strip()
        if not expression:
            found.append(required(f"{path}.valueExpression", "valueExpression is not specified"))
        elif len(expression.encode()) > LONGEST_VALUE_EXPRESSION:
            text = f"must not exceed {LONGEST_VALUE_EXPRESSION} bytes in length"
            found.append(required(f"{path}.valueExpression", text))
        else:
            check_expression(expression, known, f"{path}.valueExpression", found, variables, ANNOTATION)
        if key in seen:
            found.append(duplicate(f"{path}.key", key))
        seen.add(key)


def _check_validation(
    validation: Object, known: list[str], variables: Mapping[str, Type] | None, path: str, found: Found
) -> None:
    expression, message = validation.get("expression") or "", validation.get("message") or ""
    if expression.strip():
        check_expression(expression, known, f"{path}.expression", found, variables)
    else:
        found.append(required(f"{path}.expression", "expression is not specified"))
    said = validation.get("messageExpression") or ""
    if said.strip():
        # what authorizer finds is nobody else's business
        names_known = [n for n in known if n != "authorizer"]
        check_expression(said, names_known, f"{path}.messageExpression", found, variables, MESSAGE)
    elif said:
        found.append(invalid(f"{path}.messageExpression", said, "must be non-empty if specified"))
    if message and not message.strip():
        found.append(invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif "\n" in message.strip() or "\r" in message.strip():
        found.append(invalid(f"{path}.message", message, "must not contain line breaks"))
    check_choice(validation.get("reason"), _REASONS, f"{path}.reason", found)


def _check_mutations(spec: Object, known: list[str], variables: Mapping[str, Type] | None, found: Found) -> None:
    mutations = spec.get("mutations") or ()
    if not mutations:
        found.append(required("spec.mutations", "mutations must contain at least one item"))
    for i, mutation in enumerate(mutations):
        path, kind = f"spec.mutations[{i}]", mutation.get("patchType") or ""
        if kind not in _PATCHES:
            where, allowed = f"{path}.patchType", tuple(_PATCHES)
            found.append(not_supported(where, kind, allowed) if kind else required(where))
            continue
        for other, field in _PATCHES.items():
            if other != kind and mutation.get(field) is not None:
                text = f"must not be specified when patchType is {kind}"
                found.append(invalid(f"{path}.{field}", f"{{{field}}}", text))
        where = f"{path}.{_PATCHES[kind]}"
        patch = mutation.get(_PATCHES[kind])
        if patch is None:
            found.append(required(where, f"must be specified when patchType is {kind}"))
        elif expression := (patch.get("expression") or "").strip():
            wanted = APPLY if kind == "ApplyConfiguration" else PATCH
            check_expression(expression, known, f"{where}.expression", found, variables, wanted)
        else:
            found.append(required(f"{where}.expression"))
    policy = spec.get("reinvocationPolicy")
    if not policy:
        found.append(required("spec.reinvocationPolicy"))
    else:
        check_choice(policy, ("IfNeeded", "Never"), "spec.reinvocationPolicy", found)


def _check_param_kind(kind: Object, path: str, found: Found) -> None:
    api_version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    if not api_version:
        found.append(required(f"{path}.apiVersion"))
    else:
        try:
            group, version = split_api_version(api_version)
        except ValueError as error:
            found.append(invalid(f"{path}.apiVersion", api_version, str(error)))
        else:
            reasons = names.dns1123_subdomain(group) if group else []
            if reasons:
                found.append(invalid(f"{path}.apiVersion", group, ",".join(reasons)))
            reasons = names.dns1035_label(version) if version else ["version must be specified"]
            if reasons:
                found.append(invalid(f"{path}.apiVersion", version or api_version, ",".join(reasons)))
    if not name:
        found.append(required(f"{path}.kind"))
    else:
        reasons = names.dns1035_label(name.lower())
        if reasons:
            text = "may have mixed case, but should otherwise match: " + ",".join(reasons)
            found.append(invalid(f"{path}.kind", name, text))


def _check_mutated_operations(match: Object, path: str, found: Found) -> None:
    for rule in match.get("resourceRules") or ():
        for operation in rule.get("operations") or ():
            if operation not in _MUTATED:
                found.append(not_supported(f"{path}.resourceRules.operations", operation, _MUTATED))


def _check_match_resources(match: Object, path: str, found: Found) -> None:
    if match.get("matchPolicy") is None:
        found.append(required(f"{path}.matchPolicy"))
    check_choice(match.get("matchPolicy"), ("Equivalent", "Exact"), f"{path}.matchPolicy", found)
    for field in ("namespaceSelector", "objectSelector"):
        if match.get(field) is None:
            found.append(required(f"{path}.{field}"))
        check_label_selector(match.get(field), f"{path}.{field}", found)
    for field in ("resourceRules", "excludeResourceRules"):
        for i, rule in enumerate(match.get(field) or ()):
            _check_resource_names(rule.get("resourceNames") or (), f"{path}.{field}[{i}].resourceNames", found)
            check_rule_with_operations(rule, f"{path}.{field}[{i}]", found)


def _check_resource_names(resource_names: Sequence[str], path: str, found: Found) -> None:
    for i, (name, again) in enumerate(zip(resource_names, repeats(resource_names), strict=True)):
        for why in names.path_segment(name):
            found.append(invalid(f"{path}[{i}]", name, why))
        if again:
            found.append(duplicate(f"{path}[{i}]", name))


def validate_policy_binding(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    name = spec.get("policyName")
    if not name:
        found.append(required("spec.policyName"))
    else:
        for why in names.dns1123_subdomain(name):
            found.append(invalid("spec.policyName", name, why))
    reference = spec.get("paramRef")
    if reference is not None:
        _check_param_ref(reference, "spec.paramRef", found)
    match = spec.get("matchResources")
    if match is not None:
        _check_match_resources(match, "spec.matchResources", found)
        if obj.get("kind") == "MutatingAdmissionPolicyBinding":
            _check_mutated_operations(match, "spec.matchResources", found)
    if obj.get("kind") == "ValidatingAdmissionPolicyBinding":
        _check_actions(spec.get("validationActions") or [], "spec.validationActions", found)
    return found


def _check_param_ref(reference: Object, path: str, found: Found) -> None:
    name, selector = reference.get("name"), reference.get("selector")
    if name:
        for why in names.path_segment(name):
            found.append(invalid(f"{path}.name", name, why))
        if selector is not None:
            found.append(forbidden(f"{path}.name", "name and selector are mutually exclusive"))
    if selector is not None:
        check_label_selector(selector, f"{path}.selector", found)
        if name:
            found.append(forbidden(f"{path}.selector", "name and selector are mutually exclusive"))
    elif not name:
        found.append(required(path, "one of name or selector must be specified"))
    action = reference.get("parameterNotFoundAction")
    if not action:
        found.append(required(f"{path}.parameterNotFoundAction"))
    elif action not in ("Allow", "Deny"):
        found.append(not_supported(f"{path}.parameterNotFoundAction", action, ("Deny", "Allow")))


def _check_actions(actions: list[str], path: str, found: Found) -> None:
    if not actions:
        found.append(required(path, "at least one validation action is required"))
    for i, (action, again) in enumerate(zip(actions, repeats(actions), strict=True)):
        if action not in ("Audit", "Deny", "Warn"):
            found.append(not_supported(f"{path}[{i}]", action, ("Audit", "Deny", "Warn")))
        if again:
            found.append(duplicate(f"{path}[{i}]", action))
    if "Deny" in actions and "Warn" in actions:
        text = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"
        found.append(invalid(path, actions, text))
