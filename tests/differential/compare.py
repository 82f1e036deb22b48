"""What differs between two normalised answers, and what kind of difference it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

# what clients notice first comes first
SORTS = ("status", "defaults", "managedFields", "reason", "message", "causes", "headers", "table", "watch", "document")


class Difference(NamedTuple):
    case: str
    step: str
    sort: str  # one of SORTS
    path: str
    reference: Any
    kafila: Any

    def __str__(self) -> str:
        return f"[{self.sort}] {self.case} {self.step}: {self.path or 'answer'}\n    kube-apiserver {_short(self.reference)}\n    kafila         {_short(self.kafila)}"


ABSENT = "<absent>"


def _short(value: Any) -> str:
    text = value if value == ABSENT else json.dumps(value, sort_keys=True)
    return text if len(text) <= 900 else f"{text[:900]}… ({len(text)})"


def compare(case: str, step: str, reference: dict[str, Any], kafila: dict[str, Any]) -> list[Difference]:
    if reference.get("status") != kafila.get("status"):  # the rest follows from that
        return [Difference(case, step, "status", "status", _said(reference), _said(kafila))]
    found = [
        Difference(case, step, _sort(path, reference), path, one, other)
        for path, one, other in _differences(reference, kafila, "")
    ]
    return found


def _said(answer: dict[str, Any]) -> Any:
    body = (answer.get("body") or [None])[0]
    said = body.get("message", body.get("kind")) if isinstance(body, dict) else body
    return f"{answer.get('status')} {answer.get('error', '')}{str(said)[:700]}"


def _differences(one: Any, other: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            yield from _differences(one.get(name, ABSENT), other.get(name, ABSENT), f"{path}.{name}" if path else name)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(left, right, f"{path}[{i}]")
    elif one != other or type(one) is not type(other):
        yield path, one, other


def _sort(path: str, reference: dict[str, Any]) -> str:
    if path.startswith("headers"):
        return "headers"
    if ".managedFields" in path:
        return "managedFields"
    documents = reference.get("body") or [{}]
    first = documents[0] if isinstance(documents[0], dict) else {}
    if "stream=watch" in "".join(reference["headers"].get("content-type", ())):
        return "watch"
    kind = first.get("kind")
    if kind == "Status":
        for sort in ("reason", "causes", "message"):
            if f".{sort}" in path:
                return "causes" if ".causes" in path else sort
        return "reason"
    if kind == "Table":
        return "table"
    if kind in ("APIResourceList", "APIGroupList", "APIGroup", "APIVersions", "APIGroupDiscoveryList", None):
        return "document"
    return "defaults"
