"""resourceVersions and continue tokens that cover several clusters, as Karmada writes them (pkg/search/proxy/store/util.go).

A version is the base64 of a JSON map from clusters to their own versions. What cannot be read counts as none, as in Karmada.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

LONGEST: Final = 256 << 10  # characters of what is read: thousands of clusters


class MultiVersion(NamedTuple):
    """``zero``: any state will do, of every cluster."""

    of: Mapping[str, str] = {}
    zero: bool = False

    def get(self, cluster: str) -> str:
        return "0" if self.zero else self.of.get(cluster, "")

    def number(self, cluster: str) -> int | None:
        """None: it says nothing about this cluster, or "0", or no number."""
        text = self.of.get(cluster, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 and int(text) else None


def parse(text: str) -> MultiVersion:
    if text == "0":
        return MultiVersion({}, True)
    found = _decoded(text)
    if not isinstance(found, dict):
        return MultiVersion()
    return MultiVersion({name: version for name, version in found.items() if isinstance(version, str)})


def encode(versions: Mapping[str, str | int]) -> str:
    """Equal maps give equal texts."""
    if not versions:
        return ""
    pairs = ",".join(f'"{name}":"{versions[name]}"' for name in sorted(versions, key=str.encode))
    return _encoded(f"{{{pairs}}}".encode())


class Continue(NamedTuple):
    """Where a list goes on: ``version`` of all, then the cluster, and behind which object there."""

    version: str = ""
    cluster: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        if not self.cluster:
            return ""
        found = {"rv": self.version, "cluster": self.cluster}
        if self.name:
            found["continue"] = f"{self.namespace}/{self.name}"
        return _encoded(orjson.dumps(found))


def parse_continue(text: str) -> Continue:
    """Raises ValueError for what is none of ours."""
    found = _decoded(text)
    if not isinstance(found, dict):
        raise ValueError("it is not one of this list")
    parts = [found.get(field, "") for field in ("rv", "cluster", "continue")]
    if not all(isinstance(part, str) and "\0" not in part for part in parts) or not parts[1]:
        raise ValueError("it is not one of this list")
    version, cluster, place = parts
    namespace, _, name = place.partition("/")
    return Continue(version, cluster, namespace, name)


def own_version(text: str, cluster: str) -> str | None:
    """The cluster's own part of a version; None when ``text`` is none of several clusters."""
    found = _decoded(text) if text not in ("", "0") else None
    if not isinstance(found, dict):
        return None
    own = found.get(cluster, "")
    return own if isinstance(own, str) else ""


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> Any:
    """None for what is no JSON in base64."""
    if not text or len(text) > LONGEST:
        return None
    try:
        return orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None
