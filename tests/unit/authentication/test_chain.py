"""The first authenticator that knows the sender decides; a mistake makes nobody anonymous."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kafila.authentication.chain import Authentication
from kafila.authentication.credentials import LONGEST_TOKEN, Credentials, Known, Peer, bearer_token
from kafila.authentication.users import ANONYMOUS, InvalidCredential, NotSeen, authenticated
from kafila.authentication.verified import Verified
from kafila.core.errors import StatusError
from kafila.registry import User

PEER = Peer(b"certificate")


def by_certificate(credentials: Credentials) -> User | None:
    return User("certificate") if credentials.peer else None


def refusing(credentials: Credentials) -> User | None:
    raise InvalidCredential("no")


def by_token(token: str, audiences: Sequence[str]) -> Known | None:
    if token == "ended":
        raise InvalidCredential("it has ended")
    return Known(User("token")) if token == "good" else None


class Remote:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.known: dict[str, Known] = {}

    def remembered(self, token: str, audiences: Sequence[str]) -> Known | None:
        return self.known.get(token)

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Known | None:
        self.asked.append(token)
        return self.known.setdefault(token, Known(User("remote"))) if token == "far" else None


def with_token(token: str, peer: Peer | None = None, path: str = "/api") -> Credentials:
    return Credentials([(b"authorization", b"Bearer " + token.encode())], path, peer)


def unauthorized(chain: Authentication, shown: Credentials) -> bool:
    with pytest.raises(StatusError) as refused:
        chain.at_once(shown)
    return refused.value.message == "Unauthorized"


def test_the_first_that_knows_decides() -> None:
    chain = Authentication([by_certificate], [by_token])
    assert chain.at_once(with_token("good", PEER)) == User("certificate")
    assert chain.at_once(with_token("good")) == User("token", ("system:authenticated",))
    assert Authentication([refusing], [by_token]).at_once(with_token("good")) is not None


def test_who_shows_nothing_is_anonymous_and_who_shows_what_is_wrong_is_not() -> None:
    chain = Authentication([by_certificate], [by_token])
    assert chain.at_once(Credentials([])) is ANONYMOUS
    assert chain.at_once(Credentials([(b"authorization", b"Basic eDp5")])) is ANONYMOUS
    for token in ("bad", "ended", "x" * (LONGEST_TOKEN + 1)):
        assert unauthorized(chain, with_token(token))
    assert unauthorized(Authentication([refusing]), Credentials([]))
    public = Authentication(anonymous=lambda path: path == "/livez")
    assert public.at_once(Credentials([], "/livez")) is ANONYMOUS
    assert unauthorized(public, Credentials([], "/api"))


async def test_others_are_asked_only_for_what_is_not_known_here() -> None:
    remote = Remote()
    chain = Authentication([by_certificate], [by_token], [remote])
    assert chain.at_once(with_token("good")) is not None
    assert remote.asked == []
    far = with_token("far")
    assert chain.at_once(far) is None
    assert (await chain.authenticate(far)).name == "remote"
    assert chain.at_once(far) is not None
    for token in ("bad", "ended"):
        with pytest.raises(StatusError):
            await chain.authenticate(with_token(token))
    with pytest.raises(StatusError):
        await chain.authenticate(with_token("x" * (LONGEST_TOKEN + 1)))
    assert remote.asked == ["far", "bad", "ended"]


async def test_what_another_process_has_just_made_is_waited_for_once() -> None:
    settled: list[str] = []

    def by_account(token: str, audiences: Sequence[str]) -> Known | None:
        if not settled:
            raise NotSeen("not found")
        if token == "made":
            return Known(User("account"))
        raise NotSeen("not found")

    async def settle() -> None:
        settled.append("once")

    chain = Authentication([], [by_account], settle=settle)
    assert chain.at_once(with_token("made")) is None
    assert (await chain.authenticate(with_token("made"))).name == "account"
    with pytest.raises(StatusError):
        await chain.authenticate(with_token("gone"))
    assert settled == ["once", "once"]
    with pytest.raises(InvalidCredential, match=r"^\[invalid bearer token, not found\]$"):
        await chain.token("gone")


def test_everybody_who_is_known_is_in_the_group_of_the_authenticated() -> None:
    assert authenticated(User("a", ("b",))).groups == ("b", "system:authenticated")
    for user in (ANONYMOUS, User("a", ("system:authenticated",)), User("a", ("system:unauthenticated",))):
        assert authenticated(user) is user
    for user in (User("a\nb"), User("a", (" b",)), User("a", ("b\0",))):
        with pytest.raises(InvalidCredential):
            authenticated(user)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"  bEARER abc  ", "abc"),
        (b"Bearer abc def", "abc"),
        (b"Bearer  abc", ""),
        (b"Bearer", ""),
        (b"", ""),
        (b"Basic abc", ""),
    ],
)
def test_tokens_are_read_as_kube_apiserver_reads_them(header: bytes, token: str) -> None:
    assert bearer_token(header) == token


def test_what_is_verified_is_remembered_for_a_bounded_time_and_number() -> None:
    now = [0.0]
    verified: Verified[str] = Verified(10, 3, lambda: now[0])
    verified.put("a", (), "A")
    verified.put("b", ("x",), "B", 5)
    assert verified.put("c", (), "C", -1) == "C"
    assert (verified.get("a"), verified.get("b"), verified.get("b", ["x"]), verified.get("c")) == ("A", None, "B", None)
    now[0] = 5
    assert (verified.get("a"), verified.get("b", ["x"])) == ("A", None)
    now[0] = 10
    assert verified.get("a") is None
    for token in "defgh":
        verified.put(token, (), token)
    assert len(verified) == 3
    assert [token for token in "defgh" if verified.get(token)] == ["f", "g", "h"]
