"""An answer without what two servers may say differently: uids, times, versions, addresses, tokens, random names."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import yaml

from kafila.catalog.protobuf import codec
from kafila.core.errors import StatusError
from kafila.machinery import protobuf

from .servers import Answer

HEADERS = (
    "content-type",
    "warning",
    "retry-after",
    "cache-control",
    "allow",
    "location",
    "vary",
    "content-encoding",
    "x-content-type-options",
    "www-authenticate",
)
PROTOBUF = "application/vnd.kubernetes.protobuf"

_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NOW = re.compile(r"20(2[6-9]|3\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")  # scripts use years before
_SERVICE_IP = re.compile(r"\b10\.(?:96|200|201)\.\d+\.\d+\b")  # kube-apiserver uses the ServiceCIDRs of scripts too
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_JSON_TOKEN = re.compile(r"eyJ[\w-]{20,}={0,2}")  # continue
_GENERATED = re.compile(r"\b(gen-[a-z-]*-)[a-z0-9]{5}\b")
_VERSION_IN_TEXT = re.compile(r"((?:ResourceVersion|[Rr]esource version|resourceVersion)[\w\s\\\\\":=]*?)\b\d+\b")
_PORTS = re.compile(r":3\d{4}/")
_DUMP = re.compile(r'Invalid value: "(\{.*\})"', re.S)
_RECORD = re.compile(r"in record \(\d+\)")
_CREDENTIAL = re.compile(r"X509SHA256=[0-9a-f]{64}")
_CALLER = re.compile(r"^(system:)?admin$")  # each server's own administrator
_ISSUER = re.compile(r"https://kubernetes\.default\.svc(\.cluster\.local)?")
_CURRENT = re.compile(r"\bcurrent: \d+")
_AGE = re.compile(r"^(\d+[smhd]){1,2}$")


def documents(answer: Answer) -> list[Any]:
    """The documents of the body: one, or each event of a watch. Text is a document of its own."""
    body = answer.body
    if "gzip" in answer.headers.get("content-encoding", ()):
        body = gzip.decompress(body)
    kind = answer.headers.get("content-type", [""])[0]
    if not body:
        return []
    try:
        if kind.startswith(PROTOBUF):
            return _frames(body) if "stream=watch" in kind else [_from_protobuf(body)]
        if kind.startswith("application/yaml"):
            return [yaml.load(body, Loader=_Loader)]
        if "stream=watch" in kind or (kind.startswith("application/json") and b"}\n{" in body):
            return [json.loads(line) for line in body.splitlines() if line]
        if kind.startswith(("application/json", "application/jwk-set+json")):
            return [json.loads(body)]
    except (ValueError, StatusError, yaml.YAMLError, IndexError, KeyError) as error:
        return [{"unreadable": f"{type(error).__name__}: {error}", "body": repr(body[:300])}]
    return [body.decode("utf-8", "replace")]


class _Loader(yaml.CSafeLoader):
    """Times stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _from_protobuf(body: bytes) -> Any:
    api_version, kind, raw = protobuf.decode_envelope(body)
    group, _, version = api_version.rpartition("/")
    known = codec(group, version, kind)
    if known is None:
        return {"kind": kind, "apiVersion": api_version, "undecoded": len(raw)}
    return {"kind": kind, "apiVersion": api_version, **known.decode(raw)}


def _frames(body: bytes) -> list[Any]:
    """A watch in protobuf: each frame has its length before it."""
    out = []
    while body:
        size = int.from_bytes(body[:4], "big")
        frame, body = body[4 : 4 + size], body[4 + size :]
        event = protobuf.scan(frame, 0, len(frame))
        inner = protobuf.scan(event[2], 0, len(event[2]))
        out.append({"type": event[1].decode(), "object": _from_protobuf(inner[1])})
    return out


def normalised(answer: Answer, head: bool = False) -> dict[str, Any]:
    headers = {name: _header(name, answer.headers[name]) for name in HEADERS if name in answer.headers}
    out: dict[str, Any] = {"status": answer.status, "headers": headers}
    if not head:
        out["body"] = [_clean(document, "") for document in documents(answer) if not _is_timed(document)]
    return out


def comparable(obj: dict[str, Any]) -> dict[str, Any]:
    """A stored object without what no two servers have alike; changed in place."""
    metadata = obj["metadata"]
    for field in ("uid", "resourceVersion", "creationTimestamp"):
        metadata.pop(field)
    for entry in metadata.get("managedFields", ()):
        entry.pop("time")
    for condition in obj.get("status", {}).get("conditions", ()):
        condition.pop("lastTransitionTime")
    return obj


