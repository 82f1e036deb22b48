"""How quick the scheduler and the matching of policies are, by themselves: no store, no members.

    PYTHONPATH=app .venv/bin/python bench/scheduler.py

CPU time of one process, so that a busy machine does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kafila.catalog.catalog import load_catalog
from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.detector.match import choose_policy
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot
from kafila.placement.scheduler.schedule import schedule
from kafila.reconcile.chunks import at_once
from kafila.reconcile.karmada.propagation_policies import POLICIES, PolicyIndex
from kafila.watch import Entry

CLUSTERS, BINDINGS, POLICY_COUNT = 100, 10_000, 10_000
APIS = 60  # group-versions that a cluster serves, five kinds in each
DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}


def cluster(number: int) -> Object:
    enablements = [
        {"groupVersion": f"group{g}.example.org/v1", "resources": [{"kind": f"Kind{k}"} for k in range(5)]}
        for g in range(APIS)
    ]
    enablements.append({"groupVersion": "apps/v1", "resources": [{"name": "deployments", "kind": "Deployment"}]})
    return {
        "metadata": {"name": f"member{number:03}", "labels": {"zone": f"z{number % 7}", "tier": f"t{number % 3}"}},
        "spec": {"syncMode": "Push", "region": f"r{number % 5}", "provider": f"p{number % 2}"},
        "status": {
            "apiEnablements": enablements,
            "resourceSummary": {
                "allocatable": {"cpu": f"{200 + number}", "memory": f"{500 + number}Gi", "pods": "5000"},
                "allocated": {
                    "cpu": f"{number * 731 % 150000}m",
                    "memory": f"{number % 300}Gi",
                    "pods": f"{number * 7}",
                },
            },
        },
    }


def binding(number: int, placements: int) -> Object:
    mine = number % placements
    requests = {"cpu": f"{50 + mine % 200}m", "memory": f"{64 + mine % 100}Mi"}
    return {
        "apiVersion": "work.karmada.io/v1alpha2",
        "kind": "ResourceBinding",
        "metadata": {"name": f"web{number}-deployment", "namespace": "default", "generation": 1},
        "spec": {
            "resource": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "namespace": "default",
                "name": f"web{number}",
                "uid": f"uid-{number}",
            },
            "replicas": 10 + number % 50,
            "replicaRequirements": {"resourceRequest": requests},
            "placement": {
                "clusterAffinity": {
                    "labelSelector": {
                        "matchExpressions": [{"key": "zone", "operator": "NotIn", "values": [f"z{mine % 7}"]}]
                    },
                    "exclude": [f"member{mine % CLUSTERS:03}", f"other{mine}"],
                },
                "clusterTolerations": [{"key": f"key{mine}", "operator": "Exists"}],
                "replicaScheduling": DYNAMIC,
            },
        },
    }


def rate(work: Callable[[], int]) -> float:
    before = time.process_time()
    count = work()
    return count / (time.process_time() - before)


def scheduling(placements: int) -> float:
    snapshot = ClusterSnapshot(ClusterInfo(cluster(number)) for number in range(CLUSTERS))
    bindings = [binding(number, placements) for number in range(BINDINGS)]

    def work() -> int:
        for each in bindings:
            assert schedule(each, snapshot).failure is None
        return len(bindings)

    return rate(work)


def policy(number: int) -> Object:
    selector: Object = {"apiVersion": "apps/v1", "kind": "Deployment"}
    if number % 10 == 0:  # one in ten selects by label, the others by name
        selector["labelSelector"] = {"matchLabels": {"app": f"web{number}"}}
    else:
        selector["name"] = f"web{number}"
    return {
        "metadata": {"name": f"policy{number}", "namespace": f"ns{number % 20}"},
        "spec": {"resourceSelectors": [selector]},
    }


class Stored:
    """As much of a cache as the index looks at."""

    def __init__(self, kind: Kind, objects: list[Object]) -> None:
        import orjson

        self._found = {
            POLICIES: [
                Entry(Key(POLICIES, o["metadata"]["namespace"], o["metadata"]["name"]), 1, orjson.dumps(o))
                for o in objects
            ]
        }
        self._asked = ""

    def listen(self, resource: str, listener: object) -> None: ...

    def resource(self, resource: str) -> Stored:
        self._asked = resource
        return self

    def chunks(self) -> list[list[Entry]]:
        return [self._found.get(self._asked, [])]


def matching() -> float:
    """Microseconds for one template among all policies."""
    catalog = load_catalog()
    kind = catalog.storage_kind(POLICIES)
    assert kind is not None
    index = PolicyIndex(Stored(kind, [policy(number) for number in range(POLICY_COUNT)]), catalog)  # type: ignore[arg-type]
    at_once(index.loading())
    templates = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": f"web{number}", "namespace": f"ns{number % 20}", "labels": {"app": f"web{number}"}},
        }
        for number in range(0, POLICY_COUNT, 7)
    ]

    def work() -> int:
        for template in templates:
            assert choose_policy(template, *index.candidates(template)).policy is not None
        return len(templates)

    return 1e6 / rate(work)


def main() -> None:
    print(f"{BINDINGS} bindings, {CLUSTERS} clusters, dynamic weights")
    print(f"  50 placements:          {scheduling(50):7.0f} bindings/s of CPU")
    print(f"  {BINDINGS} placements:       {scheduling(BINDINGS):7.0f} bindings/s of CPU")
    print(f"{POLICY_COUNT} policies")
    print(f"  one template matched:   {matching():7.0f} µs of CPU")


if __name__ == "__main__":
    main()
