"""What some rules look at beside the object itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, final

Object = dict[str, Any]


def _none() -> Iterable[Object]:
    return ()


def _compiles(script: str) -> str | None:
    return None


@final
@dataclass(slots=True, frozen=True)
class Surroundings:
    """``customizations`` lists all ResourceInterpreterCustomizations; ``lua_error`` says why a script does not compile.

    ``allow_no_execute`` is ``--allow-no-execute-taint-policy``.
    """

    customizations: Callable[[], Iterable[Object]] = _none
    lua_error: Callable[[str], str | None] = _compiles
    allow_no_execute: bool = False


NOTHING = Surroundings()
