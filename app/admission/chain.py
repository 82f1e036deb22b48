"""The order of admission: Karmada's mutating rules before validation, its validating ones after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

from app.catalog.kind import Kind
from app.settings.gates import Gates

from .karmada import rules
from .karmada.surroundings import NOTHING, Surroundings

Object = dict[str, Any]


@final
class Admission:
    """``gates``: the state of every feature gate; ``around``: what rules look at beside the object."""

    def __init__(self, gates: Mapping[str, bool] | None = None, around: Surroundings = NOTHING) -> None:
        self._gates = gates if gates is not None else Gates()
        self._around = around

    def mutate(self, kind: Kind, operation: str, new: Object, old: Object | None, user: Any) -> None:
        """Changes ``new`` in place. ``operation`` is CREATE or UPDATE."""
        rules.mutate(kind, operation, new, old, user, self._gates)

    def admit(self, kind: Kind, operation: str, new: Object | None, old: Object | None, user: Any) -> None:
        """Raises StatusError when the write is not allowed. ``operation`` is CREATE, UPDATE or DELETE."""
        rules.admit(kind, operation, new, old, user, self._gates, self._around)


DEFAULT: Final = Admission()
