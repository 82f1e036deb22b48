"""What a mutation of a MutatingAdmissionPolicy makes of one object (k8s.io/apiserver policy/mutating/patch). Pure."""

from __future__ import annotations

import base64
import marshal
import math
from functools import lru_cache
from typing import Any, Final, NamedTuple, final

from kafila.cel import CompileError
from kafila.cel.admission import Made
from kafila.cel.gotext import duration_text, general, timestamp_text
from kafila.cel.values import Duration, Timestamp, find, is_list, is_map, keys
from kafila.core.values import Object
from kafila.machinery import jsonpatch, typed
from kafila.machinery.amount import MAX_MADE, check_made
from kafila.machinery.compare import ElementError
from kafila.machinery.patched import patched_decoded
from kafila.machinery.redecode import merged_decoded
from kafila.machinery.schema import Schema

from .applied import applied
from .evaluation import BUDGET, EXHAUSTED, Budget, Unusable, result_of, with_variables
from .policy import Mutation, Policy

FEW: Final = 100  # values that are made
LONGEST_REMEMBERED: Final = 1024  # bytes of a configuration
MAX_DEPTH: Final = 100  # of what an expression makes
COMPILE, OUT_OF_BUDGET, INVALID = "compile_error", "out_of_budget", "invalid_error"
_NO_JSON: Final = "the expression evaluated to a type that could not marshal to JSON"
_EXACT: Final = 2**53 - 1  # integers up to here are numbers of JSON in CEL, and others texts


class MutationFailed(Exception):
    """The text is kube-apiserver's; ``kind``: what its metrics call it."""

    def __init__(self, text: str, kind: str = INVALID) -> None:
        super().__init__(text)
        self.kind = kind


class Mutated(NamedTuple):
    """``decoded``: it has the form already that the schema's decoder gives it."""

    document: Object
    decoded: bool = False


def mutated(
    policy: Policy,
    mutation: Mutation,
    bindings: Object,
    live: Object,
    schema: Schema | None,
    most: int | None = None,
    *,
    decodes: bool = False,
) -> Mutated:
    """What becomes of ``live``, which is not changed, but shared; ``live`` itself where a test of a JSON patch says no.

    ``bindings``: values of all variables but ``variables``. ``most``: of cost here. ``decodes``: ``live`` has the form that the
    schema's decoder gave it, and so may what is made of it. Raises MutationFailed, TooLong, StatusError.
    """
    value = _value(policy, mutation, bindings, most)
    try:
        if mutation.applies and schema is not None:
            return _applied(schema, live, value, decodes)
        return _patched(schema if decodes else None, live, value)
    except RecursionError:
        raise MutationFailed("the object is nested too deeply") from None


def _value(policy: Policy, mutation: Mutation, bindings: Object, most: int | None) -> Any:
    program = mutation.expression.program
    if isinstance(program, CompileError):
        raise MutationFailed(f"compilation failed: {program}", COMPILE)
    budget = Budget(BUDGET, most)
    try:
        result = result_of(mutation.expression, with_variables(policy, bindings, budget), budget)
    except Unusable as error:
        raise MutationFailed(str(error), OUT_OF_BUDGET if str(error) == EXHAUSTED else INVALID) from None
    if result.error:
        raise MutationFailed(result.error)
    return result.value


# -- ApplyConfiguration ----------------------------------------------------------------------------------------------------------


def _applied(schema: Schema, live: Object, value: Any, decodes: bool) -> Mutated:
    if not isinstance(value, Made):
        raise MutationFailed("unsupported return type from ApplyConfiguration expression")
    if decodes and (document := applied(schema, live, value)) is not None:
        return Mutated(document, True)
    reader = _Reader(exact=True)
    config = reader.object(value)
    config["apiVersion"], config["kind"] = live["apiVersion"], live["kind"]
    text = marshal.dumps(config, 2)  # which tells an integer from a boolean
    if len(text) > LONGEST_REMEMBERED:
        _check(schema, config)
    else:
        _check_text(schema, text)
    try:
        decoded = merged_decoded(schema, live, config) if decodes else None
        document = decoded if decoded is not None else typed.merge(schema, live, config, share=True)
    except ElementError as error:
        raise MutationFailed(f"error applying patch: failed to merge patch: {error}") from None
    _check_amount(document, live, reader)
    return Mutated(document, decoded is not None)


