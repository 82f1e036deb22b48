"""sparkoperator.k8s.io/v1beta2 SparkApplication: a driver and executors."""

from __future__ import annotations

import re
from typing import Any, Final

from kafila.placement.interpreter.errors import InterpretError

from .calls import Needs, ThirdParty
from .pods import claim_of
from .statuses import reflecting
from .values import (
    at,
    counted,
    find,
    is_empty,
    is_true,
    less,
    number_or,
    own_map,
    pairs,
    text,
    to_number,
    type_of,
)

_JVM_FACTOR: Final = 0.10  # of memory, for what a Java virtual machine needs beside its heap
_OTHER_FACTOR: Final = 0.40
_LEAST_OVERHEAD: Final = "384m"
_JAVA_MEMORY: Final = re.compile(r"([0-9]+\.?[0-9]*)([a-z]*)", re.ASCII)
_LONGEST: Final = 64  # characters of an amount
_UNITS: Final = ("B", "Ki", "Mi", "Gi", "Ti", "Pi")
_JAVA_UNITS: Final = {short + long: unit for unit in _UNITS[1:] for short in unit[0].lower() for long in ("", "b")} | {
    "b": "B"
}
# of several states the worst counts
_PRIORITY: Final = {
    "UNKNOWN": 0,
    "": 0,
    "SUBMITTED": 1,
    "PENDING_RERUN": 1,
    "COMPLETED": 2,
    "SUSPENDING": 3,
    "SUSPENDED": 3,
    "RUNNING": 4,
    "RESUMING": 4,
    "SUCCEEDING": 4,
    "INVALIDATING": 5,
    "FAILING": 6,
    "FAILED": 6,
    "SUBMISSION_FAILED": 6,
}


def _is_healthy(obj: Any) -> bool:
    """In any state but FAILED."""
    found = obj
    for field in ("status", "applicationState", "state"):
        found = at(found, field)
        if not is_true(found):
            return False
    return bool(found != "FAILED")


def _components(obj: Any, needs: Needs) -> Any:
    kind = find(obj, "spec", "type")
    if not isinstance(kind, str):
        raise InterpretError("spec.type is missing or no text")
    default = _JVM_FACTOR if _lower(kind) in ("java", "scala") else _OTHER_FACTOR
    factor = number_or(find(obj, "spec", "memoryOverheadFactor"), default)
    return [
        {"name": role, "replicas": replicas, "replicaRequirements": _requirements(find(obj, "spec", role), factor)}
        for role, replicas in (("driver", 1), ("executor", _executors(obj)))
    ]


def _executors(obj: Any) -> Any:
    found = number_or(find(obj, "spec", "executor", "instances"), 1)
    if is_true(find(obj, "spec", "dynamicAllocation", "enabled")):
        for field in ("initialExecutors", "minExecutors"):
            found = max(found, number_or(find(obj, "spec", "dynamicAllocation", field), 1))
    return found


def _requirements(role: Any, factor: Any) -> Any:
    """What the driver or one executor needs; each has a core and a gibibyte when it does not say."""
    cores, memory = find(role, "cores"), find(role, "memory")
    request = {
        "cpu": cores if is_true(cores) else 1,
        "memory": _memory(memory if is_true(memory) else "1g", find(role, "memoryOverhead"), factor),
    }
    gpu = find(role, "gpu")
    if gpu is not None:
        name, quantity = at(gpu, "name"), number_or(at(gpu, "quantity"), 0)
        if not is_empty(name) and quantity > 0:
            request[name] = quantity
    return {"resourceRequest": request, **claim_of(role, with_affinity=True)}


def _memory(heap: Any, overhead: Any, factor: Any) -> str:
    """Heap and overhead together, in the smaller of their units."""
    value, unit = _java_memory(heap)
    if is_true(overhead):
        beside, beside_unit = _java_memory(overhead)
    else:
        least, least_unit = _java_memory(_LEAST_OVERHEAD)
        beside_unit = _smaller(unit, least_unit)
        beside = max(_converted(value * factor, unit, beside_unit), _converted(least, least_unit, beside_unit))
    total_unit = _smaller(unit, beside_unit)
    total = _converted(value, unit, total_unit) + _converted(beside, beside_unit, total_unit)
    return f"{total:f}{'' if total_unit == 'B' else total_unit}"


def _java_memory(memory: Any) -> tuple[Any, str]:
    """``512m`` as Java understands it: (512.0, "Mi"). A unit has to be said."""
    said = "" if type_of(memory) in ("table", "boolean") else text(memory, "memory")
    found = _JAVA_MEMORY.fullmatch(_lower(said)) if len(said) <= _LONGEST else None
    value, unit = (to_number(found[1]), _JAVA_UNITS.get(found[2])) if found else (None, None)
    if value is None or unit is None:
        raise InterpretError(f"{said[:64]!r} is no amount of memory with a unit, such as 512m or 2g")
    return value, unit


def _smaller(a: str, b: str) -> str:
    return min(a, b, key=_UNITS.index)


def _converted(value: Any, unit: str, wanted: str) -> Any:
    if unit == wanted:
        return value
    return value * (1024.0 ** _UNITS.index(unit) / 1024.0 ** _UNITS.index(wanted))


def _lower(said: str) -> str:
    """Of ASCII letters only."""
    return said.encode().lower().decode()


def _aggregate(obj: Any, items: Any) -> Any:
    if items is None:
        return at(obj, "status")
    if len(items) == 1:
        return at(items[0], "status")
    found: dict[str, Any] = {
        "applicationState": {},
        "executionAttempts": 0,
        "submissionAttempts": 0,
        "lastSubmissionAttemptTime": "",
        "terminationTime": "",
        "executorState": {},
    }
    worst = -1
    for item in items:
        status = at(item, "status")
        if status is None:
            continue
        state = at(status, "applicationState")
        if state is not None and _priority(at(state, "state")) > worst:
            worst, found["applicationState"] = _priority(at(state, "state")), state
        _add(found, status)
    old = own_map(obj, "status") if at(obj, "status") is not None else {}
    return {**old, **found}


def _add(found: dict[str, Any], status: Any) -> None:
    for field in ("executionAttempts", "submissionAttempts"):
        found[field] += counted(status, field)
    for field in ("lastSubmissionAttemptTime", "terminationTime"):
        time = at(status, field)
        if is_true(time) and (found[field] == "" or less(found[field], time)):
            found[field] = time
    executors = at(status, "executorState")
    if executors is not None:
        found["executorState"].update(pairs(executors, "executorState"))


def _priority(state: Any) -> int:
    found = _PRIORITY.get(state) if isinstance(state, str) else None
    if found is None:
        raise InterpretError("status.applicationState.state is none that is known")
    return found


SPARK_APPLICATION: Final = ThirdParty(
    components=_components,
    aggregate=_aggregate,
    reflect=reflecting(
        "applicationState",
        "driverInfo",
        "executorState",
        "sparkApplicationId",
        "lastSubmissionAttemptTime",
        "submissionAttempts",
        "executionAttempts",
        "submissionID",
        "terminationTime",
    ),
    health=_is_healthy,
)
