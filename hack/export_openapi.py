"""Exports the published OpenAPI 3.0 specification: ``python hack/export_openapi.py openapi``.

``karmada.json``: one document of all Karmada groups. It is what the server publishes at /openapi/v3, group by group, put together, so that
shared schemas and parameters stand in it once. A line per path and per schema, for readable differences.
``index.json``: every document that the server publishes with the digest of its content, the built-in groups' too (those are Kubernetes' own,
and large; a digest shows that they changed).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kafila.catalog.catalog import load_catalog
from kafila.catalog.openapi import OpenAPI

Json = dict[str, Any]
DIGITS = 16  # of a digest: enough to notice a change


def export(folder: Path) -> None:
    documents = published()
    folder.mkdir(exist_ok=True)
    karmada = {path: document for path, document in documents.items() if ".karmada.io/" in path}
    (folder / "karmada.json").write_text(in_lines(merged(karmada)))
    index = {
        path: hashlib.sha256(compact(document).encode()).hexdigest()[:DIGITS] for path, document in documents.items()
    }
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")


def published() -> dict[str, Json]:
    """Documents by their path below /openapi/v3."""
    source = OpenAPI(load_catalog())
    found: dict[str, Json] = {}
    for path in sorted(json.loads(source.index())["paths"]):
        document = source.document(path)
        assert document is not None
        found[path] = json.loads(document.body)
    return found


def merged(documents: Mapping[str, Json]) -> Json:
    """One document. Raises ValueError when two documents mean different things by one name."""
    paths: Json = {}
    schemas: Json = {}
    parameters: Json = {}
    security: Json = {}
    for document in documents.values():
        for path, item in document["paths"].items():
            _add(paths, path, _with_shared_parameters(item, parameters))
        for name, schema in document["components"]["schemas"].items():
            _add(schemas, name, schema)
        security.update(document["components"]["securitySchemes"])
    components = {"parameters": parameters, "schemas": schemas, "securitySchemes": security}
    info = {"title": "Karmada", "version": "unversioned"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": components}


def _with_shared_parameters(item: Json, parameters: Json) -> Json:
    """Parameters of a path and of its operations stand under components and are referred to."""

    def shared(holder: Json) -> Json:
        if "parameters" not in holder:
            return holder
        references = []
        for parameter in holder["parameters"]:
            name = f"{parameter['in']}-{parameter['name']}"
            if parameters.setdefault(name, parameter) == parameter:
                references.append({"$ref": f"#/components/parameters/{name}"})
            else:  # the same name with another description
                references.append(parameter)
        return {**holder, "parameters": references}

    return {name: shared(value) if isinstance(value, dict) else value for name, value in shared(item).items()}


def _add(into: Json, name: str, value: Any) -> None:
    if into.setdefault(name, value) != value:
        raise ValueError(f"{name} differs between documents")


def compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def in_lines(document: Json) -> str:
    """JSON with a line for each entry of ``paths`` and of the parts of ``components``."""
    paths = _block(document["paths"], 2)
    parts = ",\n".join(f"  {json.dumps(name)}: {_block(part, 3)}" for name, part in document["components"].items())
    head = "".join(f" {json.dumps(name)}: {compact(document[name])},\n" for name in ("openapi", "info"))
    return f'{{\n{head} "paths": {paths},\n "components": {{\n{parts}\n }}\n}}\n'


def _block(entries: Json, depth: int) -> str:
    pad = " " * depth
    lines = ",\n".join(f"{pad}{json.dumps(name)}: {compact(entries[name])}" for name in sorted(entries))
    return f"{{\n{lines}\n{pad[:-1]}}}"


if __name__ == "__main__":
    export(Path(sys.argv[1] if len(sys.argv) > 1 else "openapi"))
