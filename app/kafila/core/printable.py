"""What others say, as it may stand in our lines and on a terminal."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 300  # characters


def one_line(said: str, most: int = LONGEST) -> str:
    """Its words, without what does not print: no line of its own and no escape sequence is made of it."""
    return "".join(c for c in " ".join(said.split())[:most] if c.isprintable())
