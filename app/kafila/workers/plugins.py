"""Scheduler plugins that are installed beside us."""

from __future__ import annotations

from importlib.metadata import entry_points

import structlog

from kafila.core.switches import is_enabled
from kafila.placement.scheduler.plugins import ENTRY_POINTS, SchedulerPlugin

log = structlog.get_logger(__name__)


def load_plugins(wanted: str = "*") -> list[SchedulerPlugin]:
    """``wanted``: '*' all, 'x' only x, '-x' all but x. One that cannot be loaded is an error: nobody wants to schedule without it."""
    plugins = []
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        if not is_enabled(point.name, wanted):
            continue
        plugin = point.load()()
        plugin.name = plugin.name or point.name
        log.info("scheduler plugin", name=plugin.name, package=point.dist.name if point.dist else "")
        plugins.append(plugin)
    return plugins
