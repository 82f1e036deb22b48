"""Valid objects of every built-in kind, from ``objects/*.yaml``: a minimal one, a rich one, a change that is allowed and one that is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from kafila.catalog.catalog import builtin_kinds
from kafila.catalog.kind import Kind
from kafila.core.values import Object
from kafila.machinery import mergepatch


@dataclass(frozen=True)
class Sample:
    """One kind with its objects. ``{ns}`` and ``{version}`` in them stand for the namespace and the first part of the name."""

    kind: Kind
    entry: Object

    @property
    def slug(self) -> str:
        return f"{self.kind.kind}.{self.kind.api_version.replace('/', '.')}"

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        kind = self.kind
        parts = ["/apis", kind.group] if kind.group else ["/api"]
        parts.append(kind.version)
        if kind.namespaced:
            parts += ["namespaces", namespace]
        parts.append(kind.plural)
        return "/".join([*parts, *(part for part in (name, subresource) if part)])

    def name(self, number: int, prefix: str = "") -> str:
        fixed = self.entry.get("name" if number == 1 else "other")
        if fixed is not None:
            return fixed
        return f"{prefix or 'diff'}-{self.kind.plural}-{number}"

    def object(self, which: str, namespace: str, name: str) -> Object:
        """``which``: minimal or rich."""
        text = json.dumps(self.entry[which]).replace("{ns}", namespace).replace("{version}", name.partition(".")[0])
        metadata = {"name": name, **({"namespace": namespace} if self.kind.namespaced else {})}
        head = {"apiVersion": self.kind.api_version, "kind": self.kind.kind, "metadata": metadata}
        return mergepatch.apply(copy.deepcopy(head), json.loads(text))


@cache
def _kinds() -> dict[tuple[str, str], Kind]:
    return {(kind.api_version, kind.kind): kind for kind in builtin_kinds()}


@cache
def samples() -> tuple[Sample, ...]:
    return tuple(_samples())


def _samples() -> Iterator[Sample]:
    for file in sorted((Path(__file__).parents[1] / "objects").glob("*.yaml")):
        for entry in yaml.safe_load(file.read_text()):
            yield Sample(_kinds()[entry["apiVersion"], entry["kind"]], entry)


def sample(kind: str, api_version: str = "") -> Sample:
    return next(s for s in samples() if s.kind.kind == kind and api_version in ("", s.kind.api_version))
