"""The interpreter that asks customizations and webhooks, for pure functions: they name the answers they need, and decide.

A function that is run with a ``CustomizedInterpreter`` gets a stand-in for each answer that is not there yet, and the request is kept.
Whoever runs it throws the outcome away while there are requests, has them answered, and runs it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, final

import orjson

from kafila.core.resources import GroupVersionKind, gvk_of
from kafila.core.values import Object, copy_json
from kafila.placement.interpreter import aggregate
from kafila.placement.interpreter.answers import same_object, sorted_dependencies
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.native import NATIVE
from kafila.placement.interpreter.operations import Operation
from kafila.placement.interpreter.sources import Source, Sources


class InterpreterRequest(NamedTuple):
    source: Source
    arguments: tuple[Any, ...]  # JSON values, in the order of the script's parameters

    @property
    def key(self) -> tuple[Source, bytes]:
        return self.source, orjson.dumps(self.arguments)


Answers = Mapping[tuple[Source, bytes], Any]  # by the request's key; an InterpretError is raised where it is needed


class Unanswered(Exception):
    """Only from a ``CustomizedInterpreter`` that is strict."""

    def __init__(self, request: InterpreterRequest) -> None:
        super().__init__(str(request.source))
        self.request = request


_MISSING: Final = object()


@final
class CustomizedInterpreter:
    """``strict``: raises Unanswered instead of standing in, for functions that do more than decide."""

    def __init__(self, sources: Sources, answers: Answers, *, strict: bool = False) -> None:
        self._sources = sources
        self._answers = answers
        self._strict = strict
        self.requests: list[InterpreterRequest] = []

    def hook_enabled(self, gvk: GroupVersionKind, operation: Operation) -> bool:
        return self._sources.hook_enabled(gvk, operation)

    def get_replicas(self, obj: Object, *, with_priority_class: bool = False) -> tuple[int, Object | None]:
        found = self._ask(Operation.REPLICA, obj)
        if found is None:
            return NATIVE.get_replicas(obj, with_priority_class=with_priority_class)
        answer = self._the(found, (0, None))
        return answer[0], copy_json(answer[1])

    def get_components(self, obj: Object, *, with_priority_class: bool = False) -> list[Object]:
        found = self._ask(Operation.COMPONENT, obj)
        if found is None:
            return NATIVE.get_components(obj, with_priority_class=with_priority_class)
        return copy_json(self._the(found, []))

    def revise_replica(self, obj: Object, replicas: int) -> Object:
        found = self._ask(Operation.REVISE_REPLICA, obj, replicas)
        if found is None:
            return NATIVE.revise_replica(obj, replicas)
        return same_object(copy_json(self._the(found, obj)), obj, Operation.REVISE_REPLICA)

    def retain(self, desired: Object, observed: Object) -> Object:
        found = self._ask(Operation.RETAIN, desired, observed)
        if found is None:
            return NATIVE.retain(desired, observed)
        return same_object(copy_json(self._the(found, desired)), desired, Operation.RETAIN)

    def aggregate_status(self, obj: Object, items: aggregate.Items) -> Object:
        """Only the status counts."""
        found = self._ask(Operation.AGGREGATE_STATUS, obj, list(items))
        if found is None:
            return NATIVE.aggregate_status(obj, items)
        status = self._the(found, obj).get("status")
        if status == obj.get("status"):
            return obj
        made = {key: value for key, value in obj.items() if key != "status"}
        return made if status is None else {**made, "status": copy_json(status)}

    def reflect_status(self, obj: Object) -> Object | None:
        found = self._ask(Operation.REFLECT_STATUS, obj)
        return NATIVE.reflect_status(obj) if found is None else copy_json(self._the(found, None))

    def interpret_health(self, obj: Object) -> bool:
        found = self._ask(Operation.HEALTH, obj)
        return NATIVE.interpret_health(obj) if found is None else bool(self._the(found, True))

    def get_dependencies(self, obj: Object) -> list[Object] | None:
        found = self._ask(Operation.DEPENDENCY, obj)
        if found is None:
            return NATIVE.get_dependencies(obj)
        lists = [[] if answer is _MISSING else answer for answer in found]
        if len(lists) == 1 and lists[0] is None:
            return None
        return copy_json(sorted_dependencies([each or [] for each in lists]))

    def _ask(self, operation: Operation, *arguments: Any) -> list[Any] | None:
        """The answers of those who are to be asked, ``_MISSING`` for those that are not there yet; None: the native ones."""
        sources = self._sources.find(gvk_of(arguments[0]), operation)
        if not sources:
            return None
        found = []
        for source in sources:
            request = InterpreterRequest(source, arguments)
            answer = self._answers.get(request.key, _MISSING)
            if isinstance(answer, InterpretError):
                raise answer
            if answer is _MISSING:
                if self._strict:
                    raise Unanswered(request)
                self.requests.append(request)
            found.append(answer)
        return found

    @staticmethod
    def _the(found: list[Any], stand_in: Any) -> Any:
        return stand_in if found[0] is _MISSING else found[0]
