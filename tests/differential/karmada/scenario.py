"""Scenarios: YAML documents of steps (see README.md), and carrying them out."""

from __future__ import annotations

import asyncio
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from access import KINDS, Access, Answer, Object

PREFIX = "d-"
VERBS = ("apply", "create", "patch", "scale", "delete", "look", "rest", "stop", "start")
WITHOUT_OBJECT = ("rest", "stop", "start")
PARTS = ("descheduler", "metrics")


@dataclass
class Scenario:
    """``exclusive``: changes what others see (clusters), runs after the others and alone. ``first``: needs room in members of which
    others reserve some for minutes, runs before the others and alone. ``profile``: feature gates, "default" or "all".

    ``also``: further namespaces, by what is added to the name of the first. ``needs``: parts that run beside the control planes
    and members: "descheduler" (with estimators), "metrics" (every pod uses the same).
    """

    name: str
    about: str
    steps: list[Object]
    profile: str = "default"
    exclusive: bool = False
    first: bool = False
    also: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)

    @property
    def about_namespaces(self) -> bool:
        return "'Namespace'" in str(self.steps)

    @property
    def namespace(self) -> str:
        return PREFIX + self.name

    @property
    def namespaces(self) -> list[str]:
        return [self.namespace, *(f"{self.namespace}--{other}" for other in self.also)]


def load(folder: Path) -> list[Scenario]:
    found = []
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            found.append(_scenario(document))
    names = [scenario.name for scenario in found]
    assert len(names) == len(set(names)), (
        f"scenarios of the same name: {sorted(n for n in names if names.count(n) > 1)}"
    )
    return found


def _scenario(document: Object) -> Scenario:
    filled = _fill(document["steps"], {"ns": PREFIX + document["name"]})
    scenario = Scenario(
        document["name"],
        document["about"],
        [],
        document.get("profile", "default"),
        document.get("exclusive", False),
        document.get("first", False),
        document.get("also", []),
        document.get("needs", []),
    )
    assert set(scenario.needs) <= set(PARTS), f"{scenario.name}: nobody has {scenario.needs}"
    assert scenario.profile == "all" or not scenario.needs, f"{scenario.name}: parts run with the profile all only"
    for step in filled:
        verb = next((key for key in step if key in VERBS), None)
        assert verb is not None, f"{scenario.name}: no step is like {step}"
        several = step[verb] if isinstance(step[verb], list) else [step[verb]]
        for what in several:
            scenario.steps.append({"verb": verb, "what": what, "in": step.get("in", ""), "owner": step.get("owner")})
            if verb not in WITHOUT_OBJECT:
                scenario.uses.add(what["kind"])
                assert isinstance(what.get("metadata", what)["name"], str), f"{scenario.name}: quote the name in {what}"
    if not scenario.steps or scenario.steps[-1]["verb"] != "rest":
        scenario.steps.append({"verb": "rest", "what": None, "in": ""})
    return scenario


def _fill(value: Any, names: dict[str, str]) -> Any:
    """``$ns`` in every text; other dollars stay."""
    if isinstance(value, str):
        return string.Template(value).safe_substitute(names)
    if isinstance(value, dict):
        return {_fill(k, names): _fill(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(item, names) for item in value]
    return value


def describe(step: Object) -> str:
    what = step["what"]
    if step["verb"] == "rest":
        return "rest"
    if step["verb"] in WITHOUT_OBJECT:
        return f"{step['verb']} {what}"
    name = what["metadata"]["name"] if "metadata" in what else what["name"]
    where = f" in {step['in']}" if step["in"] else ""
    return f"{step['verb']} {what['kind']} {name}{where}"


async def carry_out(step: Object, access: Access, namespace: str) -> Answer:
    verb, what = step["verb"], step["what"]
    if verb in ("apply", "create"):
        kind = KINDS[what["kind"]]
        where = {"namespace": namespace} if kind.namespaced else {}
        obj = {"apiVersion": kind.version, **what, "metadata": {**where, **what["metadata"]}}
        obj["kind"] = kind.kind or what["kind"]
        if step["owner"]:
            obj["metadata"]["ownerReferences"] = [await _controlled_by(step["owner"], access, namespace)]
        return await (access.apply if verb == "apply" else access.create)(what["kind"], obj)
    where = what.get("namespace", namespace)
    if verb == "patch":
        return await access.patch(
            what["kind"], where, what["name"], what["patch"], what.get("type", "merge"), what.get("subresource", "")
        )
    if verb == "scale":
        patch = {"spec": {"replicas": what["replicas"]}}
        return await access.patch(what["kind"], where, what["name"], patch, "merge", "scale")
    assert verb == "delete", verb
    return await access.delete(what["kind"], where, what["name"])


async def _controlled_by(owner: Object, access: Access, namespace: str) -> Object:
    found = (await access.get(owner["kind"], namespace, owner["name"])).body
    known = {key: found[key] for key in ("apiVersion", "kind")}
    return {**known, "name": owner["name"], "uid": found["metadata"]["uid"], "controller": True}


async def look(step: Object, access: Access, namespace: str) -> Any:
    """What stands in the object at the step's path of fields and places in lists, None for nothing."""
    what = step["what"]
    found: Any = (await access.get(what["kind"], what.get("namespace", namespace), what["name"])).body
    for name in what["at"].split("."):
        found = _below(found, name)
    return found


def _below(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name)
    return value[int(name)] if isinstance(value, list) and int(name) < len(value) else None


async def until_found(access: Access, kind: str, name: str, patience: float = 120) -> None:
    async with asyncio.timeout(patience):
        while (await access.get(kind, "", name)).code != 200:
            await asyncio.sleep(0.2)


async def until_noticed(access: Access, cluster: str, ready: bool, patience: float = 120) -> None:
    """The control plane knows whether the member answers, and has said so by a taint."""
    async with asyncio.timeout(patience):
        while True:
            found = (await access.get("Cluster", "", cluster)).body
            conditions = found.get("status", {}).get("conditions", [])
            is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
            taints = [t["key"] for t in found["spec"].get("taints", ()) if t["key"].startswith("cluster.karmada.io/")]
            if is_ready is ready and bool(taints) is not ready:
                return
            await asyncio.sleep(0.2)
