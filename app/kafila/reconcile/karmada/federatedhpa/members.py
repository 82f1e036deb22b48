"""Pods of members, followed where a FederatedHPA scales something: reduced to what counts, and found by their labels.

A member's pods are followed when the first autoscaler asks for them, and forgotten when none has asked for a while. One that
cannot be listed delays nobody for long: it is left out until it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, final

from kafila.autoscaling.pods import Pod, pod_of
from kafila.core.selectors import Selector
from kafila.members.informer import Change, Informer
from kafila.reconcile.karmada.member.manager import MemberConnection, MemberController
from kafila.reconcile.karmada.member.object_watcher import Following
from kafila.telemetry.tasks import cancelled

PATIENCE: Final = 5.0  # seconds that the first list of a member's pods is waited for, by all together
IDLE: Final = 600.0  # seconds without a question after which pods are forgotten
MOST_SELECTED: Final = 10_000  # selectors of one namespace of which is kept what they select
_EQUALITY: Final = ("=", "==", "in")


@final
class PodIndex:
    """Pods by namespace and, for the labels that somebody selects by, by label."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, Pod]] = {}  # by namespace and name
        self._by_label: dict[tuple[str, str], dict[str, dict[str, Pod]]] = {}  # namespace and key: value: name
        self._selected: dict[str, dict[Selector, Sequence[Pod]]] = {}  # by namespace, since its pods changed last

    def put(self, namespace: str, name: str, pod: Pod | None) -> None:
        """None: it is gone."""
        pods = self._pods.setdefault(namespace, {})
        before = pods.pop(name, None)
        if before != pod:
            self._selected.pop(namespace, None)
        if pod is not None:
            pods[name] = pod
        elif not pods:
            del self._pods[namespace]
        for where in [(namespace, key) for key in _keys(before) | _keys(pod)]:
            if (values := self._by_label.get(where)) is not None:
                _move(values, where[1], before, pod)

    def select(self, namespace: str, selector: Selector) -> Sequence[Pod]:
        """The same list as before while the pods are the same. Do not change it."""
        selected = self._selected.setdefault(namespace, {})
        found = selected.get(selector)
        if found is None:
            if len(selected) >= MOST_SELECTED:
                selected.clear()
            found = selected[selector] = self._matching(namespace, selector)
        return found

    def _matching(self, namespace: str, selector: Selector) -> list[Pod]:
        matching: dict[int, bool] = {}  # pods of one template have one map of labels
        found = []
        for pod in self._candidates(namespace, selector):
            matches = matching.get(id(pod.labels))
            if matches is None:
                matches = matching[id(pod.labels)] = selector.matches(pod.labels)
            if matches:
                found.append(pod)
        return found

    def _candidates(self, namespace: str, selector: Selector) -> Iterable[Pod]:
        """The fewest that one label leaves over: a workload's pods among all of its namespace."""
        best = self._pods.get(namespace, {})
        for each in selector.requirements:
            if each.operator in _EQUALITY and len(each.values) == 1:
                found = self._of_label(namespace, each.key).get(each.values[0], {})
                best = min(best, found, key=len)
        return best.values()

    def _of_label(self, namespace: str, key: str) -> dict[str, dict[str, Pod]]:
        values = self._by_label.get((namespace, key))
        if values is None:
            values = self._by_label[namespace, key] = {}
            for pod in self._pods.get(namespace, {}).values():
                _move(values, key, None, pod)
        return values


def _keys(pod: Pod | None) -> set[str]:
    return set(pod.labels) if pod is not None else set()


def _move(values: dict[str, dict[str, Pod]], key: str, before: Pod | None, after: Pod | None) -> None:
    if before is not None and (value := before.labels.get(key)) is not None:
        pods = values[value]
        pods.pop(before.name, None)
        if not pods:
            del values[value]
    if after is not None and (value := after.labels.get(key)) is not None:
        values.setdefault(value, {})[after.name] = after


def _put(index: PodIndex, change: Change) -> None:
    index.put(*change.name, change.after.kept if change.after is not None else None)


@final
class MemberPods:
    """The pods of one connected member."""

    def __init__(self, pods: Pods, connection: MemberConnection) -> None:
        self._all = pods
        self._connection = connection
        self._index = PodIndex()
        self._informer: Informer | None = None
        self._following: Following | None = None
        self._begun = self._asked = 0.0  # by the loop's clock
        self._ending: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._all.connected(self._connection.name, self)

    async def stop(self) -> None:
        self._all.disconnected(self._connection.name, self)
        await cancelled(self._ending)
        await self._forget()

    async def select(self, namespace: str, selector: Selector) -> Sequence[Pod] | None:
        """None: the member's pods cannot be listed at the moment."""
        loop = asyncio.get_running_loop()
        self._asked = loop.time()
        informer = self._informer
        if informer is None:
            client = self._connection.client
            index = self._index = PodIndex()  # what an informer that is ending still tells goes into that one's
            informer = Informer(client, "/api/v1/pods", partial(_put, index), selector="", keep=pod_of)
            self._informer, self._begun = informer, loop.time()
            self._following = Following(informer)
            self._ending = loop.create_task(self._end_when_idle())
        if not informer.synced.is_set():
            try:
                async with asyncio.timeout_at(self._begun + PATIENCE):
                    await informer.synced.wait()
            except TimeoutError:
                return None
        return self._index.select(namespace, selector)

    async def _end_when_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._asked + IDLE - loop.time()) > 0:
            await asyncio.sleep(left)
        await self._forget()

    async def _forget(self) -> None:
        following, informer = self._following, self._informer
        self._following = self._informer = None
        self._index = PodIndex()
        if following is not None:
            await following.stop()
        if informer is not None:
            informer.forget()


@final
class Pods:
    """Of all connected members."""

    def __init__(self) -> None:
        self._members: dict[str, MemberPods] = {}

    def member_controllers(self, connection: MemberConnection) -> list[MemberController]:
        return [MemberPods(self, connection)]

    def connected(self, cluster: str, pods: MemberPods) -> None:
        self._members[cluster] = pods

    def disconnected(self, cluster: str, pods: MemberPods) -> None:
        if self._members.get(cluster) is pods:
            del self._members[cluster]

    async def select(self, cluster: str, namespace: str, selector: Selector) -> Sequence[Pod] | None:
        """None: the cluster is not connected, or its pods cannot be listed at the moment."""
        pods = self._members.get(cluster)
        return await pods.select(namespace, selector) if pods is not None else None
