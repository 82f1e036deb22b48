"""The member client against a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from cluster_harness import Member

from kafila.core.errors import StatusError
from kafila.members.client import APPLY_PATCH, MemberClient, resource_path
from kafila.members.login import Credential
from kafila.members.transport import TLS, Unreachable

MAPS = resource_path("v1", "configmaps", "default")


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@pytest.fixture
async def client(member2: Member) -> AsyncIterator[MemberClient]:
    client = member2.client()
    yield client
    await client.close()


async def test_objects_are_created_read_changed_and_deleted(client: MemberClient) -> None:
    made = await client.create(MAPS, config_map("crud", a="1"))
    path = f"{MAPS}/crud"
    assert (await client.get(path))["data"] == {"a": "1"}
    made["data"]["b"] = "2"
    updated = await client.update(path, made)
    patched = await client.patch(path, {"data": {"a": None}})
    assert patched["data"] == {"b": "2"}
    applied = await client.patch(
        path, config_map("crud", c="3"), content_type=APPLY_PATCH, query={"fieldManager": "test"}
    )
    assert applied["data"] == {"b": "2", "c": "3"}
    with pytest.raises(StatusError) as conflict:
        await client.update(path, updated)
    assert conflict.value.is_conflict
    await client.delete(path, uid=made["metadata"]["uid"])
    assert await client.find(path) is None


async def test_errors_are_the_members_own(client: MemberClient) -> None:
    with pytest.raises(StatusError) as missing:
        await client.get(f"{MAPS}/no-such")
    assert missing.value.is_not_found
    assert missing.value.message == 'configmaps "no-such" not found'
    with pytest.raises(StatusError) as invalid:
        await client.create(MAPS, config_map("Not_A_Name"))
    assert (invalid.value.code, invalid.value.reason) == (422, "Invalid")
    assert invalid.value.details is not None
    assert invalid.value.details["causes"][0]["field"] == "metadata.name"


async def test_deleting_with_a_foreign_uid_is_refused(client: MemberClient) -> None:
    await client.create(MAPS, config_map("keep"))
    with pytest.raises(StatusError) as refused:
        await client.delete(f"{MAPS}/keep", uid="0b5f8e0e-0000-0000-0000-000000000000")
    assert refused.value.is_conflict
    assert await client.find(f"{MAPS}/keep") is not None


async def test_lists_are_read_in_pages(client: MemberClient) -> None:
    for i in range(7):
        await client.create(MAPS, config_map(f"page-{i}"))
    pages = [page async for page in client.pages(MAPS, first=2)]
    assert len(pages) > 1
    items = [item for page, _ in pages for item in page]
    assert {f"page-{i}" for i in range(7)} <= {item["metadata"]["name"] for item in items}
    assert all(item["kind"] == "ConfigMap" and item["apiVersion"] == "v1" for item in items)
    assert len({version for _, version in pages}) == 1


async def test_a_watch_brings_changes_after_the_list(client: MemberClient) -> None:
    _, version = await client.list(MAPS)
    await client.create(MAPS, config_map("watched", text="x" * 300_000))
    await client.patch(f"{MAPS}/watched", {"data": {"text": "short"}})
    await client.delete(f"{MAPS}/watched")
    seen = []
    async for event in client.watch(MAPS, version, query={"fieldSelector": "metadata.name=watched"}):
        if event.type != "BOOKMARK":
            seen.append((event.type, len(event.object["data"]["text"])))
        if event.type == "DELETED":
            break
    assert seen == [("ADDED", 300_000), ("MODIFIED", 5), ("DELETED", 5)]


async def test_a_watch_from_a_compacted_revision_ends_with_410(client: MemberClient) -> None:
    with pytest.raises(StatusError) as gone:
        async for _ in client.watch(MAPS, "1"):
            pass
    assert gone.value.code == 410


async def test_many_requests_share_few_connections(client: MemberClient) -> None:
    answers = await asyncio.gather(*(client.find(f"{MAPS}/none-{i}") for i in range(300)))
    assert answers == [None] * 300


async def test_a_wrong_authority_is_no_connection(member1: Member, member2: Member) -> None:
    stranger = MemberClient("x", member2.endpoint, tls=TLS(member1.authority.certificate))
    with pytest.raises(Unreachable) as refused:
        await stranger.get("/readyz")
    assert not refused.value.sent
    await stranger.close()


async def test_a_refused_token_is_asked_for_again(member2: Member) -> None:
    good = member2.kubectl("create", "token", "default").strip()
    asked: list[Credential | None] = []

    async def source(refused: Credential | None) -> Credential:
        asked.append(refused)
        return Credential(good if refused else "stale")

    client = MemberClient("x", member2.endpoint, tls=TLS(member2.authority.certificate), token=source)
    status, _ = await client.request("GET", "/version")
    assert status == 200
    with pytest.raises(StatusError) as forbidden:
        await client.get(MAPS)
    assert forbidden.value.reason == "Forbidden"
    assert asked[:2] == [None, Credential("stale")]
    await client.close()


async def test_nobody_listens() -> None:
    from cluster_harness import free_ports

    client = MemberClient("away", f"https://127.0.0.1:{free_ports(1)[0]}", tls=TLS(insecure=True))
    for _ in range(5):
        with pytest.raises(Unreachable) as away:
            await client.get("/version")
        assert not away.value.sent
    assert client.breaker.open
    with pytest.raises(Unreachable, match="is not reachable; tried again soon"):
        await client.get("/version")
    await client.close()
