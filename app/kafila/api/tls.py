"""What new connections are shown: the certificate for the name that a client asks for, exchanged while others are open.

The listener has one context for ever. With each handshake it hands over to the context of the certificate that is shown now, so
that a new certificate is another context, and connections that are open keep theirs.
"""

from __future__ import annotations

import _ssl
import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, final

from kafila.authentication.credentials import Peer
from kafila.identity.certificates import KeyPair
from kafila.identity.serving import chosen

_ALPN = ["http/1.1"]
_REMEMBERED: Final = 4096
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME: with each request it is asked whether a certificate has ended. Who shows one that has is told
# so by an answer (401); a handshake that fails is a connection that is cut off to clients, and kubectl tries again for minutes.
_NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
_chains: OrderedDict[bytes, tuple[bytes, ...]] = (
    OrderedDict()
)  # by certificate, how it was verified last; newest at the end


@final
class ServingTLS:
    def __init__(self, authority: bytes, default: KeyPair) -> None:
        """``authority``: PEM of those that sign clients' certificates. Raises ssl.SSLError."""
        self._trusted = [authority]
        self.context = self._default = context_of(default, self._trusted)
        self._contexts = {default: self._default}
        self._named: Mapping[str, KeyPair] = {}
        self.context.sni_callback = self._select

    def show(self, default: KeyPair, named: Mapping[str, KeyPair]) -> None:
        """From now on; ``named``: by the name that clients ask for. Raises ssl.SSLError, and leaves all as it was."""
        pairs = (default, *named.values())
        contexts = {pair: self._contexts.get(pair) or context_of(pair, self._trusted) for pair in pairs}
        self._contexts, self._default, self._named = contexts, contexts[default], named

    def trust(self, authorities: bytes) -> None:
        """Clients' certificates that these (PEM) have signed pass the handshake too, from now on; who is believed is decided
        with each request. Raises ssl.SSLError."""
        if not authorities or authorities in self._trusted:
            return
        for context in {self.context, *self._contexts.values()}:
            context.load_verify_locations(cadata=authorities.decode())
        self._trusted.append(authorities)

    def _select(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """OpenSSL also asks when the client names nobody."""
        pair = chosen(self._named, name) if name else None
        connection.context = self._default if pair is None else self._contexts[pair]


def context_of(pair: KeyPair, trusted: Iterable[bytes] = ()) -> ssl.SSLContext:
    """Raises ssl.SSLError for a pair that OpenSSL does not take: a key that is too small."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority need not be signed by itself, as in Go
    context.verify_flags |= _NO_CHECK_TIME
    context.set_alpn_protocols(_ALPN)
    for authorities in trusted:
        context.load_verify_locations(cadata=authorities.decode())
    content = pair.certificate + b"\n" + pair.key
    if hasattr(os, "memfd_create"):  # it reads files only, and a key should not lie on a disk for that
        with os.fdopen(os.memfd_create("serving"), "wb") as memory:
            memory.write(content)
            memory.flush()
            context.load_cert_chain(f"/proc/self/fd/{memory.fileno()}")
        return context
    with tempfile.NamedTemporaryFile() as file:  # readable by its owner alone
        file.write(content)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def peer_of(tls: ssl.SSLObject) -> Peer | None:
    """The client's certificate and the chain that it was verified by, which is public in Python 3.13 only.

    Who resumes a session shows no certificate, and OpenSSL keeps that of the session without its chain: it is the one that we
    remember. Sessions are of this process, which has verified it then; whether its authority is still believed is asked with
    each request. A chain that is forgotten has no authority, so that its certificate counts for nothing."""
    found = tls._sslobj.get_verified_chain() or ()  # type: ignore[attr-defined]
    chain = tuple(certificate.public_bytes(_ssl.ENCODING_DER) for certificate in found)
    if chain:
        _chains[chain[0]] = chain
        _chains.move_to_end(chain[0])
        if len(_chains) > _REMEMBERED:
            _chains.popitem(last=False)
        return Peer(chain[0], chain)
    certificate = tls.getpeercert(binary_form=True)
    return Peer(certificate, _chains.get(certificate, (certificate,))) if certificate else None
