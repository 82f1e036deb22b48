"""Bootstrap tokens: what a Secret says, and signatures as kube-controller-manager makes them."""

from __future__ import annotations

import base64

import pytest

from kafila.core.bootstrap_tokens import BootstrapToken, read, secret_of, signature
from kafila.core.values import Object

TOKEN = BootstrapToken(
    "abcdef", "0123456789abcdef", frozenset({"signing", "authentication"}), ("system:bootstrappers:a",)
)


def test_there_and_back() -> None:
    full = TOKEN._replace(expiration="2026-12-01T00:00:00Z", description="why")
    assert read(secret_of(full)) == full
    assert read(secret_of(TOKEN)) == TOKEN
    assert secret_of(TOKEN)["metadata"] == {"name": "bootstrap-token-abcdef", "namespace": "kube-system"}


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Opaque"},
        {"metadata": {"name": "bootstrap-token-other0"}},
        {"data": {}},
        {"data": {"token-id": "!"}},
        {"data": {"token-id": base64.b64encode(b"abcdef").decode(), "token-secret": base64.b64encode(b"x").decode()}},
    ],
)
def test_what_is_no_token(change: Object) -> None:
    assert read({**secret_of(TOKEN), **change}) is None


@pytest.mark.parametrize(
    ("expiration", "now", "expired"),
    [
        ("", 1e12, False),
        ("1970-01-01T00:00:10Z", 9, False),
        ("1970-01-01T00:00:10Z", 10, True),
        ("1970-01-01T01:00:10+01:00", 10, True),
        ("soon", 0, True),
    ],
)
def test_when_it_expires(expiration: str, now: float, expired: bool) -> None:
    assert TOKEN._replace(expiration=expiration).has_expired(now) is expired


def test_the_signature() -> None:
    """That of k8s.io/cluster-bootstrap's ComputeDetachedSignature for this content."""
    token = BootstrapToken("joshua", "my voice is my passcode", frozenset())
    kid = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9"
    assert signature("Hello from the other side. I must have called a thousand times.", token) == (
        f"{kid}..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"
    )
    assert signature("", token) == f"{kid}..7Ui1ALizW4jXphVUB7xUqC9vLYLL9RZeOFfVLoB7Tgk"
