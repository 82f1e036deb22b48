"""CSINode, and what of CSI stands in volumes and their attachments."""

from __future__ import annotations

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object, repeats

from .claims import check_access_modes
from .common import Found, check_name, duplicate, forbidden, invalid, required
from .volumes import check_driver_name

SECRETS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
    "nodeStageSecretRef",
)
LONGEST_ID = 256
VOLUME_SOURCES = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
)


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
        keys = driver.get("topologyKeys") or ()
        for key, again in zip(keys, repeats(keys), strict=True):
            if not key:
                found.append(required(path))
            if again:
                found.append(duplicate(path, key))
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
    """A PersistentVolume's spec inside an attachment: only what identifies the volume, which CSI must know."""
    text = "may not be specified in the context of inline volumes"
    for field in ("claimRef", "capacity"):
        if spec.get(field):
            found.append(forbidden(f"{path}.{field}", text))
    csi = spec.get("csi")
    if csi is None:
        found.append(required(f"{path}.csi", "has to be specified in the context of inline volumes"))
    modes = spec.get("accessModes") or []
    if not modes:
        found.append(required(f"{path}.accessModes"))
    check_access_modes(modes, f"{path}.accessModes", found)
    if spec.get("persistentVolumeReclaimPolicy") not in (None, "", "Retain"):
        why = "may only be Retain in the context of inline volumes"
        found.append(forbidden(f"{path}.persistentVolumeReclaimPolicy", why))
    if spec.get("nodeAffinity") is not None:
        found.append(forbidden(f"{path}.nodeAffinity", text))
    given = [kind for kind in VOLUME_SOURCES if spec.get(kind) is not None]
    found.extend(forbidden(f"{path}.{kind}", "may not specify more than 1 volume type") for kind in given[1:])
    if not given:
        found.append(required(path, "must specify a volume type"))
    if given[:1] == ["csi"] and csi is not None:
        check_driver_name(csi.get("driver"), f"{path}.csi.driver", found)
        if not csi.get("volumeHandle"):
            found.append(FieldError.required(f"{path}.csi.volumeHandle"))
        check_csi_secrets(csi, f"{path}.csi", found)
    if spec.get("storageClassName"):
        found.append(forbidden(f"{path}.storageClassName", text))
    mode = spec.get("volumeMode")
    if mode is not None and mode != "Filesystem":
        why = "may not specify volumeMode other than Filesystem in the context of inline volumes"
        found.append(forbidden(f"{path}.volumeMode", why))
