"""The descriptions of table columns (columns.json), from the printers of kube-apiserver and the documentation of the types they name.

Facts only: row name -> column name -> description, as every Table answer has them.
"""

from __future__ import annotations

import json
import re

from kafila.catalog.version import KUBERNETES_VERSION, LIBRARIES_VERSION

from .modules import KUBERNETES, TABLES, directory

PRINTERS = "pkg/printers/internalversion/printers.go"


def main() -> None:
    source = (directory(KUBERNETES) / PRINTERS).read_text()
    source = source.replace("Event{}.InvolvedObject.", "ObjectReference{}.")
    packages = dict(re.findall(r'^\t(\w+) "(k8s\.io/[\w./-]+)"', source, re.M))
    docs = {alias: _docs(path) for alias, path in packages.items()}
    printers = {
        variable: printer.removesuffix("List")
        for variable, printer in re.findall(r"TableHandler\((\w+), print(\w+)\)", source)
    }
    rows: dict[str, dict[str, str]] = {}
    definitions = r"(\w+) :?= (?:append\(\w+, )?\[\]metav1\.TableColumnDefinition\{\n(.*?)\n\t\}(?:\.\.\.\))?\n"
    for variable, block in re.findall(definitions, source, re.S):
        if variable in printers:
            rows.setdefault(printers[variable], {}).update(_columns(block, docs))
    metadata = docs["metav1"]["ObjectMeta"]
    rows["DeviceTaint"] = rows["DeviceTaintRule"] if "DeviceTaintRule" in rows else rows.get("DeviceTaint", {})
    rows[""] = {"Name": metadata["name"], "Created At": metadata["creationTimestamp"]}  # kinds without a printer
    rows["APIService"] = {  # of kube-aggregator
        "Name": metadata["name"],
        "Service": "The reference to the service that hosts this API endpoint.",
        "Available": "Whether this service is available.",
        "Age": metadata["creationTimestamp"],
    }
    data = {"source": f"{KUBERNETES} {KUBERNETES_VERSION} {PRINTERS}, k8s.io/api {LIBRARIES_VERSION}", "rows": rows}
    (TABLES / "columns.json").write_text(json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _docs(package: str) -> dict[str, dict[str, str]]:
    """Type -> field -> documentation."""
    module, _, rest = package.removeprefix("k8s.io/").partition("/")
    file = directory(f"k8s.io/{module}") / rest / "types_swagger_doc_generated.go"
    if not file.exists():
        return {}
    found = {}
    for name, block in re.findall(r"var map_(\w+) = map\[string\]string\{\n(.*?)\n\}", file.read_text(), re.S):
        found[name] = {key: json.loads(f'"{text}"') for key, text in re.findall(r'^\t"(\w*)":\s+"(.*)",$', block, re.M)}
    return found


def _columns(block: str, docs: dict[str, dict[str, dict[str, str]]]) -> list[tuple[str, str]]:
    out = []
    for line in block.splitlines():
        name = re.search(r'Name: "([^"]+)"', line)
        description = re.search(r"Description: (.*?)\},?$", line)
        if name is None:
            continue
        text = description[1] if description else '""'
        parts = []
        for literal, alias, kind, field in re.findall(
            r'"((?:[^"\\]|\\.)*)"(?!\])|(\w+)\.(\w+)\{\}\.SwaggerDoc\(\)\["(\w*)"\]', text
        ):
            parts.append(docs[alias].get(kind, {}).get(field, "") if alias else json.loads(f'"{literal}"'))
        out.append((name[1], "".join(parts)))
    return out
