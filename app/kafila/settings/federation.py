"""The options of Karmada's controllers, apart from feature gates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, final


@final
@dataclass(frozen=True, slots=True)
class EstimatorOptions:
    """Of the accurate estimators, with the names and defaults of karmada-scheduler's flags."""

    enabled: bool = False
    not_in_pull_mode: bool = False
    timeout: float = 3.0
    service_namespace: str = "karmada-system"
    service_prefix: str = "karmada-scheduler-estimator"
    port: int = 10352
    authority_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    insecure: bool = False


class AnswerLimits(NamedTuple):
    """What a member may make us read and keep. What is over a limit makes it not Ready."""

    answer: int = 8 << 20  # bytes of one answer or event, decompressed; a longer page of a list is asked for in parts
    objects: int = 250_000  # of one kind
    kept: int = 256 << 20  # bytes of all objects that are remembered, of all kinds


ANSWER_LIMITS: Final = AnswerLimits()


@final
@dataclass(frozen=True, slots=True)
class FederationOptions:
    cluster_status_frequency: float = 10.0
    cluster_success_threshold: float = 30.0
    cluster_failure_threshold: float = 30.0
    skipped_namespaces: str = "kube-.*"
    graceful_eviction_timeout: float = 600.0
    no_execute_eviction: bool = False
    no_execute_purge_mode: Literal["Gracefully", "Directly"] = "Gracefully"
    eviction_rate: float = 0.5
    quota_sync_period: float = 300.0
    answers: AnswerLimits = ANSWER_LIMITS
    estimators: EstimatorOptions = field(default_factory=EstimatorOptions)


DEFAULT_OPTIONS = FederationOptions()
