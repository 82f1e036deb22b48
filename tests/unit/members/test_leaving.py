"""What is said of what left a member and what stays there."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import pytest

from kafila.core.errors import StatusError
from kafila.members import leaving
from kafila.members.client import MemberClient
from kafila.members.leaving import Account, Thing, look_for, remove_accounts, thing_of
from kafila.members.transport import ASGITransport

DISCOVERY = {
    "kind": "APIGroupDiscoveryList",
    "items": [
        {
            "metadata": {},
            "versions": [
                {
                    "version": "v1",
                    "resources": [
                        {"resource": "configmaps", "responseKind": {"kind": "ConfigMap"}, "scope": "Namespaced"}
                    ],
                }
            ],
        }
    ],
}


class Member:
    """Objects by path; None for those that nobody answers for."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.objects = objects
        self.asked: list[str] = []

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.asked.append(f"{scope['method']} {path}")
        found: Any = self.objects.get(path, {"kind": "Status", "code": 404, "reason": "NotFound"})
        if path in ("/api", "/apis"):
            found = DISCOVERY if path == "/api" else {"kind": "APIGroupDiscoveryList"}
        if found is None:
            await asyncio.Event().wait()
        await send({"type": "http.response.start", "status": found.get("code", 200), "headers": []})
        await send({"type": "http.response.body", "body": orjson.dumps(found)})


def client_of(member: Member) -> MemberClient:
    return MemberClient("m", "https://m", transport=ASGITransport(member))


def config(name: str, managed: bool = True, **metadata: Any) -> dict:
    labels = {"karmada.io/managed": "true"} if managed else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "n", "labels": labels, **metadata},
    }


def path(name: str) -> str:
    return f"/api/v1/namespaces/n/configmaps/{name}"


async def test_what_is_left_is_looked_for() -> None:
    member = Member(
        {
            path("stays"): config("stays"),
            path("theirs"): config("theirs", managed=False),
            path("held"): config("held", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["a/b"]),
        }
    )
    client, account = client_of(member), Account()
    copies = [config(name) for name in ("stays", "theirs", "held", "gone")]
    custom = {"apiVersion": "example.com/v1", "kind": "Backup", "metadata": {"name": "b", "namespace": "n"}}
    await look_for(client, [*copies, custom], account)
    await client.close()
    assert sorted(account.removed) == [
        Thing("Backup.v1.example.com", "n", "b"),
        Thing("ConfigMap", "n", "gone"),
        Thing("ConfigMap", "n", "theirs"),
    ]
    assert account.stays == {
        Thing("ConfigMap", "n", "stays"): "",
        Thing("ConfigMap", "n", "held"): "it is being deleted, and waits for its finalizers: a/b",
    }


async def test_looking_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "LOOK", 0.2)
    client, account = client_of(Member({path("a"): config("a"), path("b"): None})), Account()
    await look_for(client, [config("a"), config("b")], account)
    await client.close()
    assert account.lines("m")[-1].startswith("1 more objects that were placed there were not looked for")


def test_many_things_are_a_line_for_each_kind() -> None:
    account = Account([thing_of(config(f"c{number:02}")) for number in range(25)])
    assert account.lines("m") == [
        "Removed from cluster m:",
        f"  -n n ConfigMap: {', '.join(f'c{number:02}' for number in range(10))} and 15 more",
    ]


async def test_lines_for_a_shell_hold_nothing_that_a_member_or_a_name_made_up() -> None:
    hostile = config("held", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x\nrm -rf ~", "\x1b[2Ja/b"])
    client, account = client_of(Member({path("held"): hostile})), Account()
    await look_for(client, [config("held")], account)
    await client.close()
    account.stays[Thing("ClusterRole.v1.rbac.authorization.k8s.io", "", "a:b$(reboot)")] = ""
    assert account.lines("m")[1:] == [
        "  kubectl delete -n n ConfigMap/held  # it is being deleted, and waits for its finalizers: x rm -rf ~, [2Ja/b",
        "  kubectl delete 'ClusterRole.v1.rbac.authorization.k8s.io/a:b$(reboot)'",
    ]


async def test_accounts_of_others_and_a_namespace_of_the_users_stay() -> None:
    base = "/api/v1/namespaces/shared"
    accounts = f"{base}/serviceaccounts"
    done = {"kind": "Status", "status": "Success"}
    deletable = {
        f"{accounts}/karmada-m": done,
        f"{accounts}/karmada-impersonator": done,
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/karmada-controller-manager:karmada-m": done,
    }

    def listed(*names: str) -> dict:
        return {
            "kind": "ServiceAccountList",
            "items": [{"metadata": {"name": n, "resourceVersion": "1"}} for n in names],
        }

    namespace = {"kind": "Namespace", "metadata": {"name": "shared", "resourceVersion": "1"}}
    for names, removed in (
        (("default", "karmada-impersonator"), "serviceaccount/karmada-impersonator -n shared"),
        (("karmada-impersonator", "karmada-other"), "serviceaccount/karmada-m -n shared"),
    ):
        member = Member({**deletable, accounts: listed(*names), base: namespace})
        client, account, said = client_of(member), Account(), list[str]()
        await remove_accounts(client, "m", "shared", account, False, said.append)
        await client.close()
        assert str(account.removed[-1]) == removed
        assert f"DELETE {base}" not in member.asked
        assert any("accounts of others (karmada-other)" in line for line in said) is ("karmada-other" in names)


async def test_the_first_error_ends_it_or_with_force_is_told() -> None:
    refused = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}
    role = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/karmada-controller-manager:karmada-m"
    client = client_of(Member({role: refused}))
    with pytest.raises(StatusError, match="no"):
        await remove_accounts(client, "m", "n", Account(), False, print)
    said: list[str] = []
    account = Account()
    await remove_accounts(client, "m", "n", account, True, said.append)
    await client.close()
    assert re.match("could not delete clusterrolebinding/.*: no", said[0])
    assert [thing.kind for thing in account.stays] == ["clusterrolebinding"]
