"""Rows of bindings, certificates, webhooks, admission policies and flow control."""

from __future__ import annotations

from typing import Any

from kafila.core import gostrings
from kafila.core.clock import human_duration
from kafila.core.conditions import conditions_of, find
from kafila.core.values import Object

from .common import NONE, UNSET, Row, age, format_labels, name_of


def binding(obj: Object, now: float) -> list[Any]:
    role = obj.get("roleRef") or {}
    users, groups, accounts = [], [], []
    for subject in obj.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name") or ""
        if kind == "ServiceAccount":
            accounts.append(f"{subject['namespace']}/{name}" if subject.get("namespace") else name)
        elif kind == "User":
            users.append(name)
        elif kind == "Group":
            groups.append(name)
    return [
        name_of(obj),
        f"{role.get('kind') or ''}/{role.get('name') or ''}",
        age(obj, now),
        ", ".join(users),
        ", ".join(groups),
        ", ".join(accounts),
    ]


def csr(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    kinds = {condition.get("type") for condition in status.get("conditions") or ()}
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        state += ",Failed"
    if status.get("certificate"):
        state += ",Issued"
    seconds = spec.get("expirationSeconds")
    return [
        name_of(obj),
        age(obj, now),
        spec.get("signerName") or NONE,
        spec.get("username") or "",
        NONE if seconds is None else human_duration(seconds),
        state,
    ]


def trust_bundle(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), (obj.get("spec") or {}).get("signerName") or NONE]


def pod_certificate_request(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    state = "Pending"
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") in ("Issued", "Denied", "Failed"):
            state = condition["type"]
    fields = ("podName", "serviceAccountName", "nodeName", "signerName")
    annotations = format_labels(spec.get("unverifiedUserAnnotations"))
    return [name_of(obj), *(spec.get(field) or "" for field in fields), state, annotations]


def webhooks(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def _policy(field: str) -> Any:
    def cells(obj: Object, now: float) -> list[Any]:
        spec = obj.get("spec") or {}
        kind = spec.get("paramKind")
        shown = UNSET if kind is None else f"{kind.get('apiVersion') or ''}/{kind.get('kind') or ''}"
        return [name_of(obj), len(spec.get(field) or ()), shown, age(obj, now)]

    return cells


def policy_binding(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    reference = spec.get("paramRef") or {}
    shown = UNSET
    if reference.get("name"):
        shown = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif reference.get("selector") is not None:
        shown = gostrings.label_selector(reference["selector"])
    return [name_of(obj), spec.get("policyName") or "", shown, age(obj, now)]


def flow_schema_rank(obj: Object) -> tuple[int, str]:
    """Those that are asked first stand first."""
    return (obj.get("spec") or {}).get("matchingPrecedence") or 0, name_of(obj)


def flow_schema(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    method = spec.get("distinguisherMethod")
    dangling = find(conditions_of(obj), "Dangling")
    return [
        name_of(obj),
        (spec.get("priorityLevelConfiguration") or {}).get("name") or "",
        spec.get("matchingPrecedence") or 0,
        NONE if method is None else method.get("type") or "",
        age(obj, now),
        "?" if dangling is None else dangling.get("status") or "",
    ]


def priority_level(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    limited = spec.get("limited")
    shares: Any = NONE
    queues: Any = NONE
    hand: Any = NONE
    length: Any = NONE
    if limited is not None:
        shares = limited.get("nominalConcurrencyShares") or 0
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            queues, hand, length = (queuing.get(f) or 0 for f in ("queues", "handSize", "queueLengthLimit"))
    return [name_of(obj), spec.get("type") or "", shares, queues, hand, length, age(obj, now)]


def api_service(obj: Object, now: float) -> list[Any]:
    service = (obj.get("spec") or {}).get("service")
    shown = "Local" if service is None else f"{service.get('namespace') or ''}/{service.get('name') or ''}"
    state = "Unknown"
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Available":
            state = condition.get("status") or ""
            if state != "True":
                state = f"{state} ({condition.get('reason') or ''})"
    return [name_of(obj), shown, state, age(obj, now)]


ROWS = {
    "RoleBinding": Row("Name | Role | Age | Users^1 | Groups^1 | ServiceAccounts^1", binding),
    "ClusterRoleBinding": Row("Name | Role | Age | Users^1 | Groups^1 | ServiceAccounts^1", binding),
    "CertificateSigningRequest": Row("Name | Age | SignerName | Requestor | RequestedDuration | Condition", csr),
    "ClusterTrustBundle": Row("Name | SignerName", trust_bundle),
    "PodCertificateRequest": Row(
        "Name | PodName | ServiceAccountName | NodeName | SignerName | State | UnverifiedUserAnnotations",
        pod_certificate_request,
    ),
    "MutatingWebhook": Row("Name | Webhooks:integer | Age", webhooks),
    "ValidatingWebhook": Row("Name | Webhooks:integer | Age", webhooks),
    "ValidatingAdmissionPolicy": Row("Name | Validations:integer | ParamKind | Age", _policy("validations")),
    "MutatingAdmissionPolicy": Row("Name | Mutations:integer | ParamKind | Age", _policy("mutations")),
    "ValidatingAdmissionPolicyBinding": Row("Name | PolicyName | ParamRef | Age", policy_binding),
    "MutatingAdmissionPolicyBinding": Row("Name | PolicyName | ParamRef | Age", policy_binding),
    "FlowSchema": Row(
        "Name | PriorityLevel | MatchingPrecedence | DistinguisherMethod | Age | MissingPL",
        flow_schema,
    ),
    "PriorityLevelConfiguration": Row(
        "Name | Type | NominalConcurrencyShares | Queues | HandSize | QueueLengthLimit | Age",
        priority_level,
    ),
    "APIService": Row("Name | Service | Available | Age", api_service),
}
