"""What a validation finds, with the way to the value it was found in: paths are only written when something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, final

from kafila.core.errors import MOST_TEXT, FieldError
from kafila.core.values import json_key, same_json

from .props import LIST_MAP_KEYS, LIST_TYPE, Props, items, member

Step = str | int
# (path of the value within what is validated, "" for itself) -> the finding, its path still relative
Make = Callable[[str], FieldError]
NOWHERE = "<nil>"  # Go's text of no path


@final
class Finding:
    """``steps`` lead to the value, the last one first. ``member`` is what of the value the finding is about."""

    __slots__ = ("make", "member", "steps")

    def __init__(self, make: Make, member: str = "") -> None:
        self.make = make
        self.member = member
        self.steps: list[Step] = []

    def error(self, base: str) -> FieldError:
        """``base`` is the path of what was validated; messages name the path without it, as kube-openapi does."""
        path = path_text(reversed(self.steps)) + self.member
        found = self.make(path)
        if found.field == NOWHERE and base:
            return FieldError(found.reason, base, found.value, found.detail)
        inner = path.removeprefix(".") if found.field != NOWHERE else ""
        where = f"{base}.{inner}" if base and inner else base or inner or NOWHERE
        return FieldError(found.reason, where, found.value, found.detail)


Findings = list[Finding] | None


def path_text(steps: Iterable[Step]) -> str:
    """``spec.list[0].name``."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def within(found: list[Finding], step: Step) -> list[Finding]:
    for one in found:
        one.steps.append(step)
    return found


def errors_of(found: Findings, base: str = "") -> list[FieldError]:
    """The findings as errors, each text once, as many as are shown."""
    if not found:
        return []
    out: dict[tuple[str, str, str], FieldError] = {}
    length = 0
    for finding in found:
        error = finding.error(base)
        out[error.field, error.reason, error.detail] = error
        length += len(error.field) + len(error.detail)
        if length > MOST_TEXT:
            break
    return list(out.values())


def without_unchanged(found: list[Finding], props: Props | None, new: Any, old: Any) -> list[Finding]:
    """Ratcheting: an update may leave wrong what it does not touch. The old value is looked for where it can be found."""
    comparison = _Comparison()
    return [finding for finding in found if not comparison.is_unchanged(finding, props, new, old)]


class _Comparison:
    """What is compared for one finding is not compared again for the next; the values are alive as long as this is."""

    def __init__(self) -> None:
        self._same: dict[tuple[int, int], bool] = {}
        self._items: dict[int, dict[tuple[Hashable, ...], Any]] = {}

    def is_unchanged(self, finding: Finding, props: Props | None, new: Any, old: Any) -> bool:
        if self._are_same(new, old):
            return True
        root = True
        for step in reversed(finding.steps):
            if isinstance(step, int):
                old = self._old_item(props, new, old, step)
                new, props = new[step], items(props) if props is not None else None
            else:
                if (root and step in ("kind", "apiVersion")) or not isinstance(old, dict) or step not in old:
                    return False
                new, old, props = new[step], old[step], member(props, step)
            if old is _UNKNOWN:
                return False
            if self._are_same(new, old):
                return True
            root = False
        return False

    def _are_same(self, new: Any, old: Any) -> bool:
        pair = id(new), id(old)
        if pair not in self._same:
            self._same[pair] = same_json(new, old)
        return self._same[pair]

    def _old_item(self, props: Props | None, new: Any, old: Any, position: int) -> Any:
        """The old element of a map list; elements of other lists have no identity."""
        if props is None or props.get(LIST_TYPE) != "map" or not isinstance(old, list):
            return _UNKNOWN
        keys = props.get(LIST_MAP_KEYS) or ()
        if not isinstance(new[position], dict):
            return _UNKNOWN
        if id(old) not in self._items:
            known = self._items[id(old)] = {}
            for one in old:
                if isinstance(one, dict):
                    known.setdefault(tuple([json_key(one.get(key)) for key in keys]), one)
        wanted = tuple([json_key(new[position].get(key)) for key in keys])
        return self._items[id(old)].get(wanted, _UNKNOWN)


_UNKNOWN = object()
