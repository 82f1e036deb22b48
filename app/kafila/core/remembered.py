"""Answers that are remembered by the text asked about, but not for long texts: they come from anybody, and would stay."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
LONGEST: Final = 512  # characters or bytes


def remembered(maxsize: int, typed: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """``functools.lru_cache`` for functions whose first argument is a text, or a scalar of another type."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = lru_cache(maxsize=maxsize, typed=typed)(function)

        @wraps(function)
        def call(*arguments: P.args, **options: P.kwargs) -> R:
            first = arguments[0]
            if (first.__class__ is str or first.__class__ is bytes) and len(first) > LONGEST:
                return function(*arguments, **options)
            return known(*arguments, **options)  # type: ignore[arg-type]

        return call

    return decorate
