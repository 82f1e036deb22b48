"""Of what several members say, one answer, as Karmada's metrics-adapter makes it. Pure functions.

Usage stands side by side, whatever the names; values of one metric of one object are added up.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from kafila.core.errors import StatusError, conflict, not_found

from .values import ExternalValue, MetricValue, Usage

T = TypeVar("T")
PIECE: Final = 4096  # items that are sorted at once: no other thread has a turn until they are


def side_by_side(found: Iterable[Usage]) -> list[Usage]:
    """By namespace and name; of the same names by cluster."""
    return in_order(found, lambda usage: usage[:3])


def all_of(found: Iterable[Iterable[T]]) -> list[T]:
    """Each once, in order."""
    return in_order({each for one in found for each in one})


def only_one(found: Sequence[Usage], plural: str, name: str) -> Usage:
    """``plural``: "pods" or "nodes". Raises StatusError 404, and 500, as Karmada, where several members have one of that name."""
    if not found:
        raise not_found("", plural, name)
    if len(found) > 1:
        singular = plural.removesuffix("s")
        why = conflict("", plural, name, f"the {singular}({name}) found in more than one clusters")
        raise StatusError(500, "", f"failed getting {singular}: {why}")
    return found[0]


def one_value(answers: Sequence[Sequence[MetricValue]], resource: str, metric: str) -> list[MetricValue]:
    """Of one object: all that members say of it, added to the first. ``answers``: one of each member, in their order.

    Raises StatusError 404."""
    values = [value for answer in answers for value in answer]
    if not values:
        raise metric_not_found(resource, metric)
    first, *others = values
    amount = first.value
    for value in others:
        amount += value.value
    return [first._replace(value=amount)]


def by_object(answers: Sequence[Sequence[MetricValue]], resource: str, metric: str) -> list[MetricValue]:
    """Of all objects, by name: of one that several members have, what the last one says with the sum of all.

    Raises StatusError 404."""
    found: dict[str, MetricValue] = {}
    for answer in answers:
        for value in answer:
            before = found.get(value.described["name"])
            found[value.described["name"]] = (
                value if before is None else value._replace(value=value.value + before.value)
            )
    if not found:
        raise metric_not_found(resource, metric)
    return [found[name] for name in in_order(found)]


def by_labels(answers: Sequence[Sequence[ExternalValue]], namespace: str, metric: str) -> list[ExternalValue]:
    """Values of the same metric and labels are added up. No answer at all: the metric is not there. Raises StatusError 404."""
    if not answers:
        raise metric_not_found(f"namespace {namespace}", metric)
    found: dict[tuple[str, tuple[tuple[str, str], ...]], ExternalValue] = {}
    for answer in answers:
        for value in answer:
            key = value.metric, value.labels
            before = found.get(key)
            found[key] = value if before is None else before._replace(value=before.value + value.value)
    return [found[key] for key in in_order(found)]


def in_order(found: Iterable[T], key: Callable[[T], Any] = lambda each: each) -> list[T]:
    """As sorted(), which keeps all other threads waiting for as long as it takes."""
    rest = list(found)
    pieces = [sorted(rest[at : at + PIECE], key=key) for at in range(0, len(rest), PIECE)]
    return pieces[0] if len(pieces) == 1 else list(heapq.merge(*pieces, key=key))


def metric_not_found(resource: str, metric: str) -> StatusError:
    return StatusError(404, "NotFound", f"the server could not find the metric {metric} for {resource}")


def preferred(versions: Iterable[str], ours: Sequence[str]) -> str | None:
    """The version in which a member is asked: the first of ours that it serves."""
    served = set(versions)
    return next((version for version in ours if version in served), None)
