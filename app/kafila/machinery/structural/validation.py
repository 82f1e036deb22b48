"""Validation of values by a schema, in the words of kube-openapi. Compiled into closures: a valid object costs no string handling.

All checks of a node are made, whatever the others find, in kube-openapi's order: type, combinations, string, format, number,
list, enum, object.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from kafila.core.errors import FieldError

from . import combinations, scalars
from .findings import Finding, Findings, errors_of, within, without_unchanged
from .formats import format_of
from .props import Props, additional, items, properties
from .scalars import Check

Validate = Callable[[Any], list[FieldError]]
ValidateUpdate = Callable[[Any, Any], list[FieldError]]
# what says nothing about a value but its type
_OF_TYPE: Final = frozenset({"type", "nullable", "description", "title", "default", "example"})


def compile_validation(props: Props | None, base: str = "") -> tuple[Validate, ValidateUpdate]:
    """Functions for a new value, and for a new value in place of an old one. ``base`` is where the value stands."""
    check = compile_check(props)
    if check is None:
        return (lambda value: []), (lambda new, old: [])

    def validate(value: Any) -> list[FieldError]:
        return errors_of(check(value), base)

    def validate_update(new: Any, old: Any) -> list[FieldError]:
        found = check(new)
        return errors_of(without_unchanged(found, props, new, old), base) if found else []

    return validate, validate_update


def compile_check(props: Props | None) -> Check | None:
    """None when the schema allows everything."""
    if not props:
        return None
    if props.keys() <= _OF_TYPE:
        return _check_of_type(props.get("type") or "", bool(props.get("nullable")))
    return _compiled(props)


@lru_cache(maxsize=16)
def _check_of_type(type: str, nullable: bool) -> Check | None:
    """One for all fields that say no more: most do not, and a definition may have tens of thousands."""
    return _compiled({"type": type, "nullable": nullable})


def _compiled(props: Props) -> Check | None:
    checks = [check for check in _checks(props) if check is not None]
    null = _null_check(props)
    if not checks:
        return (lambda value: null() if value is None else None) if null is not None else None
    if len(checks) == 1:
        only = checks[0]

        def check_one(value: Any) -> Findings:
            if value is None:
                return null() if null is not None else None
            return only(value)

        return check_one

    def check_all(value: Any) -> Findings:
        if value is None:
            return null() if null is not None else None
        found: Findings = None
        for check in checks:
            wrong = check(value)
            if wrong is not None:
                found = wrong if found is None else found + wrong
        return found

    return check_all


def _checks(props: Props) -> list[Check | None]:
    types = scalars.types_of(props)
    structured = [_list(props), scalars.enum(props), _object(props)]
    return [
        scalars.type_check(types, format_of(props)),
        *combinations.compile_combinations(props, compile_check),
        scalars.string(props),
        scalars.string_format(props),
        scalars.number(props),
        *structured,
    ]


def _null_check(props: Props) -> Callable[[], Findings] | None:
    """Null has neither content nor properties: only its type and its being one of the allowed values count."""
    types, enum = scalars.types_of(props), props.get("enum") or []
    found = []
    if types and not props.get("nullable"):
        found.append(scalars.wrong_type(",".join(types), "null"))
    if enum:
        found.append(lambda path: scalars.not_supported(path, None, enum))
    return (lambda: [Finding(make) for make in found]) if found else None


def _list(props: Props) -> Check | None:
    each = compile_check(items(props))
    shortest, longest = props.get("minItems"), props.get("maxItems")
    if each is None and shortest is None and longest is None:
        return None

    def check(value: Any) -> Findings:
        if value.__class__ is not list:
            return None
        found: list[Finding] = []
        if each is not None:
            for i, item in enumerate(value):
                if (wrong := each(item)) is not None:
                    found += within(wrong, i)
        size = len(value)
        if shortest is not None and size < shortest:
            found.append(Finding(scalars.invalid(size, f"should have at least {shortest} items")))
        if longest is not None and size > longest:
            found.append(Finding(lambda path: FieldError.too_many(path, size, longest)))
        return found or None

    return check


def _object(props: Props) -> Check | None:
    known = properties(props)
    checks = {name: inner for name, child in known.items() if (inner := compile_check(child)) is not None}
    others = compile_check(additional(props))
    required = tuple(props.get("required") or ())
    fewest, most = props.get("minProperties"), props.get("maxProperties")
    if not checks and others is None and not required and fewest is None and most is None:
        return None
    closed = props.get("additionalProperties") is False

    def check(value: Any) -> Findings:
        if value.__class__ is not dict:
            return None
        found: list[Finding] = []
        size = len(value)
        if fewest is not None and size < fewest:
            found.append(Finding(scalars.invalid(size, f"should have at least {fewest} properties")))
        if most is not None and size > most:
            found.append(Finding(lambda path: FieldError.too_many(path, size, most)))
        if others is not None or closed:
            for name, item in value.items():
                if name in known:
                    continue
                if closed:
                    found.append(Finding(_forbidden(name)))
                elif others is not None and (wrong := others(item)) is not None:
                    found += within(wrong, name)
        for name, inner in checks.items():
            if name in value and (wrong := inner(value[name])) is not None:
                found += within(wrong, name)
        for name in required:
            if name not in value:
                found.append(Finding(FieldError.required, f".{name}"))
        return found or None

    return check


def _forbidden(name: str) -> Callable[[str], FieldError]:
    return lambda path: FieldError.invalid(path, "", f"{path}.{name} in body is a forbidden property")
