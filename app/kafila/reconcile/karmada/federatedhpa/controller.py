"""The FederatedHPA controller: every few seconds each autoscaler is looked at, and its workload scaled where metrics want it.

A look is a row of steps: the template and where it is placed, how it stands in the clusters, what the metrics say, the decision
(:mod:`kafila.autoscaling.evaluation`), the template's scale, the status. What is known of a member's pods is followed and not asked
for each time; metrics are asked of the control plane's own API.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
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
    status_after,
    without_metrics,
)
from kafila.autoscaling.metrics import MetricsClient, MetricsError
from kafila.autoscaling.pods import Tuning
from kafila.autoscaling.sources import Answer, Question, question
from kafila.core import selectors
from kafila.core.clock import rfc3339
from kafila.core.conditions import condition, conditions_of, find, with_condition
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.scale import with_replicas
from kafila.watch import Event

from .contenders import FEDERATED, Contenders, Target, target_of
from .copies import Copies
from .members import Pods
from .selectors import SelectingAutoscalers
from .shared_metrics import SharedMetrics
from .targets import InClusters, NoTarget, Targets, Template, failed_to_write, parsed_selector

SOURCE: Final = "federatedHPA-controller"
SOLE: Final = "kafila.io/SoleAutoscaler"
CONTRADICTING: Final = "ContradictingAutoscalers"
EARLY: Final = 0.1  # of a period: so soon after a look there is no other
CONCURRENCY: Final = 16  # looks at a time: most of each is waiting for metrics
SECONDS: Final = Histogram(
    "federatedhpa_process_duration_seconds",
    "How long a look at a FederatedHPA took.",
    ["result"],
    buckets=[0.01 * 2**power for power in range(12)],  # Karmada's
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
        self._targets = Targets(registry, clusters, copies, pods)
        self._selecting = SelectingAutoscalers()
        self._histories: dict[Key, History] = {}
        self._contenders = Contenders(registry, self._contended)
        registry.cache.listen(FEDERATED, self._observe)

    async def stop(self) -> None:
        await super().stop()
        await self._metrics.close()
        self._histories.clear()
        self._selecting.clear()
        self._targets.clear()

    def resync(self) -> None:
        for entry in self._registry.cache.resource(FEDERATED).entries():
            self.queue.add(entry.key, background=True)

    def _observe(self, event: Event) -> None:
        old, new = event.old, event.new
        if old is None or new is None or old.meta.generation != new.meta.generation:
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
            self._selecting.remove(key)
            return
        began, result = time.perf_counter(), "error"
        try:
            if await self._look_at(key, decode_entry(self._kind, entry)):
                result = "success"
        finally:
            SECONDS.labels(result).observe(time.perf_counter() - began)
        raise Requeue(until_next(key.namespace, self._period, time.monotonic()), timed=True)

    async def _look_at(self, key: Key, autoscaler: Object) -> bool:
        """Whether everything that it asks for could be looked at. What could not is said of it, and looked at again next time."""
        spec, reference = autoscaler["spec"], autoscaler["spec"]["scaleTargetRef"]
        contended = self._contended_condition(key, autoscaler)
        self._warn_of_rivals(autoscaler, contended)
        try:
            template = self._targets.template(key.namespace, reference)
            binding = self._targets.binding(template)
            clusters = self._targets.clusters(binding)
            standing = await self._targets.in_clusters(template, binding, clusters)
        except NoTarget as error:
            self._selecting.remove(key)
            self._warn(autoscaler, Warned(error.event, error.message))
            await self._write_conditions(key, autoscaler, [error.condition], contended)
            return False
        for reason, message, _ in standing.troubles:
            self._warn(autoscaler, Warned(reason, message))
        said = [condition(ACTIVE, "False", "InvalidSelector", text) for _, _, text in standing.troubles]
        text = "the HPA controller was able to get the target's current scale"
        said.append(condition(ABLE, "True", "SucceededGetScale", text))
        history = self._histories.setdefault(key, History())
        history.begin(template.replicas, time.monotonic())
        verdict = without_metrics(spec, template.replicas, standing.replicas)
        if verdict is not None:
            self._selecting.remove(key)  # it asks for no pods, and is nobody's rival
        else:
            verdict = await self._judged(key, spec, template, standing, history)
        scaled_at = ""
        if verdict.rescale:
            verdict = await self._rescale(autoscaler, template, verdict, history)
            scaled_at = "" if verdict.failed else rfc3339()
        for event in verdict.events:
            self._warn(autoscaler, event)
        await self._write_status(key, autoscaler, verdict, template.replicas, said, scaled_at, contended)
        return not verdict.error

    async def _judged(
        self, key: Key, spec: Object, template: Template, standing: InClusters, history: History
    ) -> Verdict:
        """What the metrics say."""
        try:
            selector = parsed_selector(standing.selector)
        except selectors.SelectorError as error:
            self._selecting.remove(key)
            text = f"couldn't convert selector into a corresponding internal selector object: {error}"
            said = condition(ACTIVE, "False", "InvalidSelector", text)
            events = (Warned("InvalidSelector", text), Warned("FailedComputeMetricsReplicas", text))
            return Verdict(template.replicas, conditions=(said,), events=events, error=text, failed=True)
        self._selecting.put(key, selector)
        rivals = self._selecting.of(key.namespace, standing.pods)
        if len(rivals) > 1:
            names = [(rival.name, rival.namespace) for rival in rivals]
            return ambiguous(standing.selector, names, template.replicas)
        questions = [question(metric) for metric in spec.get("metrics") or ()]
        answers = await asked(self._metrics, key.namespace, str(selector), questions)
        calibration = standing.replicas / template.replicas if template.replicas else 0.0
        workload = Workload(template.replicas, standing.status_replicas, calibration, standing.pods)
        clocks = Clocks(time.time(), time.monotonic())
        return by_metrics(spec, answers, workload, history, self._tuning, key.namespace, clocks)

    # -- what follows from it ------------------------------------------------------------------------------------------

    async def _rescale(self, autoscaler: Object, template: Template, verdict: Verdict, history: History) -> Verdict:
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
        self._recorder.event(autoscaler, "Normal", "SuccessfulRescale", text, SOURCE)
        history.scaled(autoscaler["spec"].get("behavior"), template.replicas, wanted, time.monotonic())
        text = f"the HPA controller was able to update the target scale to {wanted}"
        done = condition(ABLE, "True", "SucceededRescale", text)
        return verdict._replace(conditions=(*verdict.conditions, done))

    async def _write_status(
        self,
        key: Key,
        autoscaler: Object,
        verdict: Verdict,
        current: int,
        said: Sequence[Object],
        scaled_at: str,
        contended: Object | None,
    ) -> None:
        now = time.time()

        def judged(obj: Object) -> Object:
            status = status_after(obj.get("status") or {}, verdict, current, said, scaled_at, now)
            return {**obj, "status": _with_or_without(status, contended, now)}

        await self._write(key, autoscaler, judged)

    async def _write_conditions(
        self, key: Key, autoscaler: Object, said: Sequence[Object], contended: Object | None
    ) -> None:
        """Only conditions: nothing is known of the replicas."""
        now = time.time()

        def judged(obj: Object) -> Object:
            before = obj.get("status") or {}
            after = status_after(before, Verdict(0, failed=True), before.get("currentReplicas", 0), said, "", now)
            return {**obj, "status": _with_or_without(after, contended, now)}

        await self._write(key, autoscaler, judged)

    async def _write(self, key: Key, autoscaler: Object, judged: Callable[[Object], Object]) -> None:
        """The status, if it says anything new. Of an autoscaler that was replaced meanwhile nothing is written."""
        if judged(autoscaler)["status"] == (autoscaler.get("status") or {}):
            return
        uid = autoscaler["metadata"]["uid"]
        try:
            await self._registry.modify(
                self._kind,
                key.namespace,
                key.name,
                lambda obj: judged(obj) if obj["metadata"]["uid"] == uid else obj,
                OPTIONS,
                "status",
            )
        except StatusError as error:
            if error.is_not_found:
                return
            self._warn(autoscaler, Warned("FailedUpdateStatus", error.message))
            raise

    # -- others that scale the same ------------------------------------------------------------------------------------

    def _contended_condition(self, key: Key, autoscaler: Object) -> Object | None:
        """None: it is the only one that scales its target."""
        rivals = self._contenders.rivals(key, target_of(autoscaler))
        if not rivals:
            return None
        text = f"the same target is scaled by {rivals}: they undo each other's work, keep one of them"
        return condition(SOLE, "False", CONTRADICTING, text)

    def _warn_of_rivals(self, autoscaler: Object, contended: Object | None) -> None:
        """Once for what is not said yet."""
        known = find(conditions_of(autoscaler), SOLE) or {}
        if contended is not None and known.get("message") != contended["message"]:
            self._warn(autoscaler, Warned(CONTRADICTING, contended["message"]))

    def _warn(self, autoscaler: Object, event: Warned) -> None:
        self._recorder.event(autoscaler, "Warning", event.reason, event.message, SOURCE)


def _with_or_without(status: Object, contended: Object | None, now: float) -> Object:
    """The status with the condition about other autoscalers, or without it where there is none."""
    conditions = status.get("conditions") or []
    if contended is not None:
        return {**status, "conditions": with_condition(conditions, contended, now)}
    kept = [each for each in conditions if each["type"] != SOLE]
    return {**status, "conditions": kept} if kept != conditions else status


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
