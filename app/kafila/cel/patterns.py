"""Regular expressions within expressions: RE2, linear in the text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2

from kafila.machinery.structural.patterns import MEMORY, matcher, pattern_error

from .values import MAX_ELEMENTS, NO_OVERLOAD, CostExceeded, EvaluationError


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MEMORY
    return options


_OPTIONS: Final = _options()


@lru_cache(maxsize=256)
def _finder(pattern: str) -> Any:
    found = re2.compile(pattern, _OPTIONS)
    re2.purge()
    return found


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
        if found.end() == found.start() == last:
            continue
        out.append(found.group(0))
        last = found.end()
        if len(out) == most:
            break
        if len(out) > MAX_ELEMENTS:
            raise CostExceeded
    return out
