"""What looking at FederatedHPAs costs: the pure decision, and a whole look over members' pods in memory.

    PYTHONPATH=app .venv/bin/python bench/autoscaling.py [AUTOSCALERS]

CPU time of one process; no store, no network. 10,000 autoscalers (or AUTOSCALERS) of ten pods each in two clusters, two metrics, a
behaviour; an hour of history. The target: all of them each 15 seconds within a quarter of a core.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from kafila.autoscaling.behavior import Dated, History
from kafila.autoscaling.calculator import Workload
from kafila.autoscaling.evaluation import Clocks, by_metrics, status_after
from kafila.autoscaling.metrics import PodUsage
from kafila.autoscaling.pods import Pod, Tuning
from kafila.core.resources import Key
from kafila.reconcile.karmada.federatedhpa.members import PodIndex
from kafila.reconcile.karmada.federatedhpa.selectors import SelectingAutoscalers
from kafila.reconcile.karmada.federatedhpa.targets import parsed_selector

PERIOD, PODS, CLUSTERS, NAMESPACES = 15.0, 10, 2, 100


def spec() -> dict[str, Any]:
    def metric(name: str) -> dict[str, Any]:
        target = {"type": "Utilization", "averageUtilization": 50}
        return {"type": "Resource", "resource": {"name": name, "target": target}}

    policies = [
        {"type": "Pods", "value": 4, "periodSeconds": 60},
        {"type": "Percent", "value": 100, "periodSeconds": 60},
    ]
    rules = {"stabilizationWindowSeconds": 300, "selectPolicy": "Max", "policies": policies}
    return {
        "minReplicas": 1,
        "maxReplicas": 100,
        "metrics": [metric("cpu"), metric("memory")],
        "behavior": {"scaleUp": rules | {"stabilizationWindowSeconds": 0}, "scaleDown": rules},
    }


def pods_of(number: int, cluster: int, now: float) -> list[Pod]:
    asks = (("c", (("cpu", 200), ("memory", 2**30))),)
    labels = {"app": f"web-{number}", "pod-template-hash": f"{number:08x}", "team": "shop"}
    names = [f"web-{number}-{cluster}-{index}" for index in range(PODS // CLUSTERS)]
    return [Pod(name, labels, "Running", False, now - 7200, "True", now - 7000, asks) for name in names]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    now = time.time()
    members = [PodIndex() for _ in range(CLUSTERS)]
    selecting = SelectingAutoscalers()
    histories = []
    for number in range(count):
        for cluster, member in enumerate(members):
            for pod in pods_of(number, cluster, now):
                member.put(f"ns-{number % NAMESPACES}", pod.name, pod)
        history = History()
        history.recommended = [Dated(PODS, now - 15 * step) for step in range(20, 0, -1)]
        histories.append(history)
    wanted = spec()
    usage = {"c": {"cpu": 101, "memory": 2**29}}
    usages = [
        [
            PodUsage("", pod.name, now, 15.0, usage)
            for cluster in range(CLUSTERS)
            for pod in pods_of(number, cluster, now)
        ]
        for number in range(count)
    ]
    for _ in range(2):  # the first builds the indexes
        began, decided = time.process_time(), 0.0
        status: dict[str, Any] = {}
        for number in range(count):
            namespace = f"ns-{number % NAMESPACES}"
            selector = parsed_selector(f"app=web-{number}")
            found = [pod for member in members for pod in member.select(namespace, selector)]
            key = Key("federatedhpas.autoscaling.karmada.io", namespace, f"web-{number}")
            selecting.put(key, selector)
            selecting.of(namespace, found)
            alone = time.process_time()
            workload = Workload(PODS, PODS, 1.0, found)
            answers = [usages[number], usages[number]]
            verdict = by_metrics(wanted, answers, workload, histories[number], Tuning(), namespace, Clocks(now, now))
            status = status_after(status, verdict, PODS, (), "", now)
            decided += time.process_time() - alone
        whole = time.process_time() - began
        print(
            f"{count} autoscalers: {whole:.2f} s of CPU ({1e6 * whole / count:.0f} µs each, of which {1e6 * decided / count:.0f} decide): "
            f"{100 * whole / PERIOD:.1f} % of a core every {PERIOD:.0f} s"
        )


if __name__ == "__main__":
    main()
