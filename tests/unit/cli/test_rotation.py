"""``kafila certs rotate-…``: what is refused before a server is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafila.cli import UsageError
from kafila.cli.rotation import rotate_ca, rotate_service_account_key


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"publish": "9s"}, "--publish 9s must be at least 10s"),
        ({"publish": "721h"}, "--publish 721h must be at most 720h"),
        ({"publish": "0s"}, "--publish 0s must be a positive duration, e.g. 1m0s"),
        ({"publish": "1h", "finish": True}, "--finish, --rollback and --overlap or --publish exclude each other"),
    ],
)
def test_a_key_is_published_neither_too_briefly_nor_too_long(given: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        rotate_service_account_key(**given, data_dir=tmp_path)  # type: ignore[arg-type]
    assert str(refused.value) == said


def test_an_overlap_has_its_bound(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be at most"):
        rotate_ca(overlap="1000000h", data_dir=tmp_path)
