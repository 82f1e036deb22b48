"""How much a member may send."""

from __future__ import annotations

from typing import Final, NamedTuple


class AnswerLimits(NamedTuple):
    """What a member may make us read and keep. What is over a limit makes it not Ready."""

    answer: int = 8 << 20  # bytes of one answer or event, decompressed; a longer page of a list is asked for in parts
    objects: int = 250_000  # of one kind
    kept: int = 256 << 20  # bytes of all objects that are remembered, of all kinds


ANSWER_LIMITS: Final = AnswerLimits()
