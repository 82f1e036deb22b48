"""`kafila.reconcile.karmada.member.repairs`."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.resources import Key
from kafila.reconcile.karmada.member.repairs import Repairs, undone

KEY = Key("works.work.karmada.io", "karmada-es-m1", "web")
OTHER = KEY._replace(name="other")
FIRST = "uid", 1


def contested(repairs: Repairs, times: int, takes: float = 0.0) -> list[float]:
    """The waits after so many repairs, each as early as it may be; it is undone ``takes`` seconds after each."""
    now, waits = 0.0, []
    for _ in range(times):
        now += max(repairs.wait(KEY, FIRST, now), takes)
        repairs.repaired(KEY, FIRST, now)
        waits.append(repairs.wait(KEY, FIRST, now))
    return waits


def test_the_waits_double_from_milliseconds_to_a_minute() -> None:
    waits = contested(Repairs(), 20)
    assert waits[:4] == pytest.approx([0.005, 0.01, 0.02, 0.04])
    assert waits[8] == pytest.approx(1.28)
    assert waits[-1] == 60.0


def test_users_are_told_when_it_comes_to_seconds() -> None:
    repairs = Repairs()
    assert not repairs.is_told(KEY)
    contested(repairs, 8)
    assert not repairs.is_told(KEY)
    repairs.repaired(KEY, FIRST, 1.28)
    assert repairs.is_told(KEY)


@pytest.mark.parametrize(("takes", "last"), [(20.0, 60.0), (59.0, 60.0), (121.0, 0.005)])
def test_whoever_undoes_it_within_a_minute_goes_on_and_a_longer_peace_ends_it(takes: float, last: float) -> None:
    assert contested(Repairs(), 30, takes)[-1] == pytest.approx(last)


def test_a_work_that_changed_does_not_wait_and_neither_does_another() -> None:
    repairs = Repairs()
    contested(repairs, 12)
    now = 10.235
    assert repairs.wait(KEY, FIRST, now) > 0
    assert [
        repairs.wait(key, version, now) for key, version in ((KEY, ("uid", 2)), (KEY, ("new", 1)), (OTHER, FIRST))
    ] == [
        0.0,
        0.0,
        0.0,
    ]
    repairs.repaired(KEY, ("uid", 2), now)
    assert repairs.wait(KEY, ("uid", 2), now) == pytest.approx(0.005)
    repairs.forget(KEY)
    assert repairs.wait(KEY, ("uid", 2), now) == 0.0


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        ({"data": {"a": "1"}}, {"data": {"a": "1", "b": "2"}, "metadata": {"uid": "x"}}, ""),
        ({"data": {"a": "1"}}, {"data": {"a": "2"}}, "data.a"),
        ({"metadata": {"labels": {"example.io/x": "1"}}}, {"metadata": {}}, "metadata.labels"),
        (
            {"metadata": {"labels": {"example.io/x": "1"}}},
            {"metadata": {"labels": {"y": "1"}}},
            "metadata.labels.example.io/x",
        ),
        (
            {"spec": {"ports": [{"port": 80}]}},
            {"spec": {"ports": [{"port": 81, "protocol": "TCP"}]}},
            "spec.ports[0].port",
        ),
        ({"spec": {"ports": [{"port": 80}]}}, {"spec": {"ports": []}}, "spec.ports"),
        ({"spec": {"paused": False, "none": None, "empty": {}}}, {"spec": {}}, ""),
        ({"status": {"x": 1}}, {}, ""),
        ({"data": dict.fromkeys("abcde", "1")}, {"data": dict.fromkeys("abcde", "2")}, "data.a, data.b, data.c"),
        ({"data": {"k" * 1000: "1"}}, {"data": {"k" * 1000: "2"}}, "data." + "k" * 195),
        ({"data": {"a": "1"}}, None, "the object is gone"),
    ],
)
def test_what_is_otherwise_in_the_member(wanted: dict[str, Any], found: dict[str, Any] | None, said: str) -> None:
    assert undone(wanted, found) == said
