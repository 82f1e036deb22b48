"""``clusters/NAME/proxy`` to members that answer what no API answers, and callers whose names do not fit into headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kafila.api import proxy_all, proxy_all_watch
from kafila.api.app import ObjectsApp
from kafila.api.meta import build_shell
from kafila.api.proxy import MemberProxy
from kafila.registry import User
from kafila.search.versions import encode
from tests.attack.members import Hostile, answer, hostile

CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
PROXY = f"{CLUSTERS}/m1/proxy"
SECRET = {"namespace": "karmada-cluster", "name": "m1-impersonator"}


@pytest.fixture
async def joined(api: Any, member: Hostile) -> AsyncIterator[Any]:
    proxy = MemberProxy(api.registry)
    api.app = proxy.here = ObjectsApp(api.registry, build_shell({}), proxy)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": SECRET, "stringData": {"token": "t"}}
    await api.made("/api/v1/namespaces/karmada-cluster/secrets", secret)
    await api.made(CLUSTERS, cluster("m1", member.endpoint))
    yield api
    await proxy.close()


def cluster(name: str, endpoint: str) -> dict[str, Any]:
    spec = {"syncMode": "Push", "apiEndpoint": endpoint, "impersonatorSecretRef": SECRET, "id": name}
    return {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}, "spec": spec}


def refusal(found: Any) -> tuple[int, str]:
    status = found.json()
    assert (status["kind"], status["code"]) == ("Status", found.status_code)
    return found.status_code, status["message"]


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 20 Short\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ],
    ids=lambda head: head[9:30].decode().strip(),
)
async def test_an_answer_that_is_none_is_a_bad_gateway(joined: Any, member: Hostile, head: bytes) -> None:
    member.answers["/api"] = head
    code, message = refusal(await joined.get(f"{PROXY}/api"))
    assert code == 502, message
    assert message.startswith("error trying to reach service: ")


async def test_interim_answers_without_end_are_a_bad_gateway(joined: Any, member: Hostile) -> None:
    member.answers["/api"] = member.endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)
    async with asyncio.timeout(60):
        code, message = refusal(await joined.get(f"{PROXY}/api"))
    assert code == 502, message
    assert member.sent < 64 << 20


async def test_a_few_interim_answers_are_read_over(joined: Any, member: Hostile) -> None:
    member.answers["/api"] = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 3 + answer(b"{}")
    found = await joined.get(f"{PROXY}/api")
    assert (found.status_code, found.json()) == (200, {})


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_a_length_without_a_body_is_not_believed(joined: Any, member: Hostile, status: str) -> None:
    member.answers["/api"] = f"HTTP/1.1 {status}\r\ncontent-length: 7\r\n\r\n".encode()
    found = await joined.get(f"{PROXY}/api")
    assert (found.status_code, found.content) == (int(status[:3]), b"")
    assert "content-length" not in found.headers


async def test_nothing_of_a_member_binds_a_client_of_ours(joined: Any, member: Hostile) -> None:
    kept = {
        "content-type": "application/json",
        "etag": '"1"',
        "warning": '299 - "one"',
        "x-kubernetes-pf-flowschema-uid": "u",
        "retry-after": "1",
    }
    dropped = {
        "set-cookie": "a=b",
        "strict-transport-security": "max-age=99999999",
        "clear-site-data": '"*"',
        "www-authenticate": 'Basic realm="kafila"',
        "content-security-policy": "sandbox",
        "public-key-pins": "x",
        "refresh": "0; url=https://elsewhere",
        "link": "</x>; rel=preload",
        "alt-svc": 'h3=":443"',
        "access-control-allow-origin": "*",
        "location": "https://elsewhere/",
        "server": "evil",
        "x-anything": "else",
    }
    lines = [f"{name}: {value}" for name, value in (kept | dropped).items() if name != "content-type"]
    member.answers["/api"] = answer(b"{}", "200 OK", *lines)
    headers = (await joined.get(f"{PROXY}/api")).headers
    assert {name: headers.get(name) for name in kept} == kept
    assert [name for name in dropped if name in headers] == []


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("/api/v1/", f"{PROXY}/api/v1/"),
        ("/a%0d%0ab?x=%0a", f"{PROXY}/a%0d%0ab?x=%0a"),
        ("HERE/x?y=1", f"{PROXY}/x?y=1"),
        ("https://elsewhere/", None),
        ("//elsewhere/", None),
        ("http://[", None),
        ("/../../../../../../api/v1/secrets", None),
        ("/%2e%2e/%2e%2e/x", None),
        ("relative", None),
        ("javascript:alert(1)", None),
    ],
)
async def test_redirects_lead_nowhere_else(joined: Any, member: Hostile, given: str, seen: str | None) -> None:
    location = given.replace("HERE", member.endpoint)
    member.answers["/api"] = answer(b"", "302 Found", f"location: {location}")
    found = await joined.get(f"{PROXY}/api")
    if seen is None:
        message = (
            "error trying to reach service: the backend attempted to redirect this request, which is not permitted"
        )
        assert refusal(found) == (502, message)
    else:
        assert (found.status_code, found.headers["location"]) == (302, seen)


# -- requests ----------------------------------------------------------------------------------------------------------


def lines_of(member: Hostile, name: bytes) -> list[bytes]:
    head = member.asked[-1].split(b"\r\n")
    return [line.partition(b": ")[2] for line in head if line.lower().startswith(name + b": ")]


async def test_names_arrive_byte_for_byte(joined: Any, member: Hostile) -> None:
    joined.user = User("jörg", ("system:masters", "zürich", "日本 x"))
    await joined.get(f"{PROXY}/api")
    assert lines_of(member, b"impersonate-user") == ["jörg".encode()]
    assert lines_of(member, b"impersonate-group") == [b"system:masters", "zürich".encode(), "日本 x".encode()]
    await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods")
    assert lines_of(member, b"impersonate-user") == ["jörg".encode()]


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        ("", ()),
        ("root ", ()),
        ("\troot", ()),
        ("a\r\nimpersonate-group: system:masters", ()),
        ("a\0b", ()),
        ("a\x7f", ()),
        ("\udcff", ()),
        ("ann", ("a\nb",)),
        ("ann", ("",)),
        ("ann", (" x",)),
    ],
)
async def test_names_that_no_header_carries_are_refused(
    joined: Any, member: Hostile, user: str, groups: tuple[str, ...]
) -> None:
    joined.user = User(user, ("system:masters", *groups))
    for cluster in ("m1", "*"):
        code, message = refusal(await joined.get(f"{CLUSTERS}/{cluster}/proxy/api/v1/pods"))
        assert code == 403
        assert "cannot be named to a member" in message
    assert member.asked == []


async def test_a_header_that_would_arrive_as_another_is_refused(joined: Any, member: Hostile) -> None:
    member.answers["/api"] = answer(b"{}")
    assert (await joined.get(f"{PROXY}/api", headers={"x-a": "ü".encode()})).status_code == 200
    assert lines_of(member, b"x-a") == ["ü".encode()]
    code, message = refusal(await joined.get(f"{PROXY}/api", headers={"x-a": b"\xff"}))
    assert (code, message) == (400, "header x-a is not in UTF-8")


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/api/v1/a%2Fb", "/api/v1/a%2Fb"),
        ("/api/v1/%ff%0d%0a", "/api/v1/%ff%0d%0a"),
        ("/api/v1/j%C3%B6rg", "/api/v1/j%C3%B6rg"),
        ("/api/%252e%252e", "/api/%252e%252e"),
        ("/api/..%2f..%2f..%2fx", "/x"),
        ("/a%20", "/a%20"),
        ("/api?a=%0d%0a%ff", "/api?a=%0d%0a%ff"),
    ],
)
async def test_paths_arrive_byte_for_byte(joined: Any, member: Hostile, asked: str, seen: str) -> None:
    await joined.get(PROXY + asked)
    assert member.asked[-1].split(b" ")[1].decode() == seen


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "%0d%0aset-cookie:%20a=b", "%0a", "?x=%0d%0ay"])
async def test_the_way_to_the_root_is_one_line(joined: Any, end: str) -> None:
    found = await joined.get(f"{PROXY}{end}")
    location = found.headers.get("location", "")
    assert not set(location) & {"\r", "\n", "\0"}
    assert "set-cookie" not in found.headers
    if end in ("", "?x=%0d%0ay"):
        assert (found.status_code, location) == (301, f"{PROXY}/{end}")


@pytest.mark.parametrize(
    "path",
    [
        "/apis/cluster.karmada.io/v1alpha1/namespaces/ANY/clusters/m1/proxy/",
        "/apis/cluster.karmada.io/v1alpha1/namespaces/ANY/clusters/*/proxy/api/v1/pods",
        "/apis/cluster.karmada.io/v1alpha1/namespaces/ANY/clusters/m1/proxy",
        "/apis/cluster.karmada.io/v1alpha1/namespaces/ANY/clusters?watch=true",
        "/apis/cluster.karmada.io/v1alpha1/namespaces/ANY/clusters/m1",
        "/apis/cluster.karmada.io/v1alpha1/namespaces/ANY/clusters/m1/status",
    ],
)
async def test_a_path_outside_its_scope_leads_nowhere(joined: Any, member: Hostile, path: str) -> None:
    assert (await joined.get(path)).status_code == 404
    assert member.asked == []


# -- all members at once -----------------------------------------------------------------------------------------------


def listed(*names: str, **metadata: str) -> bytes:
    items = [{"metadata": {"name": name}} for name in names]
    return answer(orjson.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}))


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"[]",
        b'{"items":1}',
        b'{"items":[1]}',
        b'{"items":[{"metadata":[]}]}',
        b'{"items":[' + b"[" * 600 + b"]" * 601 + b"}",
    ],
    ids=lambda body: body[:30].decode(),
)
async def test_whoever_answers_no_list_is_left_out(joined: Any, member: Hostile, body: bytes) -> None:
    async with hostile() as honest:
        await joined.made(CLUSTERS, cluster("m2", honest.endpoint))
        honest.answers["/api/v1/pods"] = listed("a", "b")
        member.answers["/api/v1/pods"] = answer(body)
        found = (await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods")).json()
    assert [item["metadata"]["name"] for item in found["items"]] == ["a", "b"]


@pytest.mark.parametrize("depth", [240, 250, 253, 254, 255, 256, 300])
async def test_whose_list_is_nested_too_deep_beside_its_items_is_left_out(
    joined: Any, member: Hostile, depth: int
) -> None:
    async with hostile() as honest:
        await joined.made(CLUSTERS, cluster("m2", honest.endpoint))
        honest.answers["/api/v1/pods"] = listed("a")
        deep = b'{"kind":"PodList","metadata":{},"more":' + b"[" * depth + b"]" * depth + b',"items":[]}'
        member.answers["/api/v1/pods"] = answer(deep)
        found = await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods")
    assert found.status_code == 200, found.text
    assert b'{"name":"a"' in found.content
    assert ("cluster m1 is left out: " in found.headers.get("warning", "")) is (b"[[" not in found.content)
    assert depth < 255 or "warning" in found.headers


async def test_members_are_asked_for_what_was_decided_by(joined: Any, member: Hostile) -> None:
    member.answers["/api/v1/pods"] = listed("a")
    found = await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods?watch=false&watch=true&limit=5&limit=900")
    assert found.status_code == 200
    line = member.asked[-1].partition(b"\r\n")[0]
    assert b"watch=false" in line
    assert b"limit=5" in line
    assert b"true" not in line
    assert b"900" not in line


def table(*rows: list[str], columns: tuple[str, ...] = ("Name", "Ready")) -> bytes:
    definitions = [{"name": name, "type": "string"} for name in columns]
    found = [{"cells": row, "object": {"metadata": {"name": row[0]}}} for row in rows]
    return answer(orjson.dumps({"kind": "Table", "metadata": {}, "columnDefinitions": definitions, "rows": found}))


@pytest.mark.parametrize(
    "body",
    [
        table(["b", "1"], columns=("Name", "Other")),
        listed("b"),
        answer(b'{"kind":"Table","rows":[{"cells":1}]}'),
        answer(b'{"kind":"Table","rows":[1]}'),
        answer(b'{"kind":"Table","columnDefinitions":[1]}'),
        answer(b'{"kind":"Table","rows":[{"cells":[],"object":{"metadata":[]}}]}'),
    ],
)
async def test_whose_table_is_another_one_is_left_out_and_it_is_said(joined: Any, member: Hostile, body: bytes) -> None:
    async with hostile() as other:
        await joined.made(CLUSTERS, cluster("m2", other.endpoint))
        member.answers["/api/v1/pods"] = table(["a", "1"])
        other.answers["/api/v1/pods"] = body
        headers = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        found = await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods", headers=headers)
    shown = found.json()
    assert [column["name"] for column in shown["columnDefinitions"]] == ["Name", "Cluster", "Ready"]
    assert [row["cells"] for row in shown["rows"]] == [["a", "m1", "1"]]
    assert "cluster m2 is left out: " in found.headers["warning"]


@pytest.mark.parametrize("token", ["x", "!!", "W10", "eyJtMSI6MX0", "e" * 50_000])
async def test_a_token_that_is_none_of_ours_has_expired(joined: Any, member: Hostile, token: str) -> None:
    member.answers["/api/v1/pods"] = listed("a")
    code, _ = refusal(await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods?continue={token}"))
    assert code == 410
    assert member.asked == []


@pytest.mark.parametrize("encoding", [b"", b"content-encoding: gzip\r\n"])
async def test_whoever_answers_without_end_is_left_out(joined: Any, member: Hostile, encoding: bytes) -> None:
    async with hostile() as honest:
        await joined.made(CLUSTERS, cluster("m2", honest.endpoint))
        honest.answers["/api/v1/pods"] = listed("a")
        head = b"HTTP/1.1 200 OK\r\n" + encoding + b"connection: close\r\n\r\n"
        member.answers["/api/v1/pods"] = member.endless(head, b"[" * 65536)
        member.answers["/api/v1/namespaces/a/pods/a"] = member.answers["/api/v1/pods"]
        honest.answers["/api/v1/namespaces/a/pods/a"] = answer(b'{"kind":"Pod"}')
        found = (await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods")).json()
        one = await joined.get(f"{CLUSTERS}/*/proxy/api/v1/namespaces/a/pods/a")
    assert [item["metadata"]["name"] for item in found["items"]] == ["a"]
    assert one.json() == {"kind": "Pod"}
    assert member.sent < 128 << 20


async def test_a_long_list_is_asked_for_in_pages_and_a_limit_is_kept(joined: Any, member: Hostile) -> None:
    """A caller sees one list; of what he limits he is told how it goes on."""

    async def pages(writer: asyncio.StreamWriter) -> None:
        query = member.asked[-1].split(b" ")[1].decode().partition("?")[2]
        asked = dict(part.split("=") for part in query.split("&"))
        first = int(asked.get("continue", "0"))
        last = min(250, first + int(asked["limit"]))
        more: dict[str, Any] = {"continue": str(last), "remainingItemCount": 250 - last} if last < 250 else {}
        writer.write(listed(*(f"p{n}" for n in range(first, last)), resourceVersion="7", **more))

    member.answers["/api/v1/pods"] = pages
    found = (await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods")).json()
    assert [item["metadata"]["name"] for item in found["items"]] == [f"p{n}" for n in range(250)]
    assert found["metadata"] == {"resourceVersion": encode({"m1": "7"})}
    some = (await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods?limit=150")).json()
    assert len(some["items"]) == 150
    rest = (
        await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods?limit=150&continue={some['metadata']['continue']}")
    ).json()
    assert [item["metadata"]["name"] for item in rest["items"]] == [f"p{n}" for n in range(150, 250)]
    assert some["metadata"].keys() == {"resourceVersion", "continue"}
    assert rest["metadata"] == {"resourceVersion": encode({"m1": "7"})}


async def test_a_stream_through_the_proxy_waits_for_its_reader(joined: Any, member: Hostile) -> None:
    """Logs and watches have no end and no limit; what is not read is not fetched either."""
    member.answers["/log"] = member.endless(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", b"x" * 65536)
    stream = await joined.watch(f"{PROXY}/log").start()
    stream.window.clear()
    before = -1
    while member.sent != before:  # until buffers are full
        before = member.sent
        for _ in range(200):
            await asyncio.sleep(0.001)
    assert member.sent < 32 << 20
    await stream.leave()


# -- a watch of all members --------------------------------------------------------------------------------------------

POD = b'{"metadata":{"name":"a","resourceVersion":"8"}}'
NESTED = b'{"metadata":{"name":%b},"spec":' + b'{"a":' * 300 + b"1" + b"}" * 301  # which is read, and cannot be written


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"[]\n",
        b'{"type":"ADDED"}\n',
        b'{"type":"ADDED","object":[]}\n',
        b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"8\\",\\"m2\\":\\"9"}}}\n',
        b'{"type":"ADDED","object":{"metadata":"none"}}\n',
        b'{"type":"PWNED","object":' + POD + b"}\n",
        b'{"type":7,"object":' + POD + b"}\n",
        b'{"type":"ADDED","object":{"kind":"Table","rows":[{"cells":1}]}}\n',
        b'{"type":"ADDED","object":' + NESTED % b'"a","resourceVersion":"8"' + b"}\n",
        b'{"type":"ERROR","object":' + NESTED % b'"a"' + b"}\n",
        b'{"type":"ADDED","object":' + b'{"a":' * 2000 + b"1" + b"}" * 2001 + b"\n",
        b"{" + b" " * (9 << 20) + b"\n",
    ],
    ids=lambda line: line[:40].decode(),
)
async def test_what_is_no_event_reaches_nobody(joined: Any, member: Hostile, line: bytes) -> None:
    """The member is asked again, later and later; the client is told what is told properly."""
    again = asyncio.Event()
    asked = 0

    async def pods(writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        if b"watch=true" not in member.asked[-1]:
            writer.write(listed("first", resourceVersion="7"))
            return
        asked += 1
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
        if asked > 1:
            again.set()
            sent = b'{"type":"ADDED","object":' + POD + b"}\n"
        else:
            sent = line
        writer.write(head + sent)
        await writer.drain()
        writer.close()

    member.answers["/api/v1/pods"] = pods
    stream = await joined.watch(f"{CLUSTERS}/*/proxy/api/v1/pods", "").start()
    assert (await stream.event())["object"]["metadata"]["name"] == "first"
    found = await stream.event()
    assert again.is_set()
    assert (found["type"], found["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert found["object"]["metadata"]["resourceVersion"] == encode({"m1": "8"})
    await stream.leave()


@pytest.mark.parametrize("line", [NESTED % b'"a","resourceVersion":"8"', b'"' + b" " * (9 << 20)], ids=["deep", "long"])
async def test_what_can_never_be_passed_on_ends_the_watch_of_all(joined: Any, member: Hostile, line: bytes) -> None:
    """Else nothing that happens in the member afterwards would reach the client."""
    asked = []

    async def pods(writer: asyncio.StreamWriter) -> None:
        if b"watch=true" not in member.asked[-1]:
            writer.write(listed("first", resourceVersion="7"))
            return
        asked.append(member.asked[-1])
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
        writer.write(head + b'{"type":"MODIFIED","object":' + line + b'}\n{"type":"ADDED","object":' + POD + b"}\n")
        await writer.drain()
        writer.close()

    member.answers["/api/v1/pods"] = pods
    stream = await joined.watch(f"{CLUSTERS}/*/proxy/api/v1/pods", "").start()
    assert (await stream.event())["object"]["metadata"]["name"] == "first"
    event = await stream.event()
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert event["object"]["message"].startswith("too old resource version: of cluster m1: ")
    assert len(asked) == 2
    await stream.leave()


async def test_bookmarks_that_nobody_is_sent_cost_little(joined: Any, member: Hostile, monkeypatch: Any) -> None:
    """A version of all clusters is written where something is sent, and not for what a member says of itself."""
    written = 0

    def counted(versions: Any) -> str:
        nonlocal written
        written += 1
        return encode(versions)

    async def pods(writer: asyncio.StreamWriter) -> None:
        if b"watch=true" not in member.asked[-1]:
            writer.write(listed("first", resourceVersion="7"))
            return
        line = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d"}}}\n'
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
        writer.write(head + b"".join(line % number for number in range(8, 2000)))
        writer.write(b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"2000"}}}\n')

    monkeypatch.setattr(proxy_all_watch, "encode", counted)
    member.answers["/api/v1/pods"] = pods
    stream = await joined.watch(f"{CLUSTERS}/*/proxy/api/v1/pods", "").start()
    assert (await stream.event())["object"]["metadata"]["name"] == "first"
    assert (await stream.event())["object"]["metadata"]["resourceVersion"] == encode({"m1": "2000"})
    assert written < 10
    await stream.leave()


async def test_a_member_that_does_not_answer_is_asked_until_it_does(
    joined: Any, member: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_all, "TIMEOUT", 0.5)
    monkeypatch.setattr(proxy_all_watch, "TIMEOUT", 0.5)
    monkeypatch.setattr(proxy_all_watch, "LONGEST_PAUSE", 0.1)
    lists = 0

    async def pods(writer: asyncio.StreamWriter) -> None:
        nonlocal lists
        if b"watch=true" in member.asked[-1]:
            return
        lists += 1
        if lists > 2:
            writer.write(listed("late", resourceVersion="7"))

    member.answers["/api/v1/pods"] = pods
    async with hostile() as other:
        other.answers["/api/v1/pods"] = listed("first", resourceVersion="3")
        await joined.made(CLUSTERS, cluster("m2", other.endpoint))
        stream = await joined.watch(f"{CLUSTERS}/*/proxy/api/v1/pods", "").start()
        names = [(await stream.event())["object"]["metadata"]["name"] for _ in range(2)]
        assert names == ["first", "late"]
        await stream.leave()


async def test_a_member_that_forgot_ends_the_watch_of_all(joined: Any, member: Hostile) -> None:
    async def pods(writer: asyncio.StreamWriter) -> None:
        if b"watch=true" not in member.asked[-1]:
            writer.write(listed(resourceVersion="7"))
        else:
            writer.write(answer(b'{"kind":"Status","code":410,"reason":"Expired"}', "410 Gone"))

    member.answers["/api/v1/pods"] = pods
    stream = await joined.watch(f"{CLUSTERS}/*/proxy/api/v1/pods", "").start()
    event = await stream.event()
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    await stream.leave()


async def test_more_clusters_than_one_watch_may_have(joined: Any, member: Hostile, monkeypatch: Any) -> None:
    monkeypatch.setattr(proxy_all_watch, "MOST", 0)
    code, message = refusal(await joined.get(f"{CLUSTERS}/*/proxy/api/v1/pods?watch=true"))
    assert (code, message) == (400, "more than 0 clusters cannot be watched at once: see search.karmada.io")
