"""Whatever passes the decoder: defaults settle at once, checks and tables never raise."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafila.catalog.catalog import builtin_kinds
from kafila.catalog.kind import Kind
from kafila.core import metadata as metadata_rules
from kafila.core import names
from kafila.core.errors import FieldError, invalid
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.machinery.schema import Schema

KINDS = {f"{kind.api_version}/{kind.kind}": kind for kind in builtin_kinds()}
WORDS = (
    "",
    "a",
    "web",
    "Not A Name",
    "é",
    "a/b",
    "/abs/path",
    "../up",
    "..data",
    "x" * 70,
    "25%",
    "150%",
    "%",
    "-",
    "http",
    "--",
    "10.0.0.1",
    "010.0.0.1",
    "::1",
    "fe80::1%eth0",
    "::ffff:1.2.3.4",
    "10.0.0.0/8",
    "10.0.0.1/33",
    "*",
    "*/5 * * * *",
    "@every 1h",
    "TZ=",
    "1-2-3/4 * * * *",
    "Europe/Berlin",
    "None",
    "Always",
    "Never",
    "ClientIP",
    "ClusterIP",
    "NodePort",
    "LoadBalancer",
    "ExternalName",
    "Local",
    "RollingUpdate",
    "Recreate",
    "OnDelete",
    "In",
    "Exists",
    "Gt",
    "Localhost",
    "Indexed",
    "Webhook",
    "https://user@example.com/x?y#z",
    "https://[",
    "v1",
    "a/b/c",
    "apps/v1",
    "TCP",
    "Container",
    "Pod",
    "Resource",
    "External",
    "metadata.labels['a']",
    "limits.cpu",
    "cpu",
    "hugepages-2Mi",
    "example.com/gpu",
    "system-node-critical",
    "nginx:1.2@sha256:abc",
)
AMOUNTS = ("0", "1", "-1", "100m", "1.0001", "1n", "2Mi", "1e3", "0.5")
NUMBERS = (0, 1, 2, -1, 80, 443, 600, 65536, 2**31 - 1)
MAP_KEYS = (
    "a",
    "cpu",
    "memory",
    "storage",
    "pods",
    "hugepages-2Mi",
    "hugepages-x",
    "limits.cpu",
    "a/b/c",
    "",
    ".x",
    "É",
)


class Shapes:
    """Random values of a schema; ``depth`` bounds definitions that contain themselves."""

    def __init__(self, seed: int, density: float) -> None:
        self.random = random.Random(seed)
        self.density = density

    def any(self, schema: Schema, depth: int = 0) -> Any:
        pick = self.random.choice
        match schema.kind:
            case "struct":
                limit = self.density if depth < 8 else 0.1
                return {
                    name: self.any(field, depth + 1)
                    for name, field in schema.fields.items()
                    if depth < 14 and (name in schema.required or self.random.random() < limit)
                }
            case "list":
                assert schema.items is not None
                return [self.any(schema.items, depth + 1) for _ in range(pick((0, 1, 1, 2)))] if depth < 14 else []
            case "map":
                assert schema.items is not None
                keys = [pick(MAP_KEYS) for _ in range(pick((0, 1, 2)))]
                return {key: self.any(schema.items, depth + 1) for key in keys} if depth < 14 else {}
            case "integer":
                return pick(NUMBERS)
            case "number":
                return float(pick(NUMBERS))
            case "boolean":
                return pick((True, False))
            case "int-or-string":
                return pick((pick(WORDS), pick(NUMBERS)))
            case "quantity":
                return pick(AMOUNTS)
            case "time" | "micro-time":
                return pick((None, "2026-01-02T03:04:05Z", "2025-01-02T03:04:05Z"))
            case "bytes":
                return pick(("", "YQ==", "e30=", "WzFd"))
            case "any":
                return pick((None, {}, [1], "x", {"a": [None]}))
            case _:
                return pick(schema.enum) if schema.enum and self.random.random() < 0.7 else pick(WORDS)


def decoded(kind: Kind, seed: int, density: float) -> dict[str, Any] | None:
    """None when the decoder refuses it, as it may: a number too large for its field, for example."""
    obj = Shapes(seed, density).any(kind.schema)
    obj.update(kind=kind.kind, apiVersion=kind.api_version)
    try:
        out, _ = compile_decoder(kind.schema)(obj)
    except DecodeError:
        return None
    out["kind"], out["apiVersion"] = kind.kind, kind.api_version
    out.setdefault("metadata", {})
    return out


def shaped(function: Any) -> Any:
    given_shapes = given(seed=st.integers(0, 2**32), density=st.sampled_from((0.15, 0.4, 0.8)))
    limits = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    return pytest.mark.parametrize("name", KINDS)(limits(given_shapes(function)))


@shaped
def test_defaults_are_settled_after_the_first_time(name: str, seed: int, density: float) -> None:
    kind = KINDS[name]
    obj = decoded(kind, seed, density)
    if obj is not None:
        kind.strategy.default(obj)
        once = copy.deepcopy(obj)
        kind.strategy.default(obj)
        assert obj == once


@shaped
def test_a_client_that_sends_back_what_it_got_changes_nothing(name: str, seed: int, density: float) -> None:
    kind = KINDS[name]
    obj = decoded(kind, seed, density)
    if obj is not None:
        kind.strategy.default(obj)
        stored, _ = compile_decoder(kind.schema)(obj)
        again, _ = compile_decoder(kind.schema)(stored)
        kind.strategy.default(again)
        assert again == stored


@shaped
def test_a_valid_or_invalid_object_is_always_answered(name: str, seed: int, density: float) -> None:
    kind = KINDS[name]
    new, old = decoded(kind, seed, density), decoded(kind, seed + 1, density)
    if new is None or old is None:
        return
    strategy = kind.strategy
    rule = strategy.name_rule or names.dns1123_subdomain
    found = []
    for obj in (new, old):
        strategy.default(obj)
        strategy.prepare_for_create(obj)
        found += metadata_rules.validate_object_meta(obj, kind.namespaced, rule)
        found += strategy.validate(obj) + strategy.validate_create(obj)
    strategy.prepare_for_update(new, old)
    found += metadata_rules.validate_object_meta_update(new, old)
    found += strategy.validate(new)
    found += strategy.validate_update(new, old)
    assert all(isinstance(error, FieldError) for error in found)
    if found:
        assert invalid(kind.group, kind.kind, "x", found).status()["code"] == 422


@shaped
def test_every_object_has_a_row(name: str, seed: int, density: float) -> None:
    kind = KINDS[name]
    obj = decoded(kind, seed, density)
    if obj is None:
        return
    for field in kind.selectable_fields.values():
        assert isinstance(field(obj), str)
    if kind.cells is not None:
        cells = kind.cells(obj, 1_800_000_000.0)
        assert len(cells) == len(kind.columns) + (kind.kind == "IPAddress")
        for column, cell in zip(kind.columns, cells, strict=False):
            assert cell is not None
            if column.type == "integer":
                assert isinstance(cell, int) or cell == "<none>"