def _is_timed(document: Any) -> bool:
    """A bookmark that ends no initial events: it says how far the watch is, and timers say whether one comes in a watch of a second."""
    if not isinstance(document, dict) or document.get("type") != "BOOKMARK":
        return False
    return "k8s.io/initial-events-end" not in (document["object"]["metadata"].get("annotations") or {})


def _header(name: str, values: list[str]) -> list[str]:
    if name == "vary":  # how many lines it takes does not matter
        return sorted({part.strip() for value in values for part in value.split(",")})
    return [_text(value) for value in values]


def _clean(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        if value.get("kind") == "Table" and "rows" in value:
            return _table({name: _clean(item, name) for name, item in value.items()})
        if value.get("kind") in ("APIGroupList", "APIGroupDiscoveryList"):
            value = _without_karmada(value)
        if "kty" in value:
            value = {**value, "kid": "<kid>", "n": "<n>"}
        if "gitVersion" in value:
            return {name: item if name.endswith(("ajor", "inor")) else f"<{name}>" for name, item in value.items()}
        return {_UID.sub("<uid>", name): _clean_field(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, key) for item in value]
    if isinstance(value, str):
        return _text(value)
    return value


def _clean_field(name: str, value: Any) -> Any:
    if name == "managedFields" and isinstance(value, list):
        # sorted by time in Kubernetes, which says nothing in a script that takes milliseconds
        entries = [_clean(entry, "") for entry in value]
        return sorted(entries, key=lambda e: (e.get("manager", ""), e.get("operation", ""), e.get("subresource", "")))
    if name == "causes" and isinstance(value, list) and value and value[0].get("reason") == "FieldManagerConflict":
        return sorted(value, key=str)  # of a Go map: in any order
    if name == "finalizers" and isinstance(value, list):
        return sorted(map(str, value))  # of namespaces they come from a Go map
    if name == "resourceVersion" and isinstance(value, str) and value:
        return "<version>"
    if name == "continue" and value:
        return "<continue>"
    if name in ("token", "remainingItemCount", "serverAddress", "issuer", "jwks_uri") and value:
        return f"<{name}>"
    if name in ("nodePort", "healthCheckNodePort") and isinstance(value, int) and 30000 <= value <= 33000:
        return "<port>"
    if name == "targetPort" and isinstance(value, int) and value >= 32768:
        return "<port>"  # the servers' own
    return _clean(value, name)


def _cell(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    return "<age>" if _AGE.match(cell) else _PORTS.sub(":<port>/", cell)


def _dump(match: re.Match[str]) -> str:
    """A patched document in an error: the order of its fields says nothing."""
    try:
        document = json.loads(json.loads(f'"{match[1]}"'))
    except ValueError:
        return match[0]
    return f"Invalid value: {json.dumps(_clean(document, ''), sort_keys=True)}"


def _text(value: str) -> str:
    value = _ISSUER.sub("<issuer>", value)
    value = _DUMP.sub(_dump, value)
    value = _CREDENTIAL.sub("<certificate>", _CALLER.sub("<caller>", value))
    value = _RECORD.sub("in record (<version>)", value)
    value = _UID.sub("<uid>", value)
    value = _NOW.sub("<now>", value)
    value = _SERVICE_IP.sub("<ip>", value)
    value = _TOKEN.sub("<token>", value)
    value = _JSON_TOKEN.sub("<continue>", value)
    value = _GENERATED.sub(r"\1<random>", value)
    value = _CURRENT.sub("current: <version>", value)
    return _VERSION_IN_TEXT.sub(r"\1<version>", value)


def _without_karmada(groups: dict[str, Any]) -> dict[str, Any]:
    """The groups that kube-apiserver has too."""
    field = "groups" if "groups" in groups else "items"
    # what kafila has more, and what a script makes
    served = (".karmada.io", ".kafila.io", "multicluster.x-k8s.io", "metrics.k8s.io", "diff.example.com")
    kept = [
        g for g in groups.get(field) or () if not (g.get("name") or g["metadata"].get("name") or "").endswith(served)
    ]
    return {**groups, field: kept}


def _table(table: dict[str, Any]) -> dict[str, Any]:
    for row in table["rows"] or ():
        row["cells"] = [_cell(c) for c in row.get("cells") or ()]
    return table
