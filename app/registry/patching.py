"""The four patch types on a decoded object."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from app.catalog.kind import Kind
from app.core import errors
from app.core.clock import rfc3339
from app.machinery import apply as server_side_apply
from app.machinery import jsonpatch, mergepatch, strategicpatch

from .context import Options
from .decoding import decode_object

Object = dict[str, Any]


class Patch(NamedTuple):
    """``document`` is the decoded body: a list for "json", a dict else."""

    type: Literal["json", "merge", "strategic", "apply"]
    document: Any
    duplicates: tuple[str, ...] = ()


def patched(kind: Kind, old: Object, patch: Patch, options: Options, subresource: str) -> tuple[Object, str, bool]:
    """The new object, the resourceVersion that the patch itself insists on, and whether managedFields are already right."""
    if patch.type == "apply":
        new = _applied(kind, old, patch, options, subresource)
        locked = (patch.document.get("metadata") or {}).get("resourceVersion") or ""
        return new, locked, True
    try:
        if patch.type == "json":
            result = jsonpatch.apply(old, patch.document)
        elif patch.type == "merge":
            result = mergepatch.apply(old, patch.document)
        else:
            result = strategicpatch.apply(old, patch.document, kind.schema)
    except jsonpatch.PatchFailed as error:
        raise errors.StatusError(422, "Invalid", str(error)) from error
    except ValueError as error:
        raise errors.bad_request(str(error)) from error
    new = decode_object(kind, result, options, list(patch.duplicates))
    version = new["metadata"].get("resourceVersion")
    locked = version if version and version != old["metadata"].get("resourceVersion") else ""
    return new, locked, False


def _applied(kind: Kind, old: Object, patch: Patch, options: Options, subresource: str) -> Object:
    config = _config(kind, patch, options)
    result = server_side_apply.apply(
        old,
        config,
        manager=options.manager,
        force=options.force,
        api_version=kind.api_version,
        subresource=subresource,
        time=rfc3339(),
        schema=kind.schema,
    )
    return decode_object(kind, result, Options(options.user, options.manager))


def new_from_apply(kind: Kind, namespace: str, name: str, patch: Patch, options: Options) -> Object:
    """Server-side apply of an object that does not exist."""
    config = _config(kind, patch, options)
    metadata = config.get("metadata") or {}
    if metadata.get("uid"):
        why = f"uid mismatch: the provided object specified uid {metadata['uid']}, and no existing object was found"
        raise errors.conflict(kind.group, kind.plural, name, why)
    if metadata.get("name", name) != name:
        raise errors.bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    empty: Object = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": {"name": name}}
    if kind.namespaced:
        empty["metadata"]["namespace"] = namespace
    obj = _applied(kind, empty, patch, options, "")
    obj["metadata"].pop("resourceVersion", None)
    return obj


def _config(kind: Kind, patch: Patch, options: Options) -> Object:
    config = patch.document
    if not isinstance(config, dict):
        raise errors.bad_request("error decoding YAML: the apply configuration must be an object")
    if (config.get("metadata") or {}).get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    if not options.manager:
        found = [errors.FieldError.required("fieldManager", "is required for apply patch")]
        raise errors.invalid("meta.k8s.io", "PatchOptions", "", found)
    # decoded once only to report unknown fields; what is applied is exactly what was sent
    decode_object(kind, config, options, list(patch.duplicates))
    return config
