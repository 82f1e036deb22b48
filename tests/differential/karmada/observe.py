"""What a control plane and its members hold for each scenario, and when that is at rest."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable

from access import KARMADA, WORKLOADS, Access, Object
from normal import Names, event_subject, event_text, normal
from scenario import PREFIX, Scenario
from third_parties import DEFINED

PLANE = "control plane"
ALWAYS = (
    "Namespace",
    "PropagationPolicy",
    "ClusterPropagationPolicy",
    "ResourceBinding",
    "ClusterResourceBinding",
    "Work",
)
Snapshot = dict[str, dict[str, Object]]
Version = tuple[str, str, str]  # place, key, resourceVersion
_FOREIGN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}  # each cluster's own
# Two of Karmada's own writers met: it tries again, and a run of the same program may not show it.
_COLLISIONS = (
    "the object has been modified",
    "already exists",
    "StorageError",
    "context canceled",
    "not found in cache",
    "is being deleted",
    "CleanupWorkFailed",
    "SyncScheduleResultToDependenciesFailed",
    "EvictWorkloadFromClusterFailed",  # its message does not say that the binding was modified
)


class Observer:
    """Lists everything every ``interval`` seconds as long as somebody waits; who waits is told after each look.

    Of kinds that have a definition only those that a waiting scenario uses are listed.
    """

    def __init__(self, plane: Access, members: dict[str, Access], kinds: set[str], interval: float) -> None:
        self._places = {PLANE: plane, **members}
        self._kinds = kinds | set(ALWAYS)
        self._interval = interval
        self._looks = 0
        self._waiting: list[Scenario] = []
        self._looked = asyncio.Condition()
        self._found: dict[str, list[tuple[str, str, Object]]] = {}
        self._events: dict[str, list[Object]] = {}
        self.unreachable: set[str] = set()

    async def run(self) -> None:
        while True:
            if self._waiting:
                await self._look()
                async with self._looked:
                    self._looks += 1
                    self._looked.notify_all()
            await asyncio.sleep(self._interval)

    async def rest(
        self, scenario: Scenario, names: Names, quiet: float, patience: float, done: Callable[[Snapshot], bool]
    ) -> tuple[Snapshot, bool]:
        """The state once it has been the same for ``quiet`` seconds, or twice ``done``; and whether it came to rest at all."""
        now: Snapshot = {}
        last: Snapshot | None = None
        written: list[Version] | None = None
        started = since = time.monotonic()
        self._waiting.append(scenario)
        try:
            await self._next_look()
            while True:
                await self._next_look()
                if (versions := self._versions(scenario)) != written:  # else nothing was written since the last look
                    written, now = versions, self._snapshot(scenario, names)
                if now != last:
                    last, since = now, time.monotonic()
                    continue
                if done(now) or time.monotonic() - since >= quiet:
                    return now, True
                if time.monotonic() - started > patience:
                    return now, False
        finally:
            self._waiting.remove(scenario)

    async def _next_look(self) -> None:
        async with self._looked:
            seen = self._looks
            await self._looked.wait_for(lambda: self._looks > seen)

    async def _look(self) -> None:
        looked_for = {kind for scenario in self._waiting for kind in scenario.uses}
        wanted = [
            (place, kind)
            for place in self._places
            for kind in sorted(self._kinds - (DEFINED.keys() - looked_for))
            if (place == PLANE or kind in WORKLOADS) and place not in self.unreachable
        ]
        lists = await asyncio.gather(*(self._places[place].items(kind) for place, kind in wanted))
        events = await self._places[PLANE].items("Event")
        found = defaultdict(list)
        works: dict[str, str] = {}
        for (place, kind), items in zip(wanted, lists, strict=True):
            for obj in items:
                owner = _owner(kind, obj)
                if place != PLANE and _is_made_there(obj):
                    continue
                if owner and (kind, obj["metadata"]["name"]) not in _FOREIGN:
                    obj["kind"] = kind
                    found[owner].append((place, _key(kind, obj), obj))
                    if kind == "Work":
                        works[f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"] = owner
        by_owner = defaultdict(list)
        for event in events:
            about = event["involvedObject"]
            full = f"{about.get('namespace', '')}/{about.get('name', '')}"
            owner = works.get(full) or _prefixed(about.get("namespace", "")) or _prefixed(about.get("name", ""))
            if owner:
                by_owner[owner].append(event)
        self._found, self._events = found, by_owner

    def _versions(self, scenario: Scenario) -> list[Version]:
        mine = [entry for owner, entries in self._found.items() if _belongs(owner, scenario) for entry in entries]
        events = [event for owner, some in self._events.items() if _belongs(owner, scenario) for event in some]
        found = [(place, key, obj["metadata"]["resourceVersion"]) for place, key, obj in mine]
        return found + [("", e["metadata"]["name"], e["metadata"]["resourceVersion"]) for e in events]

    def _snapshot(self, scenario: Scenario, names: Names) -> Snapshot:
        mine = [entry for owner, entries in self._found.items() if _belongs(owner, scenario) for entry in entries]
        for place, key, obj in mine:
            names.learn(place, key, obj)
        result: Snapshot = {place: {} for place in self._places}
        silent = set() if scenario.about_namespaces else {key for _, key, obj in mine if _is_of_namespace(obj)}
        for place, key, obj in mine:
            if key not in silent:
                result[place][key] = normal(obj, names)
        events = [event for owner, some in self._events.items() if _belongs(owner, scenario) for event in some]
        lines = {event_text(event, names) for event in events if event_subject(event) not in silent}
        result["events"] = {line: {} for line in sorted(lines) if not any(word in line for word in _COLLISIONS)}
        return result


def _is_made_there(obj: Object) -> bool:
    """What a member's own controllers make, pods of a Job for instance, is not the control plane's doing."""
    return any(owner.get("controller") for owner in obj["metadata"].get("ownerReferences") or ())


def _key(kind: str, obj: Object) -> str:
    metadata = obj["metadata"]
    return "/".join(part for part in (kind, metadata.get("namespace", ""), metadata["name"]) if part)


def _is_of_namespace(obj: Object) -> bool:
    """A Namespace or the Work that brings one to a member: the same in every scenario."""
    manifests = obj["spec"]["workload"].get("manifests") or [{}] if obj["kind"] == "Work" else [obj]
    return manifests[0].get("kind") == "Namespace"


def _owner(kind: str, obj: Object) -> str:
    """The namespace or the prefixed name by which an object belongs to a scenario, "" for none."""
    metadata = obj["metadata"]
    if kind == "Work":
        manifests = obj["spec"]["workload"].get("manifests") or [{}]
        metadata = manifests[0].get("metadata") or {}
    return _prefixed(metadata.get("namespace", "")) or _prefixed(metadata.get("name", ""))


def _prefixed(name: str) -> str:
    return name if name.startswith(PREFIX) else ""


def _belongs(owner: str, scenario: Scenario) -> bool:
    """Cluster-scoped names go on after the namespace's with a dot, so that no scenario's name begins another's."""
    prefixes = (f"{scenario.namespace}.", f"{scenario.namespace}:")
    return owner in scenario.namespaces or owner.startswith(prefixes)


def kinds_of(scenarios: list[Scenario]) -> set[str]:
    used = {kind for scenario in scenarios for kind in scenario.uses}
    return used & (set(WORKLOADS) | set(KARMADA)) - {"Cluster"}
