"""Members' objects in the cache are encrypted as objects of their resource are, and bound to their cluster."""

from __future__ import annotations

import asyncpg

from kafila.store.search import FIRST, ObjectWrite, SearchCache

from .at_rest import encryption, everything, provider
from .test_sealed_store import opened

SECRETS, MAPS = "/v1/secrets", "/v1/configmaps"
AES = encryption(("secrets", provider("aesgcm", "key1")))


def put(text: str) -> ObjectWrite:
    body = f'{{"metadata":{{"resourceVersion":"2"}},"data":"{text}"}}'.encode()
    return ObjectWrite("default", "token", 2, "2", b"{}", body)


async def bodies(cache: SearchCache, resource: str) -> dict[str, bytes]:
    return {cluster: (await cache.page(resource, cluster, "", FIRST, 9)).rows[0].body for cluster in ("m1", "m2")}


async def test_nobody_reads_a_members_secret_in_the_database(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, AES) as store:
        for cluster in ("m1", "m2"):
            for resource, text in ((SECRETS, "sesame-kept"), (MAPS, "open-kept")):
                await store.search.take_over(resource, cluster, (), 1)
                await store.search.write(resource, cluster, 1, [put(f"{text}-{cluster}")], version=2)
        assert (await bodies(store.search, SECRETS))["m2"].endswith(b'"sesame-kept-m2"}')
        ((_, found),) = await store.search.find(SECRETS, ["m1"], ("default", "token"))
        assert found.body.endswith(b'"sesame-kept-m1"}')
        (change,) = (await store.search.changes(SECRETS, "m1", (0, FIRST), 9)).rows
        assert change.body.endswith(b'"sesame-kept-m1"}')
        kept = everything(postgres_dsn)["search_objects"]
        assert (b"sesame-kept" in kept, b"open-kept" in kept) == (False, True)
    async with opened(postgres_dsn, None) as store:  # without the key
        assert set((await bodies(store.search, SECRETS)).values()) == {b""}
        assert (await bodies(store.search, MAPS))["m1"].endswith(b'"open-kept-m1"}')
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(
        "UPDATE search_objects o SET body = p.body FROM search_objects p"
        " WHERE o.resource = $1 AND p.resource = $1 AND o.cluster = 'm1' AND p.cluster = 'm2'",
        SECRETS,
    )
    await connection.close()
    async with opened(postgres_dsn, AES) as store:  # another cluster's is none of ours
        found_bodies = await bodies(store.search, SECRETS)
        assert found_bodies["m1"] == b""
        for cluster in ("m1", "m2"):
            await store.search.drop(SECRETS, cluster)
            await store.search.drop(MAPS, cluster)
