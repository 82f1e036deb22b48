"""Make karmada_answers.jsonl: random requests with the answers that Karmada's own code gives (main.go).

python -m tests.unit.placement.oracle.generate <oracle binary>
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

ANSWERS = Path(__file__).parent.parent / "karmada_answers.jsonl"
CLUSTERS = [f"m{index}" for index in range(6)]
DIVIDED = "Divided"

Request = dict[str, Any]


class Requests:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def some(self, most: int) -> list[str]:
        return sorted(self.random.sample(CLUSTERS, self.random.randint(1, most)))

    def affinity(self) -> Request:
        found: Request = {}
        if self.chance(0.4):
            found["clusterNames"] = self.some(4)
        if self.chance(0.15):
            found["exclude"] = self.some(2)
        if self.chance(0.15):
            found["labelSelector"] = {"matchLabels": {"env": self.random.choice("ab")}}
        if self.chance(0.15):
            key, values = self.random.choice([("region", ["r1"]), ("provider", ["p1"]), ("zone", ["z1", "z2"])])
            operator = self.random.choice(["In", "NotIn"])
            found["fieldSelector"] = {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}
        return found

    def cluster(self, name: str) -> Request:
        choose = self.random.choice
        spec: Request = {"syncMode": "Push", "region": choose(["r1", "r2", "r3"]), "provider": choose(["p1", "p2"])}
        spec["zones"] = [choose(["z1", "z2", "z3"])]
        if self.chance(0.15):
            spec["taints"] = [{"key": "k", "value": choose(["", "v"]), "effect": choose(["NoSchedule", "NoExecute"])}]
        summary: Request = {
            "allocatable": {
                "cpu": choose(["1", "2", "5", "20"]),
                "memory": choose(["4Gi", "64Gi"]),
                "pods": choose(["3", "110"]),
            }
        }
        if self.chance(0.5):
            summary["allocated"] = {"cpu": f"{self.random.randint(0, 3000)}m", "pods": "1"}
        if self.chance(0.2):
            spec["resourceModels"] = [
                {"grade": grade, "ranges": [{"name": "cpu", "min": low, "max": high}]}
                for grade, (low, high) in enumerate([("0", "1"), ("1", "4"), ("4", "16")])
            ]
            summary["allocatableModelings"] = [
                {"grade": grade, "count": self.random.randint(0, 2)} for grade in range(3)
            ]
        kinds = [{"groupVersion": "apps/v1", "resources": [{"name": "deployments", "kind": "Deployment"}]}]
        status = {"apiEnablements": kinds if self.chance(0.95) else [], "resourceSummary": summary}
        return {"metadata": {"name": name, "labels": {"env": choose("ab")}}, "spec": spec, "status": status}

    def strategy(self) -> Request | None:
        weighted: Request = {"replicaSchedulingType": DIVIDED, "replicaDivisionPreference": "Weighted"}
        rules = [{"targetCluster": self.affinity(), "weight": self.random.randint(1, 5)} for _ in range(2)]
        return self.random.choice(
            [
                None,
                {"replicaSchedulingType": "Duplicated"},
                {"replicaSchedulingType": DIVIDED, "replicaDivisionPreference": "Aggregated"},
                {**weighted, "weightPreference": {"dynamicWeight": "AvailableReplicas"}},
                {**weighted, "weightPreference": {"staticWeightList": rules}},
            ]
        )

    def placement(self) -> Request:
        found: Request = {}
        kind = self.random.random()
        if kind < 0.4:
            found["clusterAffinity"] = self.affinity()
        elif kind < 0.6:
            overflow = [{"affinityName": "more", **self.affinity()}] if self.chance(0.5) else []
            term = {
                "affinityName": "first",
                **self.affinity(),
                **({"overflowAffinities": overflow} if overflow else {}),
            }
            found["clusterAffinities"] = [term]
        if self.chance(0.2):
            found["clusterTolerations"] = [{"key": "k", "operator": "Exists"}]
        if self.chance(0.5):
            fewest = self.random.randint(1, 3)
            found["spreadConstraints"] = [{"spreadByField": "cluster", "minGroups": fewest, "maxGroups": fewest + 1}]
            if self.chance(0.6):
                region = {"spreadByField": "region", "minGroups": self.random.randint(1, 2), "maxGroups": 3}
                found["spreadConstraints"].append(region)
        strategy = self.strategy()
        return {**found, "replicaScheduling": strategy} if strategy else found

    def schedule(self) -> Request:
        resource = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "d", "name": "x"}
        spec: Request = {
            "resource": {**resource, "uid": self.random.choice(["", "a", "b"])},
            "placement": self.placement(),
        }
        spec["replicas"] = self.random.choice([1, 2, 5, 9, 20])
        spec["replicaRequirements"] = {"resourceRequest": {"cpu": self.random.choice(["100m", "1"])}}
        if self.chance(0.5):
            spec["clusters"] = [{"name": name, "replicas": self.random.randint(1, 6)} for name in self.some(3)]
        status: Request = {}
        if self.chance(0.2):
            status["lastScheduledTime"] = "2026-01-01T00:00:00Z"
            spec["rescheduleTriggeredAt"] = "2026-01-01T00:00:05Z"
        if "clusterAffinities" in spec["placement"]:
            status["schedulerObservingAffinityName"] = "first"
        clusters = [self.cluster(name) for name in self.some(6)]
        return {"Op": "schedule", "Spec": spec, "Status": status, "Clusters": clusters}

    def spread(self) -> Request:
        """Over everything that Karmada accepts as a constraint; some clusters lack the property."""
        request = self.schedule()
        fewest = self.random.randint(1, 2)
        constraints: list[Request] = [
            {"spreadByField": field, "minGroups": self.random.randint(1, 3), "maxGroups": 3}
            for field in self.random.sample(["provider", "zone", "region"], self.random.randint(0, 2))
        ]
        if self.chance(0.3):
            constraints.append({"spreadByLabel": "env", "minGroups": 1, "maxGroups": 2})
        if self.chance(0.9):
            constraints.append({"spreadByField": "cluster", "minGroups": fewest, "maxGroups": fewest + 2})
        self.random.shuffle(constraints)
        request["Spec"]["placement"]["spreadConstraints"] = constraints
        for cluster in request["Clusters"]:
            if self.chance(0.15):
                cluster["spec"].pop(self.random.choice(["provider", "zones", "region"]))
        return request

    def override(self) -> Request:
        choose = self.random.choice
        image = choose(["nginx", "quay.io/a/b:v1", "host:5000/a@sha256:" + "5" * 64])
        labels = {"app": "x"}
        obj = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "x", "namespace": "ns", "labels": labels},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": image, "args": ["a", "b"]}]}}},
        }
        policies = [self.override_policy(f"o{index}") for index in range(2)]
        cluster = {"metadata": {"name": "m1"}, "spec": {"syncMode": "Push"}}
        return {"Op": "override", "Object": obj, "Cluster": cluster, "OPs": policies}

    def override_policy(self, name: str) -> Request:
        choose = self.random.choice
        operators = ["add", "replace", "remove"]
        path = choose(
            ["/metadata/labels/app", "/metadata/annotations", "/spec/template/spec/containers/0/image", "/spec/no/ne"]
        )
        patch = {"path": path, "operator": choose(operators), "value": choose(["s:1", "<&>"])}
        overriders = choose(
            [
                {
                    "imageOverrider": [
                        {
                            "component": choose(["Registry", "Repository", "Tag"]),
                            "operator": choose(operators),
                            "value": "x",
                        }
                    ]
                },
                {"argsOverrider": [{"containerName": "c", "operator": choose(["add", "remove"]), "value": ["a", "q"]}]},
                {"commandOverrider": [{"containerName": "c", "operator": "add", "value": ["q"]}]},
                {"labelsOverrider": [{"operator": choose(operators), "value": {choose(["app", "n/ew"]): "v"}}]},
                {"plaintext": [patch]},
            ]
        )
        selector: Request = {"apiVersion": "apps/v1", "kind": "Deployment"}
        selector.update(choose([{}, {"name": "x"}, {"labelSelector": {"matchLabels": {"app": "x"}}}]))
        spec = {"resourceSelectors": [selector], "overrideRules": [{"overriders": overriders}]}
        return {"metadata": {"name": name, "namespace": "ns"}, "spec": spec}

    def aggregate(self) -> Request:
        fields = {
            "Deployment": ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"),
            "ReplicaSet": ("replicas", "readyReplicas", "availableReplicas"),
            "StatefulSet": ("replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"),
            "DaemonSet": ("currentNumberScheduled", "desiredNumberScheduled", "numberReady", "numberUnavailable"),
        }
        kind = self.random.choice(list(fields))
        generations = ("generation", "observedGeneration", "resourceTemplateGeneration")

        def numbers(*names: str) -> Request:
            return {name: self.random.randint(0, 3) for name in names}

        obj = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x", "generation": 2}}
        template = {"selector": {"matchLabels": {}}, "template": {"spec": {"containers": []}}}
        items: list[Request] = [{"clusterName": name} for name in self.some(3)]
        for item in items:
            if self.chance(0.9):
                item["status"] = numbers(*generations, *fields[kind])
        status = numbers("observedGeneration", *fields[kind])
        return {"Op": "aggregate", "Object": {**obj, "spec": template, "status": status}, "Items": items}


def main(oracle: str) -> None:
    requests = Requests(20261123)
    asked = [requests.schedule() for _ in range(100)]
    asked += [requests.override() for _ in range(50)] + [requests.aggregate() for _ in range(25)]
    asked += [requests.spread() for _ in range(60)]
    text = "".join(json.dumps(request, sort_keys=True) + "\n" for request in asked)
    done = subprocess.run([oracle], input=text, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    with ANSWERS.open("w") as out:
        for request, answer in zip(asked, answers, strict=True):
            out.write(json.dumps({"request": request, "answer": answer}, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
