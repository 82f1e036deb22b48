"""Columns of the built-in tables: ``name[:type][/format][^priority]``, joined with `` | ``."""

from __future__ import annotations

DEFINITIONS: dict[str, str] = {
    "Pod": "Name | Ready | Status | Restarts | Age | IP^1 | Node^1 | Nominated Node^1 | Readiness Gates^1",
    "PodTemplate": "Name | Containers | Images | Pod Labels",
    "PodDisruptionBudget": "Name | Min Available | Max Unavailable | Allowed Disruptions:integer | Age",
    "ReplicationController": "Name | Desired:integer | Current:integer | Ready:integer | Age"
    " | Containers^1 | Images^1 | Selector^1",
    "ReplicaSet": "Name | Desired:integer | Current:integer | Ready:integer | Age"
    " | Containers^1 | Images^1 | Selector^1",
    "DaemonSet": "Name | Desired:integer | Current:integer | Ready:integer | Up-to-date:integer"
    " | Available:integer | Node Selector | Age | Containers^1 | Images^1 | Selector^1",
    "Job": "Name | Status | Completions | Duration | Age | Containers^1 | Images^1 | Selector^1",
    "CronJob": "Name | Schedule | Timezone | Suspend:boolean | Active:integer"
    " | Last Schedule | Age | Containers^1 | Images^1 | Selector^1",
    "Service": "Name | Type | Cluster-IP | External-IP | Port(s) | Age | Selector^1",
    "Ingress": "Name | Class | Hosts | Address | Ports | Age",
    "IngressClass": "Name | Controller | Parameters | Age",
    "StatefulSet": "Name | Ready | Age | Containers^1 | Images^1",
    "Endpoints": "Name | Endpoints | Age",
    "Node": "Name | Status | Roles | Age | Version"
    " | Internal-IP^1 | External-IP^1 | OS-Image^1 | Kernel-Version^1 | Container-Runtime^1",
    "Event": "Last Seen | Type | Reason | Object | Subobject^1 | Source^1 | Message | First Seen^1 | Count^1 | Name^1",
    "Namespace": "Name | Status | Age",
    "Secret": "Name | Type | Data | Age",
    "ServiceAccount": "Name | Age",
    "PersistentVolume": "Name | Capacity | Access Modes | Reclaim Policy | Status"
    " | Claim | StorageClass | VolumeAttributesClass | Reason | Age | VolumeMode^1",
    "PersistentVolumeClaim": "Name | Status | Volume | Capacity | Access Modes"
    " | StorageClass | VolumeAttributesClass | Age | VolumeMode^1",
    "ComponentStatus": "Name | Status | Message | Error",
    "Deployment": "Name | Ready | Up-to-date | Available | Age | Containers^1 | Images^1 | Selector^1",
    "HorizontalPodAutoscaler": "Name | Reference | Targets | MinPods | MaxPods | Replicas | Age",
    "ConfigMap": "Name | Data | Age",
    "NetworkPolicy": "Name | Pod-Selector | Age",
    "RoleBinding": "Name | Role | Age | Users^1 | Groups^1 | ServiceAccounts^1",
    "ClusterRoleBinding": "Name | Role | Age | Users^1 | Groups^1 | ServiceAccounts^1",
    "CertificateSigningRequest": "Name | Age | SignerName | Requestor | RequestedDuration | Condition",
    "ClusterTrustBundle": "Name | SignerName",
    "PodCertificateRequest": "Name | PodName | ServiceAccountName | NodeName | SignerName"
    " | State | UnverifiedUserAnnotations",
    "Lease": "Name | Holder | Age",
    "LeaseCandidate": "Name | LeaseName | BinaryVersion | EmulationVersion | Age",
    "StorageClass": "Name | Provisioner | ReclaimPolicy | VolumeBindingMode | AllowVolumeExpansion | Age",
    "VolumeAttributesClass": "Name | DriverName | Age",
    "ControllerRevision": "Name | Controller | Revision | Age",
    "ResourceQuota": "Name | Request | Limit | Age",
    "PriorityClass": "Name | Value:integer | Global-Default:boolean | Age | PreemptionPolicy",
    "RuntimeClass": "Name | Handler | Age",
    "VolumeAttachment": "Name | Attacher/name | PV | Node | Attached:boolean | Age",
    "EndpointSlice": "Name | AddressType | Ports | Endpoints | Age",
    "CSINode": "Name | Drivers:integer | Age",
    "CSIDriver": "Name | AttachRequired:boolean | PodInfoOnMount:boolean | StorageCapacity:boolean | TokenRequests"
    " | RequiresRepublish:boolean | Modes | Age",
    "MutatingWebhook": "Name | Webhooks:integer | Age",
    "ValidatingWebhook": "Name | Webhooks:integer | Age",
    "ValidatingAdmissionPolicy": "Name | Validations:integer | ParamKind | Age",
    "ValidatingAdmissionPolicyBinding": "Name | PolicyName | ParamRef | Age",
    "MutatingAdmissionPolicy": "Name | Mutations:integer | ParamKind | Age",
    "MutatingAdmissionPolicyBinding": "Name | PolicyName | ParamRef | Age",
    "FlowSchema": "Name | PriorityLevel | MatchingPrecedence | DistinguisherMethod | Age | MissingPL",
    "PriorityLevelConfiguration": "Name | Type | NominalConcurrencyShares | Queues | HandSize | QueueLengthLimit | Age",
    "StorageVersion": "Name | CommonEncodingVersion | StorageVersions | Age",
    "Scale": "Name | Desired:integer | Available:integer | Age",
    "DeviceClass": "Name | Age",
    "ResourceClaim": "Name | State | Age",
    "ResourceClaimTemplate": "Name | Age",
    "ResourceSlice": "Name | Node | Driver | Pool | Age",
    "ResourcePoolStatusRequest": "Name | Driver | Total | Available | Allocated"
    " | Unavailable | Errors | Pools:integer | Status | Completed",
    "DeviceTaint": "Name | Key | Value | Effect | TimeAdded | Age",
    "ServiceCIDR": "Name | CIDRs | Age",
    "IPAddress": "Name | ParentRef",
    "StorageVersionMigration": "Name | Resource | Status",
    "Workload": "Name | Age",
    "PodGroup": "Name | Policy | Workload | Status | Age",
    "APIService": "Name | Service | Available | Age",
}
