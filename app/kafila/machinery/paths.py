"""Where something is in a document: written out only for what is shown, since one long key may lie above many values."""

from __future__ import annotations

from typing import Any, Final

# the place around it and the last step: a name or an index; None is the document itself
Path = tuple[Any, str | int] | None

MAX_FOUND: Final = 100  # unknown or repeated fields that are shown, as many as kube-apiserver looks for


def shown(path: Path) -> str:
    """``spec.containers[0].name``"""
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if step.__class__ is int else f".{step}" if path is not None else str(step))
    return "".join(reversed(steps))
