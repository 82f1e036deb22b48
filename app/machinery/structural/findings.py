"""What a validation finds, with the way to the value it was found in: paths are only written when something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, final

from app.core.errors import FieldError
from app.core.values import same_json

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
    """All findings as errors, each text once."""
    if not found:
        return []
    return list({(error.field, error.reason, error.detail): error for error in (f.error(base) for f in found)}.values())


def without_unchanged(found: list[Finding], props: Props | None, new: Any, old: Any) -> list[Finding]:
    """Ratcheting: an update may leave wrong what it does not touch. The old value is looked for where it can be told."""
    return [finding for finding in found if not _unchanged(finding, props, new, old)]


def _unchanged(finding: Finding, props: Props | None, new: Any, old: Any) -> bool:
    if same_json(new, old):
        return True
    root = True
    for step in reversed(finding.steps):
        if isinstance(step, int):
            old = _old_item(props, new, old, step)
            new, props = new[step], items(props) if props is not None else None
        else:
            if (root and step in ("kind", "apiVersion")) or not isinstance(old, dict) or step not in old:
                return False
            new, old, props = new[step], old[step], member(props, step)
        if old is _UNKNOWN:
            return False
        if same_json(new, old):
            return True
        root = False
    return False


_UNKNOWN = object()


def _old_item(props: Props | None, new: Any, old: Any, position: int) -> Any:
    """The old element of a map list; elements of other lists have no identity."""
    if props is None or props.get(LIST_TYPE) != "map" or not isinstance(old, list):
        return _UNKNOWN
    keys = props.get(LIST_MAP_KEYS) or ()
    if not isinstance(new[position], dict):
        return _UNKNOWN
    wanted = [new[position].get(key) for key in keys]
    return next((one for one in old if isinstance(one, dict) and [one.get(k) for k in keys] == wanted), _UNKNOWN)
