"""Regular expressions that users write, in Go's dialect.

RE2 is the engine that Go's regexp follows: same syntax, and a time linear in the text, so that nobody's pattern holds up the server.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.never_capture = True
_OPTIONS.max_mem = 64 << 20  # bytes: classes of Unicode letters make big automata


@lru_cache(maxsize=4096)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text contains a match. A pattern that is no regular expression matches nothing."""
    if pattern_error(pattern):
        return lambda text: False
    # a set of one: the only way that finds out whether, without also finding out where
    one = re2.Set.SearchSet(_OPTIONS)
    one.Add(pattern)
    try:
        one.Compile()
    except re2.error:  # too big for one automaton
        found = re2.compile(pattern, _OPTIONS)
        return lambda text: found.search(text) is not None
    match = one.Match
    return lambda text: bool(match(text))


# RE2's words, where Go's are others
_IN_GO = {"missing )": "missing closing )", "missing ]": "missing closing ]"}


def pattern_error(pattern: str) -> str:
    """What is wrong with a pattern, in the words of Go's regexp; "" when nothing is."""
    try:
        re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        text = error.args[0]
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        what, _, where = text.partition(": ")
        return f"error parsing regexp: {_IN_GO.get(what, what)}: `{where}`"
    return ""
