"""The Lease that says where a tunnel ends."""

from __future__ import annotations

import pytest

from kafila.core.tunnels import (
    DURATION,
    Route,
    check_endpoint,
    check_server_name,
    cluster_of,
    lease,
    lease_name,
    route_of,
)
from kafila.core.values import Object

CLUSTER: Object = {"metadata": {"name": "edge", "uid": "u"}}
ROUTE = Route("session", "10.0.0.1:5443", "https://10.96.0.1:443", "kubernetes", 1_000_000.5, 0.0, 12)


def test_what_is_written_is_read() -> None:
    found = lease(ROUTE, CLUSTER, 1_000_060.25)
    assert (found["metadata"]["namespace"], found["metadata"]["name"]) == ("kube-system", "kafila-tunnel-edge")
    assert found["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert route_of(found) == ROUTE._replace(until=1_000_060.25 + DURATION)


def test_names_lead_back() -> None:
    assert cluster_of(lease_name("edge")) == "edge"
    assert cluster_of("kube-scheduler") == ""


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("spec", "holderIdentity", ""),
        ("spec", "holderIdentity", None),
        ("spec", "renewTime", "yesterday"),
        ("spec", "acquireTime", None),
        ("metadata", "annotations", None),
        ("metadata", "annotations", {"kafila.io/tunnel-address": "a:1", "kafila.io/tunnel-endpoint": "ftp://x"}),
        ("metadata", "annotations", {"kafila.io/tunnel-address": "", "kafila.io/tunnel-endpoint": "https://x"}),
    ],
)
def test_a_lease_of_somebody_else_leads_nowhere(part: str, field: str, value: object) -> None:
    found = lease(ROUTE, CLUSTER, 1_000_060.0)
    found[part][field] = value
    assert route_of(found) is None


@pytest.mark.parametrize("text", ["https://10.96.0.1:443", "https://[fd00::1]:6443", "http://x/k8s/clusters/c-1"])
def test_an_endpoint(text: str) -> None:
    check_endpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ftp://x",
        "https://",
        "https://a:b@x",
        "https://x?y",
        "https://x#y",
        "https://x:0",
        "https://x:99999",
        "https://x\n",
        "https://é",
        "https://x y",
    ],
)
def test_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_endpoint(text)


def test_server_names() -> None:
    for text in ("", "kubernetes", "10.96.0.1", "fd00::1", "A.example.org"):
        check_server_name(text)
    for text in ("a b", "-x", "x" * 300, "a\0"):
        with pytest.raises(ValueError, match="serverName"):
            check_server_name(text)
