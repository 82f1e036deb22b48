"""Answers: nothing that was asked, stored or said by a member becomes another header, or another answer."""

from __future__ import annotations

import pytest

from kafila.api.proxy import MemberProxy
from kafila.api.responses import Sender
from kafila.core.errors import StatusError
from tests.integration.api.conftest import Api

CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
CLUSTER = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "m1"}}


async def test_a_redirect_leads_where_it_was_asked(api: Api) -> None:
    api.app.member_proxy = MemberProxy(api.registry)
    await api.made(CLUSTERS, CLUSTER | {"spec": {"syncMode": "Push", "apiEndpoint": "https://127.0.0.1:1"}})
    answer = await api.get(f"{CLUSTERS}/m1/proxy")
    assert (answer.status_code, answer.headers["location"]) == (301, f"{CLUSTERS}/m1/proxy/")
    for rest in ("%0d%0a", "%0a%0d%0aHTTP/1.1%20200%20OK", "%00"):
        answer = await api.get(f"{CLUSTERS}/m1/proxy/{rest}")
        assert not set("\r\n\0") & set(answer.headers.get("location", ""))


@pytest.mark.parametrize("header", [(b"x-of", b"a\r\nset-cookie: b"), (b"a\nb", b""), (b"x", b"\0")])
async def test_a_header_is_one_line(header: tuple[bytes, bytes]) -> None:
    """Both ways out pass this place; nothing was sent, so that an error can be."""
    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    sender = Sender(send, lambda *given: bool(sent.append(given)))
    with pytest.raises(StatusError, match="not one line"):
        sender.whole(200, [header], b"")
    with pytest.raises(StatusError, match="not one line"):
        await sender({"type": "http.response.start", "status": 200, "headers": [header]})
    assert (sent, sender.status) == ([], 0)
