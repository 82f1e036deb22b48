"""Advisory locks of the database: each has a number of its own, or two things that have nothing to do with each other wait."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from kafila.store import timeline

STORE = Path(timeline.__file__).parent
LOCK = re.compile(r"^_?[A-Z_]*LOCK\b.*= (\d{13})\b", re.MULTILINE)


def test_no_two_locks_have_the_same_number() -> None:
    """Who rewrites all bodies holds its lock for hours: the audit table waited for it to make its next partition."""
    numbers = Counter(number for path in STORE.glob("*.py") for number in LOCK.findall(path.read_text()))
    assert len(numbers) >= 5
    assert [number for number, count in numbers.items() if count > 1] == []
