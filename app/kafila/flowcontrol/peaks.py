"""The highest value of a number since somebody last looked."""

from __future__ import annotations

from typing import final


@final
class Peak:
    __slots__ = ("highest", "now")

    def __init__(self) -> None:
        self.now = 0
        self.highest = 0

    def rise(self) -> None:
        self.now += 1
        if self.now > self.highest:
            self.highest = self.now

    def fall(self) -> None:
        self.now -= 1

    def take(self) -> int:
        """What it was; from now on only what it is counts."""
        highest, self.highest = self.highest, self.now
        return highest
