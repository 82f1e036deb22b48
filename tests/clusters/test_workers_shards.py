"""Two workers, as on two machines, share three real members; one is killed in the middle of its writes, and the other one finishes them."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from cluster_harness import Member, Members, Options
from cluster_workers import Fleet, fleet, keep_logs, needs_hostnames, unusual

from tests.faults.processes import Serve
from tests.waiting import eventually

FIRST = [f"first-{number}" for number in range(30)]
LATER = [f"later-{number}" for number in range(10)]
ENDED = "SELECT FROM leases WHERE name LIKE $1 AND expires < clock_timestamp()"


@pytest.fixture(scope="module")
def member3(lab: Members) -> Member:
    (member,) = lab.start("member3-shared", options=Options(light=True, nodes=1))
    return member


@pytest.mark.parametrize("leads", [True, False], ids=["that leads", "that follows"])
async def test_a_worker_that_is_killed(
    leads: bool, member1: Member, member2: Member, member3: Member, tmp_path: Path
) -> None:
    """The other one cannot see that it is dead, as on another machine: it waits until the registration has ended."""
    needs_hostnames()
    async with fleet() as shared:
        try:
            await _killed(shared, leads, (member1, member2, member3))
        finally:
            keep_logs(shared, tmp_path)


async def _killed(shared: Fleet, leads: bool, members: tuple[Member, ...]) -> None:
    api, first = shared.launch("api"), shared.launch("workers", host="here")
    await asyncio.gather(api.ready(), first.ready())
    await eventually(lambda: shared.leads(first), "it leads")
    second = await shared.start("workers", host="there")
    await shared.join(*members)
    await eventually(lambda: shared.shared_by(first, second), "both have shards")
    killed, other = (first, second) if leads else (second, first)
    await _evenly(shared, first, second)
    theirs, others = await shared.of(killed), await shared.of(other)
    assert len(theirs) + len(others) == 3

    await shared.place()
    await shared.create(FIRST, "1")
    await shared.deploy("scaled")
    await shared.everywhere(dict.fromkeys(FIRST, "1"))
    await eventually(lambda: _generations(shared, 1), "the Deployment is everywhere")
    await shared.changed(len(FIRST))
    before = {name: (await real.copies()).uids for name, real in shared.members.items()}

    # in the middle of what it writes to a member of its own, whose API server takes it and answers only when another has the member
    held = shared.members[theirs[0]].member
    held.pause()
    try:
        await shared.change(FIRST, "2")
        await eventually(lambda: _sent(shared, killed, held), "its writes lie before the API server")
        killed.kill()
        await shared.scale("scaled", 2)
        await shared.create(LATER, "2")
        await eventually(lambda: shared.shared_by(other), "the other one has all")
    finally:
        held.resume()
    assert await shared.plane.sql(ENDED, f"workers/%\\_{killed.pid}\\_%"), "it was not waited for"
    await shared.everywhere(dict.fromkeys((*FIRST, *LATER), "2"))
    await eventually(lambda: _generations(shared, 2), "it is scaled everywhere")

    # once each, whoever did it, and nothing was made anew
    made = len(FIRST) + len(LATER)
    await shared.changed(made, len(FIRST))
    for name, real in shared.members.items():
        assert before[name].items() <= (await real.copies()).uids.items(), name
    await shared.created_once()
    await _told(shared, killed, theirs)
    await _reported(shared)
    await shared.check()

    # what the other one has taken over it goes on with
    await shared.change(LATER, "3")
    await shared.everywhere(dict.fromkeys(FIRST, "2") | dict.fromkeys(LATER, "3"))
    await shared.changed(made, made)
    assert [unusual(worker) for worker in (first, second)] == [[], []]
    await shared.delete((*FIRST, *LATER))
    await shared.everywhere({})
    await shared.changed(made, made, made)


async def _sent(shared: Fleet, worker: Serve, member: Member) -> bool:
    """Whether all its Works are changed, and its API server has requests of this process that it has not read."""
    works = f"/apis/work.karmada.io/v1alpha1/namespaces/karmada-es-{member.name}/works"
    manifests = [w["spec"]["workload"]["manifests"][0] for w in (await shared.api.request("GET", works)).body["items"]]
    values = [each["data"]["value"] for each in manifests if each["metadata"]["name"] in FIRST]
    assert len(values) == len(FIRST)
    return set(values) == {"2"} and bool(_sockets(worker.pid) & _unread(member.port))


def _sockets(process: int) -> set[str]:
    """The addresses, as the kernel writes them, of this process's ends of connections."""
    found = set()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(entry.readlink().name)
    return {fields[1] for fields in _connections() if f"socket:[{fields[9]}]" in found}


def _unread(port: int) -> set[str]:
    """The other ends' addresses where a server has not read everything."""
    mine = (fields for fields in _connections() if fields[1].endswith(f":{port:04X}"))
    return {fields[2] for fields in mine if int(fields[4].partition(":")[2], 16)}


def _connections() -> list[list[str]]:
    return [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]


async def _evenly(shared: Fleet, first: Serve, second: Serve) -> None:
    async def holds() -> bool:
        return {len(await shared.of(first)), len(await shared.of(second))} == {1, 2}

    await eventually(holds, "one has two members, and the other one has one")


async def _generations(shared: Fleet, number: int) -> bool:
    """A generation for each change of the Deployment, in each member."""
    found = [(await real.copies()).generations for real in shared.members.values()]
    assert all(generations.get("scaled", 0) <= number for generations in found), found
    return found == [{"scaled": number}] * len(shared.members)


async def _told(shared: Fleet, killed: Serve, theirs: list[str]) -> None:
    for name in shared.members:
        about = f"involvedObject.name={name},reason=WorkerDied"
        answer = await shared.api.request("GET", "/api/v1/namespaces/default/events", fieldSelector=about)
        texts = [event["message"] for event in answer.body["items"]]
        assert [f"process {killed.pid} on " in text for text in texts] == [True] * (name in theirs), texts


async def _reported(shared: Fleet) -> None:
    """What every member has is known above: each Work is applied, each binding has all clusters."""

    async def holds() -> bool:
        for name in shared.members:
            path = f"/apis/work.karmada.io/v1alpha1/namespaces/karmada-es-{name}/works"
            for work in (await shared.api.request("GET", path)).body["items"]:
                conditions = (work.get("status") or {}).get("conditions") or ()
                if ("Applied", "True") not in {(each["type"], each["status"]) for each in conditions}:
                    return False
        return True

    await eventually(holds, "every Work is applied")
