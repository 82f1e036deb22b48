"""Regular expressions within expressions: RE2, linear in the text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2

from kafila.machinery.structural.patterns import MEMORY, instructions, matcher, pattern_error

from .bounds import STEPS, CostExceeded
from .values import MAX_ELEMENTS, NO_OVERLOAD, EvaluationError


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MEMORY
    return options


_MATCH: Final = 8  # steps
_OPTIONS: Final = _options()


@lru_cache(maxsize=256)
def _finder(pattern: str) -> Any:
    found = re2.compile(pattern, _OPTIONS)
    re2.purge()
    return found


def _compiles(pattern: Any) -> None:
    """Before one is used that may be another one each time: no evaluation pays twice. Raises CostExceeded."""
    if isinstance(pattern, str) and STEPS.is_new(pattern):
        STEPS.take(2 * instructions(pattern))


def searched_now(text: Any, pattern: Any) -> bool:
    _compiles(pattern)
    return searched(text, pattern)


def first_match_now(text: Any, pattern: Any) -> str:
    _compiles(pattern)
    return first_match(text, pattern)


def all_matches_now(text: Any, pattern: Any, most: Any = -1) -> list[str]:
    _compiles(pattern)
    return all_matches(text, pattern, most)


def searched(text: Any, pattern: Any) -> bool:
    """Whether the text has a match. Raises EvaluationError."""
    if not isinstance(text, str) or not isinstance(pattern, str):
        raise EvaluationError(NO_OVERLOAD)
    if error := pattern_error(pattern):
        raise EvaluationError(error)
    return matcher(pattern)(text)


def _compiled(text: Any, pattern: Any) -> Any:
    if not isinstance(text, str) or not isinstance(pattern, str):
        raise EvaluationError(NO_OVERLOAD)
    if error := pattern_error(pattern):
        raise EvaluationError(f"Illegal regex: {error}")
    return _finder(pattern)


def first_match(text: Any, pattern: Any) -> str:
    found = _compiled(text, pattern).search(text)
    return "" if found is None else str(found.group(0))


def all_matches(text: Any, pattern: Any, most: Any = -1) -> list[str]:
    """At most ``most``, all where it is negative."""
    compiled = _compiled(text, pattern)
    if type(most) is not int:
        raise EvaluationError(NO_OVERLOAD)
    if most == 0:
        return []
    out: list[str] = []
    last = -1  # where the last match ended: Go skips an empty one right there
    for found in compiled.finditer(text):
        STEPS.take(_MATCH + (len(text) - found.start() >> 11))  # what is looked for next may be looked for to the end
        if found.end() == found.start() == last:
            continue
        out.append(found.group(0))
        last = found.end()
        if len(out) == most:
            break
        if len(out) > MAX_ELEMENTS:
            raise CostExceeded
    return out
