"""How fast copies may leave clusters by their taints, by how many clusters are well."""

from __future__ import annotations

from typing import Final, NamedTuple

FEWEST: Final = 3  # clusters that have to fail, as in Kubernetes' node lifecycle controller; or all that there are


class Health(NamedTuple):
    clusters: int
    not_ready: int

    def __str__(self) -> str:
        return f"{self.not_ready} of {self.clusters} clusters are not Ready"

    @property
    def is_widespread(self) -> bool:
        """More than one cluster's own trouble, whatever share of all clusters that is."""
        return self.not_ready >= FEWEST or 0 < self.not_ready == self.clusters


class Pace(NamedTuple):
    """``rate``: evictions a second. ``because``: why it is less than usual, "" when it is not."""

    rate: float
    because: str = ""

    @property
    def is_halted(self) -> bool:
        return not self.rate and bool(self.because)


def taken_at(last: float, interval: float, now: float) -> float:
    """When a turn that is taken now counts as taken: when it was due, if it is late by less than one ``interval`` (seconds) after the
    ``last`` one, so that what keeps the process busy slows nothing down. Whoever comes later than that starts anew: nothing is made up for."""
    due = last + interval
    return due if due <= now < due + interval else now


class Rates(NamedTuple):
    """``normal`` and ``secondary``: evictions a second. More clusters that are not Ready than the share ``threshold``, and nobody can tell
    whether they fail or this control plane has lost its network: then it is ``secondary`` where there are more than ``large`` clusters, and
    none where there are fewer. Kubernetes does the same for its nodes.
    """

    normal: float
    secondary: float
    threshold: float
    large: int

    def pace(self, health: Health) -> Pace:
        if not health.is_widespread or health.not_ready / health.clusters <= self.threshold:
            return Pace(self.normal)
        if health.clusters > self.large and self.secondary:
            slower = min(self.secondary, self.normal)
            return Pace(slower, f"{health}: {slower:g} copies a second are evicted until more of them are")
        return Pace(0.0, f"{health}: nothing is evicted until more of them are")
