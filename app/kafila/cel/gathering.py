"""Steps that make lists, maps and objects, and those that go through them."""

from __future__ import annotations

from typing import Any, Final

from .attributes import Attribute, Lazy
from .bounds import CostExceeded
from .gotext import shown
from .libraries.operators import add
from .steps import COST, LIMIT, LIST_COST, MAP_COST, STRUCT_COST, Constant, Frame, Maker, Step, charge
from .values import (
    BoolKey,
    Duration,
    EvaluationError,
    Growing,
    Optional,
    Timestamp,
    Uint,
    find,
    is_list,
    is_map,
    key_of,
    keys,
)


def list_of(steps: list[Step], optionals: frozenset[int]) -> Step:
    def plain(frame: Frame) -> Any:
        charge(frame, LIST_COST)
        out = []
        for step in steps:  # no comprehension: it would take a frame of the stack for each level
            out.append(step(frame))
        return out

    def run(frame: Frame) -> Any:
        charge(frame, LIST_COST)
        out = []
        for index, step in enumerate(steps):
            value = step(frame)
            if index in optionals:
                if type(value) is not Optional:
                    message = f"cannot initialize optional list element from non-optional value {shown(value)}"
                    raise EvaluationError(message)
                if not value.present:
                    continue
                value = value.value
            out.append(value)
        return out

    return run if optionals else plain


def map_of(entries: list[tuple[Step, Step, bool]]) -> Step:
    def run(frame: Frame) -> Any:
        charge(frame, MAP_COST)
        out: dict[Any, Any] = {}
        for key_step, step, optional in entries:
            key = key_of(key_step(frame))
            value = step(frame)
            if optional:
                if type(value) is not Optional:
                    raise EvaluationError(_not_optional(key.value if type(key) is BoolKey else key, value))
                if not value.present:
                    out.pop(key, None)
                    continue
                value = value.value
            out[key] = value
        return out

    return run


def _not_optional(key: Any, value: Any) -> str:
    return f"cannot initialize optional entry '{shown(key)}' from non-optional value {shown(value)}"


def struct(type_name: str, entries: list[tuple[str, Step, bool]], maker: Maker) -> Step:
    make = maker.making(type_name)
    known = {name: step.value if isinstance(step, Constant) else None for name, step, _ in entries}
    twice = len(known) < len(entries)  # the last one counts
    steps = [(name, step) for name, step, _ in entries if twice or not isinstance(step, Constant)]

    def plain(frame: Frame) -> Any:
        frame[COST] += STRUCT_COST
        if frame[COST] > frame[LIMIT]:
            raise CostExceeded
        fields = known.copy()
        for name, step in steps:
            fields[name] = step(frame)
        return make(fields)

    def run(frame: Frame) -> Any:
        charge(frame, STRUCT_COST)
        fields: dict[str, Any] = {}
        for name, step, optional in entries:
            value = step(frame)
            if optional:
                if type(value) is not Optional:
                    raise EvaluationError(_not_optional(name, value))
                if not value.present:
                    fields.pop(name, None)
                    continue
                value = value.value
            fields[name] = value
        return make(fields)

    return run if any(optional for _, _, optional in entries) else plain


def fold(over: Step, init: Step, condition: Step, step: Step, result: Step, accu: int, var: int, var2: int) -> Step:
    start = Lazy(init)
    ends = not isinstance(condition, Constant)
    gives_it = isinstance(result, Attribute) and result.slot == accu and not result.qualifiers

    def run(frame: Frame) -> Any:
        values = over(frame)
        frame[accu] = start
        for each in _pairs(values) if var2 else values if values.__class__ is list else _iterated(values):
            if var2:
                frame[var], frame[var2] = each
            else:
                frame[var] = each
            if ends and condition(frame) is False:
                break
            try:
                frame[accu] = step(frame)
            except EvaluationError as problem:
                frame[accu] = problem
        if gives_it and frame[accu].__class__ is Growing:  # as ``result`` reads it, without a call
            charge(frame, 1)
            return list(frame[accu])
        found = result(frame)
        return list(found) if type(found) is Growing else found

    return run


def appended(collected: Step, element: Step) -> Step:
    """``collected + [element]``, of which no list is made where a comprehension collects; costs as ``call`` of ``_+_``."""
    slot = collected.slot if isinstance(collected, Attribute) and not collected.qualifiers else COST

    def run(frame: Frame) -> Any:
        problem: EvaluationError | None = None
        found, value = frame[slot], None
        if found.__class__ is Growing:  # as ``collected`` reads it, without a call
            charge(frame, 1)
        else:
            try:
                found = collected(frame)
            except EvaluationError as raised:
                problem = raised
        frame[COST] += LIST_COST
        if frame[COST] > frame[LIMIT]:
            raise CostExceeded
        try:
            value = element(frame)
        except EvaluationError as raised:
            problem = problem or raised
        frame[COST] += 1
        if frame[COST] > frame[LIMIT]:
            raise CostExceeded
        if problem is not None:
            raise problem
        if found.__class__ is Growing:
            found.append(value)
            return found
        return add(found, [value])

    return run


def _iterated(values: Any) -> Any:
    if is_list(values):
        return values
    if is_map(values):
        return keys(values)
    raise EvaluationError(f"got '{go_type(values)}', expected iterable type")


def _pairs(values: Any) -> Any:
    if is_list(values):
        return enumerate(values)
    if is_map(values):
        return ((key, find(values, key)) for key in keys(values))
    raise EvaluationError(f"unsupported comprehension range type: {go_type(values)}")


_GO_TYPES: Final[dict[type, str]] = {
    bool: "types.Bool",
    int: "types.Int",
    Uint: "types.Uint",
    float: "types.Double",
    str: "types.String",
    bytes: "types.Bytes",
    type(None): "types.Null",
    Duration: "types.Duration",
    Timestamp: "types.Timestamp",
    Optional: "*types.Optional",
    list: "*types.baseList",
}


def go_type(value: Any) -> str:
    return _GO_TYPES.get(type(value), "*types.Type")
