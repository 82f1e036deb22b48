"""kafila.flowcontrol.dumps: however many queues a level says that it has."""

from __future__ import annotations

from kafila.flowcontrol.configuration import PriorityLevel
from kafila.flowcontrol.dumps import MOST_UNUSED, PREFIX, pages
from kafila.flowcontrol.fairness import Fairness
from kafila.flowcontrol.queueset import Queue, QueueSet


def rows(queues: dict[str, int]) -> list[list[str]]:
    fairness = Fairness(600)
    fairness.configuration.levels.clear()
    for name, number in queues.items():
        level = fairness.configuration.levels[name] = object.__new__(PriorityLevel)
        level.queues = QueueSet(0.0, 1, number)
        level.queues.used[7] = Queue(7, 0.0)
    text = pages(fairness, lambda about: ())[f"{PREFIX}dump_queues"](False)
    return [[cell.strip() for cell in line.split(",")] for line in text.splitlines()[1:]]


def test_all_queues_have_a_row_while_there_is_room() -> None:
    found = rows({"a": 64, "b": 128})
    assert [row[:2] for row in found] == [[name, str(i)] for name, most in (("a", 64), ("b", 128)) for i in range(most)]


def test_of_too_many_those_in_use_have_one() -> None:
    found = rows({"a": 10_000_000, "b": MOST_UNUSED - 1, "c": 8})
    assert [row[:2] for row in found if row[0] != "b"] == [["a", "7"], ["c", "7"]]
    assert len(found) == MOST_UNUSED + 1
