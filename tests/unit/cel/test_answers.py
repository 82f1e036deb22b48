"""Expressions answered as cel-go and Kubernetes' libraries answer them (hack/expressions.py): types, costs, values, messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kafila.cel import CompileError, Environment, InstantiationError
from kafila.cel.gotext import duration_text, general, timestamp_text
from kafila.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    Type,
    list_of,
    long_name,
    map_of,
)
from kafila.cel.values import Duration, Opaque, Optional, Timestamp, Uint, find, is_list, is_map, keys
from kafila.core.quoting import quoted

ANSWERS = Path(__file__).with_name("answers.jsonl")
KINDS = {
    "n": INT,
    "u": UINT,
    "d": DOUBLE,
    "s": STRING,
    "b": BOOL,
    "by": BYTES,
    "l": list_of(INT),
    "ls": list_of(STRING),
    "m": map_of(STRING, INT),
    "x": DYN,
    "ts": TIMESTAMP,
    "du": DURATION,
    "missing": INT,
}
AT = int(datetime(2024, 2, 29, 12, 30, 45, tzinfo=UTC).timestamp()) * 10**9 + 123456789
VALUES: dict[str, Any] = {
    "n": 7,
    "u": Uint(8),
    "d": 2.5,
    "s": "hello wörld",
    "b": True,
    "by": b"abc",
    "l": [1, 2, 3],
    "ls": ["a", "bb", "ccc"],
    "m": {"one": 1, "two": 2},
    "x": {"a": 1, "b": ["p", 2, 3.5, None, True], "c": {"d": "e"}, "n": None},
    "ts": Timestamp(AT),
    "du": Duration(5400 * 10**9),
}
SIZES = {("s",): 100, ("ls",): 10, ("ls", "@items"): 50}
MOST = 2**63 - 1


def shown(value: Any) -> str:
    """As a literal of CEL, which is what Go prints."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, Uint):
        return f"{int(value)}u"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _shown_float(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bytes):
        return 'b"' + "".join(f"\\{byte:03o}" for byte in value) + '"'
    if is_list(value):
        return "[" + ", ".join(map(shown, value)) + "]"
    if is_map(value):
        return "{" + ", ".join(f"{shown(key)}: {shown(find(value, key))}" for key in keys(value)) + "}"
    return _shown_other(value)


def _shown_float(value: float) -> str:
    if value != value:
        return 'double("NaN")'
    if value in (float("inf"), float("-inf")):
        return f'double("{"-" if value < 0 else ""}Infinity")'
    text = general(value)
    return text if "." in text or "e" in text else f"{text}.0"


def _shown_other(value: Any) -> str:
    if isinstance(value, Optional):
        return f"optional {shown(value.present)}"
    if isinstance(value, Timestamp):
        return f'timestamp("{timestamp_text(value)}")'
    if isinstance(value, Duration):
        return f'duration("{duration_text(value)}")'
    if isinstance(value, Type):
        return value.name
    assert isinstance(value, Opaque)
    return ""


def answered(environment: Environment, expression: str) -> dict[str, Any]:
    out: dict[str, Any] = {"expression": expression, "min": 0, "max": 0, "cost": 0}
    try:
        program = environment.compile(expression)
    except InstantiationError as problem:
        return {**out, "plan": str(problem)}
    except CompileError as problem:
        return {**out, "compile": str(problem)}
    estimate = program.estimated_cost(SIZES.get)
    result = program.evaluate(VALUES)
    out |= {
        "type": long_name(program.output),
        "min": min(estimate.low, MOST),
        "max": estimate.high,
        "cost": result.cost,
    }
    if result.error:
        return out | {"error": result.error}
    return out | {"value": shown(result.value)}


def test_answers() -> None:
    environment = Environment(KINDS)
    different = []
    for line in ANSWERS.read_text().splitlines():
        wanted = json.loads(line)
        got = answered(environment, wanted["expression"])
        if "plan" in wanted:  # costs that no program has
            wanted = {key: value for key, value in wanted.items() if key in ("expression", "plan")}
        if got.get("value") == "":  # Go prints its struct
            wanted.pop("value", None)
            got.pop("value")
        if wanted.get("error", "").startswith("operation cancelled"):  # how far it came before it looked
            assert got.pop("cost") > 1_000_000
            wanted.pop("cost")
        found = {key: got.get(key) for key in wanted}
        if found != wanted:
            different.append((wanted, found))
    assert different == []
