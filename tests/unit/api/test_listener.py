"""Whose connections are counted together."""

from __future__ import annotations

import pytest

from kafila.api.listener import peer_of


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_peers(address: str, peer: str) -> None:
    assert peer_of(address) == peer
