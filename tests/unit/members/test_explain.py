"""What users are told of an answer."""

from __future__ import annotations

from kafila.core.errors import StatusError
from kafila.members.client import MemberClient
from kafila.members.explain import explain
from kafila.members.transport import Unreachable


async def test_it_says_where() -> None:
    plane, member = (MemberClient(name, f"https://{name}:6443") for name in ("plane", "member"))
    refused = StatusError(401, "Unauthorized", "Unauthorized")
    why = "does not know the credentials of the kubeconfig, or they have ended: Unauthorized"
    assert explain(refused, None, plane) == f"https://plane:6443 {why}"
    assert explain(refused, member, plane) == f"https://plane:6443 or https://member:6443 {why}"
    assert explain(Unreachable("refused", sent=False), None, plane) == "cannot reach https://plane:6443: refused"
    assert explain(StatusError(403, "Forbidden", "no\n rights"), None, plane) == "no rights"
    for each in (plane, member):
        await each.close()
