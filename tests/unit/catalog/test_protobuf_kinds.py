"""The protobuf table: which kinds it has, that it agrees with the schemas, and Kubernetes' own samples."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.catalog import builtin_kinds
from kafila.catalog.kind import Kind
from kafila.catalog.protobuf import codec, message_name
from kafila.catalog.version import LIBRARIES_VERSION
from kafila.machinery.protobuf import Codec, decode_envelope
from kafila.machinery.protobuf_messages import Message
from kafila.machinery.protobuf_scalars import SCALARS, Scalar, format_duration
from kafila.machinery.schema import Schema
from tests.versions import OLDER_MINORS

META = "k8s.io.apimachinery.pkg.apis.meta.v1."
ORIGINAL = f"k8s.io/api@{LIBRARIES_VERSION}/testdata/HEAD"


def known(group: str, version: str, kind: str) -> Codec:
    found = codec(group, version, kind)
    assert found is not None
    return found


def body(obj: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in obj.items() if k not in ("kind", "apiVersion")}


@cache
def kinds() -> list[Kind]:
    return builtin_kinds()


# --- which kinds ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("group", "version", "kind"),
    [("", "v1", "Status"), ("", "v1", "List"), ("apps", "v1", "DeleteOptions"), ("karmada.io", "v1", "DeleteOptions"),
     ("autoscaling", "v1", "Scale"), ("authentication.k8s.io", "v1", "TokenRequest"), ("policy", "v1", "Eviction"),
     ("authorization.k8s.io", "v1", "SubjectAccessReview"), ("", "v1", "Binding"), ("", "v1", "WatchEvent"),
     ("meta.k8s.io", "v1beta1", "PartialObjectMetadata"), ("apiregistration.k8s.io", "v1", "APIService"),
     ("", "v1", "APIResourceList"), ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList")],
)  # fmt: skip
def test_kinds_with_protobuf(group: str, version: str, kind: str) -> None:
    assert known(group, version, kind).api_version == (f"{group}/{version}" if group else version)


@pytest.mark.parametrize(
    ("group", "version", "kind"),
    [("", "v1", "PodSpec"), ("policy.karmada.io", "v1alpha1", "PropagationPolicy"), ("meta.k8s.io", "v1", "Table"),
     ("apps", "v2", "Deployment"), ("", "", "")],
)  # fmt: skip
def test_kinds_without_protobuf(group: str, version: str, kind: str) -> None:
    assert codec(group, version, kind) is None
    assert message_name(group, version, kind) == ""


def _json_names(message: Message) -> set[str]:
    names: set[str] = set()
    for field in message.fields():
        if not field.name and isinstance(field.type, Message):
            names |= _json_names(field.type)
        else:
            names.add(field.name)
    return names


def _differences(message: Message, schema: Schema, path: str, seen: set[tuple[str, int]]) -> Iterator[str]:
    if (message.name, id(schema)) in seen or schema.kind != "struct" or message.union or message.repeated:
        return
    seen.add((message.name, id(schema)))
    for name in (_json_names(message) ^ schema.fields.keys()) - {"kind", "apiVersion"}:
        yield f"{path}.{name} is in one of the two"
    for field in message.fields():
        below = schema.fields.get(field.name)
        if below is None:
            continue
        here = f"{path}.{field.name}"
        if (
            field.type in ("s", "i", "l", "b")
            and not field.label
            and field.drop_zero != (field.name in schema.drop_zero)
        ):
            yield f"{here}: only one of the two leaves zero out"
        if isinstance(field.type, Message):
            yield from _differences(field.type, below.items if field.label and below.items else below, here, seen)


def test_messages_have_the_fields_of_the_schemas() -> None:
    """Two generated tables, from .proto files and from OpenAPI, say the same."""
    seen: set[tuple[str, int]] = set()
    for kind in kinds():
        assert kind.protobuf == message_name(*kind.gvk)
        assert list(_differences(known(*kind.gvk).message, kind.schema, kind.kind, seen)) == []


# --- objects of every shape -------------------------------------------------------------------------------------------
_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=150)
_LEAVES: dict[object, st.SearchStrategy[Any]] = {
    "s": _TEXT,
    "b": st.just(True),
    "i": st.integers(-(1 << 31), (1 << 31) - 1).filter(bool),
    "l": st.integers(-(1 << 63), (1 << 63) - 1).filter(bool),
    "d": st.floats(allow_nan=False, allow_infinity=False),
    "y": st.binary(min_size=1, max_size=200).map(lambda content: base64.b64encode(content).decode()),
    SCALARS[META + "Time"]: st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds") + "Z"),
    SCALARS[META + "MicroTime"]: st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z"),
    SCALARS[META + "Duration"]: st.integers(-(1 << 63), (1 << 63) - 1).map(format_duration),
    SCALARS[META + "FieldsV1"]: st.dictionaries(_TEXT, st.just({}), max_size=2),
    SCALARS["k8s.io.apimachinery.pkg.api.resource.Quantity"]: st.sampled_from(["0", "100m", "1.5Gi", "12e6", "-1"]),
    SCALARS["k8s.io.apimachinery.pkg.util.intstr.IntOrString"]: st.one_of(
        st.integers(-(1 << 31), (1 << 31) - 1), _TEXT
    ),
}


@st.composite
def objects(draw: st.DrawFn, message: Message, depth: int = 6) -> dict[str, Any]:
    """Some fields of the message, none of them zero or empty, so that all of them must come back."""
    out: dict[str, Any] = {}
    fields = message.fields()
    for field in draw(st.lists(st.sampled_from(fields), max_size=3, unique=True)) if fields else ():
        of = field.type
        if isinstance(of, Message) and (depth == 0 or of.union):
            continue
        if isinstance(of, Message) and not field.name:
            out |= draw(objects(of, depth - 1))
            continue
        value = _value(of, depth)
        if field.label:
            value = st.lists(value, min_size=1, max_size=3) if field.label == "[]" else st.dictionaries(_TEXT, value, min_size=1, max_size=3)  # fmt: skip
        out[field.name] = draw(value)
    return out


def _value(of: str | Scalar | Message, depth: int) -> st.SearchStrategy[Any]:
    if not isinstance(of, Message):
        return _LEAVES.get(of, st.dictionaries(_TEXT, st.one_of(st.none(), st.integers(0, 9), _TEXT), min_size=1, max_size=2))  # fmt: skip
    return st.lists(_TEXT, min_size=1, max_size=3) if of.repeated else objects(of, depth - 1)


@given(st.data())
def test_objects_come_back(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(kinds()))
    both = known(*kind.gvk)
    obj = data.draw(objects(both.message))
    assert body(both.decode(both.encode(obj))) == obj


# --- Kubernetes' own samples ------------------------------------------------------------------------------------------
def solid(value: Any) -> Any:
    """Without structs that are empty: Go shows new ones even for older messages, here the schema does that later."""
    if isinstance(value, dict):
        return {k: solid(v) for k, v in value.items() if v is not None and v != {}}
    return [solid(v) for v in value] if isinstance(value, list) else value


@pytest.mark.long
@pytest.mark.parametrize("release", ["HEAD", *(f"v{minor}.0" for minor in OLDER_MINORS)])
def test_kubernetes_samples(release: str) -> None:
    """Every .pb of k8s.io/api decodes to the .json beside it, and that JSON encodes to an equal object."""
    if shutil.which("go") is None:
        pytest.skip("the samples are read from the Go module cache")
    cache = subprocess.run(["go", "env", "GOMODCACHE"], check=True, capture_output=True, text=True).stdout.strip()
    directory = (Path(cache) / ORIGINAL).with_name(release)
    samples = sorted(path for path in directory.glob("*.pb") if ".after_roundtrip." not in path.name)
    wrong, right, gone = [], 0, []
    for sample in samples:
        # ".after_roundtrip": what is left when a field of that release does not exist any more
        same = [path for suffix in (".json", ".after_roundtrip.json") if (path := sample.with_suffix(suffix)).exists()]
        wanted = [body(orjson.loads(path.read_bytes())) for path in same]
        api_version, kind, raw = decode_envelope(sample.read_bytes())
        if not kind:  # WatchEvent is no kind of its own
            api_version, kind = "v1", sample.name.split(".")[-2]
        group, _, version = api_version.rpartition("/")
        both = codec(group, version, kind)
        if both is None:
            gone.append(sample.name)
            continue
        decoded = [body(both.decode(message)) for message in (raw, *map(both.encode, wanted))]
        strip = (lambda obj: obj) if release == "HEAD" else solid
        if all(strip(obj) in map(strip, wanted) for obj in decoded):
            right += 1
        else:
            wrong.append(sample.name)
    print(f"{release}: {right} of {len(samples)} samples are equal; wrong: {wrong}; kinds that are gone: {gone}")
    assert right > 150
    assert wrong == []
    assert release != "HEAD" or not gone
