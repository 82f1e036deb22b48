"""Files of one volume that would lie on top of each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kafila.core.values import Object


class _File(NamedTuple):
    path: str
    source: str = ""

    def __str__(self) -> str:
        return f'"{self.path}" ({self.source})' if self.source else f'"{self.path}"'


def overlapping_paths(volumes: Iterable[Object]) -> list[str]:
    out = []
    for volume in volumes:
        for field, described in (
            ("configMap", f'ConfigMap "{(volume.get("configMap") or {}).get("name", "")}"'),
            ("secret", f'Secret "{(volume.get("secret") or {}).get("secretName", "")}"'),
            ("downwardAPI", "DownwardAPI"),
        ):
            files = [_File(item.get("path") or "") for item in (volume.get(field) or {}).get("items") or ()]
            out += _overlaps(volume, described, files)
        projected = volume.get("projected") or {}
        out += [
            f'volume "{volume.get("name", "")}" (Projected) has no sources provided'
            for source in projected.get("sources") or ()
            if not source
        ]
        out += _overlaps(volume, "Projected", [f for s in projected.get("sources") or () for f in _projected(s or {})])
    return out


def _projected(source: Object) -> Iterator[_File]:
    for field, described in (("configMap", "ConfigMap"), ("secret", "Secret"), ("downwardAPI", "DownwardAPI")):
        given = source.get(field) or {}
        if given.get("items") is not None:
            name = "" if field == "downwardAPI" else f' "{given.get("name", "")}"'
            for item in given["items"]:
                yield _File(item.get("path") or "", f"{described}{name}")
            return
    if source.get("serviceAccountToken") is not None:
        yield _File(source["serviceAccountToken"].get("path") or "", "ServiceAccountToken")


def _overlaps(volume: Object, described: str, files: list[_File]) -> list[str]:
    out = []
    known: list[_File] = []
    for file in files:
        file = file._replace(path=file.path.rstrip("/"))
        for other in known:
            if file.path and other.path and _within(file.path, other.path):
                name = volume.get("name", "")
                out.append(f'volume "{name}" ({described}): overlapping paths: {file} with {other}')
        known.append(file)
    return out


def _within(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
