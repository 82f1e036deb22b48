from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from kafila.settings.settings import Settings


def test_the_modes_in_their_order(tmp_path: Path) -> None:
    assert Settings().authorization_modes == ["RBAC"]
    (tmp_path / "config").write_text("{}")
    file = str(tmp_path / "config")
    found = Settings(authorization_mode="Webhook,RBAC", authorization_webhook_config_file=file)
    assert found.authorization_modes == ["Webhook", "RBAC"]


@pytest.mark.parametrize(
    ("mode", "file", "why"),
    [
        ("", "", "must be some of AlwaysAllow"),
        ("ABAC", "", "'ABAC' is not a valid mode"),
        ("RBAC,RBAC", "", "has mode 'RBAC' specified more than once"),
        ("RBAC,Webhook", "", "belongs to --authorization-mode Webhook"),
        ("RBAC", "/dev/null", "belongs to --authorization-mode Webhook"),
        ("Webhook", "/none", "cannot be read"),
    ],
)
def test_what_is_refused(mode: str, file: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings(authorization_mode=mode, authorization_webhook_config_file=file)
