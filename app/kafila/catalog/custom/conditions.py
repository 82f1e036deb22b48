"""Conditions that follow from a CustomResourceDefinition alone."""

from __future__ import annotations

from kafila.core.conditions import condition
from kafila.core.values import Object
from kafila.machinery.structural.rules import structural_findings

from .definition import schema_of_version, versions

APPROVED = "api-approved.kubernetes.io"
SEE = "see https://github.com/kubernetes/enhancements/pull/1111"
_PROTECTED = ("k8s.io", "kubernetes.io")


def is_protected(group: str) -> bool:
    """Groups of the Kubernetes community, whose APIs want an approval."""
    return group in _PROTECTED or group.endswith(tuple(f".{one}" for one in _PROTECTED))


def approval_state(annotations: Object | None) -> tuple[str, str]:
    """The reason and the message about the annotation that says who approved an API."""
    value = (annotations or {}).get(APPROVED, "")
    if not value:
        return "MissingAnnotation", f'protected groups must have approval annotation "{APPROVED}", {SEE}'
    if value.startswith("unapproved"):
        return "UnapprovedAnnotation", f"not approved: {_quoted(value)}"
    scheme, separator, rest = value.partition("://")
    if separator and scheme and rest.partition("/")[0]:
        return "ApprovedAnnotation", f"approved in {value}"
    why = f'protected groups must have approval annotation "{APPROVED}" with either a URL or a reason starting with "unapproved"'
    return "InvalidAnnotation", f"{why}, {SEE}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def api_approval(crd: Object) -> Object | None:
    """KubernetesAPIApprovalPolicyConformant; None for groups that need no approval."""
    if not is_protected(crd["spec"]["group"]):
        return None
    reason, message = approval_state(crd["metadata"].get("annotations"))
    status = "True" if reason == "ApprovedAnnotation" else "False"
    return condition("KubernetesAPIApprovalPolicyConformant", status, reason, message)


def non_structural_schema(crd: Object) -> Object | None:
    """NonStructuralSchema; None when all schemas are structural, as all that are accepted today are."""
    found = []
    if crd["spec"].get("preserveUnknownFields"):
        found.append("spec.preserveUnknownFields: Invalid value: true: must be false")
    for i, version in enumerate(versions(crd)):
        if schema := schema_of_version(version):
            path = f"spec.versions[{i}].schema.openAPIV3Schema"
            found += [str(error) for error in structural_findings(schema, path)]
    if not found:
        return None
    message = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
    return condition("NonStructuralSchema", "True", "Violations", message)
