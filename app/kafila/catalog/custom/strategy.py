"""What the API server does to custom resources on their way in."""

from __future__ import annotations

from typing import Any

from kafila.catalog.kind import Scale, Strategy
from kafila.cel.ruled import compile_rules
from kafila.core.errors import FieldError, gathered
from kafila.core.names import qualified_name
from kafila.core.values import Object
from kafila.machinery.structural.defaulting import Fill
from kafila.machinery.structural.embedded import Embedded
from kafila.machinery.structural.lists import compile_list_types
from kafila.machinery.structural.props import Props, properties
from kafila.machinery.structural.validation import compile_validation

STANDARD_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})
MAX_INT32 = 2**31 - 1
SLOW = 20_000  # cost of the rules of a write from which on it is checked in a thread: some hundredths of a second
MOST_TOLERATED = 64  # writes whose warnings wait
# findings after which rules (x-kubernetes-validations) are not evaluated
BLOCKING = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
UNCHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


def custom_strategy(
    props: Props | None, fill: Fill | None, embedded: Embedded | None, *, status: bool, scale: Scale | None
) -> Strategy:
    """``fill`` and ``embedded`` are compiled from ``props``."""
    checks = _Checks(props, embedded, scale)
    rules = checks.rules
    strategy = Strategy(
        validate_create=checks.create,
        validate_update=checks.update,
        validate_status=checks.status,
        warnings=lambda obj: finalizer_warnings(obj, None),
        update_warnings=finalizer_warnings if rules is None else checks.update_warnings,
        slow_to_check=rules is not None and rules.cost > SLOW,
        # everything but metadata counts; status only where it is not a subresource of its own
        generation_fields=("*",) if status else ("*", "status"),
        status=status,
        unconditional_update=False,
    )
    if fill is not None:
        strategy.default = fill
    return strategy


class _Checks:
    def __init__(self, props: Props | None, embedded: Embedded | None, scale: Scale | None) -> None:
        self._new, self._changed = compile_validation(props)
        self._status = compile_validation(properties(props or {}).get("status"), "status")[1]
        self._lists = compile_list_types(props)
        self._embedded = embedded
        self._scale = scale
        self.rules = compile_rules(props)
        self._tolerated: dict[int, tuple[Object, list[str]]] = {}

    def create(self, obj: Object) -> list[FieldError]:
        found = self._new(obj) + self._spec_scale(obj) + self._status_scale(obj)
        if self._embedded is not None:
            found += self._embedded.validate(obj)
        if self._lists is not None:
            found += self._lists(obj)
        if self.rules is None:
            return found
        return _with_unchecked(found) or found + self.rules.new(obj)

    def update(self, new: Object, old: Object) -> list[FieldError]:
        found = self._changed(new, old) + self._spec_scale(new) + self._status_scale(new)
        if self._embedded is not None:
            found += self._embedded.validate(new)
        return self._with_rules(found + self._list_findings(new, old), new, old)

    def status(self, new: Object, old: Object) -> list[FieldError]:
        found = self._status(new["status"], old.get("status")) if "status" in new else []
        return self._with_rules(found + self._status_scale(new) + self._list_findings(new, old), new, old)

    def _with_rules(self, found: list[FieldError], new: Object, old: Object) -> list[FieldError]:
        if self.rules is None:
            return found
        if unchecked := _with_unchecked(found):
            return unchecked
        broken, tolerated = self.rules.changed(new, old)
        if tolerated:
            self._keep(new, tolerated)
        return found + broken

    def _keep(self, new: Object, warnings: list[str]) -> None:
        """Until somebody asks for the warnings of this write, or so many others have come that nobody will."""
        while len(self._tolerated) >= MOST_TOLERATED:
            self._tolerated.pop(next(iter(self._tolerated)), None)
        self._tolerated[id(new)] = new, warnings

    def update_warnings(self, new: Object, old: Object | None) -> list[str]:
        _, said = self._tolerated.pop(id(new), (new, []))
        return finalizer_warnings(new, old) + said

    def _list_findings(self, new: Object, old: Object) -> list[FieldError]:
        """Lists that were wrong before may stay so."""
        lists = self._lists
        if lists is None:
            return []
        found = gathered(lambda: lists(new))
        return found if found and not gathered(lambda: lists(old)) else []

    def _spec_scale(self, obj: Object) -> list[FieldError]:
        return _count(obj, self._scale.spec_replicas) if self._scale is not None else []

    def _status_scale(self, obj: Object) -> list[FieldError]:
        if self._scale is None:
            return []
        found = _count(obj, self._scale.status_replicas)
        if path := self._scale.label_selector:
            value, wrong = _nested(obj, path, "string", str)
            if wrong:
                found.append(FieldError.invalid(path, value or "", wrong))
        return found


def _with_unchecked(found: list[FieldError]) -> list[FieldError]:
    """What was found, and that rules are not evaluated for it; nothing where they are."""
    if any(error.reason in BLOCKING for error in found):
        return [*found, FieldError.invalid("<nil>", None, UNCHECKED)]
    return []


def _count(obj: Object, path: str) -> list[FieldError]:
    value, wrong = _nested(obj, path, "int64", int)
    if wrong:
        return [FieldError.invalid(path, 0, wrong)]
    if value is not None and value < 0:
        return [FieldError.invalid(path, value, "should be a non-negative integer")]
    if value is not None and value > MAX_INT32:
        return [FieldError.invalid(path, value, f"should be less than or equal to {MAX_INT32}")]
    return []


def _nested(obj: Object, path: str, go_name: str, wanted: type) -> tuple[Any, str]:
    """The value at a path of field names, and what is wrong with it."""
    value: Any = obj
    steps = path.removeprefix(".").split(".")
    for i, step in enumerate(steps):
        if not isinstance(value, dict):
            if value is None:
                return None, ""
            where = "." + ".".join(steps[: i + 1])
            return (
                None,
                f"{where} accessor error: {_go(value)} is of the type {_go_type(value)}, expected map[string]interface{{}}",
            )
        if step not in value:
            return None, ""
        value = value[step]
    if value.__class__ is not wanted:
        return None, f"{path} accessor error: {_go(value)} is of the type {_go_type(value)}, expected {go_name}"
    return value, ""


def _go(value: Any) -> str:
    return "<nil>" if value is None else ("true" if value else "false") if isinstance(value, bool) else str(value)


def _go_type(value: Any) -> str:
    names: dict[type, str] = {str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}"}
    return names.get(value.__class__, "<nil>" if value is None else "map[string]interface {}")


def finalizer_warnings(obj: Object, old: Object | None) -> list[str]:
    """About finalizers that are new and whose names others may use too."""
    before = set(((old or {}).get("metadata") or {}).get("finalizers") or ())
    added = sorted(set(obj["metadata"].get("finalizers") or ()) - before)
    return [warning for name in added for warning in _about(name)]


def _about(name: str) -> list[str]:
    head = f"metadata.finalizers: {_quoted(name)}: "
    found = [head + why for why in qualified_name(name)]
    if "/" not in name and name not in STANDARD_FINALIZERS:
        path = " including a path (/)" if "." in name else ""
        tail = "to avoid accidental conflicts with other finalizer writers"
        found.append(f"{head}prefer a domain-qualified finalizer name{path} {tail}")
    return found


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
