"""Networking, storage, scheduling, authorization, flow control, resource claims, webhooks and admission policies."""

from __future__ import annotations

from typing import Any

from kafila.core.clock import rfc3339
from kafila.core.values import Object, copy_json

from .common import fill, part_of

_RBAC = "rbac.authorization.k8s.io"


# -- networking ------------------------------------------------------------------------------------------------------------


def default_network_policy(obj: Object) -> None:
    spec = part_of(obj, "spec")
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                if port.get("protocol") is None:
                    port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def default_ingress_class(obj: Object) -> None:
    parameters = (obj.get("spec") or {}).get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def default_endpoint_slice(obj: Object) -> None:
    for port in obj.get("ports") or ():
        fill(port, name="", protocol="TCP")


# -- storage ---------------------------------------------------------------------------------------------------------------


def default_storage_class(obj: Object) -> None:
    fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def default_csi_driver(obj: Object) -> None:
    spec = part_of(obj, "spec")
    fill(
        spec,
        attachRequired=True,
        podInfoOnMount=False,
        storageCapacity=False,
        fsGroupPolicy="ReadWriteOnceWithFSType",
        requiresRepublish=False,
        seLinuxMount=False,
    )
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


# -- autoscaling and scheduling --------------------------------------------------------------------------------------------


def default_hpa_v1(obj: Object) -> None:
    spec = part_of(obj, "spec")
    fill(spec, minReplicas=1)
    # Kubernetes does this while converting: a v1 HPA without any metric means 80 % of the requested CPU
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if (
        spec.get("targetCPUUtilizationPercentage") is None
        and "autoscaling.alpha.kubernetes.io/metrics" not in annotations
    ):
        spec["targetCPUUtilizationPercentage"] = 80


SCALE_UP: Object = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
SCALE_DOWN: Object = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def default_metrics(spec: Object) -> None:
    """Of an autoscaler, and its least number of replicas."""
    fill(spec, minReplicas=1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def default_hpa_v2(obj: Object) -> None:
    spec = part_of(obj, "spec")
    default_metrics(spec)
    behavior = spec.get("behavior")
    if behavior is not None:
        for field, rules in (("scaleUp", SCALE_UP), ("scaleDown", SCALE_DOWN)):
            fill(part_of(behavior, field), **copy_json(rules))


def default_priority_class(obj: Object) -> None:
    fill(obj, preemptionPolicy="PreemptLowerPriority")


# -- authorization ---------------------------------------------------------------------------------------------------------


def default_role_binding(obj: Object) -> None:
    reference = obj.get("roleRef")
    if reference is not None and not reference.get("apiGroup"):
        reference["apiGroup"] = _RBAC
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = _RBAC


def default_token_request(obj: Object) -> None:
    fill(part_of(obj, "spec"), expirationSeconds=3600)


# -- flow control ----------------------------------------------------------------------------------------------------------


def default_flow_schema(obj: Object) -> None:
    spec = part_of(obj, "spec")
    if not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = 1000


def default_priority_level(obj: Object) -> None:
    spec = obj.get("spec") or {}
    exempt, limited = spec.get("exempt"), spec.get("limited")
    if exempt is not None:
        fill(exempt, nominalConcurrencyShares=0, lendablePercent=0)
    if limited is not None:
        fill(limited, nominalConcurrencyShares=30, lendablePercent=0)
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            for field, value in (("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)):
                if not queuing.get(field):
                    queuing[field] = value


# -- webhooks and policies -------------------------------------------------------------------------------------------------


def _default_rules(rules: list[Object] | None) -> None:
    for rule in rules or ():
        if rule.get("scope") is None:
            rule["scope"] = "*"


def _default_webhooks(obj: Object, **more: Any) -> None:
    for webhook in obj.get("webhooks") or ():
        fill(
            webhook,
            failurePolicy="Fail",
            matchPolicy="Equivalent",
            namespaceSelector={},
            objectSelector={},
            timeoutSeconds=10,
            **more,
        )
        _default_rules(webhook.get("rules"))
        service = (webhook.get("clientConfig") or {}).get("service")
        if service is not None and service.get("port") is None:
            service["port"] = 443


def default_validating_webhooks(obj: Object) -> None:
    _default_webhooks(obj)


def default_mutating_webhooks(obj: Object) -> None:
    _default_webhooks(obj, reinvocationPolicy="Never")


def _default_match_resources(match: Object | None) -> None:
    if match is not None:
        fill(match, matchPolicy="Equivalent", namespaceSelector={}, objectSelector={})
        _default_rules(match.get("resourceRules"))
        _default_rules(match.get("excludeResourceRules"))


def default_admission_policy(obj: Object) -> None:
    spec = part_of(obj, "spec")
    fill(spec, failurePolicy="Fail")
    _default_match_resources(spec.get("matchConstraints"))


def default_admission_policy_binding(obj: Object) -> None:
    _default_match_resources((obj.get("spec") or {}).get("matchResources"))


def default_crd(obj: Object) -> None:
    spec = part_of(obj, "spec")
    names = part_of(spec, "names")
    kind = names.get("kind") or ""
    if not names.get("singular") and kind:
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = kind + "List"
    conversion = spec.get("conversion")
    if conversion is None:
        spec["conversion"] = {"strategy": "None"}
    else:
        service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
        if service is not None and service.get("port") is None:
            service["port"] = 443


def default_api_service(obj: Object) -> None:
    service = (obj.get("spec") or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443


# -- resource claims -------------------------------------------------------------------------------------------------------


def _default_device_request(request: Object | None) -> None:
    if request is None:
        return
    if not request.get("allocationMode"):
        request["allocationMode"] = "ExactCount"
    if request["allocationMode"] == "ExactCount" and not request.get("count"):
        request["count"] = 1
    for toleration in request.get("tolerations") or ():
        if not toleration.get("operator"):
            toleration["operator"] = "Equal"


def _default_claim_spec(spec: Object | None) -> None:
    for request in ((spec or {}).get("devices") or {}).get("requests") or ():
        if "exactly" in request:
            _default_device_request(request["exactly"])
        elif request.get("deviceClassName"):  # v1beta1 has the fields of "exactly" here
            _default_device_request(request)
        for alternative in request.get("firstAvailable") or ():
            _default_device_request(alternative)


def default_resource_claim(obj: Object) -> None:
    _default_claim_spec(obj.get("spec"))


def default_resource_claim_template(obj: Object) -> None:
    _default_claim_spec((obj.get("spec") or {}).get("spec"))


def default_resource_slice(obj: Object) -> None:
    for device in (obj.get("spec") or {}).get("devices") or ():
        for holder in (device, device.get("basic") or {}):
            for taint in holder.get("taints") or ():
                if taint.get("timeAdded") is None:
                    taint["timeAdded"] = rfc3339()


def default_device_taint_rule(obj: Object) -> None:
    taint = (obj.get("spec") or {}).get("taint")
    if taint is not None and taint.get("timeAdded") is None:
        taint["timeAdded"] = rfc3339()
