"""The kubeconfig that init leaves behind: contexts as Karmada's users know them."""

from __future__ import annotations

from typing import Any, Final

from kafila.core.values import Object

HOST: Final = "karmada-host"
CONTROL_PLANE: Final = "karmada-apiserver"


def both(host: Object, context: str, own: Object) -> Object:
    """``host``: a kubeconfig with ``context`` ("" is its current one); ``own``: that of the control plane, which comes first."""
    chosen = _named(host, "contexts", context or host["current-context"])["context"]
    entries: dict[str, list[Any]] = {section: list(own[section]) for section in ("clusters", "contexts", "users")}
    entries["clusters"].append({**_named(host, "clusters", chosen["cluster"]), "name": HOST})
    if user := chosen.get("user"):
        entries["users"].append({**_named(host, "users", user), "name": HOST})
    entries["contexts"].append(
        {"name": HOST, "context": {**chosen, "cluster": HOST, **({"user": HOST} if user else {})}}
    )
    return {"apiVersion": "v1", "kind": "Config", **entries, "current-context": CONTROL_PLANE}


def server_of(config: Object) -> str:
    """Of the control plane in it; "" where there is none."""
    servers = [each["cluster"].get("server", "") for each in config["clusters"] if each.get("name") == CONTROL_PLANE]
    return servers[0] if servers else ""


def _named(config: Object, section: str, name: str) -> Object:
    return next(each for each in config[section] if each.get("name") == name)
