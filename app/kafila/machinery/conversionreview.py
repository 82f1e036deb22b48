"""``ConversionReview`` v1 and v1beta1: what a conversion webhook is asked, and whether its answer may be believed.

Texts and rules are those of k8s.io/apiextensions-apiserver: metadata but labels and annotations is the original's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from kafila.core.metadata import validate_annotations, validate_labels
from kafila.core.values import Object

GROUP: Final = "apiextensions.k8s.io"
VERSIONS: Final = ("v1", "v1beta1")
_CHANGEABLE: Final = ("labels", "annotations")


class ConversionFailed(ValueError):
    """The text goes behind ``conversion webhook for GROUP/VERSION, Kind=KIND``."""


def version_of(accepted: Sequence[str]) -> str:
    for version in accepted:
        if version in VERSIONS:
            return version
    raise ConversionFailed(" failed: no supported conversion review versions")


def review(uid: str, version: str, objects: Sequence[Object], desired: str) -> bytes:
    request = {"uid": uid, "desiredAPIVersion": desired, "objects": list(objects)}
    return orjson.dumps({"kind": "ConversionReview", "apiVersion": f"{GROUP}/{version}", "request": request})


def converted(uid: str, version: str, originals: Sequence[Object], desired: str, answer: bytes) -> list[Object]:
    """In the order of ``originals``, with their metadata. Raises ConversionFailed."""
    response = _response(uid, version, answer)
    found = response.get("convertedObjects") or []
    if not isinstance(found, list):
        raise ConversionFailed(" failed: json: cannot unmarshal response.convertedObjects")
    if len(found) != len(originals):
        raise ConversionFailed(f" returned {len(found)} objects, expected {len(originals)}")
    return [_checked(original, one, desired) for original, one in zip(originals, found, strict=True)]


def document_of(answer: bytes) -> Object:
    """What a webhook answered. Raises ValueError in the words of apimachinery's decoder."""
    try:
        document = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"couldn't get version/kind; json parse error: {error}") from None
    if not isinstance(document, dict):
        raise ValueError("couldn't get version/kind; json parse error: the answer is no object")
    return document


def _response(uid: str, version: str, answer: bytes) -> Object:
    try:
        document = document_of(answer)
    except ValueError as error:
        raise ConversionFailed(f" failed: {error}") from None
    if version == "v1":
        group, _, given = str(document.get("apiVersion") or "").rpartition("/")
        kind = document.get("kind") or ""
        if (group, given, kind) != (GROUP, "v1", "ConversionReview"):
            wanted = f"{GROUP}/v1, Kind=ConversionReview"
            raise ConversionFailed(f" failed: expected webhook response of {wanted}, got {group}/{given}, Kind={kind}")
    response = document.get("response")
    if not isinstance(response, dict):
        raise ConversionFailed(" failed: no response provided")
    if version == "v1" and response.get("uid") != uid:
        raise ConversionFailed(f' failed: expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    result = response.get("result")
    result = result if isinstance(result, dict) else {}
    if result.get("status") != "Success":
        said = result.get("message")
        text = str(said)[:2048] if said else f"response.result.status was '{result.get('status') or ''}', not 'Success'"
        raise ConversionFailed(f" failed: {text}")
    return response


def _checked(original: Object, found: Any, desired: str) -> Object:
    if not isinstance(found, dict):
        raise ConversionFailed(" returned invalid converted object at index 0: it is no object")
    given, kind = str(found.get("apiVersion") or ""), str(found.get("kind") or "")
    where = " returned invalid object at index 0"
    if given != desired:
        raise ConversionFailed(f"{where}: invalid groupVersion (expected {desired}, received {given})")
    if kind != original["kind"]:
        raise ConversionFailed(f"{where}: invalid kind (expected {original['kind']}, received {kind})")
    sent, metadata = original["metadata"], found.get("metadata")
    if not isinstance(metadata, dict):
        why = "missing metadata in converted object" if metadata is None else "invalid metadata in converted object"
        raise ConversionFailed(f" returned invalid metadata: {why}")
    for field, name in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        was, now = sent.get(field) or "", metadata.get(field) or ""
        if was != now:
            raise ConversionFailed(f" returned invalid object: must have the same {name}: {was} != {now}")
    return {**found, "metadata": _metadata(sent, metadata)}


def _metadata(sent: Object, given: Object) -> Object:
    """The original's, with labels and annotations of the answer."""
    out = dict(sent)
    for field in _CHANGEABLE:
        found = given.get(field)
        if found is None:
            out.pop(field, None)
            continue
        if not isinstance(found, dict):
            raise ConversionFailed(f" returned invalid metadata: invalid metadata.{field} in converted object")
        for key, value in found.items():
            if not isinstance(value, str):
                why = f"metadata.{field}[{key}] must be a string in converted object"
                raise ConversionFailed(f" returned invalid metadata: {why}")
        if found != sent.get(field):
            _check_changed(field, found)
        out[field] = found
    return out


def _check_changed(field: str, found: dict[str, str]) -> None:
    check = validate_labels if field == "labels" else validate_annotations
    problems = check(found, "metadata.labels" if field == "labels" else "metadata.annotation")
    if problems:
        raise ConversionFailed(f" returned invalid metadata: {problems[0]}")