@lru_cache(maxsize=512)
def _check_text(schema: Schema, text: bytes) -> None:
    """What an expression makes of many objects is the same: what was found to be right is remembered. Raises MutationFailed."""
    _check(schema, marshal.loads(text))


def _check(schema: Schema, config: Object) -> None:
    """Raises MutationFailed."""
    try:
        typed.check(schema, config)
        _check_nulls(schema, config, "")
    except typed.TypedError as error:
        raise MutationFailed(f"error applying patch: failed to convert patch object to typed object: {error}") from None
    atomics: list[str] = []
    _find_atomics(schema, config, "", atomics)
    if atomics:
        text = f"may not mutate atomic arrays, maps or structs: {', '.join(atomics)}"
        raise MutationFailed(f"error applying patch: invalid ApplyConfiguration: {text}")


def _check_amount(document: Object, live: Object, reader: _Reader, copies: bool = False) -> None:
    """Raises StatusError 413. A few more values are not worth looking at all of them."""
    if reader.made > FEW or copies:
        check_made(document, live)


def _check_nulls(schema: Schema, value: Any, path: str) -> None:
    """A null of an expression is no value in kube-apiserver but where anything may stand."""
    if isinstance(value, dict):
        for name, item in value.items():
            child = schema.fields.get(name) or (schema.items if schema.kind == "map" else None)
            if child is not None:
                _check_nulls(child, item, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value if schema.items is not None else ()):
            assert schema.items is not None
            _check_nulls(schema.items, item, f"{path}[{index}]")
    elif value is None and schema.kind != "any":
        wanted = {"integer": "numeric (int or float)", "number": "numeric (int or float)", "struct": "map"}
        raise typed.TypedError(f"{path}: expected {wanted.get(schema.kind, schema.kind)}, got structpb.NullValue")


def _find_atomics(schema: Schema, value: Any, path: str, found: list[str]) -> None:
    """Where a configuration would replace something as a whole."""
    if value.__class__ is dict:
        if schema.kind not in ("struct", "map", "any"):
            return
        if schema.atomic:
            found.append(path)
        fields = schema.fields
        for name, item in value.items():
            if item.__class__ is not dict and item.__class__ is not list:
                continue
            if (child := fields.get(name)) is not None:
                _find_atomics(child, item, f"{path}.{name}", found)
    elif value.__class__ is list and schema.kind in ("list", "any"):
        if schema.kind == "any" or schema.list_type == "atomic":
            found.append(path)
        if schema.items is not None:
            for index, item in enumerate(value):
                _find_atomics(schema.items, item, f"{path}[{index}]", found)


# -- JSONPatch -------------------------------------------------------------------------------------------------------------------


