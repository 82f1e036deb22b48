"""Interpretation by customizations and webhooks: decisions are made anew once the answers they need are there."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar, final

from prometheus_client import Histogram

from kafila.core.feature_gates import DEFAULT_GATES, RESOURCE_QUOTA_ESTIMATE, Gates
from kafila.core.resources import GroupVersionKind
from kafila.placement.interpreter import NATIVE, Interpreter, Operation
from kafila.placement.interpreter.customized import CustomizedInterpreter, InterpreterRequest, Unanswered
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.sources import Script, Source, Sources, concerns
from kafila.reconcile.events import Recorder
from kafila.reconcile.facts import FactsNeeded
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.threads import in_thread
from kafila.watch import Event

from .scripting import Scripting
from .webhooks import Webhooks

T = TypeVar("T")
CUSTOMIZATIONS: Final = "resourceinterpretercustomizations.config.karmada.io"
CONFIGURATIONS: Final = "resourceinterpreterwebhookconfigurations.config.karmada.io"
INTERPRETERS: Final = (CUSTOMIZATIONS, CONFIGURATIONS)
ROUNDS: Final = 16  # of requests; a decision needs two or three
REMEMBERED: Final = 2048  # answers of scripts, which depend on their arguments alone
AT_ONCE: Final = 8  # decisions that wait for one source, and requests to it that each of them asks together
AT_ONCE_SLOW: Final = 2  # decisions that wait for one that is slow, or was never asked
SLOW: Final = 1.0  # seconds
BUSY: Final = 0.05  # seconds until somebody asks again who found too many others asking
EVENT_FAILED: Final = "InterpretFailed"

CALLS = Histogram(
    "resource_interpreter_call_duration_seconds",
    "Questions to customizations and interpreter webhooks.",
    ["source", "operation", "outcome"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)


class _Traffic:
    """How a source answers. One that is slow is asked for few decisions at once: it shall not hold everybody who works."""

    __slots__ = ("asked", "quick")

    def __init__(self) -> None:
        self.asked = 0
        self.quick: bool | None = None  # None: it was never asked

    def check(self) -> None:
        """Raises Requeue."""
        if self.asked >= (AT_ONCE if self.quick else AT_ONCE_SLOW):
            raise Requeue(SLOW if self.quick is False else BUSY)


@final
class Interpreting:
    """A controller without a queue: it only ends the processes that it has started."""

    name = "resource-interpreter"

    def __init__(self, registry: Registry, recorder: Recorder, gates: Gates = DEFAULT_GATES) -> None:
        self._registry = registry
        self._recorder = recorder
        self._scripting = Scripting(with_priority_class=RESOURCE_QUOTA_ESTIMATE in gates)
        self._webhooks = Webhooks(registry.cache, registry.catalog)
        self._kinds = {
            resource: registry.kind("config.karmada.io", "v1alpha1", resource.partition(".")[0])
            for resource in INTERPRETERS
        }
        self._sources: Sources | None = None
        self._traffic: dict[tuple[str, ...], _Traffic] = {}
        self._remembered: OrderedDict[bytes, Any] = OrderedDict()
        for resource in self._kinds:
            registry.cache.listen(resource, self._observe)
        registry.cache.on_reset(self._forget)

    async def start(self) -> None: ...

    async def stop(self) -> None:
        await self._scripting.stop()
        await self._webhooks.stop()

    @property
    def sources(self) -> Sources:
        if self._sources is None:
            customizations, configurations = (
                [decode_entry(kind, entry) for entry in self._registry.cache.resource(resource).entries()]
                for resource, kind in self._kinds.items()
            )
            self._sources = Sources(customizations, configurations)
        return self._sources

    def hook_enabled(self, kind: GroupVersionKind, operation: Operation) -> bool:
        """Whether anybody interprets this of a kind, natively or by a customization or webhook."""
        return self.sources.hook_enabled(kind, operation)

    def concerned(self, event: Event) -> set[str]:
        """Resources of the kinds that a customization or configuration interprets, or interpreted."""
        if event.old is not None and event.new is not None and event.old.meta.generation == event.new.meta.generation:
            return set()
        states = [decode_entry(self._kinds[event.key.resource], each) for each in (event.old, event.new) if each]
        return {
            kind.resource
            for kind in self._registry.catalog
            for state in states
            if concerns(state, GroupVersionKind(kind.group, kind.version, kind.kind))
        }

    def _observe(self, event: Event) -> None:
        if event.old is None or event.new is None or event.old.meta.generation != event.new.meta.generation:
            self._forget()

    def _forget(self) -> None:
        self._sources = None
        self._traffic.clear()

    # -- deciding ------------------------------------------------------------------------------------------------------

    async def decide(self, compute: Callable[[Interpreter], T], size: int = 0) -> T:
        """The outcome of a function that changes nothing; it is run again until it lacks no answer and no other fact.

        What it reads is about ``size`` bytes: where that is much, it runs in a thread (and asks the loop by ``on_loop``).

        Which facts it needs may depend on answers, and the other way round: both are had here, as often as it takes. What was
        answered holds for the whole decision. Raises what ``compute`` raises, InterpretError where an answer could not be had.
        """
        answers: dict[tuple[Source, bytes], Any] = {}
        for _ in range(ROUNDS):
            customized = CustomizedInterpreter(self.sources, answers) if self.sources else None
            requests = customized.requests if customized is not None else ()
            needed: FactsNeeded | None = None
            try:
                outcome = await in_thread(size, partial(compute, customized or NATIVE))
            except FactsNeeded as raised:
                needed = raised
            except Exception:
                if not requests:
                    raise
            if requests:  # first: while an answer is stood in for, what else it needs means nothing
                await self._answer(requests, answers)
            elif needed is not None:
                await needed.fetch()
            else:
                return outcome
        raise InterpretError("the answers lead to ever more requests")

    async def carry_out(self, act: Callable[[Interpreter], Awaitable[T]]) -> T:
        """As ``decide``, for what also writes: ``act`` is abandoned at the first request that is not answered yet."""
        if not self.sources:
            return await act(NATIVE)
        answers: dict[tuple[Source, bytes], Any] = {}
        for _ in range(ROUNDS):
            try:
                return await act(CustomizedInterpreter(self.sources, answers, strict=True))
            except Unanswered as unanswered:
                await self._answer([unanswered.request], answers)
        raise InterpretError("the object changes faster than the interpreter answers")

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _answer(self, requests: Iterable[InterpreterRequest], answers: dict[tuple[Source, bytes], Any]) -> None:
        """Adds the answers, an InterpretError in the place of each that there is none of. Raises Requeue."""
        wanted: dict[Source, dict[bytes, InterpreterRequest]] = {}
        for request in requests:
            source, key = request.key
            digest = _digest(source, key)
            if digest in self._remembered:
                self._remembered.move_to_end(digest)
                answers[source, key] = self._remembered[digest]
            else:
                wanted.setdefault(source, {})[key] = request
        traffic = {source: self._traffic.setdefault(_called(source), _Traffic()) for source in wanted}
        for each in traffic.values():
            each.check()
        await asyncio.gather(
            *(self._ask_source(source, asked, traffic[source], answers) for source, asked in wanted.items())
        )

    async def _ask_source(
        self,
        source: Source,
        asked: dict[bytes, InterpreterRequest],
        traffic: _Traffic,
        answers: dict[tuple[Source, bytes], Any],
    ) -> None:
        keys = list(asked)
        traffic.asked += 1
        try:
            for start in range(0, len(keys), AT_ONCE):
                batch = keys[start : start + AT_ONCE]
                found = await asyncio.gather(*(self._ask(asked[key], traffic) for key in batch))
                for key, answer in zip(batch, found, strict=True):
                    answers[source, key] = answer
                failed = next((answer for answer in found if isinstance(answer, InterpretError)), None)
                if failed is not None and not traffic.quick:  # the others would take as long
                    answers.update({(source, key): failed for key in keys[start + AT_ONCE :]})
                    return
        finally:
            traffic.asked -= 1

    async def _ask(self, request: InterpreterRequest, traffic: _Traffic) -> Any:
        source = request.source
        began, outcome = time.monotonic(), "error"
        try:
            if isinstance(source, Script):
                answer = await self._scripting.ask(source, request.arguments)
                self._remember(_digest(*request.key), answer)
            else:
                answer = await self._webhooks.ask(source, self.sources.hook(source), request.arguments)
            outcome = "success"
        except InterpretError as error:
            answer = InterpretError(f"{source}: {error}")
            self._record(source, str(error))
        finally:
            took = time.monotonic() - began
            traffic.quick = took < SLOW
            CALLS.labels("script" if isinstance(source, Script) else "webhook", source.operation, outcome).observe(took)
        return answer

    def _remember(self, digest: bytes, answer: Any) -> None:
        self._remembered[digest] = answer
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def _record(self, source: Source, message: str) -> None:
        """An event on the customization or configuration, beside those on the objects that could not be interpreted."""
        if isinstance(source, Script):
            resource, name, text = CUSTOMIZATIONS, source.customization, f"{source.operation}: {message}"
        else:
            resource, name = CONFIGURATIONS, source.configuration
            text = f"webhook {source.webhook} {source.operation}: {message}"
        entry = self._registry.cache.get(resource, "", name)
        if entry is not None:
            self._recorder.event(decode_entry(self._kinds[resource], entry), "Warning", EVENT_FAILED, text)


def _digest(source: Source, arguments: bytes) -> bytes:
    """What a script answers depends on its text and its arguments; webhooks are always asked."""
    if not isinstance(source, Script):
        return b""
    return hashlib.blake2b(b"\0".join((source.operation.encode(), source.text.encode(), arguments))).digest()


def _called(source: Source) -> tuple[str, ...]:
    if isinstance(source, Script):
        return "script", source.customization, source.operation
    return "webhook", source.configuration, source.webhook
