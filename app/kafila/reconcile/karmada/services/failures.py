"""Why slices could not be brought to those who use a MultiClusterService, as its condition says."""

from __future__ import annotations

from typing import final

from kafila.core.resources import Key


@final
class Failures:
    """Of sources, the Works of providers' slices. Each is brought for one MultiClusterService at a time."""

    def __init__(self) -> None:
        self._of: dict[Key, dict[Key, str]] = {}  # by MultiClusterService and source
        self._about: dict[Key, Key] = {}  # the MultiClusterService, by source

    def about(self, source: Key) -> Key | None:
        """The MultiClusterService that it could not be brought for."""
        return self._about.get(source)

    def text(self, about: Key, without: Key | None = None) -> str:
        """Why one of its sources, other than ``without``, could not be brought; "" where none is known."""
        found = self._of.get(about, {})
        return next((why for source, why in found.items() if source != without), "")

    def note(self, source: Key, about: Key, why: str) -> None:
        """``why``: "" when it was brought."""
        self.forget(source)
        if why:
            self._of.setdefault(about, {})[source] = why
            self._about[source] = about

    def forget(self, source: Key) -> None:
        about = self._about.pop(source, None)
        if about is not None:
            self._of[about].pop(source)
            if not self._of[about]:
                del self._of[about]

    def drop(self, about: Key) -> None:
        """The MultiClusterService is gone."""
        for source in self._of.pop(about, {}):
            del self._about[source]
