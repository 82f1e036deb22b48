"""Exchanging the authority: at every step a client and a server believe each other, whichever authorities each has heard of."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from cryptography import x509

from kafila.api.tls import context_of
from kafila.identity.authority import (
    OVERLAP,
    Authority,
    Refused,
    described,
    finished,
    from_body,
    is_over,
    rolled_back,
    rotated,
    to_body,
)
from kafila.identity.certificates import KeyPair, issue, new_authority

NOW = datetime.now(UTC).replace(microsecond=0)
FIRST = Authority(new_authority("kafila-ca"))
SECOND = rotated(FIRST, NOW, OVERLAP, "1")
BACK = rolled_back(SECOND, NOW, "2")


def handshake(server: KeyPair, trusted_by_client: bytes, client: KeyPair, trusted_by_server: bytes, file: Path) -> None:
    """Raises ssl.SSLError where one does not believe the other."""
    serving = context_of(server, [trusted_by_server])
    serving.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cadata=trusted_by_client.decode())
    if hasattr(ssl, "VERIFY_X509_STRICT"):
        asking.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python does by itself from 3.13 on
    file.write_bytes(client.certificate + client.key)
    asking.load_cert_chain(file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = asking.wrap_bio(to_client, to_server, server_hostname="localhost")
    other = serving.wrap_bio(to_server, to_client, server_side=True)
    waiting = [one, other]
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass


@pytest.mark.parametrize(("before", "after"), [(FIRST, SECOND), (SECOND, BACK)], ids=["rotated", "rolled-back"])
def test_nobody_needs_to_have_heard_of_it(before: Authority, after: Authority, tmp_path: Path) -> None:
    """What was issued after it is believed by who knows only the authorities of before, and by who knows only the new one; what
    was issued before it by everybody who knew its authority."""
    known = (before.pair.certificate, after.bundle, after.pair.certificate)
    believing = {before: known if before.previous else known[:2], after: known}
    servers = {a: a.with_chain(issue(a.pair, "kube-apiserver", hosts=["localhost"])) for a in (before, after)}
    clients = {a: a.with_chain(issue(a.pair, "system:admin", ["system:masters"])) for a in (before, after)}
    for one, other in product(servers, clients):
        for by_client, by_server in product(believing[one], believing[other]):
            handshake(servers[one], by_client, clients[other], by_server, tmp_path / "client.pem")


def test_after_the_end_the_one_before_counts_for_nothing(tmp_path: Path) -> None:
    after = finished(SECOND)
    server = after.with_chain(issue(after.pair, "kube-apiserver", hosts=["localhost"]))
    client = after.with_chain(issue(after.pair, "admin"))
    handshake(server, after.bundle, client, after.bundle, tmp_path / "client.pem")
    assert after.bundle == after.pair.certificate == SECOND.pair.certificate
    with pytest.raises(ssl.SSLError):
        handshake(server, after.bundle, issue(FIRST.pair, "admin"), after.bundle, tmp_path / "client.pem")
    with pytest.raises(ssl.SSLError):
        handshake(server, FIRST.bundle, client, after.bundle, tmp_path / "client.pem")


def test_there_are_never_three() -> None:
    again = rotated(SECOND, NOW + timedelta(days=1), timedelta(days=2), "3")
    assert again.pair == SECOND.pair
    assert SECOND.previous is not None
    assert again.previous == SECOND.previous._replace(until=NOW + timedelta(days=2))
    assert (is_over(again, NOW + timedelta(days=1)), is_over(again, NOW + timedelta(days=2))) == (False, True)


def test_back_and_forth_is_where_it_began() -> None:
    assert BACK.pair == FIRST.pair
    assert rolled_back(BACK, NOW, "1") == SECOND
    assert finished(BACK).pair == FIRST.pair


def test_the_new_one_has_a_name_of_its_own() -> None:
    names = [x509.load_pem_x509_certificate(a.pair.certificate).subject for a in (FIRST, SECOND)]
    assert names[0] != names[1]
    assert described(SECOND) == (
        f"CN=kafila-ca@{int(NOW.timestamp())} signs, CN=kafila-ca is believed beside it until"
        f" {NOW + OVERLAP:%Y-%m-%dT%H:%M:%SZ}"
    )


@pytest.mark.parametrize("state", [FIRST, SECOND, BACK, finished(SECOND, "4")], ids=["first", "second", "back", "over"])
def test_it_is_stored_as_it_is(state: Authority) -> None:
    assert from_body(to_body(state)) == state


def test_an_overlap_ends_with_the_authority_that_it_is_for() -> None:
    ends = x509.load_pem_x509_certificate(FIRST.pair.certificate).not_valid_after_utc
    late = rotated(FIRST, ends - timedelta(days=3), OVERLAP)
    assert late.previous is not None
    assert late.previous.until == ends
    expired = rotated(FIRST, ends, OVERLAP)
    assert expired.previous is None
    with pytest.raises(Refused, match="CN=kafila-ca has expired: nobody would believe what it signs"):
        rolled_back(late, ends)


@pytest.mark.parametrize("state", [FIRST, finished(SECOND)], ids=["first", "over"])
def test_what_is_not_under_way_is_not_ended(state: Authority) -> None:
    with pytest.raises(Refused, match="no rotation is under way: there is nothing to finish"):
        finished(state)
    with pytest.raises(Refused, match="no rotation is under way: there is nothing to go back to"):
        rolled_back(state, NOW)
