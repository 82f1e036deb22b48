"""The flags of Karmada's controllers: name, default, text and bounds of each. The settings have them all, and the controllers are
handed them under the same names (``reconcile/karmada/wiring.py``)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from .answers import ANSWER_LIMITS, AnswerLimits
from .numbers import Seconds


class EstimatorOptions(BaseModel):
    """Of the accurate estimators, with the names and defaults of karmada-scheduler's flags."""

    enable_scheduler_estimator: bool = Field(
        False, description="Ask the accurate estimators of the members (karmada-scheduler-estimator)."
    )
    disable_scheduler_estimator_in_pull_mode: bool = Field(
        False, description="Do not ask the estimators of clusters in pull mode."
    )
    scheduler_estimator_timeout: Seconds = Field(3.0, description="Seconds that an estimator has to answer.", gt=0)
    scheduler_estimator_service_namespace: str = Field(
        "karmada-system", description="Namespace of the estimators' Services."
    )
    scheduler_estimator_service_prefix: str = Field(
        "karmada-scheduler-estimator", description="Estimators' Services are named PREFIX-CLUSTER."
    )
    scheduler_estimator_port: int = Field(10352, description="Port of the estimators' Services.", gt=0, lt=65536)
    scheduler_estimator_ca_file: str = Field(
        "", description="CA of the estimators' certificates; without it there is no TLS."
    )
    scheduler_estimator_cert_file: str = Field("", description="Our certificate for the estimators.")
    scheduler_estimator_key_file: str = Field("", description="Our key for the estimators.")
    insecure_skip_estimator_verify: bool = Field(
        False, description="TLS with the estimators without checking their certificates."
    )


class FederationOptions(EstimatorOptions):
    cluster_status_frequency: Seconds = Field(10.0, description="Seconds between two probes of a member.", gt=0)
    cluster_success_threshold: Seconds = Field(
        30.0,
        description="Seconds that a member has to answer again before it is Ready.",
        ge=0,
    )
    cluster_failure_threshold: Seconds = Field(
        30.0,
        description="Seconds that a member has to fail before it is not Ready.",
        ge=0,
    )
    cluster_leave_timeout: Seconds = Field(
        300.0,
        description="Seconds after which a Cluster that is being deleted goes without what its member does not give back.",
        gt=0,
    )
    cluster_monitor_grace_period: Seconds = Field(
        40.0,
        description="Seconds that a cluster in pull mode may be silent before its Ready condition is Unknown.",
        gt=0,
    )
    cluster_startup_grace_period: Seconds = Field(
        60.0,
        description="Seconds that a new cluster in pull mode has for its first report.",
        gt=0,
    )
    member_answer_bytes: int = Field(
        ANSWER_LIMITS.answer,
        description="Bytes of one answer of a member, decompressed; a member that sends more is not Ready.",
        ge=1 << 20,
        le=64 << 20,
    )
    member_objects: int = Field(
        ANSWER_LIMITS.objects,
        description="Objects of one kind in a member that are watched; with more it is not Ready.",
        ge=1000,
    )
    member_memory_mib: int = Field(
        ANSWER_LIMITS.kept >> 20,
        description="MiB of a member's objects that are kept in memory; with more it is not Ready.",
        ge=1,
    )
    graceful_eviction_timeout: Seconds = Field(
        600.0,
        description="Seconds that a copy that leaves a cluster waits for the others to become healthy.",
        ge=0,
    )
    enable_no_execute_taint_eviction: bool = Field(
        False,
        description="Evict from clusters whose NoExecute taints are not tolerated (gate Failover).",
    )
    no_execute_taint_eviction_purge_mode: Literal["Gracefully", "Directly"] = Field(
        "Gracefully", description="Whether the next cluster gets it before the last loses it."
    )
    resource_eviction_rate: float = Field(0.5, description="Evictions a second.", ge=0, le=1e6, allow_inf_nan=False)
    secondary_resource_eviction_rate: float = Field(
        0.1,
        description="Evictions a second while too many clusters of a large fleet are not Ready.",
        ge=0,
        le=1e6,
        allow_inf_nan=False,
    )
    unhealthy_cluster_threshold: float = Field(
        0.55,
        description="Share of clusters that are not Ready (three of them at least, or all) above which evictions slow down or halt; 1 for never.",
        ge=0,
        le=1,
    )
    large_cluster_num_threshold: int = Field(
        10,
        description="With more clusters than this evictions slow down to the secondary rate then; with fewer they halt.",
        ge=0,
    )
    descheduling_interval: Seconds = Field(
        120.0,
        description="Seconds between two looks of the descheduler for replicas that find no node (controller descheduler).",
        gt=0,
    )
    unschedulable_threshold: Seconds = Field(
        300.0,
        description="Seconds that a pod has to have found no node before the descheduler takes it from its cluster.",
        ge=0,
    )
    withdrawal_max_objects: int = Field(
        1000,
        description="Objects that an edit of a policy, or of a Cluster's labels, may take out of clusters without an approval (kafila approve); 0 for any number.",
        ge=0,
    )
    withdrawal_max_clusters: int = Field(
        20,
        description="Clusters that an edit of a policy may take objects out of without an approval; 0 for any number.",
        ge=0,
    )
    deletion_max_objects: int = Field(
        1000,
        description="Objects that requests may delete at once of what is placed in clusters (of a namespace in a minute, with a namespace, with a kind) without an approval; 0 for any number.",
        ge=0,
    )
    eviction_max_objects: int = Field(
        10000,
        description="Objects that taints may drive out of one cluster without an approval (kafila approve); 0 for any number.",
        ge=0,
    )
    eviction_max_clusters: int = Field(
        10,
        description="Clusters that taints may empty at once without an approval; 0 for any number.",
        ge=0,
    )
    federated_resource_quota_sync_period: Seconds = Field(
        300.0,
        description="Seconds between two counts of what quotas are used; 0 for never.",
        ge=0,
    )
    skipped_propagating_namespaces: str = Field(
        "kube-.*", description="Regular expression of namespaces that are not propagated."
    )

    horizontal_pod_autoscaler_sync_period: Seconds = Field(
        15.0, description="Seconds between two looks at each FederatedHPA.", gt=0
    )
    horizontal_pod_autoscaler_downscale_stabilization: Seconds = Field(
        300.0,
        description="Seconds for which a FederatedHPA looks back: it scales below no recommendation of that time.",
        ge=0,
    )
    horizontal_pod_autoscaler_upscale_delay: Seconds = Field(
        180.0, description="Taken and without effect, as in Karmada.", ge=0
    )
    horizontal_pod_autoscaler_downscale_delay: Seconds = Field(
        300.0, description="Taken and without effect, as in Karmada.", ge=0
    )
    horizontal_pod_autoscaler_tolerance: float = Field(
        0.1,
        description="By which share a metric may miss its target without anything being scaled.",
        ge=0,
        le=1e6,
        allow_inf_nan=False,
    )
    horizontal_pod_autoscaler_cpu_initialization_period: Seconds = Field(
        300.0, description="Seconds after a pod's start in which its use of CPU may not count.", ge=0
    )
    horizontal_pod_autoscaler_initial_readiness_delay: Seconds = Field(
        30.0, description="Seconds after a pod's start in which it may become ready for the first time.", ge=0
    )
    search_resource_mib: int = Field(
        1024,
        description="MiB of one resource of one member that ResourceRegistries may have cached in the database.",
        ge=1,
    )

    @property
    def answers(self) -> AnswerLimits:
        return AnswerLimits(self.member_answer_bytes, self.member_objects, self.member_memory_mib << 20)


DEFAULT_OPTIONS = FederationOptions()
