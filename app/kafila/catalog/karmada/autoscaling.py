"""autoscaling.karmada.io/v1alpha1: autoscalers over clusters, by metrics and by the clock."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .model import Int32, Model, Ref, Time

HPA = "io.k8s.api.autoscaling.v2."
CrossVersionObjectReference = Annotated[dict[str, Any], Ref(HPA + "CrossVersionObjectReference")]


class FederatedHPASpec(Model):
    scale_target_ref: CrossVersionObjectReference = Field(description="What is scaled.")
    min_replicas: Int32 | None = Field(None, description="Fewest replicas over all clusters.")
    max_replicas: Int32 = Field(description="Most replicas over all clusters.")
    metrics: list[Annotated[dict[str, Any], Ref(HPA + "MetricSpec")]] | None = Field(
        None, description="Metrics that decide."
    )
    behavior: Annotated[dict[str, Any], Ref(HPA + "HorizontalPodAutoscalerBehavior")] | None = Field(
        None, description="How fast it scales."
    )


class FederatedHPA(Model):
    """Scales a workload over all its clusters by metrics."""

    spec: FederatedHPASpec = Field(description="Desired behaviour.")
    status: Annotated[dict[str, Any], Ref(HPA + "HorizontalPodAutoscalerStatus")] | None = Field(
        None, description="Latest state."
    )


class CronFederatedHPARule(Model):
    name: str = Field(min_length=1, max_length=32, description="Name of the rule.")
    schedule: str = Field(description="When, in cron's syntax.")
    target_replicas: Int32 | None = Field(None, description="Replicas to set.")
    target_min_replicas: Int32 | None = Field(None, description="minReplicas to set on a FederatedHPA.")
    target_max_replicas: Int32 | None = Field(None, description="maxReplicas to set on a FederatedHPA.")
    suspend: bool | None = Field(False, description="True turns the rule off.")
    time_zone: str | None = Field(None, description="Time zone of the schedule.")
    successful_history_limit: Int32 | None = Field(3, ge=1, le=32, description="Successful runs that are kept.")
    failed_history_limit: Int32 | None = Field(3, ge=0, le=32, description="Failed runs that are kept.")


class CronFederatedHPASpec(Model):
    scale_target_ref: CrossVersionObjectReference = Field(description="What is scaled.")
    rules: list[CronFederatedHPARule] = Field(description="What happens when.")


class SuccessfulExecution(Model):
    schedule_time: Time = Field(description="When it was due.")
    execution_time: Time = Field(description="When it ran.")
    applied_replicas: Int32 | None = Field(None, description="Replicas that were set.")
    applied_min_replicas: Int32 | None = Field(None, description="minReplicas that was set.")
    applied_max_replicas: Int32 | None = Field(None, description="maxReplicas that was set.")


class FailedExecution(Model):
    schedule_time: Time = Field(description="When it was due.")
    execution_time: Time = Field(description="When it ran.")
    message: str = Field(description="What went wrong.")


class ExecutionHistory(Model):
    rule_name: str = Field(description="Name of the rule.")
    next_execution_time: Time | None = Field(None, description="When it runs next.")
    successful_executions: list[SuccessfulExecution] | None = Field(None, description="Runs that worked.")
    failed_executions: list[FailedExecution] | None = Field(None, description="Runs that did not.")


class CronFederatedHPAStatus(Model):
    execution_histories: list[ExecutionHistory] | None = Field(None, description="What ran, per rule.")


class CronFederatedHPA(Model):
    """Scales a workload by the clock."""

    spec: CronFederatedHPASpec = Field(description="Desired behaviour.")
    status: CronFederatedHPAStatus | None = Field(None, description="Latest state.")
