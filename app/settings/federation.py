"""What Karmada's controllers can be told, apart from feature gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class FederationOptions:
    cluster_status_frequency: float = 10.0
    skipped_namespaces: str = "kube-.*"
    graceful_eviction_timeout: float = 600.0
    no_execute_eviction: bool = False
    no_execute_purge_mode: str = "Gracefully"
    eviction_rate: float = 0.5
    quota_sync_period: float = 300.0


DEFAULT_OPTIONS = FederationOptions()
