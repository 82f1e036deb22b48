"""Scheduler plugins: filters and scores from outside, found by Python entry points of the group ``kafila.scheduler``."""

from __future__ import annotations

from typing import Final

from kafila.placement.types import Cluster, ResourceBindingSpec

ENTRY_POINTS: Final = "kafila.scheduler"
MAX_SCORE: Final = 100


class SchedulerPlugin:
    """Subclass it and override what you need. Both methods are asked for every cluster: be quick, and do no I/O.

    ``binding_spec`` is the ``spec`` of a ResourceBinding, ``cluster`` a Cluster object; neither may be changed.
    """

    name = ""

    def filter(self, binding_spec: ResourceBindingSpec, cluster: Cluster) -> str:
        """The reason why the cluster is left out, "" when it is not. Karmada's reasons begin with ``cluster(s) …``."""
        return ""

    def score(self, binding_spec: ResourceBindingSpec, cluster: Cluster) -> int:
        """0 to 100. Scores of all plugins are added; more means that the cluster is preferred."""
        return 0


class PluginFailed(Exception):
    """A plugin raised; the text says which and what."""


def asked_to_filter(plugin: SchedulerPlugin, binding_spec: ResourceBindingSpec, cluster: Cluster) -> str:
    try:
        return str(plugin.filter(binding_spec, cluster) or "")
    except Exception as error:
        raise PluginFailed(f"scheduler plugin {plugin.name} failed to filter: {error!r}") from error


def asked_to_score(plugin: SchedulerPlugin, binding_spec: ResourceBindingSpec, cluster: Cluster) -> int:
    try:
        return min(max(int(plugin.score(binding_spec, cluster)), 0), MAX_SCORE)
    except Exception as error:
        raise PluginFailed(f"scheduler plugin {plugin.name} failed to score: {error!r}") from error
