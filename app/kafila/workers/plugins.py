"""Scheduler plugins that are installed beside us."""

from __future__ import annotations

from importlib.metadata import entry_points

import structlog

from kafila.placement.scheduler.plugins import ENTRY_POINTS, SchedulerPlugin

log = structlog.get_logger(__name__)


def load_plugins(wanted: str = "*") -> list[SchedulerPlugin]:
    """``wanted``: '*' all, 'x' only x, '-x' all but x. One that cannot be loaded is an error: nobody wants to schedule without it."""
    listed = [part.strip() for part in wanted.split(",") if part.strip()]
    plugins = []
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        if f"-{point.name}" in listed or not (point.name in listed or "*" in listed):
            continue
        plugin = point.load()()
        plugin.name = plugin.name or point.name
        log.info("scheduler plugin", name=plugin.name, package=point.dist.name if point.dist else "")
        plugins.append(plugin)
    return plugins
