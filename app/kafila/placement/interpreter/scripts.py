"""How scripts are called, and what of their results is an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from kafila.machinery.lua import restore_empty
from kafila.placement.interpreter import answers
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.operations import Operation

Result = tuple[str, Any]  # Lua's type, and the value with empty tables as lists
_NEVER: Final = "expect the returned requires type is table but got"


class Call(NamedTuple):
    function: str
    returns: int = 1


CALLS: Final = {
    Operation.REPLICA: Call("GetReplicas", 2),
    Operation.COMPONENT: Call("GetComponents"),
    Operation.REVISE_REPLICA: Call("ReviseReplica"),
    Operation.RETAIN: Call("Retain"),
    Operation.AGGREGATE_STATUS: Call("AggregateStatus"),
    Operation.REFLECT_STATUS: Call("ReflectStatus"),
    Operation.HEALTH: Call("InterpretHealth"),
    Operation.DEPENDENCY: Call("GetDependencies"),
}


def answer_of(operation: Operation, arguments: Sequence[Any], results: Sequence[Result]) -> Any:
    """What ``CustomizedInterpreter`` hands on. Raises InterpretError."""
    return _READERS[operation](arguments, results)


def _table(result: Result, references: Sequence[Any] = (), *, is_object: bool = True, wrong: str = _NEVER) -> Any:
    kind, value = result
    if kind != "table":
        raise InterpretError(f"{wrong} {kind}")
    return restore_empty(value, references, is_object=is_object)


def _replicas(arguments: Sequence[Any], results: Sequence[Result]) -> tuple[int, Any]:
    kind, value = results[0]
    if kind != "number":
        raise InterpretError(f"result type {kind} is not number")
    needs = None if results[1][0] == "nil" else answers.requirements(_table(results[1]))
    return answers.int32(int(value)), needs


def _components(arguments: Sequence[Any], results: Sequence[Result]) -> Any:
    if results[0][0] == "nil":
        return []
    wrong = "expected result type 'table' or 'nil' from GetComponents, but got"
    return answers.components(_table(results[0], is_object=False, wrong=wrong))


def _object(references: Callable[[Sequence[Any]], Sequence[Any]]) -> Callable[[Sequence[Any], Sequence[Result]], Any]:
    def read(arguments: Sequence[Any], results: Sequence[Result]) -> Any:
        return _table(results[0], references(arguments))

    return read


def _status(arguments: Sequence[Any], results: Sequence[Result]) -> Any:
    return answers.status(_table(results[0], wrong="expect the returned replica type is table but got"))


def _healthy(arguments: Sequence[Any], results: Sequence[Result]) -> bool:
    kind, value = results[0]
    if kind != "boolean":
        raise InterpretError(f"result type {kind} is not bool")
    return bool(value)


def _dependencies(arguments: Sequence[Any], results: Sequence[Result]) -> Any:
    return answers.dependencies(_table(results[0], is_object=False))


_READERS: Final[dict[Operation, Callable[[Sequence[Any], Sequence[Result]], Any]]] = {
    Operation.REPLICA: _replicas,
    Operation.COMPONENT: _components,
    Operation.REVISE_REPLICA: _object(lambda arguments: arguments[:1]),
    Operation.RETAIN: _object(lambda arguments: arguments[:2]),
    Operation.AGGREGATE_STATUS: _object(lambda arguments: ()),
    Operation.REFLECT_STATUS: _status,
    Operation.HEALTH: _healthy,
    Operation.DEPENDENCY: _dependencies,
}
