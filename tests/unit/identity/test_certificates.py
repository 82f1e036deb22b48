"""Certificates: who signed them, whom they name, what they are for."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kafila.authentication.certificates import user_of
from kafila.authentication.users import CREDENTIAL
from kafila.identity.certificates import issue, new_authority, new_signing_key, private_key
from kafila.identity.keys import shared_keys
from kafila.identity.kubeconfig import write_kubeconfig
from kafila.identity.tokens import InvalidToken, Tokens
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.watch import Cache

AUTHORITY = new_authority("test-ca")
CA = x509.load_pem_x509_certificate(AUTHORITY.certificate)


def test_clients_are_named_by_their_certificate() -> None:
    certificate = x509.load_pem_x509_certificate(issue(AUTHORITY, "jane", ["system:masters", "dev"]).certificate)
    certificate.verify_directly_issued_by(CA)
    user = user_of(certificate.public_bytes(Encoding.DER))
    assert user is not None
    assert user.extra == ((CREDENTIAL, (f"X509SHA256={certificate.fingerprint(SHA256()).hex()}",)),)
    assert (user.name, set(user.groups)) == ("jane", {"system:masters", "dev", "system:authenticated"})
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_of_several_common_names_the_last_counts() -> None:
    """As in Go: whatever reads a name before and after it is signed reads the same one."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, each) for each in ("system:kube-controller-manager", "jane")]
    builder = x509.CertificateBuilder().subject_name(x509.Name(names)).issuer_name(CA.subject)
    builder = builder.not_valid_before(CA.not_valid_before_utc).not_valid_after(CA.not_valid_after_utc)
    key = private_key(AUTHORITY)
    made = builder.public_key(key.public_key()).serial_number(1).sign(key, SHA256())
    user = user_of(made.public_bytes(Encoding.DER))
    assert user is not None
    assert user.name == "jane"


def test_servers_answer_for_their_hosts() -> None:
    certificate = x509.load_pem_x509_certificate(
        issue(AUTHORITY, "server", hosts=["localhost", "127.0.0.1"]).certificate
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_no_certificate_outlives_its_authority() -> None:
    pair = issue(AUTHORITY, "x", lifetime=timedelta(days=36500))
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    assert certificate.not_valid_after_utc == CA.not_valid_after_utc
    assert certificate.not_valid_before_utc < datetime.now(UTC)


async def test_all_processes_share_their_keys() -> None:
    database = MemoryDatabase()
    found = []
    for _ in range(2):
        store = MemoryStore(database)
        await store.open()
        cache = Cache(store)
        await cache.load()
        found.append(await shared_keys(store, cache))
    assert found[0] == found[1]


def test_the_kubeconfig_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, "https://127.0.0.1:5443", AUTHORITY.certificate, issue(AUTHORITY, "admin"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert yaml.safe_load(path.read_text())["current-context"] == "karmada-apiserver"
    assert [p.name for p in tmp_path.iterdir()] == ["kubeconfig"]


def test_tokens_end_and_are_for_somebody() -> None:
    tokens = Tokens(new_signing_key())
    token, ends = tokens.issue("ns", "sa", "uid", [], 600)
    assert ends > datetime.now(UTC).timestamp()
    claims = tokens.verify(token)
    assert claims is not None
    assert claims[:3] == ("ns", "sa", "uid")
    for seconds, audiences in ((-70, []), (600, ["vault"])):
        with pytest.raises(InvalidToken):
            tokens.verify(tokens.issue("ns", "sa", "uid", audiences, seconds)[0])
    vault = tokens.issue("ns", "sa", "uid", ["vault"], 600)[0]
    assert tokens.verify(vault, ["vault"]) is not None
    for bad in ("", "a.b.c", "x" + token):
        assert tokens.verify(bad) is None  # nothing of ours
    signature = len(token) - 100
    other = "A" if token[signature] != "A" else "B"
    with pytest.raises(InvalidToken):
        tokens.verify(f"{token[:signature]}{other}{token[signature + 1 :]}")
