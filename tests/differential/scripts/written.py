"""The hand-written scripts: ``written/*.yaml``, a case a file, a step a line.

A step has a name and one of GET, POST, PUT, PATCH, DELETE … with the path. ``body`` is sent as JSON; ``text`` and ``base64`` as they are;
``stored`` is what the server answered to that step, with ``change`` merged in. ``type`` and ``accept`` have short names. With ``until`` (``has``, ``lacks``: texts) a step is
asked again until its answer is so.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from differential.steps import (
    APPLY,
    JSON,
    JSON_PATCH,
    MERGE,
    PARTIAL,
    PARTIAL_LIST,
    PROTOBUF,
    STRATEGIC,
    TABLE,
    Case,
    Step,
    Stored,
    Until,
)

TYPES = {
    "json": JSON,
    "yaml": "application/yaml",
    "protobuf": PROTOBUF,
    "merge": MERGE,
    "strategic": STRATEGIC,
    "json-patch": JSON_PATCH,
    "apply": APPLY,
    "table": TABLE,
    "partial": PARTIAL,
    "partial-list": PARTIAL_LIST,
}


def cases() -> list[Case]:
    return [_case(file) for file in sorted(Path(__file__).with_name("written").glob("*.yaml"))]


def _case(file: Path) -> Case:
    found = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
    case = Case(found["area"], found["name"], found.get("kind", ""), found.get("namespace", ""))
    case.steps.extend(_step(case, step) for step in found["steps"])
    return case


def _step(case: Case, given: dict[str, Any]) -> Step:
    method = next(key for key in given if key.isupper())
    body = _body(given)
    headers = {}
    if body is not None:
        headers["Content-Type"] = TYPES.get(given.get("type", "json"), given.get("type", ""))
    if "accept" in given:
        headers["Accept"] = TYPES.get(given["accept"], given["accept"])
    headers.update(given.get("headers", {}))
    path = given[method].replace("/namespaces/{ns}/", f"/namespaces/{case.namespace}/")
    until = Until(**given["until"]) if "until" in given else None
    return Step(given["name"], method, path, body, headers, until)


def _body(given: dict[str, Any]) -> Any:
    if "stored" in given:
        return Stored(given["stored"], given.get("change"))
    if "text" in given:
        return given["text"].encode()
    if "base64" in given:
        return base64.b64decode(given["base64"])
    return given.get("body")
