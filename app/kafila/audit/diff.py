"""What a write changed, field by field, for those who read it: bounded, without what nobody meant, and without any secret.

Of a Secret, also one inside another object (a Work's manifest), nothing is told but that a value changed: no value, no length and
no hash, which would tell the values that are easily guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson

from kafila.core.values import Object, same_json

MOST_CHANGES: Final = 50  # of one object; that there are more is said
MOST_TEXT: Final = 512  # characters of a value
MOST_PATH: Final = 512
MOST_DEPTH: Final = 32  # deeper values are told as a whole
REDACTED: Final = "(secret)"
MORE: Final = "…"
# of metadata: what every write changes, or says what others say as well
_NOISE: Final = frozenset({"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"})
_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"  # the whole object once more
_APPLIED_ONLY: Final = frozenset({_APPLIED})
_SECRET_PARTS: Final = frozenset({"data", "stringData"})
_ABSENT: Final = object()


class Difference(NamedTuple):
    """``before`` and ``after`` as JSON; None: there was no such field."""

    path: str
    before: str | None
    after: str | None

    def document(self) -> Object:
        said = {"path": self.path, "from": self.before, "to": self.after}
        return {name: value for name, value in said.items() if value is not None}

    def redacted(self) -> Difference:
        hide = (None if value is None else REDACTED for value in (self.before, self.after))
        return Difference(self.path, *hide)


def differences(before: Object, after: Object, is_secret: bool = False) -> tuple[list[Difference], bool]:
    """Of two states of one object, in the order of the new one; and whether there are more. Neither is changed."""
    found = list(islice(_of_maps((), before, after, is_secret), MOST_CHANGES + 1))
    return found[:MOST_CHANGES], len(found) > MOST_CHANGES


Path = tuple[str, ...]


def _of(path: Path, before: Any, after: Any, secret: bool) -> Iterator[Difference]:
    if len(path) < MOST_DEPTH:
        if _alike(before, after):
            return
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _of_maps(path, before, after, secret)
            return
        if isinstance(before, list) and isinstance(after, list):
            yield from _of_lists(path, before, after, secret)
            return
    if _same(before, after):
        return
    yield Difference(_joined(path), _text(before, secret), _text(after, secret))


def _of_maps(path: Path, before: Object, after: Object, secret: bool) -> Iterator[Difference]:
    secret = secret or _is_secret(before) or _is_secret(after)
    unmeant = _NOISE if path == ("metadata",) else _APPLIED_ONLY if path[-2:] == ("metadata", "annotations") else ()
    for name in (*after, *(name for name in before if name not in after)):
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if (type(new) is str and old == new) or name in unmeant:  # the first is what most fields are
            continue
        if secret and (name in _SECRET_PARTS or name == "annotations"):
            yield from _hidden((*path, name), old, new)
        else:
            yield from _of((*path, name), old, new, secret)


def _hidden(path: Path, before: Any, after: Any) -> Iterator[Difference]:
    """Which values changed, and nothing of them."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        if before is _ABSENT and isinstance(after, dict):
            before = {}
        elif after is _ABSENT and isinstance(before, dict):
            after = {}
        else:
            if before != after:
                yield Difference(_joined(path), _hidden_text(before), _hidden_text(after))
            return
    for name in (*after, *(name for name in before if name not in after)):
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if old != new and name != _APPLIED:
            yield Difference(_joined((*path, name)), _hidden_text(old), _hidden_text(new))


def _hidden_text(value: Any) -> str | None:
    return None if value is _ABSENT else REDACTED


def _of_lists(path: Path, before: list[Any], after: list[Any], secret: bool) -> Iterator[Difference]:
    """Entries with names by these, so that one that is put before the others moves none; others by their place."""
    old, new = _named(before), _named(after)
    if old is None or new is None:
        pairs: list[tuple[str, Any, Any]] = [
            (f"[{place}]", _at(before, place), _at(after, place)) for place in range(max(len(before), len(after)))
        ]
    else:
        names = (*new, *(name for name in old if name not in new))
        pairs = [(f"[{name}]", old.get(name, _ABSENT), new.get(name, _ABSENT)) for name in names]
    for place, one, other in pairs:
        yield from _of((*path, place), one, other, secret)
    if old is not None and new is not None:
        was, now = [name for name in old if name in new], [name for name in new if name in old]
        if was != now:
            yield Difference(_joined((*path, "[order]")), _text(was, secret), _text(now, secret))


def _named(items: Sequence[Any]) -> dict[str, Any] | None:
    found = {item["name"]: item for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)}
    return found if len(found) == len(items) else None


def _alike(before: Any, after: Any) -> bool:
    """Whether they are the same, for most of what is: quickly, and never when they are not (1 equals true in Python)."""
    try:
        return before == after and orjson.dumps(before) == orjson.dumps(after)
    except (RecursionError, orjson.JSONEncodeError, TypeError):
        return False


def _same(before: Any, after: Any) -> bool:
    try:
        return same_json(before, after)
    except RecursionError:
        return False


def _at(items: Sequence[Any], place: int) -> Any:
    return items[place] if place < len(items) else _ABSENT


def _is_secret(value: Object) -> bool:
    return value.get("kind") == "Secret" and value.get("apiVersion", "v1") == "v1"


def _text(value: Any, secret: bool) -> str | None:
    if value is _ABSENT:
        return None
    try:
        shown = orjson.dumps(value if not isinstance(value, dict | list) else _without_secrets(value, secret)).decode()
    except (orjson.JSONEncodeError, RecursionError):
        return MORE  # too deep, or too large a number, to be written
    return shown if len(shown) <= MOST_TEXT else shown[:MOST_TEXT] + MORE


def _without_secrets(value: Any, secret: bool) -> Any:
    """A copy of what is told as a whole. Raises RecursionError."""
    if isinstance(value, list):
        return [_without_secrets(item, secret) for item in value]
    if not isinstance(value, dict):
        return value
    secret = secret or _is_secret(value)
    return {
        name: (
            REDACTED if secret and (name in _SECRET_PARTS or name == "annotations") else _without_secrets(item, secret)
        )
        for name, item in value.items()
        if name not in ("managedFields", _APPLIED)
    }


def _joined(path: Path) -> str:
    """``spec.template.spec.containers[web].image``."""
    parts: list[str] = []
    for part in path:
        if part.startswith("["):
            parts.append(part)
        else:
            parts.append(f".{part}" if "." not in part and part else f"[{part}]")
    text = "".join(parts).removeprefix(".")
    return text if len(text) <= MOST_PATH else text[:MOST_PATH] + MORE
