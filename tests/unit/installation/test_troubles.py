"""kafila.installation.troubles: what holds a pod up, in a line."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.installation.troubles import troubles_of


def pod(*waiting: dict[str, str], **condition: str) -> dict[str, Any]:
    status: dict[str, Any] = {"containerStatuses": [{"state": {"waiting": each}} for each in waiting]}
    if condition:
        status["conditions"] = [condition]
    return {"metadata": {"name": "a"}, "status": status}


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (pod(), []),
        ({"metadata": {"name": "a"}}, []),
        (pod({"reason": "ContainerCreating"}), []),
        (pod({"reason": "ImagePullBackOff", "message": "not\nfound"}), ["pod/a: ImagePullBackOff: not found"]),
        (pod({"reason": "CrashLoopBackOff"}), ["pod/a: CrashLoopBackOff"]),
        (
            pod(type="PodScheduled", status="False", reason="Unschedulable", message="0/2 nodes"),
            ["pod/a: Unschedulable: 0/2 nodes"],
        ),
        (pod(type="PodScheduled", status="True"), []),
        (pod({"reason": "E", "message": "x" * 9000}), ["pod/a: E: " + "x" * 289 + "…"]),
    ],
)
def test_lines(found: dict[str, Any], lines: list[str]) -> None:
    assert list(troubles_of(found)) == lines
