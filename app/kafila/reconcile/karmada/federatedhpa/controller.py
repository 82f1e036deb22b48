"""The FederatedHPA controller: every few seconds each autoscaler is looked at, and its workload scaled where metrics want it.

A look is a row of steps: the template and where it is placed, how it stands in the clusters, what the metrics say, the decision
(:mod:`kafila.autoscaling.evaluation`), the template's scale, the status. What is known of a member's pods is followed and not asked
for each time; metrics are asked of the control plane's own API.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, final
from zlib import crc32

from prometheus_client import Histogram

from kafila.autoscaling.behavior import History
from kafila.autoscaling.calculator import Workload
from kafila.autoscaling.evaluation import (
    ABLE,
    ACTIVE,
    Clocks,
    Verdict,
    Warned,
    ambiguous,
    by_metrics,
    without_metrics,
)
from kafila.autoscaling.metrics import MetricsClient, MetricsError
from kafila.autoscaling.pods import Tuning
from kafila.autoscaling.sources import Answer, Question
from kafila.core import selectors
from kafila.core.clock import rfc3339
from kafila.core.conditions import condition, conditions_of, find
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.registry.scale import with_replicas
from kafila.watch import Event

from .autoscalers import Asked, Autoscaler, Autoscalers
from .contenders import FEDERATED, Contenders, Target
from .copies import Copies
from .members import Pods
from .selectors import SelectingAutoscalers
from .shared_metrics import SharedMetrics
from .statuses import SOLE, Conclusion, StatusWriter
from .targets import InClusters, NoTarget, Targets, Template, failed_to_write, parsed_selector

SOURCE: Final = "federatedHPA-controller"
CONTRADICTING: Final = "ContradictingAutoscalers"
EARLY: Final = 0.1  # of a period: so soon after a look there is no other
CONCURRENCY: Final = 16  # looks at a time: most of each is waiting for metrics
SECONDS: Final = Histogram(
    "federatedhpa_process_duration_seconds",
    "How long a look at a FederatedHPA took.",
    ["result"],
    buckets=[0.01 * 2**power for power in range(12)],  # Karmada's
)
_SUCCEEDED, _FAILED = SECONDS.labels("success"), SECONDS.labels("error")
_GOT_SCALE: Final = condition(
    ABLE, "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale"
)


@final
class FederatedHPAs(QueueController[Key]):
    name = "federatedHorizontalPodAutoscaler"

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        clusters: Clusters,
        copies: Copies,
        pods: Pods,
        metrics: MetricsClient,
        period: float,
        tuning: Tuning,
    ) -> None:
        """``period``: seconds between two looks at one autoscaler."""
        super().__init__(registry.cache, "federated-hpa", concurrency=CONCURRENCY, waits=True)
        self._registry = registry
        self._recorder = recorder
        self._metrics = SharedMetrics(metrics, period)
        self._period = period
        self._tuning = tuning
        self._kind = registry.kind("autoscaling.karmada.io", "v1alpha1", "federatedhpas")
        self._autoscalers = Autoscalers(self._kind)
        self._statuses = StatusWriter(registry, self._kind, self._autoscalers)
        self._targets = Targets(registry, clusters, copies, pods)
        self._selecting = SelectingAutoscalers()
        self._histories: dict[Key, History] = {}
        self._contenders = Contenders(registry, self._contended)
        registry.cache.listen(FEDERATED, self._observe)

    async def stop(self) -> None:
        await super().stop()
        await self._metrics.close()
        self._histories.clear()
        for known in (self._selecting, self._targets, self._autoscalers, self._statuses):
            known.clear()

    def resync(self) -> None:
        for entry in self._registry.cache.resource(FEDERATED).entries():
            self.queue.add(entry.key, background=True)

    def _observe(self, event: Event) -> None:
        if event.generation_changed:
            self.queue.add(event.key)

    def _contended(self, target: Target) -> None:
        for key in self._contenders.of(target):
            if key.resource == FEDERATED:
                self.queue.add(key)

    # -- one look ------------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None:
            self._histories.pop(key, None)
            for known in (self._selecting, self._autoscalers, self._statuses):
                known.forget(key)
            return
        began, seconds = time.perf_counter(), _FAILED
        try:
            if await self._look_at(key, self._autoscalers.read(entry)):
                seconds = _SUCCEEDED
        finally:
            seconds.observe(time.perf_counter() - began)
        raise Requeue(until_next(key.namespace, self._period, time.monotonic()), timed=True)

    async def _look_at(self, key: Key, autoscaler: Autoscaler) -> bool:
        """Whether everything that it asks for could be looked at. What could not is said of it, and looked at again next time."""
        spec = autoscaler.asked.spec
        contended = self._contended_condition(key, autoscaler)
        try:
            template = self._targets.template(key.namespace, autoscaler.reference)
            binding = self._targets.binding(template)
            clusters = self._targets.clusters(binding)
            standing = await self._targets.in_clusters(template, binding, clusters)
        except NoTarget as error:
            self._selecting.forget(key)
            self._warn(autoscaler, Warned(error.event, error.message))
            await self._write(autoscaler, Conclusion(Verdict(0, failed=True), None, [error.condition], contended))
            return False
        for reason, message, _ in standing.troubles:
            self._warn(autoscaler, Warned(reason, message))
        said = [condition(ACTIVE, "False", "InvalidSelector", text) for _, _, text in standing.troubles]
        said.append(_GOT_SCALE)
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = History()
        history.begin(template.replicas, time.monotonic())
        verdict = without_metrics(spec, template.replicas, standing.replicas)
        if verdict is not None:
            self._selecting.forget(key)  # it asks for no pods, and is nobody's rival
        else:
            verdict = await self._judged(key, autoscaler.asked, template, standing, history)
        scaled_at = ""
        if verdict.rescale:
            verdict = await self._rescale(autoscaler, template, verdict, history)
            scaled_at = "" if verdict.failed else rfc3339()
        for event in verdict.events:
            self._warn(autoscaler, event)
        await self._write(autoscaler, Conclusion(verdict, template.replicas, said, contended, scaled_at))
        return not verdict.error

    async def _judged(
        self, key: Key, wanted: Asked, template: Template, standing: InClusters, history: History
    ) -> Verdict:
        """What the metrics say."""
        try:
            selector = parsed_selector(standing.selector)
        except selectors.SelectorError as error:
            self._selecting.forget(key)
            text = f"couldn't convert selector into a corresponding internal selector object: {error}"
            said = condition(ACTIVE, "False", "InvalidSelector", text)
            events = (Warned("InvalidSelector", text), Warned("FailedComputeMetricsReplicas", text))
            return Verdict(template.replicas, conditions=(said,), events=events, error=text, failed=True)
        self._selecting.put(key, selector)
        rivals = self._selecting.of(key.namespace, standing.pods)
        if len(rivals) > 1:
            names = [(rival.name, rival.namespace) for rival in rivals]
            return ambiguous(standing.selector, names, template.replicas)
        answers = await asked(self._metrics, key.namespace, str(selector), wanted.questions)
        calibration = standing.replicas / template.replicas if template.replicas else 0.0
        workload = Workload(template.replicas, standing.status_replicas, calibration, standing.pods)
        clocks = Clocks(time.time(), time.monotonic())
        return by_metrics(wanted.spec, answers, workload, history, self._tuning, key.namespace, clocks)

    # -- what follows from it ------------------------------------------------------------------------------------------

    async def _rescale(self, autoscaler: Autoscaler, template: Template, verdict: Verdict, history: History) -> Verdict:
        """The verdict with what came of it."""
        kind, wanted = template.kind, verdict.replicas
        scale = {
            "metadata": {"uid": template.uid, "resourceVersion": template.resource_version},
            "spec": {"replicas": wanted},
        }
        try:
            await self._registry.modify(
                kind,
                template.namespace,
                template.name,
                lambda current: with_replicas(kind, current, scale),
                OPTIONS,
                "scale",
            )
        except StatusError as error:
            text = f"New size: {wanted}; reason: {verdict.reason}; error: {error.message}"
            return verdict._replace(
                failed=True,
                rescale=False,
                error=error.message,
                events=(*verdict.events, Warned("FailedRescale", text)),
                conditions=(*verdict.conditions, failed_to_write(error)),
            )
        text = f"New size: {wanted}; reason: {verdict.reason}"
        self._tell(autoscaler, "Normal", "SuccessfulRescale", text)
        history.scaled(autoscaler.asked.spec.get("behavior"), template.replicas, wanted, time.monotonic())
        text = f"the HPA controller was able to update the target scale to {wanted}"
        done = condition(ABLE, "True", "SucceededRescale", text)
        return verdict._replace(conditions=(*verdict.conditions, done))

    async def _write(self, autoscaler: Autoscaler, conclusion: Conclusion) -> None:
        try:
            await self._statuses.write(autoscaler, conclusion)
        except StatusError as error:
            self._warn(autoscaler, Warned("FailedUpdateStatus", error.message))
            raise

    # -- others that scale the same ------------------------------------------------------------------------------------

    def _contended_condition(self, key: Key, autoscaler: Autoscaler) -> Object | None:
        """None: it is the only one that scales its target. Else there is a warning, once for what is not said yet."""
        rivals = self._contenders.rivals(key, autoscaler.target)
        if not rivals:
            return None
        text = f"the same target is scaled by {rivals}: they undo each other's work, keep one of them"
        known = find(conditions_of(self._autoscalers.decode(autoscaler.entry)), SOLE) or {}
        if known.get("message") != text:
            self._warn(autoscaler, Warned(CONTRADICTING, text))
        return condition(SOLE, "False", CONTRADICTING, text)

    def _warn(self, autoscaler: Autoscaler, event: Warned) -> None:
        self._tell(autoscaler, "Warning", event.reason, event.message)

    def _tell(self, autoscaler: Autoscaler, event_type: str, reason: str, message: str) -> None:
        self._recorder.event(self._autoscalers.decode(autoscaler.entry), event_type, reason, message, SOURCE)


def until_next(namespace: str, period: float, now: float) -> float:
    """Seconds until the next look at an autoscaler. Those of one namespace are looked at together, so that what is asked about it is
    asked once; namespaces have their turn one after the other."""
    turn = period * (crc32(namespace.encode()) / 2**32)
    left = (turn - now) % period
    return left if left > period * EARLY else left + period


async def asked(
    client: MetricsClient, namespace: str, selector: str, questions: Sequence[Question | None]
) -> list[Answer | None]:
    """The answers, in the order of the questions; equal ones are asked once, and all at the same time."""
    different = list(dict.fromkeys(each for each in questions if each is not None))
    if len(different) == 1:  # nearly always: no task is made for it
        found = [await _answer(client, namespace, selector, different[0])]
    else:
        found = await asyncio.gather(*(_answer(client, namespace, selector, each) for each in different))
    answers = dict(zip(different, found, strict=True))
    return [answers[each] if each is not None else None for each in questions]


async def _answer(client: MetricsClient, namespace: str, selector: str, wanted: Question) -> Answer:
    try:
        if not wanted.metric:
            return await client.resource(namespace, selector)
        if wanted.about is None:
            return await client.of_pods(namespace, selector, wanted.metric, wanted.metric_selector)
        return await client.of_object(namespace, wanted.about, wanted.metric, wanted.metric_selector)
    except MetricsError as error:
        return error
