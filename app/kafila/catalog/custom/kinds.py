"""A CustomResourceDefinition as kinds of the catalog: one per served version, compiled once."""

from __future__ import annotations

from collections.abc import Callable

from kafila.catalog.kind import Conversion, Kind, Scale
from kafila.catalog.tables import schema_of as definition
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.machinery import compare
from kafila.machinery.decode import DecodeError, Decoder, compile_decoder
from kafila.machinery.structural.defaulting import Fill, compile_defaulting
from kafila.machinery.structural.embedded import Embedded, EmbeddedError, compile_embedded
from kafila.machinery.structural.pruning import Prune, compile_pruning
from kafila.machinery.structural.shape import schema_of

from .columns import printer_columns
from .definition import (
    accepted_names,
    conversion_webhook,
    deprecation_warning,
    is_terminating,
    oldest_stored,
    schema_of_version,
    selectable_fields,
    storage_version,
    versions,
)
from .strategy import custom_strategy

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
STORED_AS = "kafila.io/apiVersion"  # in bodies of definitions with several versions; nobody is shown it
Convert = Callable[[Object], Object]


def kinds_of(crd: Object) -> list[Kind]:
    """The kinds that a definition serves, of the names that were accepted for it."""
    stored = storage_version(crd)
    of_storage = next((v for v in versions(crd) if v["name"] == stored), None)
    return [_kind(crd, version, of_storage or version) for version in versions(crd) if version.get("served")]


def storage_kind_of(crd: Object) -> Kind:
    """The kind in the version that is stored, whether it is served or not."""
    stored = next(v for v in versions(crd) if v["name"] == storage_version(crd))
    return _kind(crd, stored, stored)


def _kind(crd: Object, version: Object, stored: Object) -> Kind:
    spec, names = crd["spec"], accepted_names(crd)
    props = schema_of_version(version)
    subresources = version.get("subresources") or {}
    given = [name for name in ("scale", "status") if subresources.get(name) is not None]
    scale = _scale(subresources["scale"]) if "scale" in given else None
    meta = definition(META)
    prune, fill, decode_meta = compile_pruning(props), compile_defaulting(props), compile_decoder(meta)
    embedded = compile_embedded(props, decode_meta)
    schema = schema_of(props, meta)
    compare.prepare(schema, meta)  # not by the first who writes an object: that is the event loop
    columns, cells = printer_columns(version.get("additionalPrinterColumns") or ())
    kind = Kind(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        namespaced=spec.get("scope") == "Namespaced",
        verbs=VERBS,
        schema=schema,
        strategy=custom_strategy(props, fill, embedded, status="status" in given, scale=scale),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(given),
        scale=scale,
        storage_version=stored["name"],
        columns=columns,
        cells=cells,
        custom=True,
        definition=crd["metadata"]["name"],
        document=props,
        decode=_decoder(prune, decode_meta, embedded),
        deprecation=deprecation_warning(crd, version),
        terminating=is_terminating(crd),
        selectable_fields=selectable_fields(version),
    )
    kind.from_storage = _from_storage(prune, fill)
    if stored is not version:
        of_storage = schema_of_version(stored)
        prune_stored = compile_pruning(of_storage)
        kind.to_storage = lambda obj: prune_stored(obj)[0]
        # as in Kubernetes, defaults are those of the stored version alone
        stored_as = _from_storage(prune_stored, compile_defaulting(of_storage))
        kind.from_storage = lambda obj: prune(stored_as(obj))[0]
    webhook = conversion_webhook(crd)
    if webhook is not None:
        kind.conversion = conversion_of(crd, webhook)
        kind.from_storage = _from_storage(prune, fill)  # of those that are stored in this version
    if len(versions(crd)) > 1:
        _keep_version(kind, crd)
    return kind


def conversion_of(crd: Object, webhook: Object) -> Conversion:
    group = crd["spec"]["group"]
    return Conversion(
        crd["metadata"]["name"],
        webhook.get("clientConfig") or {},
        tuple(webhook.get("conversionReviewVersions") or ()),
        frozenset(f"{group}/{version['name']}" for version in versions(crd)),
    )


def _keep_version(kind: Kind, crd: Object) -> None:
    """Bodies say in which version they are stored: a definition's storage version changes, and what is stored stays as it is."""
    group = crd["spec"]["group"]
    known = {f"{group}/{version['name']}" for version in versions(crd)}
    oldest, newest = f"{group}/{oldest_stored(crd)}", f"{group}/{kind.storage_version}"
    to_storage, from_storage = kind.to_storage, kind.from_storage
    assert from_storage is not None

    def stored_as(body: Object) -> str:
        said = body.get(STORED_AS)
        return said if isinstance(said, str) and said in known else oldest

    def read(body: Object) -> Object:
        if STORED_AS in body:
            body = {name: value for name, value in body.items() if name != STORED_AS}
        return from_storage(body)

    kind.stored_as = stored_as
    kind.from_storage = read
    kind.to_storage = lambda obj: {**(to_storage(obj) if to_storage is not None else obj), STORED_AS: newest}


def _decoder(prune: Prune, meta: Decoder, embedded: Embedded | None) -> Decoder:
    """Prunes an object and brings its metadata into shape. Raises DecodeError."""

    def decode(obj: Object) -> tuple[Object, list[str]]:
        out, dropped = prune(obj)
        unknown: list[str] = []
        if "metadata" in out:
            if out["metadata"] is None:
                out["metadata"] = {}
            out["metadata"], unknown = meta(out["metadata"])
        unknown = [f"metadata.{path}" for path in unknown] + dropped
        if embedded is not None:
            try:
                unknown += embedded.coerce(out)
            except EmbeddedError as error:
                raise DecodeError(str(error)) from error
        return out, unknown

    return decode


def _from_storage(prune: Prune, default: Fill | None) -> Convert:
    """What was stored under an older schema, as the schema of today would have stored it.

    Defaults that came later and do not fit into an object are left out of it: it has to be readable to be mended.
    """

    def read(obj: Object) -> Object:
        out = prune(obj)[0]
        if default is not None:
            try:
                default(out)
            except StatusError:
                return prune(obj)[0]
        return out

    return read


def _scale(given: Object) -> Scale:
    return Scale(given["specReplicasPath"], given["statusReplicasPath"], given.get("labelSelectorPath") or "")
