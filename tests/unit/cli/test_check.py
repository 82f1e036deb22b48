"""What ``kafila check`` looks into, and what becomes of a kind that a member refuses."""

from __future__ import annotations

import asyncio
from typing import Any

from kafila.cli.check import _kinds, _Looking
from kafila.core.errors import StatusError
from kafila.core.values import Object


def member(*served: tuple[str, str, str]) -> Object:
    """``served``: groupVersion, kind, resource."""
    enabled = [{"groupVersion": gv, "resources": [{"kind": kind, "name": name}]} for gv, kind, name in served]
    return {"metadata": {"name": "m1"}, "status": {"apiEnablements": enabled}}


def test_records_of_a_member_are_no_objects() -> None:
    served = ("audit.kafila.io/v1alpha1", "AuditRecord", "auditrecords"), ("v1", "ConfigMap", "configmaps")
    assert list(_kinds(member(*served))) == [("", "ConfigMap", "v1", "configmaps")]


class Answering:
    """A member that answers with one ConfigMap, and refuses what is named."""

    def __init__(self, **refused: int) -> None:
        self.refused = refused

    async def list(self, path: str, query: Any) -> tuple[list[Object], str]:
        resource = path.rpartition("/")[2]
        if resource in self.refused:
            raise StatusError(self.refused[resource], "", f"no {resource}")
        return [{"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}], ""


def looked(**refused: int) -> tuple[set[tuple[str, str]], list[tuple[str, str]]]:
    served = [("example.com/v1", f"Kind{number}", f"kind{number}") for number in range(12)]

    async def look() -> Any:
        looking = _Looking(Answering(**refused), frozenset())  # type: ignore[arg-type]
        return await looking._held(member(*served, ("v1", "ConfigMap", "configmaps")), asyncio.Semaphore(1)), looking

    held, looking = asyncio.run(look())
    return held.listed, [tuple(each) for each in looking.unseen]


def test_a_refusal_of_one_kind_is_said_of_that_kind_only() -> None:
    listed, unseen = looked(kind3=400, kind4=405)
    assert unseen == [("m1", "kind3.example.com: no kind3")]
    assert ("", "ConfigMap") in listed
    assert ("example.com", "Kind3") not in listed  # nothing of it is missing there
    assert len(listed) == 11


def test_many_refusals_are_counted_and_a_member_that_is_away_is_said_once() -> None:
    _, unseen = looked(**{f"kind{number}": 400 for number in range(12)})
    assert len(unseen) == 11
    assert unseen[-1] == ("m1", "2 more kinds are refused")
    assert looked(**{f"kind{number}": 503 for number in range(12)})[1] == [("m1", "no kind0")]
