"""allOf, anyOf, oneOf and not, with kube-openapi's choice of which failures to report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from kafila.core.errors import FieldError

from .findings import NOWHERE, Finding, Findings, Make
from .formats import format_of
from .props import Props, additional, items, properties
from .scalars import Check, fits, types_of

Compile = Callable[[Props | None], Check | None]


def compile_combinations(props: Props, compile_check: Compile) -> Iterator[Check | None]:
    yield _any_of(props.get("anyOf") or (), compile_check)
    yield _one_of(props.get("oneOf") or (), compile_check)
    yield _all_of(props.get("allOf") or (), compile_check)
    yield _not(props.get("not"), compile_check)


def _message(text: str) -> Make:
    """kube-openapi knows no path for these: they stand at the top, and the text says where they belong."""
    return lambda path: FieldError.invalid(NOWHERE, "", f"{orjson.dumps(path).decode()} {text}")


def _compiled(schemas: Any, compile_check: Compile) -> list[tuple[Props, Check]]:
    return [(one, compile_check(one) or (lambda value: None)) for one in schemas]


def _any_of(schemas: Any, compile_check: Compile) -> Check | None:
    if not schemas:
        return None
    alternatives = _compiled(schemas, compile_check)

    def check(value: Any) -> Findings:
        failures: list[tuple[Props, list[Finding]]] = []
        for schema, inner in alternatives:
            wrong = inner(value)
            if wrong is None:
                return None
            failures.append((schema, wrong))
        return [Finding(_message("must validate at least one schema (anyOf)")), *_best(failures, value)]

    return check


def _one_of(schemas: Any, compile_check: Compile) -> Check | None:
    if not schemas:
        return None
    alternatives = _compiled(schemas, compile_check)

    def check(value: Any) -> Findings:
        failures: list[tuple[Props, list[Finding]]] = []
        valid = 0
        for schema, inner in alternatives:
            wrong = inner(value)
            if wrong is None:
                valid += 1
            else:
                failures.append((schema, wrong))
        if valid == 1:
            return None
        found = f"Found {valid} valid alternatives" if valid else "Found none valid"
        first = Finding(_message(f"must validate one and only one schema (oneOf). {found}"))
        return [first] if valid else [first, *_best(failures, value)]

    return check


def _all_of(schemas: Any, compile_check: Compile) -> Check | None:
    if not schemas:
        return None
    parts = _compiled(schemas, compile_check)

    def check(value: Any) -> Findings:
        found: list[Finding] = []
        failed = 0
        for _, inner in parts:
            if (wrong := inner(value)) is not None:
                found += wrong
                failed += 1
        if not failed:
            return None
        none = ". None validated" if failed == len(parts) else ""
        return [*found, Finding(_message(f"must validate all the schemas (allOf){none}"))]

    return check


def _not(schema: Any, compile_check: Compile) -> Check | None:
    if schema is None:
        return None
    inner = compile_check(schema)

    def check(value: Any) -> Findings:
        if inner is not None and inner(value) is not None:
            return None
        return [Finding(_message("must not validate the schema (not)"))]

    return check


def _best(failures: list[tuple[Props, list[Finding]]], value: Any) -> list[Finding]:
    """The findings of the alternative that came closest."""
    counts = [matches(schema, value) for schema, _ in failures]
    return failures[counts.index(max(counts))][1] if failures else []


def matches(props: Props, value: Any) -> int:
    """How much of a schema was compared with a value: kube-openapi's measure of closeness."""
    types, format = types_of(props), format_of(props)
    if value is None:
        return int(not types or bool(props.get("nullable")))
    total = 2 + 1  # the combinations, the enumeration, and the schema itself
    total += 1 + sum(matches(one, value) for name in ("anyOf", "oneOf", "allOf") for one in props.get(name) or ())
    if types or format:
        total += 1 + int(fits(types, format, value))
    if isinstance(value, str):
        total += 1 + int(bool(format))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        total += 2
    elif isinstance(value, list):
        inner = items(props)
        total += 2 + (sum(matches(inner, item) for item in value) if inner is not None else 0)
    elif isinstance(value, dict):
        known, others = properties(props), additional(props)
        total += 1 + sum(matches(known[name], item) for name, item in value.items() if name in known)
        if others is not None:
            total += sum(matches(others, item) for name, item in value.items() if name not in known)
    return total
