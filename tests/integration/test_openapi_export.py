"""openapi/ holds what the server publishes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("export_openapi", ROOT / "hack" / "export_openapi.py")
assert _spec is not None
assert _spec.loader is not None
exporter = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(exporter)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("openapi")
    exporter.export(folder)
    return folder


def test_the_committed_specification_is_current(exported: Path) -> None:
    committed = ROOT / "openapi"
    assert sorted(p.name for p in committed.iterdir()) == sorted(p.name for p in exported.iterdir())
    changed = [p.name for p in exported.iterdir() if p.read_text() != (committed / p.name).read_text()]
    assert not changed, "run `make openapi` and commit openapi/"


def test_every_reference_leads_somewhere(exported: Path) -> None:
    document = json.loads((exported / "karmada.json").read_text())

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                target: Any = document
                for part in reference.removeprefix("#/").split("/"):
                    target = target[part]
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(document)
    assert "/apis/policy.karmada.io/v1alpha1/propagationpolicies" in document["paths"]


def test_documents_that_disagree_are_not_merged() -> None:
    def document(kind: str) -> Any:
        return {"paths": {}, "components": {"schemas": {"Same": {"type": kind}}, "securitySchemes": {}}}

    with pytest.raises(ValueError, match="Same differs"):
        exporter.merged({"a": document("string"), "b": document("object")})
