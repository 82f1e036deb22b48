"""ServiceAccount: a pod runs as an account that exists, with a token of it mounted. Off by default, as in Karmada."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kafila.core.names import generate_name
from kafila.core.values import Object

from .attributes import Attributes, Lookups

ENFORCE: Final = "kubernetes.io/enforce-mountable-secrets"
MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_MIRROR: Final = "kubernetes.io/config.mirror"
_VOLUME: Final = "kube-api-access-"
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_SECONDS: Final = 3607  # an hour, told apart from those that somebody asked for


def run_as(asked: Attributes, look: Lookups) -> None:
    pod = asked.new
    if asked.old is not None or asked.subresource or _is_mirror(pod):
        return
    spec = pod.setdefault("spec", {})
    spec["serviceAccountName"] = spec.get("serviceAccountName") or "default"
    account = _account(asked, look)
    if _automounts(account, spec):
        _mount_token(spec)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [{"name": ref.get("name", "")} for ref in account["imagePullSecrets"]]


def check(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    if asked.old is not None:
        if asked.subresource == "ephemeralcontainers":
            account = _account(asked, look)
            if _enforces(account):
                _check_secrets(asked, account, ("ephemeralContainers",))
    elif not asked.subresource and _is_mirror(asked.new):
        _check_mirror(asked)
    elif not asked.subresource:
        account = _account(asked, look)
        if _enforces(account):
            _check_references(asked, account)
    return ()


def _is_mirror(pod: Object) -> bool:
    return _MIRROR in (pod["metadata"].get("annotations") or {})


def _account(asked: Attributes, look: Lookups) -> Object:
    name = (asked.new.get("spec") or {}).get("serviceAccountName") or ""
    where = f"{asked.namespace}/{name}"
    if not name:
        raise asked.refused(
            f"no service account specified for pod {asked.namespace}/{asked.new['metadata'].get('name', '')}"
        )
    found = look.one("serviceaccounts", asked.namespace, name)
    if found is None:
        raise asked.refused(f'error looking up service account {where}: serviceaccount "{name}" not found')
    return found


def _automounts(account: Object, spec: Object) -> bool:
    for holder in (spec, account):
        if holder.get("automountServiceAccountToken") is not None:
            return bool(holder["automountServiceAccountToken"])
    return True


def _mount_token(spec: Object) -> None:
    there = next((v["name"] for v in spec.get("volumes") or () if v.get("name", "").startswith(_VOLUME)), None)
    name = there or generate_name(_VOLUME)
    mounted = False
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            mounts = container.get("volumeMounts") or []
            if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
                container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
                mounted = True
    if there is None and mounted:
        spec["volumes"] = [*(spec.get("volumes") or ()), {"name": name, "projected": _token_volume()}]


def _token_volume() -> Object:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": _SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [namespace]}},
        ],
        "defaultMode": 0o644,
    }


# -- which secrets a pod may name ------------------------------------------------------------------------------------------


def _enforces(account: Object) -> bool:
    return (account["metadata"].get("annotations") or {}).get(ENFORCE) in _TRUE


def _check_mirror(asked: Attributes) -> None:
    spec = asked.new.get("spec") or {}
    if spec.get("serviceAccountName"):
        raise asked.refused("a mirror pod may not reference service accounts")
    volumes = spec.get("volumes") or ()
    names = [ref for field in ("initContainers", "containers") for ref in _named_secrets(spec, field)]
    if names or spec.get("imagePullSecrets") or any(volume.get("secret") is not None for volume in volumes):
        raise asked.refused("a mirror pod may not reference secrets")
    for volume in volumes:
        for source in (volume.get("projected") or {}).get("sources") or ():
            if source.get("serviceAccountToken") is not None:
                raise asked.refused("a mirror pod may not use ServiceAccountToken volume projections")
            if source.get("secret") is not None:
                raise asked.refused("a mirror pod may not reference secrets")


def _check_references(asked: Attributes, account: Object) -> None:
    spec, name = asked.new.get("spec") or {}, account["metadata"]["name"]
    mountable = _names(account, "secrets")
    for volume in spec.get("volumes") or ():
        secret = (volume.get("secret") or {}).get("secretName")
        if volume.get("secret") is not None and secret not in mountable:
            text = f'volume with secret.secretName="{secret or ""}" is not allowed because'
            raise asked.refused(f"{text} service account {name} does not reference that secret")
    _check_secrets(asked, account, ("initContainers", "containers"))
    pulled = _names(account, "imagePullSecrets")
    for i, ref in enumerate(spec.get("imagePullSecrets") or ()):
        if ref.get("name", "") not in pulled:
            text = f'imagePullSecrets[{i}].name="{ref.get("name", "")}" is not allowed because'
            raise asked.refused(f"{text} service account {name} does not reference that imagePullSecret")


def _check_secrets(asked: Attributes, account: Object, fields: tuple[str, ...]) -> None:
    mountable, name = _names(account, "secrets"), account["metadata"]["name"]
    for field in fields:
        for where, secret in _named_secrets(asked.new.get("spec") or {}, field):
            if secret not in mountable:
                text = f'{where} referencing secret.secretName="{secret}" is not allowed because'
                raise asked.refused(f"{text} service account {name} does not reference that secret")


def _named_secrets(spec: Object, field: str) -> Iterator[tuple[str, str]]:
    what = {"initContainers": "init container", "containers": "container"}.get(field, "ephemeral container")
    for container in spec.get(field) or ():
        who = f"{what} {container.get('name', '')}"
        for env in container.get("env") or ():
            ref = (env.get("valueFrom") or {}).get("secretKeyRef")
            if ref is not None:
                yield f"{who} with envVar {env.get('name', '')}", ref.get("name", "")
        for source in container.get("envFrom") or ():
            if source.get("secretRef") is not None:
                yield f"{who} with envFrom", source["secretRef"].get("name", "")


def _names(account: Object, field: str) -> set[str]:
    return {ref.get("name", "") for ref in account.get(field) or ()}
