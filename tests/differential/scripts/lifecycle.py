"""What happens to an object of every kind: made, read in all forms, changed in all ways, deleted."""

from __future__ import annotations

import json

from differential.steps import (
    APPLY,
    JSON_PATCH,
    MERGE,
    PARTIAL,
    PARTIAL_LIST,
    PROTOBUF,
    STRATEGIC,
    TABLE,
    Case,
    Stored,
    Until,
)

from .objects import Sample, samples

# of what the server itself writes into the status of a new object: the scripts go on when it is there
WRITTEN_BY_THE_SERVER = {"FlowSchema": "Dangling"}


def cases() -> list[Case]:
    return [case for sample in samples() for case in (_writes(sample), _reads(sample), _applies(sample))]


def _case(area: str, sample: Sample) -> Case:
    kind = sample.kind
    namespace = f"{area}-{kind.plural}-{kind.group.partition('.')[0] or 'core'}-{kind.version}"
    return Case(area, sample.slug, f"{kind.kind}.{kind.group}", namespace if kind.namespaced else "")


def _settled(case: Case, sample: Sample, created: str, path: str) -> str:
    """The step whose answer is the object as the server leaves it after the step ``created``."""
    written = WRITTEN_BY_THE_SERVER.get(sample.kind.kind)
    if written is None:
        return created
    settled = f"{created} settled"
    case.ask(settled, "GET", path, until=Until(has=written))
    return settled


