"""config.karmada.io, apps.karmada.io and remedy.karmada.io, all v1alpha1."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .model import Bytes, Int32, Int64, Model, Time


class Script(Model):
    lua_script: str = Field(description="Source of the function.")


class CustomizationTarget(Model):
    api_version: str = Field(description="API version of the objects.")
    kind: str = Field(description="Kind of the objects.")


class CustomizationRules(Model):
    retention: Script | None = Field(None, description="Retain(desiredObj, observedObj): what the cluster may keep.")
    replica_resource: Script | None = Field(None, description="GetReplicas(obj): replicas and what one needs.")
    component_resource: Script | None = Field(None, description="GetComponents(obj): components and their needs.")
    replica_revision: Script | None = Field(None, description="ReviseReplica(obj, replicas): sets replicas.")
    status_reflection: Script | None = Field(None, description="ReflectStatus(obj): status to report.")
    status_aggregation: Script | None = Field(None, description="AggregateStatus(obj, items): merges status.")
    health_interpretation: Script | None = Field(None, description="InterpretHealth(obj): whether it is healthy.")
    dependency_interpretation: Script | None = Field(None, description="GetDependencies(obj): what it refers to.")


class ResourceInterpreterCustomizationSpec(Model):
    target: CustomizationTarget = Field(description="Objects it is for.")
    customizations: CustomizationRules = Field(description="The functions.")


class ResourceInterpreterCustomization(Model):
    """Functions in Lua that tell Karmada how a kind works."""

    spec: ResourceInterpreterCustomizationSpec = Field(description="Desired behaviour.")


class ServiceReference(Model):
    namespace: str = Field(description="Namespace of the Service.")
    name: str = Field(description="Name of the Service.")
    path: str | None = Field(None, description="Path of the URL.")
    port: Int32 | None = Field(None, description="Port, 443 when not set.")


class WebhookClientConfig(Model):
    url: str | None = Field(None, description="URL of the webhook; excludes service.")
    service: ServiceReference | None = Field(None, description="Service of the webhook; excludes url.")
    ca_bundle: Bytes | None = Field(None, description="PEM certificates its certificate is checked with.")


class RuleWithOperations(Model):
    operations: list[str] = Field(description="Operations it answers.")
    api_groups: list[str] = Field(description="Groups of the objects.")
    api_versions: list[str] = Field(description="Versions of the objects.")
    kinds: list[str] = Field(description="Kinds of the objects.")


class ResourceInterpreterWebhook(Model):
    name: str = Field(description="Full name of the webhook, a domain.")
    client_config: WebhookClientConfig = Field(description="How to reach it.")
    rules: list[RuleWithOperations] | None = Field(None, description="What it is asked about.")
    timeout_seconds: Int32 | None = Field(None, description="Longest wait for an answer.")
    interpreter_context_versions: list[str] = Field(description="Versions of the review it understands.")


class ResourceInterpreterWebhookConfiguration(Model):
    """Webhooks that tell Karmada how kinds work."""

    webhooks: list[ResourceInterpreterWebhook] = Field(description="The webhooks.")


class WorkloadReference(Model):
    api_version: str = Field(description="API version of the workload.")
    kind: str = Field(description="Kind of the workload.")
    name: str = Field(description="Name of the workload.")
    namespace: str | None = Field(None, description="Namespace of the workload.")


class WorkloadRebalancerSpec(Model):
    workloads: list[WorkloadReference] = Field(min_length=1, description="Workloads to schedule anew.")
    ttl_seconds_after_finished: Int32 | None = Field(None, description="Seconds until it is deleted once finished.")


class ObservedWorkload(Model):
    workload: WorkloadReference = Field(description="The workload.")
    result: str | None = Field(None, description="Successful or Failed.")
    reason: str | None = Field(None, description="Why it failed.")


class WorkloadRebalancerStatus(Model):
    observed_workloads: list[ObservedWorkload] | None = Field(None, description="What became of the workloads.")
    observed_generation: Int64 | None = Field(None, description="Generation that was worked on.")
    finish_time: Time | None = Field(None, description="When all were done.")


class WorkloadRebalancer(Model):
    """Asks for a fresh decision for some workloads."""

    spec: WorkloadRebalancerSpec = Field(description="Desired behaviour.")
    status: WorkloadRebalancerStatus | None = Field(None, description="Latest state.")


class ClusterConditionRequirement(Model):
    condition_type: str = Field(description="Type of the cluster's condition.")
    operator: Literal["Equal", "NotEqual"] = Field(description="How it is compared.")
    condition_status: str = Field(description="Status to compare with.")


class DecisionMatch(Model):
    cluster_condition_match: ClusterConditionRequirement | None = Field(None, description="Condition of the cluster.")


class RemedyClusterAffinity(Model):
    cluster_names: list[str] | None = Field(None, description="Names of clusters.")


class RemedySpec(Model):
    cluster_affinity: RemedyClusterAffinity | None = Field(None, description="Clusters it is for, all when not set.")
    decision_matches: list[DecisionMatch] | None = Field(None, description="Any of them starts the actions.")
    actions: list[str] | None = Field(None, description="What is done, for example TrafficControl.")


class Remedy(Model):
    """What is done when a cluster is not well."""

    spec: RemedySpec = Field(description="Desired behaviour.")
