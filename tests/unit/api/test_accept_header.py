"""Which form an Accept header gets."""

from __future__ import annotations

import pytest

from kafila.api.discovery import aggregated_version
from kafila.api.negotiation import Accepted, accepted
from kafila.core.errors import StatusError

PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "application/json;as=Table;v=%s;g=meta.k8s.io"
METADATA = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

HEADERS = [
    ("", True, Accepted()),
    ("*/*", True, Accepted()),
    ("text/html,application/xhtml+xml,*/*;q=0.8", True, Accepted()),
    ("application/yaml", True, Accepted("yaml")),
    ("application/yaml;q=0.5,application/json", True, Accepted()),
    (PROTOBUF, True, Accepted("protobuf")),
    (f"{PROTOBUF},application/json", True, Accepted()),  # JSON is what is kept
    (f"{PROTOBUF},application/json", False, Accepted()),
    (TABLE % "v1", True, Accepted("json", "Table", "v1")),
    (f"{TABLE % 'v1'},{TABLE % 'v1beta1'},application/json", True, Accepted("json", "Table", "v1")),
    (f"{TABLE % 'v7'},application/json", True, Accepted()),
    (
        f"{METADATA},application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        False,
        Accepted("json", "PartialObjectMetadata"),
    ),
    (METADATA, False, Accepted("protobuf", "PartialObjectMetadata")),
]


@pytest.mark.parametrize(("header", "protobuf", "expected"), HEADERS)
def test_headers(header: str, protobuf: bool, expected: Accepted) -> None:
    assert accepted(header, protobuf) == expected


@pytest.mark.parametrize("header", ["text/plain", TABLE % "v7", f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io"])
def test_nothing_fits(header: str) -> None:
    with pytest.raises(StatusError) as refused:
        accepted(header, True)
    assert refused.value.code == 406


DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("application/json", None),
        (DISCOVERY % "v2", "v2"),
        (f"{DISCOVERY % 'v2'};profile=nopeer,application/json", "v2"),
        (f"{DISCOVERY % 'v2beta1'},application/json", "v2beta1"),
        (f"{DISCOVERY % 'v3'},{DISCOVERY % 'v2beta1'},application/json", "v2beta1"),
        (f"{DISCOVERY % 'v3'},application/json", None),
        (f"application/json,{DISCOVERY % 'v2'}", None),
    ],
)
def test_discovery_versions(header: str, expected: str | None) -> None:
    assert aggregated_version(header) == expected
