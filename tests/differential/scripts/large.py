"""Bodies at and above the limits, both ways."""

from __future__ import annotations

from differential.steps import JSON_PATCH, MERGE, TABLE, Case


def cases() -> list[Case]:
    case = Case("generic", "big", "ConfigMap.", "generic-big")
    maps = "/api/v1/namespaces/{ns}/configmaps"
    gzip = {"Accept-Encoding": "gzip"}
    case.ask("create", "POST", maps, {"metadata": {"name": "big"}, "data": {"a": "x" * 200_000}})
    case.ask("get gzip", "GET", f"{maps}/big", headers=gzip)
    case.ask("list gzip", "GET", maps, headers=gzip)
    case.ask("list deflate", "GET", maps, headers={"Accept-Encoding": "deflate"})
    case.ask("table gzip", "GET", maps, headers=gzip, accept=TABLE)
    case.ask("yaml gzip", "GET", f"{maps}/big", headers=gzip, accept="application/yaml")
    case.ask("get plain", "GET", f"{maps}/big")
    for name, size in (("too much data", 1_048_600), ("too large", 3_200_000)):
        case.ask(name, "POST", maps, {"metadata": {"name": "huge"}, "data": {"a": "x" * size}})
    case.ask("too large put", "PUT", f"{maps}/big", {"metadata": {"name": "big"}, "data": {"a": "x" * 3_200_000}})
    case.ask("too large patch", "PATCH", f"{maps}/big", {"data": {"a": "x" * 3_200_000}}, content=MERGE)
    many = [{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001
    case.ask("too many operations", "PATCH", f"{maps}/big", many, content=JSON_PATCH)
    case.ask("annotations", "POST", maps, {"metadata": {"name": "noted", "annotations": {"a": "x" * 262_150}}})
    return [case]
