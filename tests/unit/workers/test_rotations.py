"""`kafila.workers.rotations`: what a server refuses, whoever wrote the request."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kafila.identity.authority import Refused
from kafila.identity.certificates import new_signing_key
from kafila.identity.token_keys import TokenKeys
from kafila.workers.rotations import TokenKeyRotation


@pytest.mark.parametrize("published", [0, 9.9, 31 * 86400.0, "1h", None])
def test_a_key_that_is_not_published_for_long_enough_is_no_key(published: object) -> None:
    rotation = TokenKeyRotation("")
    before = TokenKeys(new_signing_key())
    with pytest.raises(Refused, match="the time before it signs must be"):
        rotation.asked(before, "rotate", {"overlap": 60.0, "published": published}, datetime.now(UTC), "id")
