"""``kafila certs rotate-ca`` and ``rotate-service-account-key``: have a running ``kafila serve`` exchange a key, for all its processes."""

from __future__ import annotations

import uuid
from datetime import timedelta
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
    from kafila.identity.authority import LONGEST_OVERLAP, OVERLAP

    if finish + rollback + bool(overlap) > 1:
        raise UsageError("--finish, --rollback and --overlap exclude each other")
    seconds = _seconds(overlap, "--overlap", OVERLAP, LONGEST_OVERLAP)
    _rotate("rotate-ca", {"action": _action(finish, rollback), "overlap": seconds}, data_dir)


def rotate_service_account_key(
    *,
    publish: Annotated[
        str, Parameter(help="For how long the new key is known before it signs (default: 1h; 10s at least).")
    ] = "",
    overlap: Annotated[
        str, Parameter(help="For how long tokens of the key before are believed then (default: 8784h, a year).")
    ] = "",
    finish: Annotated[bool, Parameter(help="Believe tokens of the key before no longer, from now on.")] = False,
    rollback: Annotated[
        bool, Parameter(help="Forget a key that does not sign yet, or let the key before sign again.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Exchange the key that signs service account tokens: a new one is published, signs after a while, and tokens of the one before are
    believed until the overlap is over."""
    from kafila.identity import token_keys as limits

    if finish + rollback + bool(overlap or publish) > 1:
        raise UsageError("--finish, --rollback and --overlap or --publish exclude each other")
    request = {
        "action": _action(finish, rollback),
        "overlap": _seconds(overlap, "--overlap", limits.OVERLAP, limits.LONGEST_OVERLAP),
        "published": _seconds(
            publish, "--publish", limits.PUBLISHED, limits.LONGEST_PUBLISHED, limits.SHORTEST_PUBLISHED
        ),
    }
    _rotate("rotate-service-account-key", request, data_dir)


def _action(finish: bool, rollback: bool) -> str:
    return "finish" if finish else "rollback" if rollback else "rotate"


def _seconds(
    text: str, flag: str, otherwise: timedelta, longest: timedelta, shortest: timedelta = timedelta(0)
) -> float:
    """Raises UsageError."""
    if not text:
        return otherwise.total_seconds()
    seconds = duration(text, flag)
    if seconds < shortest.total_seconds():
        raise UsageError(f"{flag} {text} must be at least {shortest.seconds}s")
    if seconds > longest.total_seconds():
        raise UsageError(f"{flag} {text} must be at most {longest.days * 24}h")
    return seconds


def _rotate(file: str, request: dict[str, Any], data_dir: Path | None) -> None:
    """Prints what the server answers. Raises CommandError."""
    import orjson

    folder = folder_of(data_dir)
    if not (folder / "certificates.json").exists():
        raise CommandError(f"--data-dir {folder.parent} is no folder of a kafila serve")
    identifier = uuid.uuid4().hex
    ask(
        folder / file,
        orjson.dumps({"id": identifier, **request}),
        lambda: _answer(folder, file).get("id") == identifier,
        "no answer",
        "or its log says what is wrong; kafila certs list shows how things are",
    )
    answer = _answer(folder, file)
    if "error" in answer:
        raise CommandError(answer["error"])
    print(answer["message"])


def _answer(folder: Path, file: str) -> dict[str, Any]:
    import orjson

    try:
        found = orjson.loads((folder / f"{file}.answer").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
