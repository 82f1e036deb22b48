"""Which of the two checks of metadata a kind's own validation of a change repeats (pkg/apis/*/validation).

Most kinds validate the whole new object and the change: ("new", "update"). These do not.
"""

from __future__ import annotations

from typing import Final, Literal

Checks = tuple[Literal["new", "update"], ...]

_ONLY: Final[dict[Checks, dict[str, str]]] = {
    ("update",): {
        "": "PodTemplate ReplicationController ResourceQuota Service",
        "apps": "DaemonSet Deployment ReplicaSet StatefulSet",
        "autoscaling": "HorizontalPodAutoscaler",
        "batch": "CronJob",
        "coordination.k8s.io": "Lease",
        "events.k8s.io": "Event",
        "networking.k8s.io": "NetworkPolicy ServiceCIDR",
        "resource.k8s.io": "ResourceSlice",
        "scheduling.k8s.io": "PriorityClass",
        "storage.k8s.io": "CSIDriver",
    },
    ("new",): {
        "": "LimitRange",
        "admissionregistration.k8s.io": "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration "
        "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
        "discovery.k8s.io": "EndpointSlice",
        "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
        "storage.k8s.io": "CSINode VolumeAttachment",
    },
    ("new", "new"): {"": "PersistentVolume"},
    (): {"": "Event", "policy": "PodDisruptionBudget"},
}
METADATA_CHECKS: Final[dict[tuple[str, str], Checks]] = {
    (group, kind): checks
    for checks, groups in _ONLY.items()
    for group, kinds in groups.items()
    for kind in kinds.split()
}
