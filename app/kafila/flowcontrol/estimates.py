"""How many seats a request takes: one, but lists of much take more (kube-apiserver's estimate by size).

kube-apiserver also charges writes for those who watch. Here they are told on the same event loop, whose time is shared in turns.
"""

from __future__ import annotations

import math
from typing import Final

BYTES_OF_A_SEAT: Final = 100_000
MOST_BYTES: Final = 1_000_000  # of a list at once: the rest is made while it is sent


def seats_of_list(size: float, most: int) -> int:
    """``size``: bytes of what is listed; ``most``: seats of a request."""
    return max(1, min(math.ceil(min(size, MOST_BYTES) / BYTES_OF_A_SEAT), most))
