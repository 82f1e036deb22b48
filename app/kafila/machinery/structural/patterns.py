"""Regular expressions that users write, in Go's dialect.

RE2 is the engine that Go's regexp follows: same syntax, and a time linear in the text, so that nobody's pattern holds up the server.
While it compiles one nobody else works, a microsecond for two instructions or so: what is larger than Go's engine would make
of it (classes of Unicode letters, repeated) is refused, and so are definitions with too many or too large ones altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import re2

MEMORY: Final = 2 << 20  # bytes that one pattern may take: about 150,000 instructions
MOST_INSTRUCTIONS: Final = 1_000_000  # of all patterns of a definition
LEAST: Final = 1000  # instructions that each pattern counts as, at least
TOO_LARGE: Final = "expression too large"
_REMEMBERED: Final = 4096  # characters: longer ones are compiled again rather than kept


def _options(memory: int) -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = memory
    return options


_OPTIONS: Final = _options(MEMORY)
_OWN_OPTIONS: Final = _options(64 << 20)
# places in a schema where anything may stand
_VALUES: Final = frozenset({"default", "example", "enum"})


class _Compiled(NamedTuple):
    error: str  # in the words of Go's regexp; "" when nothing is wrong
    instructions: int = 0


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text contains a match. A pattern that is no regular expression matches nothing; what is too large, and was
    stored when more was allowed, matches everything."""
    if error := pattern_error(pattern):
        return lambda text: TOO_LARGE in error
    return _matcher(pattern, _OPTIONS)


@lru_cache(maxsize=64)
def own_matcher(pattern: str) -> Callable[[str], bool]:
    """The same for a pattern of our own, which may be large."""
    return _matcher(pattern, _OWN_OPTIONS)


def _matcher(pattern: str, options: re2.Options) -> Callable[[str], bool]:
    # a set of one: the only way that finds out whether, without also finding out where
    one = re2.Set.SearchSet(options)
    one.Add(pattern)
    try:
        one.Compile()
    except re2.error:  # too big for one automaton
        found = re2.compile(pattern, options)
        return lambda text: found.search(text) is not None
    match = one.Match
    return lambda text: bool(match(text))


def pattern_error(pattern: str) -> str:
    """What is wrong with a pattern, in the words of Go's regexp; "" when nothing is."""
    return _compiled(pattern).error


def instructions(pattern: str) -> int:
    """How much it is to compile."""
    return _compiled(pattern).instructions


def too_many_patterns(schema: Any, allowed: int = MOST_INSTRUCTIONS) -> bool:
    """Whether all patterns of a schema are too much to compile; no more of them are compiled than shows it."""
    seen: set[str] = set()
    for pattern in _patterns(schema):
        if pattern not in seen:
            seen.add(pattern)
            allowed -= max(_compiled(pattern).instructions, LEAST)
            if allowed < 0:
                return True
    return False


def _patterns(schema: Any) -> Iterator[str]:
    todo = [schema]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            for key, item in value.items():
                if key == "pattern" and isinstance(item, str):
                    yield item
                elif key not in _VALUES:
                    todo.append(item)
        elif isinstance(value, list):
            todo += value


# RE2's words, where Go's are others
_IN_GO = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "pattern too large - compile failed": TOO_LARGE,
}


def _compile(pattern: str) -> _Compiled:
    try:
        return _Compiled("", re2.compile(pattern, _OPTIONS).programsize)
    except re2.error as error:
        text = error.args[0]
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        what, _, where = text.partition(": ")
        what = _IN_GO.get(what, what)
        # what is too large has cost the most
        size = MOST_INSTRUCTIONS // 4 if what == TOO_LARGE else 0
        return _Compiled(f"error parsing regexp: {what}: `{where}`", size)
    finally:
        re2.purge()  # it would keep the last ones, of any size


_short = lru_cache(maxsize=4096)(_compile)


def _compiled(pattern: str) -> _Compiled:
    return _short(pattern) if len(pattern) <= _REMEMBERED else _compile(pattern)
