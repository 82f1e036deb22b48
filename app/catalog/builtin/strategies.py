"""Which kind gets which defaults, checks and rules: the table that ``strategy_for`` looks into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.catalog.kind import Strategy
from app.core import names
from app.core.errors import FieldError
from app.core.resources import GroupVersionKind

from . import prepare, services
from .defaults import core, others, pods, workloads
from .validation import (
    access,
    admission,
    apiextensions,
    apps,
    autoscaling,
    batch,
    configuration,
    endpoints,
    flowcontrol,
    networking,
    nodes,
    pod,
    quotas,
    service,
    storage,
)
from .validation.common import check_finalizers

Object = dict[str, Any]
Check = Callable[[Object], list[FieldError]]

_ADMISSION = "admissionregistration.k8s.io"
_AUTOSCALING = "autoscaling"
_CERTIFICATES = "certificates.k8s.io"
_COORDINATION = "coordination.k8s.io"
_DISCOVERY = "discovery.k8s.io"
_EVENTS = "events.k8s.io"
_FLOW = "flowcontrol.apiserver.k8s.io"
_NETWORKING = "networking.k8s.io"
_NODE = "node.k8s.io"
_POLICY = "policy"
_RBAC = "rbac.authorization.k8s.io"
_RESOURCE = "resource.k8s.io"
_SCHEDULING = "scheduling.k8s.io"
_STORAGE = "storage.k8s.io"

_PLAIN = None  # generation_fields of kinds without a generation


def _with_finalizers(check: Check | None) -> Check:
    def validate(obj: Object) -> list[FieldError]:
        found = check(obj) if check is not None else []
        finalizers = (obj.get("metadata") or {}).get("finalizers")
        if finalizers:
            check_finalizers(finalizers, "metadata.finalizers", found)
        return found

    return validate


def _generic(validate: Check | None = None, **more: Any) -> Strategy:
    """A kind whose finalizers may be any qualified names."""
    return Strategy(**more) if validate is None else Strategy(validate=validate, **more)


def _strategy(validate: Check | None = None, **more: Any) -> Strategy:
    return Strategy(validate=_with_finalizers(validate), **more)


_TABLE: dict[tuple[str, str], Strategy] = {
    # core
    ("", "Pod"): _strategy(
        pod.validate_pod,
        validate_create=pod.validate_new_pod,
        default=pods.default_pod,
        prepare_for_create=prepare.create_pod,
        validate_update=pod.validate_pod_update,
        returns_deleted_object=True,
        graceful=True,
    ),
    ("", "PodTemplate"): _strategy(
        pod.validate_pod_template_kind,
        default=workloads.default_pod_template_kind,
        generation_fields=("template",),
        status=False,
        returns_deleted_object=True,
    ),
    ("", "ReplicationController"): _strategy(
        apps.validate_replication_controller, default=workloads.default_replication_controller
    ),
    ("", "Service"): _strategy(
        service.validate_service,
        default=core.default_service,
        prepare_for_create=services.prepare_service_create,
        prepare_for_update=services.prepare_service_update,
        validate_update=service.validate_service_update,
        name_rule=names.dns1123_label,
        generation_fields=_PLAIN,
        create_on_update=True,
        returns_deleted_object=True,
    ),
    ("", "Endpoints"): _strategy(
        endpoints.validate_endpoints,
        default=core.default_endpoints,
        generation_fields=_PLAIN,
        status=False,
        create_on_update=True,
    ),
    ("", "ConfigMap"): _strategy(
        configuration.validate_config_map,
        default=core.default_config_map,
        validate_update=configuration.validate_config_map_update,
        generation_fields=_PLAIN,
        status=False,
    ),
    ("", "Secret"): _strategy(
        configuration.validate_secret,
        default=core.default_secret,
        validate_update=configuration.validate_secret_update,
        generation_fields=_PLAIN,
        status=False,
    ),
    ("", "Namespace"): _strategy(
        configuration.validate_namespace,
        default=core.default_namespace,
        prepare_for_create=prepare.create_namespace,
        prepare_for_update=prepare.update_namespace,
        name_rule=names.dns1123_label,
        generation_fields=_PLAIN,
        returns_deleted_object=True,
    ),
    ("", "Node"): _strategy(
        nodes.validate_node,
        default=core.default_node,
        prepare_for_create=prepare.create_node,
        prepare_for_update=prepare.keep_node_status,
        validate_update=nodes.validate_node_update,
        generation_fields=_PLAIN,
        status=False,
    ),
    ("", "PersistentVolume"): _strategy(
        storage.validate_persistent_volume,
        default=core.default_persistent_volume,
        prepare_for_create=prepare.create_persistent_volume,
        validate_update=storage.validate_persistent_volume_update,
        generation_fields=_PLAIN,
        returns_deleted_object=True,
    ),
    ("", "PersistentVolumeClaim"): _strategy(
        storage.validate_claim,
        default=core.default_persistent_volume_claim,
        prepare_for_create=prepare.create_claim,
        prepare_for_update=prepare.update_claim,
        validate_update=storage.validate_claim_update,
        generation_fields=_PLAIN,
        returns_deleted_object=True,
    ),
    ("", "ServiceAccount"): _strategy(
        prepare_for_create=prepare.clean_service_account,
        prepare_for_update=prepare.clean_service_account,
        generation_fields=_PLAIN,
        status=False,
        returns_deleted_object=True,
    ),
    ("", "LimitRange"): _strategy(
        quotas.validate_limit_range,
        default=core.default_limit_range,
        generation_fields=_PLAIN,
        status=False,
        create_on_update=True,
    ),
    ("", "ResourceQuota"): _strategy(
        quotas.validate_resource_quota,
        default=core.default_resource_quota,
        validate_update=quotas.validate_resource_quota_update,
        generation_fields=_PLAIN,
        returns_deleted_object=True,
    ),
    ("", "Event"): _strategy(
        configuration.validate_event, generation_fields=_PLAIN, status=False, create_on_update=True
    ),
    (_EVENTS, "Event"): _strategy(
        configuration.validate_new_event,
        validate_create=configuration.validate_created_event,
        validate_update=configuration.validate_new_event_update,
        generation_fields=_PLAIN,
        status=False,
        create_on_update=True,
    ),
    # apps
    ("apps", "Deployment"): _strategy(
        apps.validate_deployment,
        default=workloads.default_deployment,
        prepare_for_update=prepare.update_deployment,
        validate_update=apps.validate_deployment_update,
    ),
    ("apps", "ReplicaSet"): _strategy(
        apps.validate_replica_set,
        default=workloads.default_replica_set,
        validate_update=apps.validate_replica_set_update,
    ),
    ("apps", "StatefulSet"): _strategy(
        apps.validate_stateful_set,
        validate_create=apps.validate_new_stateful_set,
        default=workloads.default_stateful_set,
        validate_update=apps.validate_stateful_set_update,
        name_rule=names.dns1123_label,
    ),
    ("apps", "DaemonSet"): _strategy(
        apps.validate_daemon_set,
        default=workloads.default_daemon_set,
        prepare_for_create=prepare.create_daemon_set,
        prepare_for_update=prepare.update_daemon_set,
        validate_update=apps.validate_daemon_set_update,
    ),
    ("apps", "ControllerRevision"): _strategy(
        apps.validate_controller_revision,
        validate_create=apps.validate_new_controller_revision,
        validate_update=apps.validate_controller_revision_update,
        generation_fields=_PLAIN,
        status=False,
    ),
    # batch
    ("batch", "Job"): _strategy(
        batch.validate_job,
        default=workloads.default_job,
        prepare_for_create=prepare.create_job,
        validate_update=batch.validate_job_update,
    ),
    ("batch", "CronJob"): _strategy(
        batch.validate_cron_job,
        validate_create=batch.validate_new_cron_job,
        default=workloads.default_cron_job,
    ),
    # autoscaling and disruption
    (_POLICY, "PodDisruptionBudget"): _generic(autoscaling.validate_disruption_budget, unconditional_update=False),
    # networking
    (_NETWORKING, "Ingress"): _strategy(networking.validate_ingress, validate_create=networking.validate_new_ingress),
    (_NETWORKING, "IngressClass"): _strategy(
        networking.validate_ingress_class,
        default=others.default_ingress_class,
        validate_update=networking.validate_ingress_class_update,
        status=False,
    ),
    (_NETWORKING, "NetworkPolicy"): _strategy(
        networking.validate_network_policy, default=others.default_network_policy, status=False
    ),
    (_NETWORKING, "IPAddress"): _strategy(
        networking.validate_ip_address,
        validate_update=networking.validate_ip_address_update,
        name_rule=networking.ip_address_name,
        generation_fields=_PLAIN,
        status=False,
    ),
    (_NETWORKING, "ServiceCIDR"): _strategy(
        validate_create=networking.validate_service_cidr,
        validate_update=networking.validate_service_cidr_update,
        generation_fields=_PLAIN,
    ),
    (_DISCOVERY, "EndpointSlice"): _strategy(
        endpoints.validate_endpoint_slice,
        default=others.default_endpoint_slice,
        prepare_for_update=prepare.update_endpoint_slice,
        validate_update=endpoints.validate_endpoint_slice_update,
        generation_fields=("addressType", "endpoints", "ports"),
        status=False,
    ),
    # storage
    (_STORAGE, "StorageClass"): _strategy(
        storage.validate_storage_class,
        default=others.default_storage_class,
        validate_update=storage.validate_storage_class_update,
        generation_fields=_PLAIN,
        status=False,
        returns_deleted_object=True,
    ),
    (_STORAGE, "CSIDriver"): _strategy(
        storage.validate_csi_driver,
        default=others.default_csi_driver,
        prepare_for_update=prepare.update_csi_driver,
        validate_update=storage.validate_csi_driver_update,
        generation_fields=_PLAIN,
        status=False,
        unconditional_update=False,
        returns_deleted_object=True,
    ),
    (_STORAGE, "CSINode"): _strategy(
        generation_fields=_PLAIN, status=False, unconditional_update=False, returns_deleted_object=True
    ),
    (_STORAGE, "CSIStorageCapacity"): _strategy(
        storage.validate_csi_storage_capacity,
        validate_update=storage.validate_csi_storage_capacity_update,
        generation_fields=_PLAIN,
        status=False,
        unconditional_update=False,
    ),
    (_STORAGE, "VolumeAttachment"): _strategy(
        storage.validate_volume_attachment,
        validate_update=storage.validate_volume_attachment_update,
        generation_fields=_PLAIN,
        unconditional_update=False,
        returns_deleted_object=True,
    ),
    (_STORAGE, "VolumeAttributesClass"): _strategy(
        storage.validate_volume_attributes_class,
        validate_update=storage.validate_volume_attributes_class_update,
        generation_fields=_PLAIN,
        status=False,
        returns_deleted_object=True,
    ),
    # access
    (_RBAC, "Role"): _strategy(
        access.validate_role,
        name_rule=names.path_segment,
        generation_fields=_PLAIN,
        status=False,
        create_on_update=True,
    ),
    (_RBAC, "ClusterRole"): _strategy(
        access.validate_cluster_role,
        name_rule=names.path_segment,
        generation_fields=_PLAIN,
        status=False,
        create_on_update=True,
    ),
    (_RBAC, "RoleBinding"): _strategy(
        access.validate_role_binding,
        default=others.default_role_binding,
        validate_update=access.validate_binding_update,
        name_rule=names.path_segment,
        generation_fields=_PLAIN,
        status=False,
        create_on_update=True,
    ),
    (_RBAC, "ClusterRoleBinding"): _strategy(
        access.validate_cluster_role_binding,
        default=others.default_role_binding,
        validate_update=access.validate_binding_update,
        name_rule=names.path_segment,
        generation_fields=_PLAIN,
        status=False,
        create_on_update=True,
    ),
    (_CERTIFICATES, "CertificateSigningRequest"): _strategy(
        access.validate_csr,
        prepare_for_create=prepare.create_csr,
        prepare_for_update=prepare.update_csr,
        name_rule=names.any_name,
        generation_fields=_PLAIN,
    ),
    (_CERTIFICATES, "ClusterTrustBundle"): _strategy(
        generation_fields=_PLAIN, status=False, unconditional_update=False
    ),
    (_CERTIFICATES, "PodCertificateRequest"): _strategy(generation_fields=_PLAIN, unconditional_update=False),
    ("authentication.k8s.io", "TokenRequest"): Strategy(default=others.default_token_request, generation_fields=_PLAIN),
    # coordination, node, scheduling
    (_COORDINATION, "Lease"): _generic(
        configuration.validate_lease,
        prepare_for_create=prepare.drop_lease_strategy,
        prepare_for_update=prepare.drop_lease_strategy,
        generation_fields=_PLAIN,
        status=False,
        unconditional_update=False,
        create_on_update=True,
    ),
    (_COORDINATION, "LeaseCandidate"): _generic(
        generation_fields=_PLAIN, status=False, unconditional_update=False, create_on_update=True
    ),
    (_NODE, "RuntimeClass"): _strategy(
        nodes.validate_runtime_class,
        validate_update=nodes.validate_runtime_class_update,
        generation_fields=_PLAIN,
        status=False,
        unconditional_update=False,
        create_on_update=True,
    ),
    (_SCHEDULING, "PriorityClass"): _strategy(
        nodes.validate_priority_class,
        default=others.default_priority_class,
        validate_update=nodes.validate_priority_class_update,
        generation_fields=(),
        status=False,
    ),
    (_SCHEDULING, "Workload"): _strategy(generation_fields=_PLAIN, status=False),
    (_SCHEDULING, "PodGroup"): _strategy(generation_fields=_PLAIN),
    # flow control
    (_FLOW, "FlowSchema"): _strategy(flowcontrol.validate_flow_schema, default=others.default_flow_schema),
    (_FLOW, "PriorityLevelConfiguration"): _strategy(
        flowcontrol.validate_priority_level, default=others.default_priority_level
    ),
    # admission
    (_ADMISSION, "ValidatingWebhookConfiguration"): _generic(
        admission.validate_webhooks,
        default=others.default_validating_webhooks,
        generation_fields=("webhooks",),
        status=False,
        unconditional_update=False,
    ),
    (_ADMISSION, "MutatingWebhookConfiguration"): _generic(
        admission.validate_mutating_webhooks,
        default=others.default_mutating_webhooks,
        generation_fields=("webhooks",),
        status=False,
        unconditional_update=False,
    ),
    (_ADMISSION, "ValidatingAdmissionPolicy"): _generic(
        admission.validate_policy, default=others.default_admission_policy, unconditional_update=False
    ),
    (_ADMISSION, "MutatingAdmissionPolicy"): _generic(
        admission.validate_policy, default=others.default_admission_policy, status=False, unconditional_update=False
    ),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): _generic(
        admission.validate_policy_binding,
        default=others.default_admission_policy_binding,
        status=False,
        unconditional_update=False,
    ),
    (_ADMISSION, "MutatingAdmissionPolicyBinding"): _generic(
        admission.validate_policy_binding,
        default=others.default_admission_policy_binding,
        status=False,
        unconditional_update=False,
    ),
    # resource claims
    (_RESOURCE, "ResourceClaim"): _strategy(
        default=others.default_resource_claim,
        validate_update=storage.validate_spec_immutable,
        generation_fields=_PLAIN,
        returns_deleted_object=True,
    ),
    (_RESOURCE, "ResourceClaimTemplate"): _strategy(
        default=others.default_resource_claim_template,
        validate_update=storage.validate_spec_immutable,
        generation_fields=_PLAIN,
        status=False,
        returns_deleted_object=True,
    ),
    (_RESOURCE, "ResourceSlice"): _strategy(
        default=others.default_resource_slice, status=False, returns_deleted_object=True
    ),
    (_RESOURCE, "DeviceClass"): _strategy(status=False, returns_deleted_object=True),
    (_RESOURCE, "DeviceTaintRule"): _strategy(default=others.default_device_taint_rule, returns_deleted_object=True),
    (_RESOURCE, "ResourcePoolStatusRequest"): _strategy(
        generation_fields=_PLAIN, unconditional_update=False, returns_deleted_object=True
    ),
    # the API itself
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _generic(
        apiextensions.validate_crd,
        validate_create=apiextensions.validate_new_crd,
        default=others.default_crd,
        prepare_for_create=prepare.create_crd,
        prepare_for_update=prepare.update_crd,
        validate_update=apiextensions.validate_crd_update,
        unconditional_update=False,
    ),
    ("apiregistration.k8s.io", "APIService"): _generic(
        apiextensions.validate_api_service,
        default=others.default_api_service,
        name_rule=names.path_segment,
        generation_fields=_PLAIN,
        unconditional_update=False,
    ),
    ("internal.apiserver.k8s.io", "StorageVersion"): _strategy(generation_fields=_PLAIN, unconditional_update=False),
    ("storagemigration.k8s.io", "StorageVersionMigration"): _strategy(
        generation_fields=_PLAIN, unconditional_update=False
    ),
}

_BY_VERSION: dict[tuple[str, str, str], Strategy] = {
    (_AUTOSCALING, "v1", "HorizontalPodAutoscaler"): _strategy(
        autoscaling.validate_hpa_v1,
        validate_create=autoscaling.validate_new_hpa,
        default=others.default_hpa_v1,
        validate_update=autoscaling.validate_hpa_update,
        generation_fields=_PLAIN,
    ),
    (_AUTOSCALING, "v2", "HorizontalPodAutoscaler"): _strategy(
        autoscaling.validate_hpa_v2,
        validate_create=autoscaling.validate_new_hpa,
        default=others.default_hpa_v2,
        validate_update=autoscaling.validate_hpa_update,
        generation_fields=_PLAIN,
    ),
}
_DEFAULT = Strategy(generation_fields=_PLAIN)


def strategy_for(gvk: GroupVersionKind) -> Strategy:
    """The strategy of a built-in kind, shared by its versions; a plain one for kinds nobody wrote down."""
    found = _TABLE.get((gvk.group, gvk.kind)) or _BY_VERSION.get((gvk.group, gvk.version, gvk.kind))
    return found or _DEFAULT
