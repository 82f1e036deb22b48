"""Where groups and versions stand among others: what APIServices say of those that are served here (kube-apiserver's own table)."""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from .tables import read_table

LARGEST_PRIORITY: Final = 20_000  # that an APIService may have
KARMADA: Final = ".karmada.io"
KARMADAS_EXTENSIONS: Final = ("cluster.karmada.io", "search.karmada.io")  # Karmada has servers of its own for them


class Priority(NamedTuple):
    """``groupPriorityMinimum`` and ``versionPriority``."""

    group: int
    version: int


CUSTOM: Final = Priority(1000, 100)  # of custom kinds, and of all that nobody says more about
EXTENSION: Final = Priority(2000, 10)  # that Karmada gives those servers
_METRICS: Final = {
    "metrics.k8s.io": EXTENSION,
    "custom.metrics.k8s.io": Priority(100, 200),
    "external.metrics.k8s.io": Priority(100, 200),
}


def priority_of(group: str, version: str) -> Priority:
    if group in KARMADAS_EXTENSIONS:
        return EXTENSION
    if group in _METRICS:
        return _METRICS[group]
    return builtin_priorities().get((group, version), CUSTOM)


@cache
def builtin_priorities() -> dict[tuple[str, str], Priority]:
    """By group and version of Kubernetes' own, but for those that kube-apiserver makes no APIService for."""
    found = read_table("api_services.json")["priorities"]
    split = {name: name.rpartition("/") for name in found}
    return {(split[name][0], split[name][2]): Priority(*numbers) for name, numbers in found.items()}
