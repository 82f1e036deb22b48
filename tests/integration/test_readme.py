"""The README's commands do what the README says, word for word, on simulated members."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
LOOKS = re.compile(r"^(kubectl|karmadactl) get ")
# what differs from run to run or from cluster to cluster: ages, times, versions, free room
VARIES = [re.compile(p) for p in (r"(\d+[smhd])+", r"\d{4}-\d\d-\d\dT[\d:]+Z,?", r"v1\..*", r"\d{3,}")]


class Step(NamedTuple):
    command: str
    shown: list[str]  # lines that the README shows below it


def steps(text: str) -> list[Step]:
    """Commands of console blocks, each with what is shown below it."""
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], []))
            else:
                found[-1].shown.append(line)
    return found


def alike(expected: str, line: str) -> bool:
    """Same cells, or cells of the same sort where they vary."""
    wanted, given = expected.split(), line.split()
    return len(wanted) == len(given) and all(
        a == b or any(sort.fullmatch(a) and sort.fullmatch(b) for sort in VARIES)
        for a, b in zip(wanted, given, strict=True)
    )


def is_shown(expected: list[str], shown: str) -> bool:
    """Every expected line, in this order; the demo has a cluster more than the README."""
    lines = iter(shown.splitlines())
    return all(any(alike(wanted, line) for line in lines) for wanted in expected)


def test_readme_walk(shell: Any) -> None:
    walk = [
        step for step in steps((ROOT / "README.md").read_text()) if step.command.startswith(("kubectl", "karmadactl"))
    ]
    assert len(walk) > 12
    for command, expected in walk:
        if "--kubeconfig member" in command:
            continue  # simulated members have no address; tests/clusters/test_federation_readme.py does this with real ones
        if LOOKS.match(command):
            shell.eventually(command, lambda shown, expected=expected: is_shown(expected, shown))
        else:
            shown = shell.run(command)
            assert is_shown(expected, shown), f"$ {command}\n{shown}\n-- the README shows:\n" + "\n".join(expected)


def test_links_lead_somewhere() -> None:
    for page in [
        ROOT / "README.md",
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
    ]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
