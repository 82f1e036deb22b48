"""The names that ``--controllers`` takes: Karmada's and Kubernetes' own where they have the controller."""

from __future__ import annotations

CONTROLLERS = frozenset(
    {
        "agentcsrapproving",
        "apiservice",
        "applicationFailover",
        "binding",
        "bootstrapsigner",
        "cluster",
        "clusterrole-aggregation",
        "clustertaintpolicy",
        "cronFederatedHorizontalPodAutoscaler",
        "csrcleaner",
        "csrsigning",
        "dependencies-distributor",
        "descheduler",
        "endpointSlice",
        "deploymentReplicasSyncer",
        "endpointsliceCollect",
        "endpointsliceDispatch",
        "multiclusterservice",
        "execution",
        "federatedHorizontalPodAutoscaler",
        "federatedResourceQuotaEnforcement",
        "federatedResourceQuotaStatus",
        "federatedResourceQuotaSync",
        "garbagecollector",
        "gracefulEviction",
        "hpaScaleTargetMarker",
        "namespace",
        "remedy",
        "resource-interpreter",
        "cluster-connection",
        "cluster-tunnel",
        "resourcequota",
        "root-ca-cert-publisher",
        "search",
        "serviceExport",
        "serviceImport",
        "serviceaccount",
        "serviceaccount-token",
        "sql-views",
        "tokencleaner",
        "ttl-after-finished",
        "unifiedAuth",
        "validatingadmissionpolicy-status",
        "workloadRebalancer",
    }
)

# they run where they are named: ``*`` does not mean them
OFF_BY_DEFAULT = frozenset({"deploymentReplicasSyncer", "descheduler", "hpaScaleTargetMarker", "sql-views"})
