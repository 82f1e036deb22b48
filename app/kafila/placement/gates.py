"""Karmada's feature gates that placement knows, and which of them are on by default (pkg/features of v1.18)."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

CUSTOMIZED_CLUSTER_RESOURCE_MODELING: Final = "CustomizedClusterResourceModeling"
FAILOVER: Final = "Failover"
FEDERATED_QUOTA_ENFORCEMENT: Final = "FederatedQuotaEnforcement"
MULTIPLE_POD_TEMPLATES_SCHEDULING: Final = "MultiplePodTemplatesScheduling"
PROPAGATE_DEPS: Final = "PropagateDeps"
POLICY_PREEMPTION: Final = "PropagationPolicyPreemption"
PRIORITY_BASED_SCHEDULING: Final = "PriorityBasedScheduling"
RESOURCE_QUOTA_ESTIMATE: Final = "ResourceQuotaEstimate"
SCHEDULING_OVERCOMMIT_PROTECTION: Final = "SchedulingOvercommitProtection"
STATEFUL_FAILOVER_INJECTION: Final = "StatefulFailoverInjection"
WORKLOAD_AFFINITY: Final = "WorkloadAffinity"

Gates = Container[str]
DEFAULT_GATES: Final[Gates] = frozenset({CUSTOMIZED_CLUSTER_RESOURCE_MODELING, PROPAGATE_DEPS})
