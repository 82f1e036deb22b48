"""Microseconds of CPU that a matching policy adds to a write: ``PYTHONPATH=app python bench/policies.py``.

One process, a store in memory, no network. The same writes without and with a policy, in turns: the median of the rounds' differences.
``bench/policies.py none``: what it costs that there might be webhooks and policies, where there are none, or where one is about
something else: in turns with a registry that knows of none.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kafila.catalog.catalog import load_catalog
from kafila.registry import SYSTEM_ADMIN, Options, Registry
from kafila.registry.admitting import Admitting
from kafila.registry.bootstrap import bootstrap
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.store.memory import MemoryStore
from kafila.watch import Cache
from kafila.webhooks import Callers

GROUP: Final = "admissionregistration.k8s.io"
WRITES, ROUNDS, NONE_ROUNDS = 150, 9, 60
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


def mutation(kind: str, field: str, expression: str) -> dict[str, Any]:
    return {"mutations": [{"patchType": kind, field: {"expression": expression}}], "reinvocationPolicy": "Never"}


POLICIES: Final = {
    "ValidatingAdmissionPolicy": ("Validating", {"validations": [RULE]}, {"validationActions": ["Deny"]}),
    "ApplyConfiguration": ("Mutating", mutation("ApplyConfiguration", "applyConfiguration", LABEL), {}),
    "JSONPatch": ("Mutating", mutation("JSONPatch", "jsonPatch", PATCH), {}),
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

    async def bind(self, which: str, count: int) -> Callable[[], Awaitable[None]]:
        """That many policies, which differ in their names."""
        prefix, spec, bound = POLICIES[which]
        api_version, kind = f"{GROUP}/v1", f"{prefix}AdmissionPolicy"
        names = [f"p{number}" for number in range(count)]
        for name in names:
            await self.create({"apiVersion": api_version, "kind": kind, "spec": {**MATCH, **spec}}, name, "")
            binding = {"apiVersion": api_version, "kind": f"{kind}Binding", "spec": {"policyName": name, **bound}}
            await self.create(binding, name, "")

        async def unbind() -> None:
            for found in (kind, f"{kind}Binding"):
                known = self.catalog.by_kind(GROUP, "v1", found)
                assert known is not None
                for name in names:
                    await self.registry.delete(known, "", name, DeleteOptions(user=SYSTEM_ADMIN))

        return unbind

    async def writes(self, obj: dict[str, Any]) -> float:
        began = time.process_time()
        for _ in range(WRITES):
            self.made += 1
            await self.create(obj, f"x-{self.made}", labels={"team": "blue", "app": "web"})
        return (time.process_time() - began) / WRITES * 1e6


async def measured(bench: Bench, obj: dict[str, Any], which: str, count: int) -> None:
    without, added = [], []
    for _ in range(ROUNDS):
        alone = await bench.writes(obj)
        unbind = await bench.bind(which, count)
        await bench.create(obj, f"first-{bench.made}", labels={"team": "blue"})  # compiles
        added.append((await bench.writes(obj) - alone) / count)
        await unbind()
        without.append(alone)
    one = f"{statistics.median(added):+.1f} us for each of {count}"
    print(f"{obj['kind']}, {statistics.median(without):.0f} us alone: {which} {one}")


async def measured_none(obj: dict[str, Any], elsewhere: bool) -> None:
    """``elsewhere``: there is a webhook, which is about another kind."""
    plain, asking = await Bench(asks=False).open(), await Bench().open()
    if elsewhere:
        for bench in (plain, asking):
            await bench.create(WEBHOOK, "elsewhere", "")
    spent: dict[Bench, list[float]] = {plain: [], asking: []}
    for number in range(NONE_ROUNDS + 1):
        for bench in (plain, asking) if number % 2 else (asking, plain):
            spent[bench].append(await bench.writes(obj))
    without, with_them = spent[plain][1:], spent[asking][1:]
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
    bench = await Bench().open()
    for obj in (CONFIGMAP, DEPLOYMENT):
        await bench.writes(obj)
        for which in POLICIES:
            for count in (1, 5):
                await measured(bench, obj, which, count)


if __name__ == "__main__":
    asyncio.run(main())
