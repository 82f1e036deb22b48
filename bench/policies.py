"""Microseconds of CPU that a matching policy adds to a write: ``PYTHONPATH=app python bench/policies.py``.

One process, a store in memory, no network. A few of the same writes without and with policies, in turns: how the quickest of each
differ, and the median of the differences, which has in it what others on the machine take of its caches.
``bench/policies.py none``: what it costs that there might be webhooks and policies, where there are none, or where one is about
something else: in turns with a registry that knows of none.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from typing import Any, Final

from kafila.catalog.catalog import load_catalog
from kafila.registry import SYSTEM_ADMIN, Options, Registry
from kafila.registry.admitting import Admitting
from kafila.registry.bootstrap import bootstrap
from kafila.registry.decoding import decode_object
from kafila.store.memory import MemoryStore
from kafila.watch import Cache
from kafila.webhooks import Callers

GROUP: Final = "admissionregistration.k8s.io"
WRITES, ROUNDS = 8, 1500
NONE_WRITES, NONE_ROUNDS = 150, 60
CONFIGMAP: Final = {"apiVersion": "v1", "kind": "ConfigMap", "data": {f"key-{n}": "v" * 90 for n in range(20)}}
DEPLOYMENT: Final[dict[str, Any]] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "registry.example.com/team/web:1.2.3",
                        "args": ["--port=8080", "--verbose"],
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "env": [{"name": "MODE", "value": "production"}],
                        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
                    }
                ]
            },
        },
    },
}
RULES: Final = [
    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]},
    {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]},
]
MATCH: Final = {"matchConstraints": {"resourceRules": RULES}, "failurePolicy": "Fail"}
RULE: Final = {
    "expression": "has(object.metadata.labels) && 'team' in object.metadata.labels",
    "message": "a team is named",
}
WEBHOOK: Final = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "ValidatingWebhookConfiguration",
    "webhooks": [
        {
            "name": "elsewhere.example.com",
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [
                {
                    "apiGroups": ["coordination.k8s.io"],
                    "apiVersions": ["v1"],
                    "operations": ["*"],
                    "resources": ["leases"],
                }
            ],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
    ],
}
LABEL: Final = "Object{metadata: Object.metadata{labels: {'seen': 'yes'}}}"
PATCH: Final = "[JSONPatch{op: 'add', path: '/metadata/labels/seen', value: 'yes'}]"
_POD: Final = "Object.spec.template.spec"
CONTAINERS: Final = (
    f"Object{{spec: Object.spec{{template: Object.spec.template{{spec: {_POD}{{containers: object.spec.template.spec.containers"
    f".map(c, {_POD}.containers{{name: c.name, imagePullPolicy: 'Always'}})}}}}}}}}"
)
CONTAINER: Final = (
    "[JSONPatch{op: 'replace', path: '/spec/template/spec/containers/0/imagePullPolicy', value: 'Always'}]"
)


def mutation(kind: str, field: str, expression: str) -> dict[str, Any]:
    return {"mutations": [{"patchType": kind, field: {"expression": expression}}], "reinvocationPolicy": "Never"}


POLICIES: Final = {
    "ValidatingAdmissionPolicy": ("Validating", {"validations": [RULE]}, {"validationActions": ["Deny"]}),
    "ApplyConfiguration": ("Mutating", mutation("ApplyConfiguration", "applyConfiguration", LABEL), {}),
    "JSONPatch": ("Mutating", mutation("JSONPatch", "jsonPatch", PATCH), {}),
    "ApplyConfiguration of containers": (
        "Mutating",
        mutation("ApplyConfiguration", "applyConfiguration", CONTAINERS),
        {},
    ),
    "JSONPatch of a container": ("Mutating", mutation("JSONPatch", "jsonPatch", CONTAINER), {}),
}


class Bench:
    def __init__(self, *, asks: bool = True) -> None:
        """``asks``: whether it looks for webhooks and policies at all."""
        self.catalog = load_catalog()
        self.store = MemoryStore()
        self.cache = Cache(self.store)
        admitting = Admitting(self.cache, self.catalog, Callers(self.cache)) if asks else None
        self.registry = Registry(self.catalog, self.store, self.cache, admitting=admitting)
        self.made = 0

    async def open(self) -> Bench:
        await self.store.open()
        await self.cache.load()
        await bootstrap(self.registry, "127.0.0.1", 6443)
        return self

    async def create(self, obj: dict[str, Any], name: str, namespace: str = "default", **metadata: Any) -> None:
        group, _, version = obj["apiVersion"].rpartition("/")
        kind = self.catalog.by_kind(group, version, obj["kind"])
        assert kind is not None
        options = Options(user=SYSTEM_ADMIN, sent=obj, manager="bench")
        document = {**obj, "metadata": {"name": name, **metadata}}
        await self.registry.create(kind, namespace, decode_object(kind, document, options), options)

    async def bind(self, which: str, count: int) -> None:
        """That many policies, which differ in their names."""
        prefix, spec, bound = POLICIES[which]
        api_version, kind = f"{GROUP}/v1", f"{prefix}AdmissionPolicy"
        for name in [f"p{number}" for number in range(count)]:
            await self.create({"apiVersion": api_version, "kind": kind, "spec": {**MATCH, **spec}}, name, "")
            binding = {"apiVersion": api_version, "kind": f"{kind}Binding", "spec": {"policyName": name, **bound}}
            await self.create(binding, name, "")

    async def writes(self, obj: dict[str, Any], count: int = WRITES) -> float:
        began = time.process_time()
        for _ in range(count):
            self.made += 1
            await self.create(obj, f"x-{self.made}", labels={"team": "blue", "app": "web"})
        return (time.process_time() - began) / count * 1e6


async def in_turns(
    one: Bench, other: Bench, obj: dict[str, Any], rounds: int, writes: int
) -> list[tuple[float, float]]:
    """Microseconds of a write to each; what is compiled and remembered is so before."""
    for bench in (one, other):
        await bench.writes(obj, 150)
    gc.collect()
    gc.disable()
    found = []
    for number in range(rounds):
        spent = {bench: await bench.writes(obj, writes) for bench in ((one, other) if number % 2 else (other, one))}
        found.append((spent[one], spent[other]))
    gc.enable()
    return found


async def measured(obj: dict[str, Any], which: str, count: int) -> None:
    plain, asking = await Bench().open(), await Bench().open()
    await asking.bind(which, count)
    found = await in_turns(plain, asking, obj, ROUNDS, WRITES)
    best = [min(some) for some in zip(*found, strict=True)]
    median = statistics.median(with_it - without for without, with_it in found)
    added = f"quickest +{(best[1] - best[0]) / count:.1f} us, median +{median / count:.1f} us for each of {count}"
    print(f"{obj['kind']}, {best[0]:.0f} us alone: {which}: {added}", flush=True)


async def measured_none(obj: dict[str, Any], elsewhere: bool) -> None:
    """``elsewhere``: there is a webhook, which is about another kind."""
    plain, asking = await Bench(asks=False).open(), await Bench().open()
    if elsewhere:
        for bench in (plain, asking):
            await bench.create(WEBHOOK, "elsewhere", "")
    without, with_them = zip(*await in_turns(plain, asking, obj, NONE_ROUNDS, NONE_WRITES), strict=True)
    ratio = statistics.median(b / a for a, b in zip(without, with_them, strict=True))
    best = [statistics.quantiles(some, n=10)[0] for some in (without, with_them)]
    which = "one webhook, of Leases" if elsewhere else "no webhook and no policy"
    print(
        f"{obj['kind']}, {which}: best tenth {best[0]:.1f} -> {best[1]:.1f} us ({best[1] / best[0]:.3f}),"
        f" median of ratios {ratio:.3f}"
    )


async def main() -> None:
    if sys.argv[1:] == ["none"]:
        for obj in (CONFIGMAP, DEPLOYMENT):
            await measured_none(obj, False)
            await measured_none(obj, True)
        return
    for obj in (CONFIGMAP, DEPLOYMENT):
        for which in POLICIES:
            if "container" in which and obj is not DEPLOYMENT:
                continue
            for count in (1, 5):
                await measured(obj, which, count)


if __name__ == "__main__":
    asyncio.run(main())
