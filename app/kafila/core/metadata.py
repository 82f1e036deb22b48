"""What Kubernetes accepts as ``metadata`` of an object, and as a change of it."""

from __future__ import annotations

from typing import Any

from .errors import FieldError
from .names import IMMUTABLE, NOT_NEGATIVE, NameRule, dns1123_label, label_value, qualified_name, utf8_size
from .resources import split_api_version
from .values import Object

ANNOTATIONS_LIMIT = 256 * 1024  # bytes of all keys and values


def validate_object_meta(
    obj: dict[str, Any], namespaced: bool, name_rule: NameRule, path: str = "metadata"
) -> list[FieldError]:
    """What is wrong with a new object's metadata. Raises nothing, whatever the shapes inside are decoded to."""
    metadata = obj.get("metadata") or {}
    found: list[FieldError] = []
    generate = metadata.get("generateName")
    if generate:
        found.extend(FieldError.invalid(f"{path}.generateName", generate, why) for why in name_rule(generate, True))
    name = metadata.get("name")
    if not name:
        found.append(FieldError.required(f"{path}.name", "name or generateName is required"))
    else:
        for why in name_rule(name, False):
            found.append(FieldError.invalid(f"{path}.name", name, why))
    namespace = metadata.get("namespace")
    if namespaced:
        if not namespace:
            found.append(FieldError.required(f"{path}.namespace"))
        else:
            for why in dns1123_label(namespace):
                found.append(FieldError.invalid(f"{path}.namespace", namespace, why))
    elif namespace:
        found.append(FieldError.forbidden(f"{path}.namespace", "not allowed on this type"))
    generation = metadata.get("generation")
    if generation and generation < 0:
        found.append(FieldError.invalid(f"{path}.generation", generation, NOT_NEGATIVE))
    _validate_common(metadata, path, found)
    return found


def validate_object_meta_update(new: dict[str, Any], old: dict[str, Any], path: str = "metadata") -> list[FieldError]:
    """What is wrong with a change of metadata. That a resourceVersion is given is the registry's affair."""
    metadata, was = new.get("metadata") or {}, old.get("metadata") or {}
    found: list[FieldError] = []
    if was.get("deletionTimestamp"):
        extra = sorted(set(metadata.get("finalizers") or ()) - set(was.get("finalizers") or ()))
        if extra:
            shown = ", ".join(f'"{name}"' for name in extra)
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
            found.append(FieldError.forbidden(f"{path}.finalizers", text))
    generation, before = metadata.get("generation") or 0, was.get("generation") or 0
    if generation < before:
        found.append(FieldError.invalid(f"{path}.generation", generation, "must not be decremented"))
    for name in ("name", "namespace", "uid"):
        if (metadata.get(name) or "") != (was.get(name) or ""):
            found.append(FieldError.invalid(f"{path}.{name}", metadata.get(name) or "", IMMUTABLE))
    for name in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if metadata.get(name) != was.get(name):
            found.append(FieldError.invalid(f"{path}.{name}", metadata.get(name), IMMUTABLE))
    _validate_common(metadata, path, found)
    return found


def _validate_common(metadata: dict[str, Any], path: str, found: list[FieldError]) -> None:
    labels = metadata.get("labels")
    if labels:
        found.extend(validate_labels(labels, f"{path}.labels"))
    annotations = metadata.get("annotations")
    if annotations:
        found.extend(validate_annotations(annotations, f"{path}.annotations"))
    owners = metadata.get("ownerReferences")
    if owners:
        found.extend(validate_owner_references(owners, f"{path}.ownerReferences"))
    finalizers = metadata.get("finalizers")
    if finalizers:
        found.extend(validate_finalizers(finalizers, f"{path}.finalizers"))


def validate_labels(labels: dict[str, str], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key, value in labels.items():
        for why in qualified_name(key):
            found.append(FieldError.invalid(path, key, why))
        for why in label_value(value or ""):
            found.append(FieldError.invalid(path, value, why))
    return found


def validate_annotations(annotations: dict[str, str], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    total = 0
    for key, value in annotations.items():
        for why in qualified_name(key.lower()):
            found.append(FieldError.invalid(path, key, why))
        total += utf8_size(key) + utf8_size(value or "")
    if total > ANNOTATIONS_LIMIT:
        found.append(FieldError.too_long(path, ANNOTATIONS_LIMIT))
    return found


def validate_finalizers(finalizers: list[str], path: str) -> list[FieldError]:
    found = [FieldError.invalid(path, name, why) for name in finalizers for why in qualified_name(name or "")]
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(FieldError.invalid(path, finalizers, text))
    return found


def validate_owner_references(owners: list[dict[str, Any]], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    controller = ""
    for owner in owners:
        if not owner:
            owner = {}
        api_version, kind = owner.get("apiVersion") or "", owner.get("kind") or ""
        try:
            version = split_api_version(api_version)[1]
        except ValueError:
            version = ""
        if not version:
            found.append(FieldError.invalid(f"{path}.apiVersion", api_version, "version must not be empty"))
        for name in ("kind", "name", "uid"):
            if not owner.get(name):
                found.append(FieldError.invalid(f"{path}.{name}", "", "must not be empty"))
        if api_version == "v1" and kind == "Event":
            found.append(FieldError.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            current = f"{kind}/{owner.get('name') or ''}"
            if controller:
                text = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controller} and {current}"
                )
                found.append(FieldError.invalid(path, owners, text))
            else:
                controller = current
    return found


def remove_finalizer(holder: Object, finalizer: str) -> None:
    """Out of an object's metadata, or a Namespace's spec. An empty list does not stay."""
    if kept := [each for each in holder.get("finalizers") or () if each != finalizer]:
        holder["finalizers"] = kept
    else:
        holder.pop("finalizers", None)
