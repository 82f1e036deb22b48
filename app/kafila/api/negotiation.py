"""Which form an answer takes: JSON, YAML or protobuf; the object itself, a Table, or its metadata alone."""

from __future__ import annotations

from typing import Literal, NamedTuple

from kafila.core import errors
from kafila.core.remembered import remembered

Encoding = Literal["json", "yaml", "protobuf"]
PROTOBUF = "application/vnd.kubernetes.protobuf"
MEDIA_TYPES: dict[str, Encoding] = {"application/json": "json", "application/yaml": "yaml", PROTOBUF: "protobuf"}


class Accepted(NamedTuple):
    encoding: Encoding = "json"
    form: Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"] = ""
    version: str = "v1"  # of meta.k8s.io, for the forms

    @property
    def content_type(self) -> bytes:
        if self.encoding == "json":
            return b"application/json"
        return b"application/yaml" if self.encoding == "yaml" else PROTOBUF.encode()


JSON = Accepted()
STREAMS = ("application/json;stream=watch", f"{PROTOBUF};stream=watch")
FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@remembered(1024)
def accepted(header: str, protobuf: bool, streams: bool = False) -> Accepted:
    """The best clause of an Accept header that we can answer. ``protobuf``: the kind has a protobuf form; ``streams``:
    watches too are answered at this path, which the error says.

    Protobuf is only chosen when JSON is not acceptable: bodies are kept as JSON, which every client reads.
    Raises StatusError 406.
    """
    if not header:
        return JSON
    fallback: Accepted | None = None
    routed = False  # whether a media type is known at all; forms come after that
    for media_type, params in _clauses(header):
        routed = routed or media_type in MEDIA_TYPES or media_type == "*/*"
        form = params.get("as", "")
        if form and (form not in FORMS or params.get("g", "meta.k8s.io") != "meta.k8s.io"):
            continue
        version = params.get("v", "v1")
        if form and version not in ("v1", "v1beta1"):
            continue
        if media_type == "*/*":
            return Accepted("json", form, version)  # type: ignore[arg-type]
        encoding = MEDIA_TYPES.get(media_type)
        if encoding is None or (form == "Table" and encoding == "protobuf"):
            continue
        if encoding == "protobuf":
            if protobuf or form:
                fallback = fallback or Accepted("protobuf", form, version)  # type: ignore[arg-type]
            continue
        if fallback is not None and fallback.form != form:
            break
        return Accepted(encoding, form, version)  # type: ignore[arg-type]
    if fallback is not None:
        return fallback
    if routed:
        raise errors.not_acceptable(list(MEDIA_TYPES))
    raise no_representation((*MEDIA_TYPES, *STREAMS) if streams else tuple(MEDIA_TYPES))


def no_representation(available: tuple[str, ...]) -> errors.StatusError:
    """406 as a path answers it whose handler is not even asked."""
    text = f"406: Not Acceptable\n\nAvailable representations: {', '.join(available)}"
    return errors.StatusError(406, "NotAcceptable", text, {})


def for_streams(accept: Accepted) -> Accepted:
    """Raises StatusError 406 when a watch has no such form."""
    if accept.encoding == "yaml":
        raise errors.not_acceptable(STREAMS)
    return accept


def without(header: str, *forms: str) -> str:
    """The header without the clauses that ask for a form which an answer cannot have. Raises StatusError 406 when no other is left."""
    if "as=" not in header:
        return header
    kept = [clause for clause in header.split(",") if _clauses(clause)[0][1].get("as", "") not in forms]
    if not kept:
        raise errors.not_acceptable(list(MEDIA_TYPES))
    return ",".join(kept)


def without_forms(header: str) -> Accepted:
    """How what is no object of a kind (a Status, an error) is answered: it has no forms. JSON when nothing fits."""
    clauses = [clause for clause in header.split(",") if "as" not in _clauses(clause)[0][1]]
    try:
        return accepted(",".join(clauses), True)
    except errors.StatusError:
        return JSON


def _clauses(header: str) -> list[tuple[str, dict[str, str]]]:
    found = []
    for position, clause in enumerate(header.split(",")):
        media_type, *raw = [part.strip() for part in clause.split(";")]
        params = dict(part.split("=", 1) for part in raw if "=" in part)
        try:
            quality = float(params.pop("q", "1"))
        except ValueError:
            quality = 0.0
        found.append((-quality, position, media_type.lower(), params))
    return [(media_type, params) for _, _, media_type, params in sorted(found, key=lambda c: c[:2])]
