"""The table of who changed what while its database is away: nothing is held up, and what waits is written when it is back."""

from __future__ import annotations

import pytest

from tests.waiting import eventually

from .processes import ControlPlane

pytestmark = pytest.mark.asyncio(loop_scope="package")
RECORDS = "/apis/audit.kafila.io/v1alpha1/namespaces/recorded/auditrecords"


async def names(plane: ControlPlane) -> list[str]:
    """Oldest first, as the process that is not cut off tells them."""
    answer = await plane.api[1].request("GET", RECORDS, fieldSelector="resource=configmaps,verb=create")
    assert answer.status == 200, answer
    return [each["objectName"] for each in reversed(answer.body["items"])]


async def test_what_waits_is_written_when_the_database_is_back(plane: ControlPlane) -> None:
    await plane.make_namespace("recorded")
    api = plane.api[0]
    made = []
    for number in range(5):
        name = f"before-{number}"
        answer = await api.request("POST", "/api/v1/namespaces/recorded/configmaps", {"metadata": {"name": name}})
        assert answer.status == 201
        made.append(name)
    plane.proxy.refusing = True
    plane.proxy.cut()  # most of it is not written yet
    try:
        refused = await api.request("POST", "/api/v1/namespaces/recorded/configmaps", {"metadata": {"name": "refused"}})
        assert refused.status == 503
        await eventually(
            lambda: any(line["event"] == "audit rows not written yet" for line in api.lines()),
            "the journal notices",
        )
    finally:
        plane.proxy.heal()
    await eventually(lambda: _is(plane, made), "everything is told")
    lost = [line for line in api.lines() if line["event"] == "audit events lost"]
    assert lost == []


async def _is(plane: ControlPlane, wanted: list[str]) -> bool:
    return await names(plane) == wanted
