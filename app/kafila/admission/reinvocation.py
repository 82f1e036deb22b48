"""Who is asked once more because an object has changed after him (k8s.io/apiserver: the reinvocation contexts)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import final

from kafila.core.values import Object, to_keep


@final
class Reinvocation:
    """Of the webhooks, or the policies, of one write. ``again``: who is asked in the second round."""

    def __init__(self) -> None:
        self._invoked: set[Hashable] = set()
        self._left: bytes | None = None
        self.again: set[Hashable] = set()

    @property
    def pending(self) -> bool:
        """Whether anybody has been asked who wants to be asked again."""
        return bool(self.again or self._invoked)

    @property
    def waits(self) -> bool:
        """Whether anybody is asked again if the object changes now."""
        return bool(self._invoked)

    def invoked(self, who: Hashable) -> None:
        """He has been asked, and wants to be asked again when the object changes."""
        self._invoked.add(who)

    def changed(self) -> None:
        """The object is another than those who were asked before have seen."""
        self.again |= self._invoked
        self._invoked = set()

    def begin(self, obj: Object | None) -> None:
        """Somebody else may have changed the object since ``end``."""
        if self._invoked and to_keep(obj) != self._left:
            self.changed()

    def end(self, obj: Object | None) -> None:
        """What is compared is only kept while it counts for somebody."""
        self._left = to_keep(obj) if self._invoked else None
