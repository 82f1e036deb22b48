"""``kafila certs rotate-ca``: has a running ``kafila serve`` exchange the certificate authority, for all its processes."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from . import CommandError, UsageError
from .asking import ask
from .certs import DataDir, folder_of
from .durations import duration


def rotate_ca(
    *,
    overlap: Annotated[
        str, Parameter(help="For how long the CA before is believed beside the new one (default: 720h, thirty days).")
    ] = "",
    finish: Annotated[bool, Parameter(help="Believe the CA before no longer, from now on.")] = False,
    rollback: Annotated[bool, Parameter(help="Let the CA before sign again, while it is believed still.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Exchange the CA: a new one signs, and the one before is believed beside it until the overlap is over. Nobody is cut off."""
    from kafila.identity.authority import OVERLAP

    if finish + rollback + bool(overlap) > 1:
        raise UsageError("--finish, --rollback and --overlap exclude each other")
    action = "finish" if finish else "rollback" if rollback else "rotate"
    seconds = _seconds(overlap) if overlap else OVERLAP.total_seconds()
    folder = folder_of(data_dir)
    if not (folder / "certificates.json").exists():
        raise CommandError(f"--data-dir {folder.parent} is no folder of a kafila serve")
    print(_asked(folder, {"id": uuid.uuid4().hex, "action": action, "overlap": seconds}))


def _seconds(text: str) -> float:
    """Raises UsageError."""
    from kafila.identity.authority import LONGEST_OVERLAP

    seconds = duration(text, "--overlap")
    if seconds > LONGEST_OVERLAP.total_seconds():
        raise UsageError(f"--overlap {text} must be at most {LONGEST_OVERLAP.days * 24}h")
    return seconds


def _asked(folder: Path, request: dict[str, Any]) -> str:
    """What the server answers. Raises CommandError."""
    import orjson

    ask(
        folder / "rotate-ca",
        orjson.dumps(request),
        lambda: _answer(folder).get("id") == request["id"],
        "no answer",
        "or its log says what is wrong; kafila certs list shows how things are",
    )
    answer = _answer(folder)
    if "error" in answer:
        raise CommandError(answer["error"])
    return str(answer["message"])


def _answer(folder: Path) -> dict[str, Any]:
    import orjson

    try:
        found = orjson.loads((folder / "rotate-ca.answer").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
