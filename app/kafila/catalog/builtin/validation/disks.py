"""Volumes that are disks or file systems elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from kafila.core import names
from kafila.core.values import Object

from .common import Found, invalid, not_supported, required

_AZURE_MANAGED = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
    "/subscriptions/",
)
_AZURE_BLOB = ("https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd", "https://")


def check_azure_disk(source: Object, path: str, found: Found) -> None:
    for field, allowed in (("cachingMode", ("None", "ReadOnly", "ReadWrite")), ("kind", _AZURE_KINDS)):
        value = source.get(field)
        if value is not None and value not in allowed:
            found.append(not_supported(f"{path}.{field}", value, allowed))
    form, start = _AZURE_MANAGED if source.get("kind") == "Managed" else _AZURE_BLOB
    uri = source.get("diskURI") or ""
    if source.get("kind") is not None and not uri.startswith(start):
        found.append(not_supported(f"{path}.diskURI", uri, (form,)))


_AZURE_KINDS = ("Dedicated", "Managed", "Shared")


def check_nfs(source: Object, path: str, found: Found) -> None:
    if not source.get("server"):
        found.append(required(f"{path}.server"))
    target = source.get("path") or ""
    if not target:
        found.append(required(f"{path}.path"))
    if not target.startswith("/"):
        found.append(invalid(f"{path}.path", target, "must be an absolute path"))


def check_partition(name_field: str) -> Callable[[Object, str, Found], None]:
    def check(source: Object, path: str, found: Found) -> None:
        if not source.get(name_field):
            found.append(required(f"{path}.{name_field}"))
        partition = source.get("partition") or 0
        if not 0 <= partition <= 255:
            found.append(invalid(f"{path}.partition", partition, names.in_range(1, 255)))

    return check


def check_iscsi(source: Object, path: str, found: Found) -> None:
    if not source.get("targetPortal"):
        found.append(required(f"{path}.targetPortal"))
    iqn = source.get("iqn")
    if not iqn:
        found.append(required(f"{path}.iqn"))
    elif not iqn.startswith(("iqn", "eui", "naa")):
        found.append(invalid(f"{path}.iqn", iqn, "must be valid format starting with iqn, eui, or naa"))
    lun = source.get("lun") or 0
    if not 0 <= lun <= 255:
        found.append(invalid(f"{path}.lun", lun, names.in_range(0, 255)))
    chap = source.get("chapAuthDiscovery") or source.get("chapAuthSession")
    if chap and source.get("secretRef") is None:
        found.append(required(f"{path}.secretRef"))


def check_flocker(source: Object, path: str, found: Found) -> None:
    name, uuid = source.get("datasetName") or "", source.get("datasetUUID")
    if not name and not uuid:
        found.append(required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        found.append(invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
    if "/" in name:
        found.append(invalid(f"{path}.datasetName", name, "must not contain '/'"))


def check_fc(source: Object, path: str, found: Found) -> None:
    targets, ids = source.get("targetWWNs"), source.get("wwids")
    if not targets and not ids:
        found.append(required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both"))
    if targets and ids:
        text = "targetWWNs and wwids can not be specified simultaneously"
        found.append(invalid(f"{path}.targetWWNs", targets, text))
    if targets:
        lun = source.get("lun")
        if lun is None:
            found.append(required(f"{path}.lun", "lun is required if targetWWNs is specified"))
        elif not 0 <= lun <= 255:
            found.append(invalid(f"{path}.lun", lun, names.in_range(0, 255)))
