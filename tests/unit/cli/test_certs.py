"""``kafila certs``: what is told of a certificate, and what is said when nobody renews."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kafila.cli import CommandError, UsageError, asking
from kafila.cli.certs import described, list_certificates, renew, table
from kafila.identity.certificates import issue, new_authority

NOW = datetime.now(UTC).replace(microsecond=0)
PAIR = issue(new_authority("kafila-ca"), "system:admin", ["system:masters"], lifetime=timedelta(days=100), now=NOW)
ENTRY = {"name": "admin", "usedBy": "client certificate in kubeconfig", "certificate": PAIR.certificate.decode()}


def test_what_is_told_of_a_certificate() -> None:
    told = described(ENTRY, (NOW + timedelta(days=90)).timestamp())
    assert told.pop("serialNumber")
    assert told == {
        "name": "admin",
        "subject": "CN=system:admin,O=system:masters",
        "issuer": "CN=kafila-ca",
        "expires": f"{NOW + timedelta(days=100):%Y-%m-%dT%H:%M:%SZ}",
        "expiresIn": "10d",
        "usedBy": "client certificate in kubeconfig",
    }
    assert described(ENTRY, (NOW + timedelta(days=100)).timestamp())["expiresIn"] == "<expired>"


def test_a_table_has_columns() -> None:
    assert table([("NAME", "ISSUER"), ("apiserver", "x"), ("ca", "")]) == "NAME        ISSUER\napiserver   x\nca"


def test_a_folder_that_nobody_serves_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="is no folder of a kafila serve: "):
        list_certificates(data_dir=tmp_path)
    monkeypatch.setenv("KAFILA_DATA_DIR", str(tmp_path))
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/certificates.json").write_text("{")
    with pytest.raises(CommandError, match="is not what kafila serve writes: "):
        list_certificates()
    (tmp_path / "pki/certificates.json").write_text(json.dumps([ENTRY]))
    monkeypatch.setattr(asking, "TIMEOUT", 0.0)
    with pytest.raises(CommandError, match="not renewed within 0 s: no kafila serve runs with the folder "):
        renew("admin")
    assert [path.name for path in (tmp_path / "pki").iterdir()] == [
        "certificates.json"
    ]  # nobody finds the request later
    with pytest.raises(
        UsageError, match="'ca' is no certificate that is renewed here: must be some of apiserver, admin"
    ):
        renew("ca")
