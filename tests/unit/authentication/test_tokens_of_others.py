"""A file of tokens, a webhook that knows them, and a proxy that says who asks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kafila.authentication.audiences import for_this_server
from kafila.authentication.credentials import Credentials, Known, Peer
from kafila.authentication.front_proxy import HeaderNames, front_proxy
from kafila.authentication.token_file import read_tokens, token_file
from kafila.authentication.users import InvalidCredential
from kafila.authentication.webhook import TokenWebhook, known_of
from kafila.core.webhooks import WebhookError
from kafila.identity.certificates import KeyPair, issue, new_authority
from kafila.registry import User


def test_a_file_of_tokens() -> None:
    users = read_tokens('a,jane,1,"dev,ops"\n\nb,joe,2\nc,"x y",\n')
    authenticate = token_file(users)
    assert authenticate("a", ()) == Known(User("jane", ("dev", "ops"), "1"))
    assert authenticate("b", ()) == Known(User("joe", (), "2"))
    assert authenticate("d", ()) is None
    ours = for_this_server(authenticate, ["api", "more"])
    assert ours("a", ["vault"]) is None
    known = ours("a", ["vault", "api"])
    assert known is not None
    assert known.audiences == ("api",)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a,b", 1), ("x,y,z\na,b\n", 2), (",b,c", 1), ("a,,c", 1), ("a,b,c\na,d,e", 2), ('a,b,c,"x', 1), ("a,b\x01,c", 1)],
)
def test_a_wrong_file_is_refused_with_its_line_and_without_its_tokens(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=rf"^line {line}: ") as refused:
        read_tokens(text.replace("a,", "secret-token,"))
    assert "secret-token" not in str(refused.value)


def answer(**status: Any) -> bytes:
    return orjson.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})


JANE = {"username": "jane", "uid": "1", "groups": ["dev"], "extra": {"a": ["b"]}}


def test_what_a_webhook_answers() -> None:
    known = known_of(answer(authenticated=True, user=JANE), ["api"], ["api"])
    assert known == Known(User("jane", ("dev",), "1", (("a", ("b",)),)), ("api",))
    assert known_of(answer(authenticated=True, user=JANE), ["vault"], ["api"]) is None
    known = known_of(answer(authenticated=True, user=JANE, audiences=["vault"]), ["vault", "x"], ["api"])
    assert known is not None
    assert known.audiences == ("vault",)
    assert known_of(answer(authenticated=True, user=JANE, audiences=["y"]), ["vault"], ["api"]) is None
    for status in (
        {"authenticated": False, "user": JANE},
        {"user": JANE},
        {"authenticated": "true", "user": JANE},
        {"authenticated": True, "user": {}},
        {},
    ):
        assert known_of(answer(**status), ["api"], ["api"]) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"status": 1}',
        b'{"status": {"user": {"groups": "x"}}}',
        b'{"status": {"user": {"username": 1}}}',
        b'{"status": {"user": {"extra": {"a": "b"}}}}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(WebhookError):
        known_of(body, ["api"], ["api"])


async def test_a_webhook_is_asked_once_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    async def post(review: bytes) -> bytes:
        asked.append(orjson.loads(review))
        await asyncio.sleep(0)
        return answer(authenticated=asked[-1]["spec"]["token"] == "good", user=JANE)

    webhook = TokenWebhook(post, ["api"], 60, "v1")
    monkeypatch.setattr(webhook, "_slots", asyncio.Semaphore(1))
    found = await asyncio.gather(*(webhook.authenticate("good", ()) for _ in range(20)))
    assert {known.user.name for known in found if known} == {"jane"}
    assert len(asked) == 1
    assert (asked[0]["apiVersion"], asked[0]["spec"]) == (
        "authentication.k8s.io/v1",
        {"token": "good", "audiences": ["api"]},
    )
    assert webhook.remembered("good", ()) is not None
    assert await webhook.authenticate("bad", ()) is None
    assert webhook.remembered("bad", ()) is None


async def test_a_webhook_that_is_away_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[bool] = []

    async def post(review: bytes) -> bytes:
        tries.append(True)
        raise WebhookError("it is away", again=len(tries) < 2)

    monkeypatch.setattr("kafila.authentication.webhook.FIRST_WAIT", 0.0)
    with pytest.raises(InvalidCredential):
        await TokenWebhook(post, ["api"], 60).authenticate("good", ())
    assert len(tries) == 2


def _der(pair: KeyPair) -> bytes:
    return x509.load_pem_x509_certificate(pair.certificate).public_bytes(Encoding.DER)


def test_headers_of_a_proxy_count_with_its_certificate_only() -> None:
    authority = new_authority("proxies")
    ca = _der(authority)
    authenticate = front_proxy(lambda: frozenset({ca}), HeaderNames(user=["X-Other", "X-Remote-User"]))
    headers = [
        (b"x-remote-user", b" jane "),
        (b"x-remote-user", b"joe"),
        (b"x-remote-group", b"dev"),
        (b"x-remote-group", b"ops"),
        (b"x_remote_group", b"system:masters"),
        (b"x-remote-uid", b"7"),
        (b"x-remote-extra-a%2fb", b"c"),
    ]
    leaf, old = _der(issue(authority, "proxy")), _der(issue(authority, "proxy", lifetime=timedelta(seconds=-1)))
    proxy = Peer(leaf, (leaf, ca))
    assert authenticate(Credentials(headers, "", proxy)) == User(
        "jane", ("dev", "ops", "system:authenticated"), "7", (("a/b", ("c",)),)
    )
    for peer in (None, Peer(leaf), Peer(leaf, (leaf, b"other"))):
        assert authenticate(Credentials(headers, "", peer)) is None
    for wrong in (old, b"no certificate"):
        with pytest.raises(InvalidCredential):
            authenticate(Credentials(headers, "", Peer(wrong, (wrong, ca))))
    assert authenticate(Credentials([(b"x_remote_user", b"admin"), (b"x-remote-group", b"g")], "", proxy)) is None
