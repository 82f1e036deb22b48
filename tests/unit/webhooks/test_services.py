"""Where the Service of a webhook is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.store.interface import Row
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.watch import Cache
from kafila.webhooks import Unresolved, resolved
from kafila.webhooks.services import SLICES


def cache_of(spec: Object | None, *slices: Object) -> Cache:
    cache = Cache(MemoryStore(MemoryDatabase()))
    objects: list[tuple[Key, Object]] = []
    if spec is not None:
        objects.append(
            (Key("services", "ns", "hooks"), {"metadata": {"name": "hooks", "namespace": "ns"}, "spec": spec})
        )
    for number, found in enumerate(slices):
        metadata = {"name": f"s{number}", "namespace": "ns", "labels": {"kubernetes.io/service-name": "hooks"}}
        objects.append((Key(SLICES, "ns", f"s{number}"), {"metadata": metadata, **found}))
    for revision, (key, obj) in enumerate(objects, 1):
        cache.resource(key.resource).put(Row(revision, key, orjson.dumps(obj), False, 0))
    return cache


def endpoints(
    *addresses: str, port: int = 9443, ready: bool | None = True, family: str = "IPv4", name: str = ""
) -> Object:
    conditions: Object = {} if ready is None else {"ready": ready}
    return {
        "addressType": family,
        "ports": [{"port": port, "name": name}],
        "endpoints": [{"addresses": [address], "conditions": conditions} for address in addresses],
    }


PORTS: list[Object] = [{"port": 443}]
FOUND: list[tuple[Object, list[Object], tuple[str, int]]] = [
    ({"clusterIP": "10.0.0.1", "ports": PORTS}, [], ("10.0.0.1", 443)),
    ({"clusterIP": "fd00::1", "ports": PORTS}, [], ("fd00::1", 443)),
    ({"type": "ExternalName", "externalName": "hooks.example.org"}, [], ("hooks.example.org", 443)),
    ({"clusterIP": "10.0.0.1", "ports": PORTS}, [endpoints("10.1.0.1")], ("10.1.0.1", 9443)),
    ({"clusterIP": "None", "ports": PORTS}, [endpoints("10.1.0.1", ready=None)], ("10.1.0.1", 9443)),
    (
        {"clusterIP": "fd00::1", "ipFamilies": ["IPv6", "IPv4"], "ports": PORTS},
        [endpoints("10.1.0.1"), endpoints("fd00::2", family="IPv6")],
        ("fd00::2", 9443),
    ),
    (
        {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "name": "web"}, {"port": 443, "name": "tls"}]},
        [endpoints("10.1.0.1", port=8080, name="web"), endpoints("10.1.0.2", name="tls")],
        ("10.1.0.2", 9443),
    ),
]


@pytest.mark.parametrize(("spec", "slices", "where"), FOUND)
def test_where_it_is(spec: Object, slices: list[Object], where: tuple[str, int]) -> None:
    assert resolved(cache_of(spec, *slices), "ns", "hooks", 443) == where


@pytest.mark.parametrize(
    ("spec", "slices", "said"),
    [
        (None, [], 'service "hooks" not found'),
        ({"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}, [], 'no service port 443 found for service "hooks"'),
        ({"clusterIP": "None", "ports": PORTS}, [], 'cannot route to service with ClusterIP "None"'),
        (
            {"clusterIP": "10.0.0.1", "ports": PORTS},
            [endpoints("10.1.0.1", ready=False)],
            'no endpoints available for service "hooks"',
        ),
        ({"clusterIP": "10.0.0.1", "ports": PORTS}, [endpoints()], 'no endpoints available for service "hooks"'),
    ],
)
def test_where_it_is_not(spec: Any, slices: list[Object], said: str) -> None:
    with pytest.raises(Unresolved, match=said):
        resolved(cache_of(spec, *slices), "ns", "hooks", 443)
