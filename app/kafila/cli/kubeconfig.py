"""``kafila kubeconfig``: a context for each member, through the control plane, with the credentials that lead to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kafila.core.values import Object

from . import CommandError
from .flags import KarmadaContext, Kubeconfig
from .inside import EVERYWHERE, PROXY, checked
from .membership import access

_ALL = "all-clusters"  # the context of all members at once


def kubeconfig(
    *,
    cluster: Annotated[
        list[str] | None,
        Parameter(
            name=["--cluster", "-C"], help="A cluster; may be repeated. '*': all at once. Without it: each of them."
        ),
    ] = None,
    output: Annotated[
        str, Parameter(name=["--output", "-o"], help="The file to write; without it the kubeconfig is printed.")
    ] = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """Print a kubeconfig with a context for each member: through the control plane, as you are known to it."""
    from kafila.machinery.yamlout import dump_text
    from kafila.members.kubeconfig import default_files, merged, write

    plane = access(kubeconfig, karmada_context)
    names = checked(plane, cluster or [])
    files = [Path(kubeconfig).expanduser()] if kubeconfig else default_files()
    document = contexts(merged(files), plane.context, names)
    if not output:
        print(dump_text(document), end="")
        return
    try:
        write(Path(output).expanduser(), document)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}") from None


def contexts(config: Object, context: str, clusters: Sequence[str]) -> Object:
    """The user of ``context``, and for each cluster an address below that of its server. The first is the current one."""
    chosen = next(entry["context"] for entry in config["contexts"] if entry["name"] == context)
    server = next(entry["cluster"] for entry in config["clusters"] if entry["name"] == chosen["cluster"])
    users = [entry for entry in config["users"] if entry["name"] == chosen.get("user")]
    made: Object = {"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "users": users}
    for cluster in clusters:
        name = _ALL if cluster == EVERYWHERE else cluster
        address = server["server"].rstrip("/") + PROXY.format(cluster)
        made["clusters"].append({"name": name, "cluster": {**server, "server": address}})
        made["contexts"].append({"name": name, "context": {**chosen, "cluster": name}})
    made["current-context"] = made["contexts"][0]["name"] if clusters else ""
    return made
