"""Where something stands in an expression, and how cel-go shows it."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

MAX_ISSUES: Final = 100
MAX_SNIPPET: Final = 16384  # bytes of a line that is still shown


class Issue(NamedTuple):
    """``at``: the character from 0; None where an issue has no place."""

    at: int | None
    message: str


class CompileError(Exception):
    """An expression that is refused; ``str()`` is the text of cel-go, one paragraph per issue."""

    def __init__(self, source: str, issues: list[Issue]) -> None:
        self.source = source
        self.issues = issues
        super().__init__(shown(source, issues))


def shown(source: str, issues: list[Issue]) -> str:
    """Sorted by place, the first hundred."""
    lines = source.split("\n")
    starts = [0]
    for line in lines[:-1]:
        starts.append(starts[-1] + len(line) + 1)
    placed = sorted(
        ((*_place(starts, issue.at), issue.message) for issue in issues[:MAX_ISSUES]), key=lambda it: it[:2]
    )
    out = [_shown(lines, source, *it) for it in placed]
    if len(issues) > MAX_ISSUES:
        out.append(f"{len(issues) - MAX_ISSUES} more errors were truncated")
    return "\n".join(out)


def _place(starts: list[int], at: int | None) -> tuple[int, int]:
    if at is None:
        return -1, -1
    line = bisect_right(starts, at)
    return line, at - starts[line - 1]


def _shown(lines: list[str], source: str, line: int, column: int, message: str) -> str:
    if not source:
        return f"ERROR: <input>:1:0: {message}"
    head = f"ERROR: <input>:{line}:{column + 1}: {message}"
    if line < 1:
        return head
    text = lines[line - 1].replace("\t", " ")
    if len(text.encode()) > MAX_SNIPPET:
        return head
    marks = "".join("\uff0e" if ord(char) > 127 else "." for char in text[:column])
    wide = column < len(text) and ord(text[column]) > 127
    mark = "\uff3e" if wide else "^"
    return f"{head}\n | {text}\n | {marks}{mark}"
