"""Volumes of a pod: exactly one source each, and what the common sources need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafila.core import metadata as metadata_rules
from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .claims import check_claim_spec
from .common import Found, check_label_selector, check_name, duplicate, forbidden, invalid, not_supported, required
from .disks import check_azure_disk, check_fc, check_flocker, check_iscsi, check_nfs, check_partition
from .environment import VOLUME_FIELDS, check_field_ref, check_resource_field_ref
from .paths import check_local_free_path, check_local_path, check_mode, check_no_backstep
from .resources import parse

_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_MORE_THAN_ONE = "may not specify more than 1 volume type"
# the order in which Kubernetes checks them: the first one found is the one that counts
SOURCES = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)


def check_volumes(volumes: list[Object] | None, path: str, found: Found, pod: str = "") -> dict[str, Object]:
    """Returns the sound volumes by name: what mounts may refer to. ``pod``: its name, if it is known."""
    sound: dict[str, Object] = {}
    for i, volume in enumerate(volumes or ()):
        where = f"{path}[{i}]"
        before = len(found)
        check_source(volume, SOURCES, where, found)
        name = volume.get("name") or ""
        if pod and name and _source_of(volume) == "ephemeral":
            claim = f"{pod}-{name}"
            for why in names.dns1123_subdomain(claim):
                found.append(invalid(f"{where}.name", name, f'PVC name "{claim}": {why}'))
        if not name:
            found.append(required(f"{where}.name"))
        else:
            check_name(name, f"{where}.name", found, names.dns1123_label)
        if name in sound:
            found.append(duplicate(f"{where}.name", name))
        if len(found) == before:
            sound[name] = volume
    return sound


def _source_of(volume: Object) -> str:
    return next((kind for kind in SOURCES if volume.get(kind) is not None), "")


def check_source(holder: Object, kinds: tuple[str, ...], path: str, found: Found) -> int:
    """Checks the one source among ``kinds`` that is given; returns how many are."""
    given = [kind for kind in holder if kind in _KNOWN and holder[kind] is not None and kind in kinds]
    if len(given) > 1:
        given.sort(key=kinds.index)
        for kind in given[1:]:
            found.append(forbidden(f"{path}.{_FORBIDDEN_NAMES.get(kind, kind)}", _MORE_THAN_ONE))
    if not given:
        found.append(required(path, "must specify a volume type"))
        return 0
    check = _CHECKS.get(given[0])
    if check is not None:
        check(holder[given[0]], f"{path}.{_PATH_NAMES.get(given[0], given[0])}", found)
    else:
        for field in _NEEDED.get(given[0], ()):
            if not holder[given[0]].get(field):
                found.append(required(f"{path}.{given[0]}.{field}", _WHY_NEEDED.get((given[0], field), "")))
        if given[0] == "azureDisk":
            check_azure_disk(holder["azureDisk"], f"{path}.azureDisk", found)
    return len(given)


_KNOWN = frozenset(SOURCES)
_FORBIDDEN_NAMES = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}  # as Kubernetes spells them there
_PATH_NAMES = {"gcePersistentDisk": "persistentDisk"}
_NEEDED: dict[str, tuple[str, ...]] = {
    "persistentVolumeClaim": ("claimName",),
    "glusterfs": ("endpoints", "path"),
    "rbd": ("monitors", "image"),
    "cinder": ("volumeID",),
    "cephfs": ("monitors",),
    "quobyte": ("registry", "volume"),
    "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "storageos": ("volumeName",),
    "scaleIO": ("gateway", "system", "volumeName"),
    "image": ("reference",),
}


_WHY_NEEDED = {("quobyte", "registry"): "must be a host:port pair or multiple pairs separated by commas"}


def _check_empty_dir(source: Object, path: str, found: Found) -> None:
    limit = parse(source["sizeLimit"]) if source.get("sizeLimit") is not None else None
    if limit is not None and limit.nano < 0:
        found.append(forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity"))


def check_host_path(source: Object, path: str, found: Found) -> None:
    target = source.get("path")
    if not target:
        found.append(required(f"{path}.path"))
        return
    check_no_backstep(target, f"{path}.path", found)
    kind = source.get("type")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        found.append(not_supported(f"{path}.type", kind, _HOST_PATH_TYPES))


def _check_git_repo(source: Object, path: str, found: Found) -> None:
    if not source.get("repository"):
        found.append(required(f"{path}.repository"))
    check_local_path(source.get("directory") or "", f"{path}.directory", found)


def _check_keyed(name_field: str) -> Callable[[Object, str, Found], None]:
    def check(source: Object, path: str, found: Found) -> None:
        if not source.get(name_field):
            found.append(required(f"{path}.{name_field}"))
        check_mode(source.get("defaultMode"), f"{path}.defaultMode", found)
        for i, item in enumerate(source.get("items") or ()):
            _check_key_to_path(item, f"{path}.items[{i}]", found)

    return check


def _check_key_to_path(item: Object, path: str, found: Found) -> None:
    if not item.get("key"):
        found.append(required(f"{path}.key"))
    target = item.get("path") or ""
    if not target:
        found.append(required(f"{path}.path"))
    check_local_free_path(target, f"{path}.path", found)
    check_mode(item.get("mode"), f"{path}.mode", found)


def _check_downward(source: Object, path: str, found: Found) -> None:
    check_mode(source.get("defaultMode"), f"{path}.defaultMode", found)
    for item in source.get("items") or ():
        _check_downward_file(item, path, found)


def _check_downward_file(item: Object, path: str, found: Found) -> None:
    target = item.get("path") or ""
    if not target:
        found.append(required(f"{path}.path"))
    check_local_free_path(target, f"{path}.path", found)
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        check_field_ref(field, VOLUME_FIELDS, f"{path}.fieldRef", found)
        if resource is not None:
            text = "fieldRef and resourceFieldRef can not be specified simultaneously"
            found.append(invalid(path, "resource", text))
    elif resource is not None:
        check_resource_field_ref(resource, f"{path}.resourceFieldRef", found, volume=True)
    else:
        found.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    check_mode(item.get("mode"), f"{path}.mode", found)


def _check_projected(source: Object, path: str, found: Found) -> None:
    check_mode(source.get("defaultMode"), f"{path}.defaultMode", found)
    seen: set[str] = set()
    for i, part in enumerate(source.get("sources") or ()):
        where = f"{path}.sources[{i}]"
        given = 0
        for kind in ("secret", "configMap"):
            holder = part.get(kind)
            if holder is not None:
                given += 1
                if not holder.get("name"):
                    found.append(required(f"{where}.{kind}.name"))
                for j, item in enumerate(holder.get("items") or ()):
                    _check_key_to_path(item, f"{where}.{kind}.items[{j}]", found)
                    _check_path(item.get("path"), holder.get("name") or "", path, seen, found)
        downward = part.get("downwardAPI")
        if downward is not None:
            given += 1
            for item in downward.get("items") or ():
                _check_downward_file(item, f"{where}.downwardAPI", found)
                _check_path(item.get("path"), item.get("path"), path, seen, found)
        token = part.get("serviceAccountToken")
        if token is not None:
            given += 1
            _check_token(token, path, where, found)
        bundle = part.get("clusterTrustBundle")
        if bundle is not None:
            given += 1
            _check_trust_bundle(bundle, f"{where}.clusterTrustBundle", found)
            _check_path(bundle.get("path"), bundle.get("path"), path, seen, found)
        if part.get("podCertificate") is not None:
            given += 1
        if given > 1:
            found.append(forbidden(where, "may not specify more than 1 volume type per source"))


def _check_path(target: str | None, shown: Any, path: str, seen: set[str], found: Found) -> None:
    if target:
        if target in seen:
            found.append(invalid(path, shown, "conflicting duplicate paths"))
        seen.add(target)


def _check_token(token: Object, path: str, where: str, found: Found) -> None:
    seconds = token.get("expirationSeconds") or 0
    at = f"{where}.serviceAccountToken.expirationSeconds"
    if seconds < 600:
        found.append(invalid(at, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > 2**32:
        found.append(invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"))
    if not token.get("path"):
        found.append(required(f"{path}.path"))
    else:
        check_local_free_path(token["path"], f"{path}.path", found)


def _check_trust_bundle(bundle: Object, path: str, found: Found) -> None:
    name, signer = bundle.get("name"), bundle.get("signerName")
    if name is not None and signer is not None:
        found.append(invalid(path, bundle, "only one of name and signerName may be used"))
    elif name is not None:
        if not name:
            found.append(required(f"{path}.name", "must be a valid object name"))
        if bundle.get("labelSelector") is not None:
            text = "labelSelector must be unset if name is specified"
            found.append(invalid(f"{path}.labelSelector", bundle["labelSelector"], text))
    elif signer is not None:
        if not signer:
            found.append(required(f"{path}.signerName", "must be a valid signer name"))
        check_label_selector(bundle.get("labelSelector"), f"{path}.labelSelector", found)
    else:
        found.append(required(path, "either name or signerName must be specified"))
    if not bundle.get("path"):
        found.append(required(f"{path}.path"))
    check_local_free_path(bundle.get("path") or "", f"{path}.path", found)


def check_driver_name(name: str | None, path: str, found: Found) -> None:
    if not name:
        found.append(required(path))
        return
    if len(name) > 63:
        found.append(FieldError.too_long(path, 63))
    for why in names.dns1123_subdomain(name.lower()):
        found.append(invalid(path, name, why))


def _check_csi(source: Object, path: str, found: Found) -> None:
    check_driver_name(source.get("driver"), f"{path}.driver", found)
    secret = source.get("nodePublishSecretRef")
    if secret is not None:
        name = secret.get("name")
        if not name:
            found.append(required(f"{path}.nodePublishSecretRef.name"))
        else:
            check_name(name, f"{path}.name", found)


def _check_ephemeral(source: Object, path: str, found: Found) -> None:
    template = source.get("volumeClaimTemplate")
    if template is None:
        found.append(required(f"{path}.volumeClaimTemplate"))
    else:
        where = f"{path}.volumeClaimTemplate"
        metadata = template.get("metadata") or {}
        found.extend(
            metadata_rules.validate_annotations(metadata.get("annotations") or {}, f"{where}.metadata.annotations")
        )
        found.extend(metadata_rules.validate_labels(metadata.get("labels") or {}, f"{where}.metadata.labels"))
        check_claim_spec(template.get("spec") or {}, f"{where}.spec", found)


_CHECKS: dict[str, Callable[[Object, str, Found], None]] = {
    "emptyDir": _check_empty_dir,
    "hostPath": check_host_path,
    "gitRepo": _check_git_repo,
    "gcePersistentDisk": check_partition("pdName"),
    "awsElasticBlockStore": check_partition("volumeID"),
    "secret": _check_keyed("secretName"),
    "nfs": check_nfs,
    "iscsi": check_iscsi,
    "flocker": check_flocker,
    "downwardAPI": _check_downward,
    "fc": check_fc,
    "configMap": _check_keyed("name"),
    "projected": _check_projected,
    "csi": _check_csi,
    "ephemeral": _check_ephemeral,
}
