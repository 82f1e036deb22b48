"""PersistentVolumeClaimSpec: in claims, in templates of StatefulSets and in ephemeral volumes."""

from __future__ import annotations

from kafila.core import names
from kafila.core.values import Object

from .common import (
    NOT_POSITIVE,
    Found,
    check_label_selector,
    check_name,
    forbidden,
    invalid,
    not_supported,
    required,
)
from .resources import parse

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def check_access_modes(modes: list[str], path: str, found: Found) -> None:
    known = [mode for mode in modes if mode in ACCESS_MODES]
    for mode in modes:
        if mode not in ACCESS_MODES:
            found.append(not_supported(path, mode, ACCESS_MODES))
    if "ReadWriteOncePod" in known and len(set(known)) > 1:
        found.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))


def check_claim_spec(spec: Object, path: str, found: Found) -> None:
    get = spec.get
    modes = get("accessModes") or []
    if not modes:
        found.append(required(f"{path}.accessModes", "at least 1 access mode is required"))
    check_label_selector(get("selector"), f"{path}.selector", found)
    check_access_modes(modes, f"{path}.accessModes", found)
    wanted = ((get("resources") or {}).get("requests") or {}).get("storage")
    if wanted is None:
        found.append(required(f"{path}.resources[storage]"))
    else:
        amount = parse(wanted)
        if amount is not None and amount.nano <= 0:
            found.append(invalid(f"{path}.resources[storage]", str(amount), NOT_POSITIVE))
    if get("storageClassName"):
        check_name(spec["storageClassName"], f"{path}.storageClassName", found)
    mode = get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        found.append(not_supported(f"{path}.volumeMode", mode, VOLUME_MODES))
    source, reference = get("dataSource"), get("dataSourceRef")
    if source is not None:
        _check_data_source(source, f"{path}.dataSource", found)
    if reference is not None:
        _check_data_source(reference, f"{path}.dataSourceRef", found)
        namespace = reference.get("namespace")
        if namespace:
            check_name(namespace, f"{path}.dataSourceRef.namespace", found, names.dns1123_label)
            if source is not None:
                text = "may not be specified when dataSourceRef.namespace is specified"
                found.append(invalid(path, {}, text))
        elif source is not None and any(source.get(f) != reference.get(f) for f in ("apiGroup", "kind", "name")):
            found.append(invalid(path, {}, "must match dataSourceRef"))
    if get("volumeAttributesClassName"):
        check_name(spec["volumeAttributesClassName"], f"{path}.volumeAttributesClassName", found)


def _check_data_source(source: Object, path: str, found: Found) -> None:
    for field in ("name", "kind"):
        if not source.get(field):
            found.append(required(f"{path}.{field}"))
    group = source.get("apiGroup")
    if group:
        check_name(group, f"{path}.apiGroup", found)
    elif source.get("kind") != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        found.append(invalid(path, source.get("kind") or "", text))
