"""The four patch types on a decoded object."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import orjson

from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.values import Object, printed
from kafila.machinery import amount, jsonpatch, mergepatch, strategicpatch
from kafila.machinery import apply as server_side_apply
from kafila.machinery.converting import conversion_error, whole_numbers
from kafila.machinery.decode import DecodeError

from .context import Options
from .decoding import check_type, decode_object, decoder_of, strict_decoding_errors, type_error, typed
from .reset_fields import reset_paths

PatchType = Literal["json", "merge", "strategic", "apply"]


class Patch(NamedTuple):
    """``document`` is the decoded body: a list for "json", a dict else."""

    type: PatchType
    document: Any
    duplicates: tuple[str, ...] = ()


def patched(
    kind: Kind, old: Object, size: int, patch: Patch, options: Options, subresource: str
) -> tuple[Object, str, bool]:
    """The new object, the resourceVersion that the patch itself insists on, and whether managedFields are already right.

    ``size``: bytes that ``old`` is stored in.
    """
    if patch.type == "apply":
        new = _applied(kind, old, patch, options, subresource)
        locked = new["metadata"].get("resourceVersion") if "resourceVersion" in _metadata(patch.document) else ""
        return new, locked or "", True
    result = merged(old, patch, kind, share=kind.decode is None)  # the schema's decoder makes everything anew
    # only operations of a JSON patch can copy; else there is no more in it than in what is stored and what is sent
    if patch.type == "json" or kind.from_storage is not None or size + options.size > amount.FEW:
        amount.check_made(result, old)
    if kind.definition and result.get("apiVersion") != kind.api_version:
        raise _other_version(kind, result)
    _keep_type(kind, patch, result, old["metadata"]["name"], options)
    try:
        new, unknown = _decoded(kind, patch, result)
    except DecodeError as error:
        raise (
            type_error(kind, result, error)
            if kind.custom and not kind.definition
            else _invalid(kind, patch, result, str(error))
        ) from error
    if patch.type != "strategic":
        unknown = sorted(unknown)  # the patched document is read in the order of its names
    if unknown or patch.duplicates:
        texts = strict_decoding_errors(unknown, patch.duplicates, options)
        if texts:
            raise _invalid(kind, patch, result, texts)
    new = typed(kind, new)
    version = new["metadata"].get("resourceVersion")
    locked = version if version and version != old["metadata"].get("resourceVersion") else ""
    return new, locked, False


def _decoded(kind: Kind, patch: Patch, result: Object) -> tuple[Object, list[str]]:
    """Raises DecodeError. A strategically merged document is converted and not decoded, which some numbers survive."""
    try:
        return decoder_of(kind)(result)
    except DecodeError:
        if patch.type != "strategic":
            raise
        if why := conversion_error(kind.schema, result):
            raise DecodeError(why) from None
        return decoder_of(kind)(whole_numbers(result))


def merged(old: Object, patch: Patch, kind: Kind | None, *, share: bool = False) -> Object:
    """``old`` changed by a patch that is not an apply, not decoded yet; ``share``: what the patch does not go through may be the
    same object in both. Raises StatusError 400, 413, 422.

    Without a kind there are no lists, and a strategic merge patch is a merge patch.
    """
    try:
        match patch.type:
            case "json":
                result = jsonpatch.apply(old, patch.document, share=share)
            case "strategic" if kind is not None:
                result = strategicpatch.apply(old, patch.document, kind.schema)
            case "merge" | "strategic":
                result = mergepatch.apply(old, patch.document, share=share)
            case _:
                raise AssertionError(f"no way to merge a patch of type {patch.type!r}")
    except jsonpatch.PatchFailed as error:  # kube-apiserver does not say why either
        text = "the server rejected our request due to an error in our request"
        raise errors.StatusError(422, "Invalid", text, {}) from error
    except jsonpatch.TooManyOperations as error:
        why = f"Request entity too large: {error}"
        raise errors.StatusError(413, "RequestEntityTooLarge", why) from error
    except strategicpatch.PatchError as error:
        if error.code == 400:
            raise errors.bad_request(str(error)) from error
        raise errors.StatusError(error.code, "Invalid" if error.code == 422 else "", str(error)) from error
    except ValueError as error:
        raise errors.bad_request(str(error)) from error
    if not isinstance(result, dict):
        raise errors.bad_request("the patched document is not an object")
    return result


def _keep_type(kind: Kind, patch: Patch, result: Object, old_name: str, options: Options) -> None:
    """A patch cannot make another kind of the object. Raises StatusError 400, 422."""
    if kind.custom:
        check_type(kind, result)
        return
    if patch.type == "strategic":  # it is merged into the struct, which has no such fields
        result["kind"], result["apiVersion"] = kind.kind, kind.api_version
        return
    if not result.get("apiVersion"):  # read as Kubernetes' internal version, whose metadata has another name
        if texts := strict_decoding_errors(sorted(result.keys() - {"kind", "apiVersion"}), (), options):
            raise _invalid(kind, patch, result, texts)
        raise wrong_name({"metadata": {}}, old_name)
    try:
        check_type(kind, result)
    except errors.StatusError as error:
        raise _invalid(kind, patch, result, error.message.partition(": ")[2]) from error


def _metadata(document: Any) -> Object:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _other_version(kind: Kind, result: Object) -> errors.StatusError:
    given = str(result.get("apiVersion") or "")
    found = [errors.FieldError.invalid("apiVersion", given, f"must be {kind.api_version}")]
    return errors.invalid(given.rpartition("/")[0], kind.kind, str(_metadata(result).get("name") or ""), found)


def _invalid(kind: Kind, patch: Patch, result: Object, why: str) -> errors.StatusError:
    """422 with the patched document in it, or with a strategic merge patch itself."""
    order = orjson.OPT_SORT_KEYS if kind.definition else None
    shown = printed(patch.document) if patch.type == "strategic" else orjson.dumps(result, option=order).decode()
    return errors.invalid("", "", "", [errors.FieldError.invalid("patch", shown, why)])


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
        reset_fields=reset_paths(kind, subresource),
    )
    amount.check_made(result, old)
    return decode_object(kind, result, Options(options.user, options.manager))


def new_from_apply(kind: Kind, namespace: str, name: str, patch: Patch, options: Options) -> Object:
    """Server-side apply of an object that does not exist."""
    metadata = _metadata(patch.document)
    if metadata.get("uid"):
        why = f"uid mismatch: the provided object specified uid {metadata['uid']}, and no existing object was found"
        raise errors.conflict(kind.group, kind.plural, name, why)
    empty: Object = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": {"name": name}}
    if kind.namespaced:
        empty["metadata"]["namespace"] = namespace
    obj = _applied(kind, empty, patch, options, "")
    if obj["metadata"].get("name") != name:
        raise wrong_name(obj, name)
    obj["metadata"].pop("resourceVersion", None)
    return obj


def wrong_name(obj: Object, name: str) -> errors.StatusError:
    given = obj["metadata"].get("name", "")
    if not given:
        text = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        return errors.bad_request(text)
    return errors.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def _config(kind: Kind, patch: Patch, options: Options) -> Object:
    """The configuration as sent; what of it fits no field is the business of apply itself."""
    config = {} if patch.document is None else patch.document
    api_version, name = config.get("apiVersion") or "", config.get("kind") or ""
    if api_version != kind.api_version or name != kind.kind:
        group, _, version = str(api_version).rpartition("/")
        raise errors.bad_request(f"invalid object type: {group}/{version}, Kind={name}")
    if not isinstance(config.get("metadata", {}), (dict, type(None))):
        raise errors.bad_request("metadata must be an object")
    if patch.duplicates:
        texts = strict_decoding_errors((), patch.duplicates, options)
        if texts:
            raise errors.bad_request(f"error decoding YAML: {texts}")
    return config
