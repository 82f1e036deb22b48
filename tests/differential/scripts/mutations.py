"""Objects with one thing wrong: each field of the rich object dropped, of a wrong type, negative, malformed, too long. Dry-run creates."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from differential.steps import Case

from .objects import Object, Sample, samples

Path = tuple[str | int, ...]
IN_FULL = ("Pod", "Deployment")  # other kinds have the same pod templates


def cases() -> list[Case]:
    return [_case(sample) for sample in samples()]


def _case(sample: Sample) -> Case:
    kind = sample.kind
    namespace = f"mutate-{kind.plural}-{kind.group.partition('.')[0] or 'core'}-{kind.version}"
    case = Case("mutate", sample.slug, f"{kind.kind}.{kind.group}", namespace if kind.namespaced else "")
    name = sample.name(1, "m")
    rich = sample.object("rich", namespace, name)
    for path in _paths(rich):
        if path[0] in ("apiVersion", "kind", "metadata") or _elsewhere(sample, path):
            continue
        where = ".".join(map(str, path))
        for how, obj in _mutations(rich, path):
            case.ask(f"{where} {how}", "POST", sample.path(namespace), obj, dryRun="All")
    return case


def _elsewhere(sample: Sample, path: Path) -> bool:
    """Whether another kind shows this: a field inside of a pod template."""
    if sample.kind.kind in IN_FULL or "template" not in path:
        return False
    inside = path[path.index("template") + 1 :]
    return len(inside) > 1 and inside[1] in ("containers", "initContainers", "volumes")


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _paths(item, (*path, key))


def _mutations(obj: Object, path: Path) -> Iterator[tuple[str, Object]]:
    value = _at(obj, path)
    if not isinstance(path[-1], int):
        yield "dropped", _with(obj, path, None)
    if isinstance(value, bool):
        yield "as text", _with(obj, path, "yes")
    elif isinstance(value, int):
        yield "negative", _with(obj, path, -1)
        yield "huge", _with(obj, path, 2**31 + 5)
        yield "as text", _with(obj, path, "yes")
    elif isinstance(value, str):
        yield "malformed", _with(obj, path, "Not_Valid!")
        yield "empty", _with(obj, path, "")
        yield "long", _with(obj, path, "a" * 300)
        yield "as number", _with(obj, path, 5)
    elif isinstance(value, dict):
        yield "as list", _with(obj, path, [])
        yield "emptied", _with(obj, path, {})
    elif isinstance(value, list):
        yield "as object", _with(obj, path, {})
        yield "doubled", _with(obj, path, [*value, *value])


def _at(obj: Any, path: Path) -> Any:
    for key in path:
        obj = obj[key]
    return obj


def _with(obj: Object, path: Path, value: Any) -> Object:
    """``value`` at ``path``; None takes the field away."""
    new = copy.deepcopy(obj)
    owner = _at(new, path[:-1])
    if value is None:
        del owner[path[-1]]
    else:
        owner[path[-1]] = value
    return new
