"""Whom Karmada lets a member's impersonator stand in for, role by role: the Works of its unified-auth-controller.

unified_auth.py ORACLE      asks the oracle (built by build.sh) and writes unified_auth.json
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDED = HERE / "unified_auth.json"
RBAC = "rbac.authorization.k8s.io"
CLUSTERS = ("member1", "member2")
NAMES = {"ClusterRole": "karmada-impersonator-7cbb6bd5c9", "ClusterRoleBinding": "karmada-impersonator-84f8c8f8c6"}
PATIENCE, QUIET = 60.0, 4.0
Object = dict[str, Any]


def role(name: str, group: str, resource: str, *clusters: str, verb: str = "*") -> Object:
    rule: Object = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
    if clusters:
        rule["resourceNames"] = list(clusters)
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}


def binding(name: str, to: str, *subjects: str, kind: str = "ClusterRoleBinding") -> Object:
    """Subjects: ``User:ann``, ``Group:dev``, ``ServiceAccount:ci/robot``."""
    listed: list[Object] = []
    for subject in subjects:
        of, _, called = subject.partition(":")
        if of == "ServiceAccount":
            namespace, _, called = called.partition("/")
            listed.append({"kind": of, "namespace": namespace, "name": called})
        else:
            listed.append({"apiGroup": RBAC, "kind": of, "name": called})
    metadata = {"name": name, **({"namespace": "default"} if kind == "RoleBinding" else {})}
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": to}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "roleRef": reference, "subjects": listed}


PROXY = ("cluster.karmada.io", "clusters/proxy")
# What is applied, or deleted ("kind/name"), step by step; after each the Works are compared.
STEPS: tuple[tuple[Object | str, ...], ...] = (
    (),
    (role("one", *PROXY, "member1"), binding("one", "one", "User:zoe", "User:ann", "Group:dev")),
    (binding("again", "one", "User:ann", "ServiceAccount:ci/robot", "ServiceAccount:other/robot"),),
    (binding("early", "late", "User:early"),),
    (role("late", *PROXY),),
    (role("named", *PROXY, "member2", verb="impersonate"), binding("named", "named", "Group:system:serviceaccounts")),
    (role("named", *PROXY, "member1", verb="impersonate"),),
    (role("searching", "search.karmada.io", "proxying/proxy"), binding("searching", "searching", "User:searcher")),
    (role("all", "*", "*", "member2"), binding("all", "all", "User:all")),
    (role("others", "cluster.karmada.io", "clusters"), binding("others", "others", "User:nobody")),
    (binding("here", "one", "User:here", kind="RoleBinding"),),
    ("clusterrolebinding/again",),
    ("clusterrole/one",),
    ("clusterrolebinding/one", "clusterrole/late", "clusterrole/searching"),
)


def normal(work: Object) -> Object:
    """Without what is made up anew each time."""
    metadata = work["metadata"]
    (manifest,) = json.loads(json.dumps(work["spec"]["workload"]["manifests"]))
    manifest["metadata"].pop("creationTimestamp", None)
    owners = [{key: owner[key] for key in owner if key != "uid"} for owner in metadata.get("ownerReferences") or ()]
    for labels in (metadata.get("labels") or {}, manifest["metadata"].get("labels") or {}):
        for key in labels:
            if key.endswith("permanent-id"):
                labels[key] = "…"
    for each in manifest.get("subjects") or ():
        each.pop("apiGroup", None) if not each.get("apiGroup") else None
    return {
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
        "finalizers": metadata.get("finalizers") or [],
        "owners": owners,
        "manifest": manifest,
    }


def in_short(states: list[Object]) -> Object:
    """The Works as they are at first, and whose names the role lets be impersonated after each step; nothing else changes."""
    first, impersonated = states[0], []
    for state in states:
        impersonated.append(
            {
                cluster: {
                    rule["resources"][0]: rule["resourceNames"] for rule in works["ClusterRole"]["manifest"]["rules"]
                }
                for cluster, works in state.items()
            }
        )
        for cluster, works in state.items():
            works["ClusterRole"]["manifest"]["rules"] = first[cluster]["ClusterRole"]["manifest"]["rules"]
        assert state == first
    return {"works": first, "impersonated": impersonated}


def steps_of_oracle(programs: Path) -> Iterator[Object]:
    sys.path.insert(0, str(HERE))
    from oracle import Karmada
    from run import _join
    from shared import harness

    with harness.members() as lab:
        started = lab.start(*CLUSTERS, options=harness.Options(light=True))
        plane = Karmada(lab, programs, lab.folder / "karmada", "default")
        try:
            plane.start()
            for member in started:
                _join(lab, plane, member)
            for step in STEPS:
                for each in step:
                    if isinstance(each, str):
                        plane.kubectl("delete", *each.split("/"))
                    else:
                        plane.kubectl("apply", "-f", "-", stdin=json.dumps(each))
                yield _at_rest(plane)
        finally:
            plane.stop()


def _at_rest(plane: Any) -> Object:
    deadline, last, since = time.monotonic() + PATIENCE, {}, time.monotonic()
    while time.monotonic() < deadline:
        now = {
            cluster: {
                kind: normal(
                    json.loads(plane.kubectl("get", "work", "-n", f"karmada-es-{cluster}", name, "-o", "json"))
                )
                for kind, name in NAMES.items()
            }
            for cluster in CLUSTERS
        }
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > QUIET:
            return now
        time.sleep(0.3)
    raise TimeoutError("never at rest")


if __name__ == "__main__":
    found = in_short(list(steps_of_oracle(Path(sys.argv[1]))))
    RECORDED.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
