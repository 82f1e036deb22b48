"""``python -m differential``: plays the scripts on both servers, prints each difference and the score.

Answers of kube-apiserver can be kept in a file and used again while kafila is worked on: only what is asked anew starts it.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .compare import SORTS
from .play import Player, digest
from .score import Score, read_known
from .scripts import all_cases
from .servers import Answer, kafila, reference
from .steps import Case

Answers = dict[str, dict[str, Answer]]


def recorded(cases: Sequence[Case], file: Path | None) -> Answers:
    """kube-apiserver's answers by case, from ``file`` as far as they are there."""
    kept: dict[str, Any] = json.loads(file.read_text()) if file is not None and file.exists() else {}
    missing = [case for case in cases if digest(case) not in kept]
    if missing:
        with reference() as server:
            found = Player(server).play_all(missing)
        kept.update({digest(case): _written(found[case.id]) for case in missing})
        if file is not None:
            file.write_text(json.dumps(kept))
    return {case.id: _read(kept[digest(case)]) for case in cases}


def _written(answers: dict[str, Answer]) -> dict[str, Any]:
    return {name: [a.status, a.headers, base64.b64encode(a.body).decode()] for name, a in answers.items()}


def _read(answers: dict[str, Any]) -> dict[str, Answer]:
    return {name: Answer(status, headers, base64.b64decode(body)) for name, (status, headers, body) in answers.items()}


def scored(cases: Sequence[Case], file: Path | None = None) -> Score:
    expected = recorded(cases, file)
    with kafila() as server:
        answered = Player(server).play_all(cases)
    score = Score(read_known())
    for case in cases:
        score.add(case, expected[case.id], answered[case.id])
    return score


def main() -> int:
    parser = argparse.ArgumentParser(prog="make diff-kube", description=__doc__)
    parser.add_argument("cases", nargs="*", default=["*"], help="patterns of AREA/CASE, all without")
    parser.add_argument("--reference", type=Path, help="file that keeps kube-apiserver's answers")
    parser.add_argument("--sort", choices=SORTS, help="show only these differences")
    parser.add_argument("--quiet", action="store_true", help="show the score only")
    given = parser.parse_args()
    cases = [case for case in all_cases() if any(fnmatchcase(case.id, pattern) for pattern in given.cases)]
    score = scored(cases, given.reference)
    if not given.quiet:
        for difference in sorted(score.differences, key=lambda d: SORTS.index(d.sort)):
            if given.sort in (None, difference.sort):
                print(difference)
    print(*score.summary(), sep="\n")
    if given.cases == ["*"]:
        for known in score.unused:
            print(f"Known but not met: {known.case} {known.step} {known.path} {known.text}".rstrip())
    return 1 if score.differences else 0


if __name__ == "__main__":
    sys.exit(main())