def _writes(sample: Sample) -> Case:
    if sample.kind.kind == "ControllerRevision":  # no patch of one is accepted by kube-apiserver
        return Case("write", sample.slug)
    if sample.kind.kind == "APIService":  # kube-apiserver's own controller writes its status at any time
        return Case("write", sample.slug)
    case = _case("write", sample)
    namespace, one, two = case.namespace, sample.name(1, "w"), sample.name(2, "w")
    many, path, other = sample.path(namespace), sample.path(namespace, one), sample.path(namespace, two)
    minimal, rich = sample.object("minimal", namespace, one), sample.object("rich", namespace, two)
    case.ask("create dry-run", "POST", many, minimal, dryRun="All")
    case.ask("create", "POST", many, minimal, fieldManager="maker")
    case.ask("create again", "POST", many, minimal)
    case.ask("update no-op", "PUT", path, Stored(_settled(case, sample, "create", path)))
    # from the answer to the no-op: of Jobs and claims kube-apiserver stores defaults with it that were not there
    case.ask("update", "PUT", path, Stored("update no-op", sample.entry["change"]), fieldManager="changer")
    case.ask("update stale", "PUT", path, Stored("create", {"metadata": {"annotations": {"stale": "1"}}}))
    case.ask(
        "update unconditional",
        "PUT",
        path,
        Stored("create", {"metadata": {"resourceVersion": None, "labels": {"u": "1"}}}),
    )
    case.ask("update other uid", "PUT", path, Stored("create", {"metadata": {"uid": "0", "resourceVersion": None}}))
    case.ask("update other name", "PUT", path, Stored("create", {"metadata": {"name": "other"}}))
    case.ask(
        "update absent",
        "PUT",
        sample.path(namespace, "absent"),
        Stored("create", {"metadata": {"name": "absent", "uid": None, "resourceVersion": None}}),
    )
    case.ask("merge patch", "PATCH", path, sample.entry["change"], content=MERGE, fieldManager="merger")
    case.ask("merge labels", "PATCH", path, {"metadata": {"labels": {"m": "1"}}}, content=MERGE)
    case.ask("merge dry-run", "PATCH", path, {"metadata": {"labels": {"n": "1"}}}, content=MERGE, dryRun="All")
    case.ask(
        "strategic labels",
        "PATCH",
        path,
        {"metadata": {"labels": {"s": "1", "m": None}, "finalizers": ["example.com/f"]}},
        content=STRATEGIC,
    )
    case.ask(
        "strategic finalizer",
        "PATCH",
        path,
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/f"]}},
        content=STRATEGIC,
    )
    case.ask(
        "json patch",
        "PATCH",
        path,
        [{"op": "add", "path": "/metadata/annotations", "value": {"j": "1"}}],
        content=JSON_PATCH,
    )
    case.ask(
        "json patch test", "PATCH", path, [{"op": "test", "path": "/metadata/name", "value": "x"}], content=JSON_PATCH
    )
    if "immutable" in sample.entry:
        case.ask("immutable", "PATCH", path, sample.entry["immutable"], content=MERGE)
        case.ask("immutable dry-run", "PATCH", path, sample.entry["immutable"], content=STRATEGIC, dryRun="All")
    case.ask("bad label", "PATCH", path, {"metadata": {"labels": {"a b": "-"}}}, content=MERGE)
    case.ask("wrong type", "PATCH", path, {"metadata": {"labels": 7}}, content=MERGE)
    if "status" in sample.kind.subresources:
        status = sample.path(namespace, one, "status")
        case.ask("status get", "GET", status)
        case.ask("status update", "PUT", status, Stored("status get", {"metadata": {"annotations": {"st": "1"}}}))
        case.ask("status patch", "PATCH", status, {"metadata": {"labels": {"st": "2"}}, "status": {}}, content=MERGE)
        case.ask("status delete", "DELETE", status)
    if "scale" in sample.kind.subresources:
        scale = sample.path(namespace, one, "scale")
        case.ask("scale get", "GET", scale)
        case.ask("scale update", "PUT", scale, Stored("scale get", {"spec": {"replicas": 7}}))
        case.ask("scale patch", "PATCH", scale, {"spec": {"replicas": 8}}, content=MERGE, fieldManager="scaler")
        case.ask("scale negative", "PATCH", scale, {"spec": {"replicas": -1}}, content=MERGE)
        case.ask("scale stale", "PUT", scale, Stored("scale get", {"spec": {"replicas": 9}}))
        case.ask("scale table", "GET", scale, accept=TABLE)
    case.ask("after", "GET", path)
    case.ask("create unknown strict", "POST", many, {**rich, "bogus": 1}, fieldValidation="Strict")
    case.ask("create unknown warn", "POST", many, {**rich, "bogus": {"a": 1}}, fieldValidation="Warn", dryRun="All")
    case.ask("create unknown ignore", "POST", many, {**rich, "bogus": 1}, fieldValidation="Ignore", dryRun="All")
    duplicate = b'{"kind":"%s",' % sample.kind.kind.encode() + json.dumps(rich).encode()[1:]
    case.ask("create duplicate strict", "POST", many, duplicate, content="application/json", fieldValidation="Strict")
    case.ask("create rich", "POST", many, rich)
    _settled(case, sample, "create rich", other)
    case.ask(
        "create generated",
        "POST",
        many,
        {**sample.object("minimal", namespace, one), "metadata": {"generateName": "gen-x-"}},
    )
    case.ask("create nameless", "POST", many, {**minimal, "metadata": {}})
    case.ask("create bad name", "POST", many, {**minimal, "metadata": {"name": "Bad_Name"}})
    case.ask("create wrong kind", "POST", many, {**minimal, "kind": "Wrong"})
    case.ask("create wrong version", "POST", many, {**minimal, "apiVersion": "wrong/v1"})
    case.ask("create other namespace", "POST", many, {**minimal, "metadata": {"name": "x", "namespace": "elsewhere"}})
    case.ask("create with version", "POST", many, {**minimal, "metadata": {"name": "x", "resourceVersion": "5"}})
    case.ask("delete dry-run", "DELETE", path, dryRun="All")
    case.ask("delete other uid", "DELETE", path, {"preconditions": {"uid": "0"}})
    case.ask("delete other version", "DELETE", path, {"preconditions": {"resourceVersion": "1"}})
    case.ask("delete bad policy", "DELETE", path, {"propagationPolicy": "Sideways"})
    case.ask("delete", "DELETE", path, {"preconditions": {"uid": "<<create:metadata.uid>>"}, "gracePeriodSeconds": 0})
    case.ask("delete again", "DELETE", path)
    case.ask("hold", "PATCH", other, {"metadata": {"finalizers": ["example.com/f"]}}, content=MERGE)
    case.ask("delete held", "DELETE", other, propagationPolicy="Foreground")
    case.ask(
        "patch held", "PATCH", other, {"metadata": {"finalizers": ["example.com/f", "example.com/g"]}}, content=MERGE
    )
    case.ask("release", "PATCH", other, {"metadata": {"finalizers": None}}, content=MERGE)
    case.ask("gone", "GET", other)
    return case


