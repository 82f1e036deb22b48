"""Which kind gets which defaults, checks and rules: the table that ``strategy_for`` looks into."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from kafila.catalog.kind import Strategy
from kafila.core import names
from kafila.core.resources import GroupVersionKind

from . import certificate_signing, deletion, prepare, strategies_core
from .defaults import others
from .metadata_checks import METADATA_CHECKS
from .strategy_forms import PLAIN, generic, strategy
from .validation import (
    access,
    admission,
    apiextensions,
    autoscaling,
    certificates,
    configuration,
    csi,
    devices,
    endpoints,
    flowcontrol,
    networking,
    nodes,
    policies,
    slices,
    status,
    storage,
)
from .warnings import kinds as warned

_ADMISSION = "admissionregistration.k8s.io"
_AUTOSCALING = "autoscaling"
_CERTIFICATES = "certificates.k8s.io"
_COORDINATION = "coordination.k8s.io"
_DISCOVERY = "discovery.k8s.io"
_FLOW = "flowcontrol.apiserver.k8s.io"
_NETWORKING = "networking.k8s.io"
_NODE = "node.k8s.io"
_POLICY = "policy"
_RBAC = "rbac.authorization.k8s.io"
_RESOURCE = "resource.k8s.io"
_SCHEDULING = "scheduling.k8s.io"
_STORAGE = "storage.k8s.io"

_rbac = partial(strategy, name_rule=names.path_segment, generation_fields=PLAIN, status=False, create_on_update=True)
_TABLE: dict[tuple[str, str], Strategy] = strategies_core.TABLE | {
    # autoscaling and disruption
    (_POLICY, "PodDisruptionBudget"): generic(
        autoscaling.validate_disruption_budget, name_rule=names.any_name, unconditional_update=False
    ),
    # networking
    (_NETWORKING, "Ingress"): strategy(
        networking.validate_ingress,
        validate_create=networking.validate_new_ingress,
        validate_status=status.ingress,
        warnings=warned.ingress,
    ),
    (_NETWORKING, "IngressClass"): strategy(
        networking.validate_ingress_class,
        default=others.default_ingress_class,
        validate_update=networking.validate_ingress_class_update,
        status=False,
    ),
    (_NETWORKING, "NetworkPolicy"): strategy(
        networking.validate_network_policy, default=others.default_network_policy, status=False
    ),
    (_NETWORKING, "IPAddress"): strategy(
        networking.validate_ip_address,
        validate_update=networking.validate_ip_address_update,
        name_rule=networking.ip_address_name,
        generation_fields=PLAIN,
        status=False,
    ),
    (_NETWORKING, "ServiceCIDR"): strategy(
        status_metadata=False,
        validate_create=networking.validate_service_cidr,
        validate_update=networking.validate_service_cidr_update,
        generation_fields=PLAIN,
    ),
    (_DISCOVERY, "EndpointSlice"): strategy(
        endpoints.validate_endpoint_slice,
        default=others.default_endpoint_slice,
        prepare_for_update=prepare.update_endpoint_slice,
        validate_changed=endpoints.validate_changed_endpoint_slice,
        generation_fields=("addressType", "endpoints", "ports"),
        status=False,
    ),
    # storage
    (_STORAGE, "StorageClass"): strategy(
        storage.validate_storage_class,
        default=others.default_storage_class,
        validate_update=storage.validate_storage_class_update,
        generation_fields=PLAIN,
        status=False,
        returns_deleted_object=True,
    ),
    (_STORAGE, "CSIDriver"): strategy(
        storage.validate_csi_driver,
        disabled=(("spec", "preventPodSchedulingIfMissing"),),
        warnings=warned.csi_driver,
        update_warnings=warned.nothing,
        default=others.default_csi_driver,
        prepare_for_update=prepare.update_csi_driver,
        validate_update=storage.validate_csi_driver_update,
        generation_fields=PLAIN,
        status=False,
        unconditional_update=False,
        returns_deleted_object=True,
    ),
    (_STORAGE, "CSINode"): strategy(
        csi.validate_csi_node,
        generation_fields=PLAIN,
        status=False,
        unconditional_update=False,
        returns_deleted_object=True,
    ),
    (_STORAGE, "CSIStorageCapacity"): strategy(
        storage.validate_csi_storage_capacity,
        validate_update=storage.validate_csi_storage_capacity_update,
        generation_fields=PLAIN,
        status=False,
        unconditional_update=False,
    ),
    (_STORAGE, "VolumeAttachment"): strategy(
        storage.validate_volume_attachment,
        status_metadata=False,
        validate_update=storage.validate_volume_attachment_update,
        generation_fields=PLAIN,
        unconditional_update=False,
        returns_deleted_object=True,
    ),
    (_STORAGE, "VolumeAttributesClass"): strategy(
        storage.validate_volume_attributes_class,
        validate_update=storage.validate_volume_attributes_class_update,
        generation_fields=PLAIN,
        status=False,
        returns_deleted_object=True,
    ),
    # access
    (_RBAC, "Role"): _rbac(access.validate_role),
    (_RBAC, "ClusterRole"): _rbac(access.validate_cluster_role),
    (_RBAC, "RoleBinding"): _rbac(
        access.validate_role_binding,
        default=others.default_role_binding,
        validate_update=access.validate_binding_update,
    ),
    (_RBAC, "ClusterRoleBinding"): _rbac(
        access.validate_cluster_role_binding,
        default=others.default_role_binding,
        validate_update=access.validate_binding_update,
    ),
    (_CERTIFICATES, "CertificateSigningRequest"): strategy(
        certificates.validate_csr,
        sign=certificate_signing.sign_in,
        prepare_for_create=prepare.create_csr,
        prepare_for_update=prepare.update_csr,
        prepare_status=certificate_signing.keep_decisions,
        prepare_subresource={"approval": certificate_signing.only_conditions},
        validate_write=certificate_signing.check_update,
        reset_fields={
            "": (("spec",), ("status",)),
            "status": (("spec",), ("status", "conditions")),
            "approval": (("spec",), ("status", "certificate")),
        },
        name_rule=names.any_name,
        generation_fields=PLAIN,
    ),
    (_CERTIFICATES, "ClusterTrustBundle"): strategy(generation_fields=PLAIN, status=False, unconditional_update=False),
    (_CERTIFICATES, "PodCertificateRequest"): strategy(
        generation_fields=PLAIN, unconditional_update=False, status_metadata=False
    ),
    ("authentication.k8s.io", "TokenRequest"): Strategy(default=others.default_token_request, generation_fields=PLAIN),
    # coordination, node, scheduling
    (_COORDINATION, "Lease"): generic(
        configuration.validate_lease,
        disabled=(("spec", "strategy"), ("spec", "preferredHolder")),  # of coordinated leader election
        generation_fields=PLAIN,
        status=False,
        unconditional_update=False,
        create_on_update=True,
    ),
    (_COORDINATION, "LeaseCandidate"): generic(
        generation_fields=PLAIN, status=False, unconditional_update=False, create_on_update=True
    ),
    (_NODE, "RuntimeClass"): generic(
        nodes.validate_runtime_class,
        validate_update=nodes.validate_runtime_class_update,
        generation_fields=PLAIN,
        status=False,
        unconditional_update=False,
        create_on_update=True,
    ),
    (_SCHEDULING, "PriorityClass"): strategy(
        nodes.validate_priority_class,
        default=others.default_priority_class,
        validate_update=nodes.validate_priority_class_update,
        generation_fields=(),
        status=False,
    ),
    (_SCHEDULING, "Workload"): strategy(generation_fields=PLAIN, status=False),
    (_SCHEDULING, "PodGroup"): strategy(generation_fields=PLAIN, status_metadata=False),
    # flow control
    (_FLOW, "FlowSchema"): strategy(
        flowcontrol.validate_flow_schema,
        default=others.default_flow_schema,
        validate_status=flowcontrol.validate_condition_types,
        status_metadata=False,
    ),
    (_FLOW, "PriorityLevelConfiguration"): strategy(
        flowcontrol.validate_priority_level,
        default=others.default_priority_level,
        validate_status=flowcontrol.validate_condition_types,
        status_metadata=False,
    ),
    # admission
    (_ADMISSION, "ValidatingWebhookConfiguration"): generic(
        admission.validate_webhooks,
        default=others.default_validating_webhooks,
        generation_fields=("webhooks",),
        status=False,
        unconditional_update=False,
    ),
    (_ADMISSION, "MutatingWebhookConfiguration"): generic(
        admission.validate_mutating_webhooks,
        default=others.default_mutating_webhooks,
        generation_fields=("webhooks",),
        status=False,
        unconditional_update=False,
    ),
    (_ADMISSION, "ValidatingAdmissionPolicy"): generic(
        policies.validate_policy,
        default=others.default_admission_policy,
        unconditional_update=False,
        status_metadata=False,
    ),
    (_ADMISSION, "MutatingAdmissionPolicy"): generic(
        policies.validate_policy, default=others.default_admission_policy, status=False, unconditional_update=False
    ),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): generic(
        policies.validate_policy_binding,
        default=others.default_admission_policy_binding,
        status=False,
        unconditional_update=False,
    ),
    (_ADMISSION, "MutatingAdmissionPolicyBinding"): generic(
        policies.validate_policy_binding,
        default=others.default_admission_policy_binding,
        status=False,
        unconditional_update=False,
    ),
    # resource claims
    (_RESOURCE, "ResourceClaim"): strategy(
        devices.validate_resource_claim,
        status_metadata=False,
        default=others.default_resource_claim,
        validate_update=storage.spec_immutable("api.resource.v1.ResourceClaimSpec"),
        generation_fields=PLAIN,
        returns_deleted_object=True,
    ),
    (_RESOURCE, "ResourceClaimTemplate"): strategy(
        devices.validate_resource_claim_template,
        default=others.default_resource_claim_template,
        validate_update=storage.spec_immutable("api.resource.v1.ResourceClaimTemplateSpec"),
        generation_fields=PLAIN,
        status=False,
        returns_deleted_object=True,
    ),
    (_RESOURCE, "ResourceSlice"): strategy(
        slices.validate_resource_slice,
        validate_update=slices.validate_resource_slice_update,
        default=others.default_resource_slice,
        warnings=warned.resource_slice,
        status=False,
        returns_deleted_object=True,
    ),
    (_RESOURCE, "DeviceClass"): strategy(
        devices.validate_device_class, name_rule=names.whole_subdomain, status=False, returns_deleted_object=True
    ),
    (_RESOURCE, "DeviceTaintRule"): strategy(
        default=others.default_device_taint_rule, returns_deleted_object=True, status_metadata=False
    ),
    (_RESOURCE, "ResourcePoolStatusRequest"): strategy(
        generation_fields=PLAIN, unconditional_update=False, returns_deleted_object=True, status_metadata=False
    ),
    # the API itself
    ("apiextensions.k8s.io", "CustomResourceDefinition"): generic(
        apiextensions.validate_crd,
        default=others.default_crd,
        prepare_for_create=prepare.create_crd,
        prepare_for_update=prepare.update_crd,
        validate_update=apiextensions.validate_crd_update,
        validate_status=apiextensions.validate_crd_status,
        warnings=apiextensions.crd_warnings,
        update_warnings=apiextensions.crd_update_warnings,
        unconditional_update=False,
        begin_deletion=deletion.end_definition,
        slow_to_check=True,  # of patterns that are long to compile
        keeps_empty_lists=True,
        created=prepare.created_crd,
    ),
    ("apiregistration.k8s.io", "APIService"): generic(
        apiextensions.validate_api_service,
        status_metadata=False,
        default=others.default_api_service,
        prepare_for_create=prepare.create_api_service,
        name_rule=names.path_segment,
        generation_fields=PLAIN,
        unconditional_update=False,
    ),
    ("internal.apiserver.k8s.io", "StorageVersion"): strategy(
        generation_fields=PLAIN, unconditional_update=False, status_metadata=False
    ),
    ("storagemigration.k8s.io", "StorageVersionMigration"): strategy(
        generation_fields=PLAIN, unconditional_update=False, status_metadata=False
    ),
}

_BY_VERSION: dict[tuple[str, str, str], Strategy] = {
    (_AUTOSCALING, "v1", "HorizontalPodAutoscaler"): strategy(
        autoscaling.validate_hpa_v1,
        validate_create=autoscaling.validate_new_hpa,
        default=others.default_hpa_v1,
        default_reads_metadata=True,
        validate_update=autoscaling.validate_hpa_update,
        validate_status=status.autoscaler,
        generation_fields=PLAIN,
    ),
    (_AUTOSCALING, "v2", "HorizontalPodAutoscaler"): strategy(
        autoscaling.validate_hpa_v2,
        validate_create=autoscaling.validate_new_hpa,
        default=others.default_hpa_v2,
        validate_update=autoscaling.validate_hpa_update,
        validate_status=status.autoscaler,
        generation_fields=PLAIN,
    ),
}
_DEFAULT = Strategy(generation_fields=PLAIN)


def strategy_for(gvk: GroupVersionKind) -> Strategy:
    """The strategy of a built-in kind, shared by its versions; a plain one for kinds nobody wrote down."""
    found = _TABLE.get((gvk.group, gvk.kind)) or _BY_VERSION.get((gvk.group, gvk.version, gvk.kind)) or _DEFAULT
    return replace(found, metadata_checks=METADATA_CHECKS.get((gvk.group, gvk.kind), ("new", "update")))
