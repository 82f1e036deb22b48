"""Makes crdfacts.json: what Karmada's CustomResourceDefinitions say about fields, without any text of theirs.

python tests/unit/catalog/karmada/crdfacts.py <folder charts/karmada/_crds/bases of Karmada v1.18.2>
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
_KEPT = (
    "type", "format", "enum", "default", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems",
    "maxItems", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string",
)  # fmt: skip


def facts(schema: dict[str, Any]) -> dict[str, Any]:
    out = {key: schema[key] for key in _KEPT if key in schema}
    if "properties" in schema:
        out["properties"] = {name: facts(child) for name, child in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            out[key] = facts(schema[key])
    return out


def main(folder: Path) -> None:
    table = []
    for path in sorted(folder.glob("*/*.yaml")):
        spec = yaml.safe_load(path.read_text())["spec"]
        names = spec["names"]
        for version in spec["versions"]:
            root = facts(version["schema"]["openAPIV3Schema"])
            for own in ("apiVersion", "kind", "metadata"):
                root["properties"].pop(own, None)
            columns = version.get("additionalPrinterColumns") or []
            table.append(
                {
                    "group": spec["group"],
                    "version": version["name"],
                    "kind": names["kind"],
                    "plural": names["plural"],
                    "singular": names["singular"],
                    "shortNames": names.get("shortNames", []),
                    "categories": names.get("categories", []),
                    "namespaced": spec["scope"] == "Namespaced",
                    "storage": version["storage"],
                    "status": "status" in (version.get("subresources") or {}),
                    "columns": [[c["name"], c["type"], c["jsonPath"]] for c in columns],
                    "schema": root,
                }
            )
    HERE.joinpath("crdfacts.json").write_text(json.dumps(table, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
