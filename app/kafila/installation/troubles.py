"""What holds pods up, told once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

from kafila.core.values import Object
from kafila.members.client import MemberClient, resource_path

from .host import Print
from .manifests import COMPONENT

_LONGEST: Final = 300  # characters of a message
_PASSING: Final = ("ContainerCreating", "PodInitializing")


@final
class Troubles:
    def __init__(self, host: MemberClient, namespace: str, report: Print) -> None:
        self._host, self._namespace, self._report = host, namespace, report
        self._told = set[str]()

    async def look(self, component: str) -> str:
        """Of the pods of a component: the first of what is amiss now, or ""."""
        query = {"labelSelector": f"app.kubernetes.io/name=kafila,{COMPONENT}={component}"}
        pods, _ = await self._host.list(resource_path("v1", "pods", self._namespace), query=query)
        found = [line for pod in pods if not pod["metadata"].get("deletionTimestamp") for line in troubles_of(pod)]
        for line in found:
            if line not in self._told:
                self._told.add(line)
                self._report(f"      {line}")
        return found[0] if found else ""


def troubles_of(pod: Object) -> Iterator[str]:
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield _line(name, condition)
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in _PASSING:
            yield _line(name, waiting)


def _line(pod: str, why: Object) -> str:
    text = f"pod/{pod}: {why.get('reason', '')}: {' '.join(str(why.get('message', '')).split())}".rstrip(": ")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
