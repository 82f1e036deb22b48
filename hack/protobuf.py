"""The field numbers and JSON names of every Kubernetes message (protobuf.json).

Two sources are joined per package: ``generated.proto`` has messages, numbers and types; the tags of the Go structs have
the JSON names, which fields are inlined into their parent, and which zero values Go's JSON leaves out. A message that
cannot be joined is an error, so a new Kubernetes version cannot silently change the table's meaning.

The table, one line of text per message to keep it small in the file and in memory (parsed when first used):

    {"source": ["k8s.io/api@…", ...],
     "groups": {"apps/v1": "k8s.io.api.apps.v1", ...},              # group-version -> proto package
     "kinds": {"k8s.io.api.apps.v1": "Deployment DeploymentList ..."},
     "messages": {"k8s.io.api.apps.v1": {"Deployment": "1 metadata k8s.io...ObjectMeta;2 spec DeploymentSpec;..."}}}

A field is ``number json-name type [z]``; ``z``: Go leaves the zero value out. Types: s string, i int32, l int64,
b bool, y bytes, d double, else a message (a name without dots is of the same package); ``[]`` before it is repeated,
``{}`` a map with string keys. The JSON name ``-`` marks a field whose content stands in the parent itself.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from .modules import TABLES, directory, reference

MODULES = {
    "k8s.io/api": ".",
    "k8s.io/apimachinery": "pkg",
    "k8s.io/apiextensions-apiserver": "pkg/apis",
    "k8s.io/kube-aggregator": "pkg/apis",
}

SCALARS = {"string": "s", "int32": "i", "int64": "l", "bool": "b", "bytes": "y", "double": "d"}
# Packages that are no API: a test fixture, and variables of the code generator.
SKIPPED = {"k8s.io.apimachinery.pkg.apis.testapigroup.v1", "k8s.io.apimachinery.pkg.runtime.schema"}
# Messages whose JSON form is not an object with these fields; app/kafila/machinery/protobuf_scalars.py knows each of them.
SPECIAL = {
    "k8s.io.apimachinery.pkg.api.resource.Quantity",
    "k8s.io.apimachinery.pkg.api.resource.QuantityValue",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Duration",
    "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Time",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Timestamp",
    "k8s.io.apimachinery.pkg.runtime.RawExtension",
    "k8s.io.apimachinery.pkg.runtime.TypeMeta",
    "k8s.io.apimachinery.pkg.runtime.Unknown",
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString",
}
SPECIAL_NAMES = {"JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray"}


class ProtoField(NamedTuple):
    name: str
    number: int
    label: str  # "", "[]" or "{}"
    type: str


class GoField(NamedTuple):
    json: str  # "-" when inlined
    type: str
    omit: bool  # omitempty
    omit_struct: bool  # omitzero: Go leaves out empty structs too


PROTO_FIELD = re.compile(r"(?:(optional|repeated) )?(map<string, *([\w.]+)>|[\w.]+) (\w+) = (\d+);")
GO_FIELD = re.compile(r"^\t(?:(\w+) +)?([*\[\]\w.]+) +`([^`]*)`", re.M)
GO_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
GO_LIST = re.compile(r"^type (\w+) \[\]", re.M)
GO_NAMED = re.compile(r"^type (\w+) =? ?(\w+)\.(\w+)$", re.M)  # type X = otherpackage.X


def parse_proto(text: str) -> tuple[str, dict[str, list[ProtoField]]]:
    """The package of a generated.proto and its messages (they are never nested)."""
    text = re.sub(r"^\s*//.*$", "", text, flags=re.M)
    (package,) = re.findall(r"^package ([\w.]+);", text, re.M)
    messages = {}
    for name, body in re.findall(r"^message (\w+) \{(.*?)^\}", text, re.M | re.S):
        fields = []
        for statement in filter(None, (line.strip() for line in body.splitlines())):
            match = PROTO_FIELD.fullmatch(statement)
            if not match:
                sys.exit(f"{package}.{name}: cannot read {statement!r}")
            label, type_, value, field, number = match.groups()
            kind = "{}" if value else "[]" if label == "repeated" else ""
            fields.append(ProtoField(field, int(number), kind, _type(value or type_, package)))
        messages[name] = fields
    return package, messages


def _type(name: str, package: str) -> str:
    if name in SCALARS:
        return SCALARS[name]
    return name.lstrip(".").removeprefix(package + ".")


def package_directory(imported: str) -> Path | None:
    for module in MODULES:
        if imported.startswith(f"{module}/"):
            return directory(module) / imported.removeprefix(f"{module}/")
    return None


def parse_go(folder: Path) -> tuple[dict[str, dict[int, GoField]], set[str], set[str]]:
    """Structs by protobuf field number, the kinds among them (they embed TypeMeta), and named slice types."""
    structs: dict[str, dict[int, GoField]] = {}
    kinds: set[str] = set()
    lists: set[str] = set()
    for path in sorted(folder.glob("*.go")):
        if path.name.endswith("_test.go") or path.name.startswith(("generated.", "zz_generated")):
            continue
        text = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M)
        lists.update(GO_LIST.findall(text))
        for name, alias, original in GO_NAMED.findall(text):
            for imported in re.findall(rf'^\s*(?:import )?{alias} "([^"]+)"', text, re.M):
                there = package_directory(imported)
                if there:
                    structs[name] = parse_go(there)[0].get(original, {})
        for name, body in GO_STRUCT.findall(text):
            fields = structs.setdefault(name, {})
            for go_name, go_type, tags in GO_FIELD.findall(body):
                tag = dict(re.findall(r'(\w+):"([^"]*)"', tags))
                json_name, *options = tag.get("json", "").split(",")
                if go_type.endswith("TypeMeta") and not go_name:
                    kinds.add(name)
                if tag.get("protobuf", "-") == "-":
                    continue
                number = int(tag["protobuf"].split(",")[1])
                inlined = not (go_name or json_name)  # as Go does; a tag "inline" says nothing to it
                fields[number] = GoField(
                    "-" if inlined else json_name or go_name,
                    go_type,
                    "omitempty" in options,
                    "omitzero" in options,
                )
    return structs, kinds, lists


def render_message(full: str, fields: list[ProtoField], go: dict[int, GoField] | None, lists: set[str]) -> str:
    name = full.rpartition(".")[2]
    if name in lists:
        (only,) = fields
        return f"{only.number} - {only.label}{only.type}"
    if full in SPECIAL or name in SPECIAL_NAMES:
        return ";".join(f"{f.number} {f.name} {f.label}{f.type}" for f in fields)
    if go is None and fields:
        sys.exit(f"{full}: no Go struct")
    lines = []
    for field in fields:
        tagged = (go or {}).get(field.number)
        if tagged is None or tagged.json in ("", "_"):
            sys.exit(f"{full}.{field.name}: no Go field with number {field.number}")
        scalar = field.type in SCALARS.values()
        value = not field.label and not tagged.type.startswith("*")
        zero = value and (tagged.omit if scalar else tagged.omit_struct)
        lines.append(f"{field.number} {tagged.json} {field.label}{field.type}{' z' if zero else ''}")
    return ";".join(lines)


def group_of(folder: Path) -> str | None:
    """The API group a package registers its kinds in."""
    register = folder / "register.go"
    match = register.exists() and re.search(r'^const GroupName = "([^"]*)"', register.read_text(), re.M)
    return match[1] if match else None


def build() -> dict[str, object]:
    groups: dict[str, str] = {}
    kinds: dict[str, str] = {}
    messages: dict[str, dict[str, str]] = {}
    for module, below in MODULES.items():
        for proto in sorted((directory(module) / below).rglob("generated.proto")):
            package, found = parse_proto(proto.read_text())
            if package in SKIPPED or not found:
                continue
            structs, typed, lists = parse_go(proto.parent)
            messages[package] = {
                name: render_message(f"{package}.{name}", fields, structs.get(name), lists)
                for name, fields in sorted(found.items())
            }
            group = group_of(proto.parent)
            if group is not None:
                groups[f"{group}/{proto.parent.name}".lstrip("/")] = package
                kinds[package] = " ".join(sorted(typed & found.keys()))
    check_references(messages)
    return {"source": [reference(module) for module in MODULES], "groups": groups, "kinds": kinds, "messages": messages}


def check_references(messages: dict[str, dict[str, str]]) -> None:
    for package, named in messages.items():
        for name, text in named.items():
            for field in filter(None, text.split(";")):
                target = field.split(" ")[2].removeprefix("[]").removeprefix("{}")
                if target in SCALARS.values():
                    continue
                owner, _, local = target.rpartition(".")
                if local not in messages[owner or package]:
                    sys.exit(f"{package}.{name}: unknown message {target}")


def main() -> None:
    (TABLES / "protobuf.json").write_text(json.dumps(build(), indent=0, sort_keys=True) + "\n")
