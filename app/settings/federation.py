"""What Karmada's controllers can be told, apart from feature gates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final


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


@final
@dataclass(frozen=True, slots=True)
class FederationOptions:
    cluster_status_frequency: float = 10.0
    cluster_success_threshold: float = 30.0
    cluster_failure_threshold: float = 30.0
    skipped_namespaces: str = "kube-.*"
    graceful_eviction_timeout: float = 600.0
    no_execute_eviction: bool = False
    no_execute_purge_mode: str = "Gracefully"
    eviction_rate: float = 0.5
    quota_sync_period: float = 300.0
    estimators: EstimatorOptions = field(default_factory=EstimatorOptions)


DEFAULT_OPTIONS = FederationOptions()
