"""Certificates of a process, over the years: ours are renewed, and the end of the user's own is reported in time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from kafila.identity.authority import Authority, finished, rolled_back, rotated
from kafila.identity.certificates import issue, new_authority, new_signing_key
from kafila.identity.keys import Keys
from kafila.identity.serving import ends
from kafila.identity.token_keys import TokenKeys
from kafila.settings.settings import Settings
from kafila.workers.certificates import Certificates, wrong_file

START = datetime.now(UTC).replace(microsecond=0)
KEYS = Keys(Authority(new_authority("kafila-ca")), TokenKeys(new_signing_key()), new_authority("kafila-front-proxy-ca"))
USERS = new_authority("users")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Years:
    """A control plane whose time passes as a test says."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.clock, self.folder = Clock(), folder
        self.certificates = Certificates(Settings(data_dir=folder, **settings), KEYS, ["localhost"], self.clock)
        self.warned: list[tuple[str, str]] = []
        self.certificates.warn = lambda reason, message: self.warned.append((reason, message))
        self.certificates.write_kubeconfig("https://127.0.0.1:1")

    def record(self) -> dict[str, str]:
        return {
            each["name"]: each["certificate"]
            for each in json.loads((self.folder / "pki/certificates.json").read_bytes())
        }

    def after(self, days: float) -> dict[str, str]:
        """What is in use when so many days have passed since the start."""
        self.clock.now = START + timedelta(days=days)
        self.certificates.look()
        return self.record()


def test_ours_are_renewed_when_four_fifths_of_their_life_are_over(tmp_path: Path) -> None:
    years = Years(tmp_path)
    first, kubeconfig = years.record(), (tmp_path / "kubeconfig").read_text()
    assert years.after(291) == first
    second = years.after(293)
    assert {name for name in first if first[name] != second[name]} == {"apiserver", "admin"}
    assert (tmp_path / "pki/server.crt").read_text() == second["apiserver"]
    assert (tmp_path / "kubeconfig").read_text() != kubeconfig
    ended = REGISTRY.get_sample_value("kafila_certificate_expiration_timestamp_seconds", {"certificate": "admin"})
    assert ended == ends(second["admin"].encode()).timestamp() == (START + timedelta(days=293 + 365)).timestamp()
    assert years.after(294) == second
    assert years.warned == []


def test_what_would_not_outlive_the_old_one_is_not_issued_again_and_again(tmp_path: Path) -> None:
    years = Years(tmp_path)
    last = years.after(3640)
    assert years.after(3645) == last
    assert [message.partition(" (")[0] for _, message in years.warned] == [
        "certificate ca",
        "certificate front-proxy-ca",
    ] * 2


def test_a_renewal_that_fails_leaves_the_old_one_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    years = Years(tmp_path)
    before = years.record()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("kafila.workers.certificates.write_kubeconfig", full)
        found = years.after(300)
        years.certificates.look()
    assert found["admin"] == before["admin"]
    assert found["apiserver"] != before["apiserver"]
    assert years.warned == [("CertificateNotRenewed", "admin: [Errno 28] No space left on device")]
    assert years.after(302)["admin"] != before["admin"]


def test_the_end_of_the_users_own_is_told_once_a_day(tmp_path: Path) -> None:
    pair = issue(USERS, "x", hosts=["localhost"], lifetime=timedelta(days=90), now=START)
    (tmp_path / "own.crt").write_bytes(pair.certificate)
    (tmp_path / "own.key").write_bytes(pair.key)
    files = {"tls_cert_file": str(tmp_path / "own.crt"), "tls_private_key_file": str(tmp_path / "own.key")}
    years = Years(tmp_path, **files)
    assert "tls-server-name: apiserver-loopback-client" in (tmp_path / "kubeconfig").read_text()
    years.after(59)
    assert years.warned == []
    with capture_logs() as logged:
        years.after(60)
        years.after(60.5)
        years.after(91.5)
    assert [each["event"] for each in logged] == ["certificate ends soon"] * 2
    begin = f"certificate tls-cert-file (shown to clients, from {tmp_path}/own.crt)"
    at = f"{START + timedelta(days=90):%Y-%m-%dT%H:%M:%SZ}"
    assert years.warned == [
        ("CertificateExpiring", f"{begin} expires at {at}"),
        ("CertificateExpiring", f"{begin} has expired at {at}"),
    ]


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, None),
        ({"tls_cert_file": "CERT"}, ("tls_cert_file", "needs --tls-private-key-file")),
        ({"tls_private_key_file": "KEY"}, ("tls_private_key_file", "needs --tls-cert-file")),
        ({"tls_cert_file": "CERT", "tls_private_key_file": "KEY", "tls_sni_cert_key": ["CERT,KEY:*.example.org"]}, None),
        ({"tls_sni_cert_key": ["CERT,CERT"]}, ("tls_sni_cert_key", "the private key cannot be read as PEM")),
    ],
)  # fmt: skip
def test_files_are_checked_before_anything_starts(
    tmp_path: Path, settings: dict[str, str | list[str]], wrong: tuple[str, str] | None
) -> None:
    pair = issue(USERS, "x", hosts=["localhost"])
    (tmp_path / "CERT").write_bytes(pair.certificate)
    (tmp_path / "KEY").write_bytes(pair.key)

    def placed(text: str) -> str:
        return text.replace("CERT", f"{tmp_path}/CERT").replace("KEY", f"{tmp_path}/KEY")

    given = {n: placed(v) if isinstance(v, str) else [placed(each) for each in v] for n, v in settings.items()}
    found = wrong_file(Settings(**given))
    assert found == wrong or (found and wrong and found[0] == wrong[0] and found[1].startswith(wrong[1]))


def test_another_authority_issues_ours_anew_and_both_are_told(tmp_path: Path) -> None:
    years = Years(tmp_path)
    first = years.record()
    exchanged = rotated(KEYS.authority, START, timedelta(days=30))
    years.certificates.take(exchanged)
    second = years.after(0)
    assert {name for name in first if first[name] != second[name]} == {"apiserver", "admin", "ca"}
    assert second["ca-previous"] == first["ca"]
    assert (tmp_path / "pki/ca.crt").read_bytes() == exchanged.bundle
    assert "until" in next(
        each["usedBy"]
        for each in json.loads((tmp_path / "pki/certificates.json").read_bytes())
        if each["name"] == "ca-previous"
    )
    sample = REGISTRY.get_sample_value
    assert sample("kafila_ca_rotation_ends_timestamp_seconds") == (START + timedelta(days=30)).timestamp()
    assert years.after(1) == second  # and not again
    years.certificates.take(rolled_back(exchanged, START))
    back = years.after(2)
    assert (back["ca"], back["ca-previous"]) == (first["ca"], second["ca"])
    years.certificates.take(finished(exchanged))
    assert set(years.after(3)) == {"apiserver", "admin", "ca", "front-proxy-ca"}
    assert sample("kafila_ca_rotation_ends_timestamp_seconds") == 0
    assert sample("kafila_certificate_expiration_timestamp_seconds", {"certificate": "ca-previous"}) is None
    assert years.warned == []
