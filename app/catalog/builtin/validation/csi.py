"""CSINode, and what of CSI stands in volumes and their attachments."""

from __future__ import annotations

from typing import Any

from app.core import names
from app.core.errors import FieldError

from .common import Found, check_name, duplicate, forbidden, invalid, required
from .volumes import check_driver_name

Object = dict[str, Any]
SECRETS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
    "nodeStageSecretRef",
)
LONGEST_ID = 192


def validate_csi_node(obj: Object) -> Found:
    found: Found = []
    seen = set()
    for i, driver in enumerate((obj.get("spec") or {}).get("drivers") or ()):
        path, name, node = f"spec.drivers[{i}]", driver.get("name") or "", driver.get("nodeID") or ""
        check_driver_name(name, f"{path}.name", found)
        if not node:
            found.append(required(f"{path}.nodeID"))
        elif len(node) > LONGEST_ID:
            found.append(invalid(f"{path}.nodeID", node, f"must be {LONGEST_ID} characters or less"))
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None and count < 0:
            found.append(invalid(f"{path}.allocatable.count", count, names.NOT_NEGATIVE))
        if name in seen:
            found.append(duplicate(f"{path}.name", name))
        seen.add(name)
        for key in driver.get("topologyKeys") or ():
            for why in names.qualified_name(key):
                found.append(invalid(path, key, why))
    return found


def check_csi_secrets(source: Object, path: str, found: Found) -> None:
    for field in SECRETS:
        secret = source.get(field)
        if secret is None:
            continue
        for part, rule in (("name", names.dns1123_subdomain), ("namespace", names.dns1123_label)):
            if secret.get(part):
                check_name(secret[part], f"{path}.{field}.{part}", found, rule)
            else:
                found.append(required(f"{path}.{field}.{part}"))


def check_inline_volume(spec: Object, path: str, found: Found) -> None:
    """A PersistentVolume's spec inside an attachment: only what tells the volume."""
    if not spec.get("accessModes"):
        found.append(required(f"{path}.accessModes"))
    for field in ("capacity", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "volumeMode"):
        if field == "volumeMode" and spec.get(field) in ("Filesystem",):
            continue
        if spec.get(field):
            found.append(forbidden(f"{path}.{field}", "may not be specified in the context of inline volumes"))
    csi = spec.get("csi")
    if csi is not None:
        check_driver_name(csi.get("driver"), f"{path}.csi.driver", found)
        if not csi.get("volumeHandle"):
            found.append(FieldError.required(f"{path}.csi.volumeHandle"))
        check_csi_secrets(csi, f"{path}.csi", found)
