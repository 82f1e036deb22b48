"""The kubeconfig that init leaves behind: contexts as Karmada's users know them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from kafila.core.values import Object
from kafila.members.kubeconfig import KubeconfigError, read

HOST: Final = "karmada-host"
CONTROL_PLANE: Final = "karmada-apiserver"
_SECTIONS: Final = ("clusters", "contexts", "users")
_INSTALLATION: Final = "kafila.io/installation"  # an extension of the control plane's context: whose these entries are


def both(host: Object, context: str, own: Object) -> Object:
    """``host``: a kubeconfig with ``context`` ("" is its current one); ``own``: that of the control plane, which comes first."""
    chosen = _named(host, "contexts", context or host["current-context"])["context"]
    entries: dict[str, list[Any]] = {section: list(own[section]) for section in _SECTIONS}
    entries["clusters"].append({**_named(host, "clusters", chosen["cluster"]), "name": HOST})
    if user := chosen.get("user"):
        entries["users"].append({**_named(host, "users", user), "name": HOST})
    entries["contexts"].append(
        {"name": HOST, "context": {**chosen, "cluster": HOST, **({"user": HOST} if user else {})}}
    )
    return {"apiVersion": "v1", "kind": "Config", **entries, "current-context": CONTROL_PLANE}


def stored(file: Path) -> Object:
    """What is in it already, as it is written. Raises KubeconfigError."""
    config = read(file) or {}
    for section in _SECTIONS:
        entries = config.get(section) or []
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise KubeconfigError(f"kubeconfig {file}: {section} is no list of mappings")
    return config


def check(config: Object, endpoint: str, namespace: str, file: Path, own: Object) -> None:
    """Raises KubeconfigError where our names are not of the installation in this namespace of this host cluster, whose kubeconfig is ``own``."""
    if _is_of(config, endpoint, namespace) or _is_same_plane(config, own):
        return
    for section in _SECTIONS:
        for each in config.get(section) or ():
            if each.get("name") in (HOST, CONTROL_PLANE):
                raise KubeconfigError(
                    f'kubeconfig {file} has a {section[:-1]} "{each["name"]}" that is not of the installation in namespace '
                    f"{namespace} of {endpoint}: name another file with --karmada-kubeconfig"
                )


def added(config: Object, made: Object, endpoint: str, namespace: str) -> Object:
    """``config`` with what ``both`` has made, in the place of our earlier entries. Its current context stays."""
    found = {**made, **_others(config)}
    for section in _SECTIONS:
        found[section] = found[section] + made[section]
    found["current-context"] = config.get("current-context") or made["current-context"]
    extension = {"name": _INSTALLATION, "extension": {"host": endpoint, "namespace": namespace}}
    found["contexts"] = [
        {**each, "context": {**each["context"], "extensions": [extension]}} if each["name"] == CONTROL_PLANE else each
        for each in found["contexts"]
    ]
    return found


def without(config: Object, endpoint: str, namespace: str, own: Object) -> Object | None:
    """``config`` less the entries of this installation; None where it has none of them. ``own``: as for `check`, {} where it is not known."""
    if not _is_of(config, endpoint, namespace) and not _is_same_plane(config, own):
        return None
    left = _others(config)
    if left.get("current-context") in (HOST, CONTROL_PLANE):
        left["current-context"] = ""
    return left


def is_empty(config: Object) -> bool:
    return not any(config.get(section) for section in _SECTIONS)


def _others(config: Object) -> Object:
    return {**config} | {
        section: [each for each in config.get(section) or () if each.get("name") not in (HOST, CONTROL_PLANE)]
        for section in _SECTIONS
    }


def _is_of(config: Object, endpoint: str, namespace: str) -> bool:
    wanted = {"host": endpoint, "namespace": namespace}
    return any(
        extension.get("name") == _INSTALLATION and extension.get("extension") == wanted
        for each in config.get("contexts") or ()
        if each.get("name") == CONTROL_PLANE
        for extension in (each.get("context") or {}).get("extensions") or ()
    )


def _is_same_plane(config: Object, own: Object) -> bool:
    """By the certificate authority, which no other has: an init of before did not write whose entries they are, or reached the host
    cluster at another address."""
    wanted = _authority(own)
    return wanted is not None and wanted == _authority(config)


def _authority(config: Object) -> str | None:
    for each in config.get("clusters") or ():
        if each.get("name") == CONTROL_PLANE:
            return (each.get("cluster") or {}).get("certificate-authority-data") or None
    return None


def _named(config: Object, section: str, name: str) -> Object:
    return next(each for each in config[section] if each.get("name") == name)
