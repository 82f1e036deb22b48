"""What is counted of evictions, whoever asks for them."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

EVICTIONS: Final = Counter(
    "kafila_evictions_total", "Copies that were told to leave a cluster, by who has told them.", ["producer"]
)
RATE: Final = Gauge(
    "kafila_eviction_rate",
    "Copies a second that taints may drive out of their clusters now; less while many are not Ready.",
)
