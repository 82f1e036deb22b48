"""The old prefix of watches leads to nothing that the right to watch it is not about."""

from __future__ import annotations

import pytest

from kafila.api.proxy import MemberProxy
from kafila.registry import SYSTEM_ADMIN
from tests.integration.api.conftest import Api
from tests.integration.api.test_authorization import ANN, grant, message, rule

SECRETS = "/api/v1/watch/namespaces/default/secrets"
CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/watch/clusters"


async def test_who_may_watch_subresources_does_not_get_the_objects(api: Api) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hidden"}}
    await api.made("/api/v1/namespaces/default/secrets", secret)
    await grant(api, rule("*", "*/status"))
    for subresource in ("status", "status/"):
        stream = await api.watch(f"{SECRETS}/s/{subresource}").start()
        assert stream.status == 404
        await stream.leave()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_nothing_but_watches_is_done_below_it(api: Api, method: str) -> None:
    path = SECRETS if method == "POST" else f"{SECRETS}/s"
    before = api.cache.revision
    assert (await api.ask(method, path, {"metadata": {"name": "s"}})).status_code == 405
    api.user = ANN
    if method != "HEAD":
        assert 'cannot watch resource "secrets"' in message(await api.ask(method, path, {"metadata": {"name": "s"}}))
    assert api.cache.revision == before


async def test_no_member_is_behind_it(api: Api) -> None:
    api.app.member_proxy = MemberProxy(api.registry)
    assert api.user == SYSTEM_ADMIN
    for method in ("GET", "POST"):
        for name in ("m1", "*"):
            answer = await api.ask(method, f"{CLUSTERS}/{name}/proxy/api/v1/nodes")
            assert (answer.status_code, answer.json()["message"]) == (
                404,
                "the server could not find the requested resource",
            )
