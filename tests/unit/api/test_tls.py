"""Handshakes in memory: which certificate is shown, and which client is known."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from pathlib import Path

import pytest

from kafila.api import tls
from kafila.api.tls import ServingTLS, context_of, peer_of
from kafila.identity.certificates import KeyPair, issue, new_authority

CA, OTHERS = new_authority("ca"), new_authority("others")
ONE, TWO = (issue(CA, name, hosts=["example.org", "a.example.org"]) for name in ("one", "two"))
CLIENT, STRANGER = issue(CA, "client"), issue(OTHERS, "stranger")


def der(pair: KeyPair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.decode())


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(back, there, server_hostname=name, session=session)
    serves = server.wrap_bio(there, back, server_side=True)
    for each in (asks, serves, asks, serves, asks):
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            continue
    serves.write(b"x")
    assert asks.read(1) == b"x"  # and the tickets before it
    return asks, serves


@pytest.fixture
def client(tmp_path: Path) -> ssl.SSLContext:
    return client_of(CLIENT, tmp_path)


def client_of(pair: KeyPair, folder: Path) -> ssl.SSLContext:
    (folder / "client.pem").write_bytes(pair.certificate + b"\n" + pair.key)
    context = ssl.create_default_context(cadata=CA.certificate.decode())
    context.load_cert_chain(folder / "client.pem")
    return context


def test_new_connections_are_shown_what_is_in_force(client: ssl.SSLContext) -> None:
    serving = ServingTLS(CA.certificate, ONE)

    def shown(name: str) -> bytes | None:
        return shake_hands(client, serving.context, name)[0].getpeercert(binary_form=True)

    assert shown("example.org") == der(ONE)
    serving.show(TWO, {"a.example.org": ONE})
    assert (shown("example.org"), shown("a.example.org")) == (der(TWO), der(ONE))
    with pytest.raises(ssl.SSLError):
        serving.show(KeyPair(ONE.certificate, TWO.key), {})
    assert (shown("example.org"), shown("a.example.org")) == (der(TWO), der(ONE))


def test_whose_clients_are_believed_holds_for_each_certificate(tmp_path: Path) -> None:
    serving, client = ServingTLS(CA.certificate, ONE), client_of(STRANGER, tmp_path)
    with pytest.raises(ssl.SSLError):
        shake_hands(client, serving.context, "example.org")
    serving.trust(OTHERS.certificate)
    serving.show(TWO, {"a.example.org": ONE})
    for name in ("example.org", "a.example.org"):
        peer = peer_of(shake_hands(client, serving.context, name)[1])
        assert peer is not None
        assert peer.chain == (der(STRANGER), der(OTHERS))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_chain_that_is_forgotten_has_no_authority(
    client: ssl.SSLContext, version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_chains", OrderedDict())
    client.maximum_version, server = version, context_of(ONE, [CA.certificate])
    first, served = shake_hands(client, server, "example.org")
    known = peer_of(served)
    assert known is not None
    assert known.chain == (der(CLIENT), der(CA))
    resumed, served = shake_hands(client, server, "example.org", first.session)
    assert resumed.session_reused
    assert peer_of(served) == known
    monkeypatch.setattr(tls, "_REMEMBERED", 0)
    peer_of(shake_hands(client, server, "example.org")[1])  # the last that there is room for goes
    forgotten = peer_of(served)
    assert forgotten is not None
    assert forgotten.chain == (der(CLIENT),)