def _patched(schema: Schema | None, live: Object, value: Any) -> Mutated:
    """``schema``: of what its decoder has made."""
    reader = _Reader(exact=False)
    operations = _operations(value, reader)
    if schema is not None and (decoded := patched_decoded(schema, live, operations)) is not None:
        _check_amount(decoded, live, reader)
        return Mutated(decoded, True)
    try:
        document = jsonpatch.apply(live, operations, share=True)
    except jsonpatch.TestFailed:
        return Mutated(live)
    except (jsonpatch.PatchFailed, jsonpatch.BadPatch, jsonpatch.TooManyOperations) as error:
        raise MutationFailed(f"JSON Patch: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("metadata", {}), dict | None):
        raise MutationFailed("JSON Patch: what it leaves is no object")
    _check_amount(document, live, reader, copies=any(operation["op"] == "copy" for operation in operations))
    return Mutated(document)


def _operations(value: Any, reader: _Reader) -> list[Object]:
    if not is_list(value):
        raise MutationFailed("type mismatch: JSONPatchType.expression should evaluate to array")
    operations = []
    for made in value:
        if not isinstance(made, Made):
            raise MutationFailed("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
        operation: Object = {"op": made.fields.get("op", ""), "path": made.fields.get("path", "")}
        if made.fields.get("from"):
            operation["from"] = made.fields["from"]
        if "value" in made.fields:
            operation["value"] = reader.value(made.fields["value"])
        operations.append(operation)
    return operations


# -- values of expressions as JSON -------------------------------------------------------------------------------------------


@final
class _Reader:
    """``exact``: integers stay what they are, however large. Raises MutationFailed for what is too much: an expression may name
    one value any number of times, which costs it little.
    """

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact
        self._left = MAX_MADE

    @property
    def made(self) -> int:
        return MAX_MADE - self._left

    def object(self, made: Made) -> Object:
        self._left -= 1
        return self._object(made, made.type_name, 0)

    def value(self, value: Any) -> Any:
        self._left -= 1
        return self._read(value, value.type_name if isinstance(value, Made) else None, 0)

    def _enter(self, values: int, depth: int) -> None:
        """Before that many values at ``depth`` are read."""
        self._left -= values
        if self._left < 0 or (depth > MAX_DEPTH and values):
            what = "is nested too deeply" if depth > MAX_DEPTH else f"has more than {MAX_MADE} values"
            raise MutationFailed(f"what the expression makes {what}")

    def _object(self, made: Made, path: str | None, depth: int) -> Object:
        if path is not None and made.type_name != path:
            text = f'unexpected type name "{made.type_name}", expected "{path}", which matches field name path from root Object type'
            raise MutationFailed(f"type mismatch: {text}")
        depth += 1
        self._enter(len(made.fields), depth)
        out: Object = {}
        for name, value in made.fields.items():
            if value.__class__ is str:  # as most are
                out[name] = value
            else:
                out[name] = self._read(value, f"{path}.{name}" if path is not None else None, depth)
        return out

    def _read(self, value: Any, path: str | None, depth: int) -> Any:
        kind = value.__class__
        if kind is str or kind is bool or value is None:
            return value
        if kind is Made:
            return self._object(value, path, depth)
        if kind is dict or kind is list:
            return self._map(value, path, depth) if kind is dict else self._list(value, path, depth)
        if isinstance(value, int):
            return int(value) if self._exact or -_EXACT <= value <= _EXACT else str(int(value))
        if isinstance(value, float):
            if not math.isfinite(value):
                raise MutationFailed(f"{_NO_JSON}: invalid {general(value)} value")
            return int(value) if value.is_integer() and abs(value) <= _EXACT else value
        if is_list(value):
            return self._list(value, path, depth)
        if is_map(value):
            return self._map(value, path, depth)
        return _text(value)

    def _list(self, value: Any, path: str | None, depth: int) -> list[Any]:
        self._enter(len(value), depth + 1)
        out = []
        for item in value:  # no comprehension: it would take a frame of the stack for each level
            out.append(self._read(item, path, depth + 1))
        return out

    def _map(self, value: Any, path: str | None, depth: int) -> Object:
        self._enter(len(value), depth + 1)
        out: Object = {}
        for key in value if value.__class__ is dict else keys(value):
            if key.__class__ is not str:
                raise MutationFailed("invalid return type: *dynamic.ObjectVal")
            out[key] = self._read(value[key] if value.__class__ is dict else find(value, key), path, depth + 1)
        return out


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Timestamp):
        return timestamp_text(value)
    if isinstance(value, Duration):
        return duration_text(value)
    raise MutationFailed(_NO_JSON)