def _reads(sample: Sample) -> Case:
    case = _case("read", sample)
    namespace = case.namespace
    one, two = sample.name(1, "r"), sample.name(2, "r")
    many, path, other = sample.path(namespace), sample.path(namespace, one), sample.path(namespace, two)
    minimal, rich = sample.object("minimal", namespace, one), sample.object("rich", namespace, two)
    if "name" in sample.entry:  # there can be only these, and another case has them
        return Case("read", sample.slug)
    for obj, label in ((minimal, "1"), (rich, "2")):
        obj["metadata"].setdefault("labels", {})["read"] = sample.kind.plural
        obj["metadata"]["labels"]["n"] = label
    chosen = {"labelSelector": f"read={sample.kind.plural}"}
    case.ask("create", "POST", many, minimal)
    _settled(case, sample, "create", path)  # before the other one comes: watches tell the order
    case.ask("create rich", "POST", many, rich)
    _settled(case, sample, "create rich", other)
    for form, accept in (
        ("json", ""),
        ("table", TABLE),
        ("partial", PARTIAL),
        ("yaml", "application/yaml"),
        ("protobuf", PROTOBUF),
    ):
        case.ask(f"get {form}", "GET", path, accept=accept)
        case.ask(f"get rich {form}", "GET", other, accept=accept)
        listed = PARTIAL_LIST if form == "partial" else accept
        case.ask(f"list {form}", "GET", many, accept=listed, **chosen)
    case.ask("table with objects", "GET", many, accept=TABLE, includeObject="Object", **chosen)
    case.ask("table without", "GET", many, accept=TABLE, includeObject="None", **chosen)
    case.ask("list first", "GET", many, limit=1, **chosen)
    case.ask(
        "list next",
        "GET",
        f"{many}?limit=1&labelSelector=read%3D{sample.kind.plural}&continue=<<list first:metadata.continue>>",
    )
    case.ask("list by name", "GET", many, fieldSelector=f"metadata.name={one}", **chosen)
    case.ask("list by unknown field", "GET", many, fieldSelector="spec.bogus=1", **chosen)
    case.ask("list by set", "GET", many, labelSelector=f"read={sample.kind.plural},n in (2,3),!absent")
    case.ask("list from memory", "GET", many, resourceVersion="0", **chosen)
    case.ask(
        "list exact",
        "GET",
        f"{many}?labelSelector=read%3D{sample.kind.plural}&resourceVersionMatch=Exact&resourceVersion=<<create:metadata.resourceVersion>>",
    )
    case.ask(
        "list not older",
        "GET",
        f"{many}?labelSelector=read%3D{sample.kind.plural}&resourceVersionMatch=NotOlderThan&resourceVersion=<<create:metadata.resourceVersion>>",
    )
    case.ask("head", "HEAD", path)
    if sample.kind.kind != "ControllerRevision":
        case.ask("change", "PATCH", path, sample.entry["change"], content=MERGE)
    watch = f"{many}?watch=1&timeoutSeconds=1&labelSelector=read%3D{sample.kind.plural}&resourceVersion=<<create:metadata.resourceVersion>>"
    case.ask("delete collection dry-run", "DELETE", many, dryRun="All", **chosen)
    case.ask(
        "delete collection", "DELETE", many, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}, **chosen
    )
    case.ask("watch", "GET", watch)
    case.ask("watch table", "GET", watch, accept=TABLE)
    case.ask("watch protobuf", "GET", watch, accept=PROTOBUF + ";stream=watch")
    case.ask("list after", "GET", many, **chosen)
    return case


def _applies(sample: Sample) -> Case:
    case = _case("apply", sample)
    namespace, one = case.namespace, sample.name(2, "a")
    if "name" in sample.entry:
        return Case("apply", sample.slug)
    path = sample.path(namespace, one)
    rich = sample.object("rich", namespace, one)
    head = {"apiVersion": rich["apiVersion"], "kind": rich["kind"]}
    case.ask("dry-run", "PATCH", path, rich, content=APPLY, fieldManager="one", dryRun="All")
    case.ask("create", "PATCH", path, rich, content=APPLY, fieldManager="one")
    _settled(case, sample, "create", path)
    case.ask("again", "PATCH", path, rich, content=APPLY, fieldManager="one")
    case.ask("shared", "PATCH", path, rich, content=APPLY, fieldManager="two")
    label = {**head, "metadata": {"name": one, "labels": {"app": "mine", "own": "1"}}}
    case.ask("conflict", "PATCH", path, label, content=APPLY, fieldManager="three")
    case.ask("force", "PATCH", path, label, content=APPLY, fieldManager="three", force="true")
    case.ask("by update", "PATCH", path, sample.entry["change"], content=MERGE, fieldManager="four")
    case.ask("conflict with update", "PATCH", path, rich, content=APPLY, fieldManager="one")
    case.ask("remove", "PATCH", path, {**head, "metadata": {"name": one}}, content=APPLY, fieldManager="three")
    case.ask("no manager", "PATCH", path, label, content=APPLY)
    case.ask("unknown field", "PATCH", path, {**label, "bogus": 1}, content=APPLY, fieldManager="three", force="true")
    case.ask(
        "with managed fields",
        "PATCH",
        path,
        {**label, "metadata": {"name": one, "managedFields": []}},
        content=APPLY,
        fieldManager="three",
        force="true",
    )
    case.ask("get", "GET", path)
    return case
