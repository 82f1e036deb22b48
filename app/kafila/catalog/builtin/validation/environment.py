"""Environment variables and what they are read from."""

from __future__ import annotations

import re

from kafila.core import names
from kafila.core.values import Object

from .common import Found, check_label_key, check_name, invalid, not_supported, required
from .paths import check_no_backstep

ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
# every field of a pod that has a name for the downward API
_KNOWN_FIELDS = frozenset({*ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase"})
_SUBSCRIPT = re.compile(r"(.+)\['(.+)'\]").fullmatch
_SIZES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_SIZES_TEXT = ", ".join(_SIZES)


def check_environment(variables: list[Object], path: str, found: Found) -> None:
    for i, variable in enumerate(variables):
        name = variable.get("name")
        if not name:
            found.append(required(f"{path}[{i}].name"))
        else:
            for why in names.env_name(name):
                found.append(invalid(f"{path}[{i}].name", name, why))
        source = variable.get("valueFrom")
        if source is not None:
            _check_source(source, bool(variable.get("value")), f"{path}[{i}].valueFrom", found)


def _check_source(source: Object, has_value: bool, path: str, found: Found) -> None:
    given = 0
    for kind in _SOURCES:
        reference = source.get(kind)
        if reference is None:
            continue
        given += 1
        where = f"{path}.{kind}"
        if kind == "fieldRef":
            check_field_ref(reference, ENV_FIELDS, where, found)
        elif kind == "resourceFieldRef":
            check_resource_field_ref(reference, where, found, volume=False)
        elif kind == "fileKeyRef":
            _check_file_key(reference, where, found)
        else:
            _check_key_selector(reference, where, found)
    if not given:
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        found.append(invalid(path, "", text))
    elif has_value:
        found.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif given > 1:
        found.append(invalid(path, "", "may not have more than one field specified at a time"))


def check_field_ref(reference: Object, allowed: tuple[str, ...], path: str, found: Found) -> None:
    field = reference.get("fieldPath") or ""
    if not reference.get("apiVersion"):
        found.append(required(f"{path}.apiVersion"))
        return
    if not field:
        found.append(required(f"{path}.fieldPath"))
        return
    match = _SUBSCRIPT(field)
    if reference["apiVersion"] != "v1":
        text = f"error converting fieldPath: unsupported pod version: {reference['apiVersion']}"
        found.append(invalid(f"{path}.fieldPath", field, text))
    elif match:
        base, key = match.groups()
        if base == "metadata.annotations":
            check_label_key(key.lower(), path, found)
        elif base == "metadata.labels":
            check_label_key(key, path, found)
        else:
            text = f"error converting fieldPath: field label does not support subscript: {field}"
            found.append(invalid(f"{path}.fieldPath", field, text))
    elif field == "spec.host" and "spec.nodeName" in allowed:
        pass  # the old name of spec.nodeName
    elif field not in allowed:
        if field in _KNOWN_FIELDS:
            found.append(not_supported(f"{path}.fieldPath", field, allowed))
        else:
            text = f"error converting fieldPath: field label not supported: {field}"
            found.append(invalid(f"{path}.fieldPath", field, text))


def check_resource_field_ref(reference: Object, path: str, found: Found, *, volume: bool) -> None:
    resource = reference.get("resource") or ""
    huge = resource.startswith(("requests.hugepages-", "limits.hugepages-"))
    if volume and not reference.get("containerName"):
        found.append(required(f"{path}.containerName"))
    elif not resource:
        found.append(required(f"{path}.resource"))
    elif resource not in RESOURCES and not huge:
        found.append(not_supported(f"{path}.resource", resource, RESOURCES))
    divisor = reference.get("divisor")
    if divisor in (None, "", 0, "0"):
        return
    if resource.endswith(".cpu"):
        if divisor not in ("1m", "1"):
            text = "only divisor's values 1m and 1 are supported with the cpu resource"
            found.append(invalid(f"{path}.divisor", resource, text))
    elif (resource in RESOURCES or huge) and divisor not in _SIZES:
        what = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(
            resource.partition(".")[2], "hugepages"
        )
        text = f"only divisor's values {_SIZES_TEXT} are supported with the {what} resource"
        found.append(invalid(f"{path}.divisor", resource, text))


def _check_key_selector(reference: Object, path: str, found: Found) -> None:
    check_name(reference.get("name") or "", f"{path}.name", found)
    key = reference.get("key")
    if not key:
        found.append(required(f"{path}.key"))
    else:
        check_name(key, f"{path}.key", found, names.config_key)


def _check_file_key(reference: Object, path: str, found: Found) -> None:
    for field, rule in (("key", names.env_name), ("volumeName", names.dns1123_label)):
        value = reference.get(field)
        if not value:
            found.append(required(f"{path}.{field}"))
        else:
            check_name(value, f"{path}.{field}", found, rule)
    if not reference.get("path"):
        found.append(required(f"{path}.path"))
    else:
        check_no_backstep(reference["path"], f"{path}.path", found)


def check_environment_sources(sources: list[Object], path: str, found: Found) -> None:
    for i, source in enumerate(sources):
        prefix = source.get("prefix")
        if prefix:
            for why in names.env_name(prefix):
                found.append(invalid(f"{path}[{i}].prefix", prefix, why))
        given = 0
        for kind in ("configMapRef", "secretRef"):
            reference = source.get(kind)
            if reference is not None:
                given += 1
                name = reference.get("name")
                if not name:
                    found.append(required(f"{path}[{i}].{kind}.name"))
                else:
                    for why in names.dns1123_subdomain(name, True):
                        found.append(invalid(f"{path}[{i}].{kind}.name", name, why))
        if not given:
            found.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif given > 1:
            found.append(invalid(path, "", "may not have more than one field specified at a time"))
