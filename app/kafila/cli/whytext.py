"""An explanation as text: what a stranger reads from top to bottom, the next step last."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafila.placement.explain import ClusterRow, Report

_WIDTH = 120


def render(report: Report) -> str:
    parts = [f"{report.subject}\n{_indented(report.summary)}"]
    if report.policy or report.policy_why:
        parts.append(_policy(report))
    if report.overrides:
        parts.append("OVERRIDES\n" + "\n".join(_indented(f"{each.policy}: {each.reason}") for each in report.overrides))
    if report.decided or report.division:
        lines = [line for line in (report.decided, report.division) if line]
        parts.append("DECISION\n" + "\n".join(map(_indented, lines)))
    if report.clusters:
        parts.append(_clusters(report.clusters))
    if report.history:
        parts.append("BEFORE\n" + "\n".join(_indented(_attempt(each)) for each in report.history))
    if report.warnings:
        warnings = (_indented(f"{each.time}  {each.reason}: {each.message}") for each in report.warnings)
        parts.append("RECENT WARNINGS\n" + "\n".join(warnings))
    if report.advice:
        parts.append("WHAT TO DO\n" + "\n".join(_advice(each.problem, each.remedy) for each in report.advice))
    if report.withheld:
        parts.append("NOT SHOWN\n" + _indented(f"You may not read: {', '.join(report.withheld)}."))
    return "\n\n".join(parts)


def _indented(text: str, first: str = "  ", rest: str = "  ") -> str:
    # words are kept whole: commands are copied from here
    return textwrap.fill(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _advice(problem: str, remedy: str) -> str:
    first, *others = remedy.split("\n")
    lines = [_indented(problem, "- "), _indented(first, "  → ", "    "), *(f"      {other}" for other in others)]
    return "\n".join(lines)


def _policy(report: Report) -> str:
    lines = ["POLICY", _indented(": ".join(filter(None, (str(report.policy or "none"), report.policy_why))))]
    if report.lost:
        lines.append("  not chosen:" if report.policy is not None else "  closest:")
        lines += [_indented(f"{each.policy}: {each.reason}", "  - ", "    ") for each in report.lost]
        lines += [f"  - and {report.more_lost} more"] if report.more_lost else []
    return "\n".join(lines)


def _attempt(said: dict[str, Any]) -> str:
    from kafila.placement.explain.scheduling import trigger_text

    return f"{said['time']}  {said['result']}  {said.get('placed') or '-'}  ({trigger_text(said['trigger'])})"


def _clusters(rows: Sequence[ClusterRow]) -> str:
    table = [("CLUSTER", "STATE", "REPLICAS", "REPORTS", "AVAILABLE", "SCORE", "WHY")]
    table += [
        (
            row.name,
            row.state,
            _number(row.replicas),
            row.status or "-",
            _number(row.available),
            _number(row.score),
            row.why,
        )
        for row in rows
    ]
    text = columns(table)
    for row in rows:
        if row.checks:
            text += "\n\nCHECKS OF " + row.name + " (as of now)\n"
            text += columns([("no" if reason else "ok", called, reason) for called, reason in row.checks], "  ")
    return text


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def columns(table: Sequence[Sequence[str]], indent: str = "") -> str:
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]) - 1)]
    lines = [
        indent + "   ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in table
    ]
    return "\n".join(line.rstrip() for line in lines)
