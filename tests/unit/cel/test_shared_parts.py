"""Values whose parts are shared: written in a line, as big as 2 to the power of its levels, and cheap in cel-go's costs."""

from __future__ import annotations

import pytest

from kafila.cel import Environment
from kafila.cel.types import DYN

LEVELS = 40


def doubled(inner: str) -> str:
    """``inner``, where ``last`` is a list of two lists of two lists …"""
    text = inner.replace("last", f"v{LEVELS}")
    for level in range(LEVELS, 0, -1):
        text = f"[[v{level - 1}, v{level - 1}]].map(v{level}, {text})[0]"
    return f"[x].map(v0, {text})[0]"


@pytest.mark.parametrize(
    "inner",
    [
        "last == last",
        "last != [last[0], last[1]]",
        "last in [last]",
        "dyn(last).indexOf(1) == 0",
        "'%s'.format([last]) == ''",
        "[last, [last[0], last[1]]].distinct().size() == 1",
        "sets.contains([last], [last])",
        "{'a': last} == {'a': last}",
    ],
)
def test_it_ends_as_what_costs_too_much(inner: str) -> None:
    program = Environment({"x": DYN}).compile(doubled(inner))
    found = program.evaluate({"x": "a"}, 10_000)
    assert found.exceeded, found
    assert program.evaluate({"x": "a"}, 10_000) == found  # nothing is left of it in the thread
    assert Environment({"x": DYN}).compile("[x] == [x]").evaluate({"x": "a"}).value is True
