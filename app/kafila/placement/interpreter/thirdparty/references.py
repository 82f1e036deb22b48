"""What third-party kinds refer to: names by kind, each once, as references in the object's namespace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kafila.placement.interpreter.errors import InterpretError

from .values import at, find, is_empty, values

# Where the volume of a pod names a Secret, but for volumes of the kind `secret`.
_SECRETS_OF_VOLUMES: Final = (
    ("azureFile", "secretName"),
    ("cephfs", "secretRef", "name"),
    ("cinder", "secretRef", "name"),
    ("flexVolume", "secretRef", "name"),
    ("rbd", "secretRef", "name"),
    ("scaleIO", "secretRef", "name"),
    ("iscsi", "secretRef", "name"),
    ("storageos", "secretRef", "name"),
    ("csi", "nodePublishSecretRef", "name"),
)


class References:
    """In the order of the kinds that were added to; names of a kind are sorted."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def add(self, kind: str, name: Any) -> None:
        """Raises InterpretError: somebody refers to something without a name."""
        if not isinstance(name, str):
            raise InterpretError(f"the name of a {kind} that is referred to is missing or no text")
        self._names.setdefault(kind, set()).add(name)

    def add_named(self, kind: str, name: Any) -> None:
        """Nothing where there is no name."""
        if not is_empty(name):
            self.add(kind, name)

    def add_secret(self, reference: Any) -> None:
        """Of a field ``secretRef``, which may be missing."""
        if reference is not None and at(reference, "name") != "":
            self.add("Secret", at(reference, "name"))

    def of(self, obj: Any) -> list[Any]:
        return [
            {"apiVersion": "v1", "kind": kind, "name": name, "namespace": at(obj, "metadata", "namespace")}
            for kind, names in self._names.items()
            for name in sorted(names)
        ]


def add_volumes(found: References, volumes: Any, *, secret_name: str) -> None:
    """``secret_name``: the field of a volume `secret` that names it."""
    for volume in values(volumes, "volumes") if volumes is not None else ():
        found.add_named("ConfigMap", find(volume, "configMap", "name"))
        found.add_named("Secret", find(volume, "secret", secret_name))
        sources = find(volume, "projected", "sources")
        for source in values(sources, "sources") if sources is not None else ():
            found.add_named("ConfigMap", find(source, "configMap", "name"))
            found.add_named("Secret", find(source, "secret", "name"))
        for path in _SECRETS_OF_VOLUMES:
            found.add_named("Secret", find(volume, *path))
        found.add_named("PersistentVolumeClaim", find(volume, "persistentVolumeClaim", "claimName"))


def add_pull_secrets(found: References, pull_secrets: Any) -> None:
    for reference in values(pull_secrets, "imagePullSecrets") if pull_secrets is not None else ():
        found.add_named("Secret", at(reference, "name"))


def add_account(found: References, account: Any) -> None:
    """Every namespace has an account ``default``."""
    if account != "default":
        found.add_named("ServiceAccount", account)


def add_containers(found: References, containers: Any) -> None:
    """What their environments are filled from."""
    for container in values(containers, "containers") if containers is not None else ():
        for source in _all(container, "envFrom"):
            found.add_named("ConfigMap", find(source, "configMapRef", "name"))
            found.add_named("Secret", find(source, "secretRef", "name"))
        for variable in _all(container, "env"):
            found.add_named("ConfigMap", find(variable, "valueFrom", "configMapKeyRef", "name"))
            found.add_named("Secret", find(variable, "valueFrom", "secretKeyRef", "name"))


def _all(value: Any, field: str) -> Iterator[Any]:
    found = at(value, field)
    return iter(values(found, field) if found is not None else ())
