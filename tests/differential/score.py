"""Adds differences up: equal pairs per area, in total, and what is left, with the known ones apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, final

import yaml

from .compare import SORTS, Difference, compare
from .normalise import normalised
from .servers import Answer
from .steps import Case

KNOWN_FILE = Path(__file__).with_name("known.yaml")
KNOWN_LIMIT = 30
NEVER_KNOWN = ("status", "defaults", "managedFields")


class Known(NamedTuple):
    """A difference that is meant. ``case``, ``step`` and ``path`` are shell patterns (an index is ``[[]0]``)."""

    case: str
    path: str
    reason: str
    step: str = "*"
    text: str = ""  # kube-apiserver's value contains it
    ours: str = ""  # kafila's value contains it

    def covers(self, found: Difference) -> bool:
        return (
            found.sort not in NEVER_KNOWN
            and fnmatchcase(found.case, self.case)
            and fnmatchcase(found.step, self.step)
            and fnmatchcase(found.path, self.path)
            and self.text in str(found.reference)
            and self.ours in str(found.kafila)
        )


def read_known(path: Path = KNOWN_FILE) -> list[Known]:
    return [Known(**entry) for entry in yaml.safe_load(path.read_text()) or []]


@final
class Score:
    def __init__(self, known: Sequence[Known]) -> None:
        self._known = known
        self.pairs: Counter[str] = Counter()
        self.equal: Counter[str] = Counter()
        self.with_known = 0
        self.kinds: set[str] = set()
        self.differences: list[Difference] = []
        self.used: set[Known] = set()

    def add(self, case: Case, reference: dict[str, Answer], kafila: dict[str, Answer]) -> None:
        if case.kind:
            self.kinds.add(case.kind)
        for step in case.steps:
            head = step.method == "HEAD"
            expected, answered = (normalised(answers[step.name], head) for answers in (reference, kafila))
            found = compare(case.id, step.name, expected, answered)
            left = []
            for difference in found:
                known = next((k for k in self._known if k.covers(difference)), None)
                if known is None:
                    left.append(difference)
                else:
                    self.used.add(known)
            self.pairs[case.area] += 1
            self.equal[case.area] += not left
            self.with_known += bool(found) and not left
            self.differences.extend(left)

    @property
    def unused(self) -> list[Known]:
        """Entries that covered no difference: of a full run, those that can go."""
        return [known for known in self._known if known not in self.used]

    @property
    def sorts(self) -> Counter[str]:
        return Counter(difference.sort for difference in self.differences)

    def table(self) -> Iterable[str]:
        yield "| area | request pairs | equal |"
        yield "|---|---|---|"
        for area in sorted(self.pairs):
            yield f"| {area} | {self.pairs[area]} | {self.equal[area]} |"
        pairs, equal = self.pairs.total(), self.equal.total()
        yield f"| **all** | **{pairs}** | **{equal}** ({100 * equal / max(pairs, 1):.1f} %) |"

    def summary(self) -> Iterable[str]:
        yield from self.table()
        yield ""
        yield f"{len(self.kinds)} kinds; {self.with_known} pairs differ as known ({len(self.used)} entries)."
        sorts = self.sorts
        if sorts:
            yield "Differences: " + ", ".join(f"{sorts[sort]} {sort}" for sort in SORTS if sorts[sort])
