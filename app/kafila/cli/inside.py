"""``kafila logs``, ``exec``, ``attach``, ``cp`` and ``port-forward``: kubectl's commands, where the pods are.

The member is found here; the rest is kubectl's own work, with all of its flags, through ``clusters/NAME/proxy``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, NoReturn

from cyclopts import Parameter

from . import CommandError, UsageError
from .membership import access, told
from .resources import resource_named

if TYPE_CHECKING:
    from kafila.members.client import MemberClient
    from kafila.members.kubeconfig import Access

_CLUSTERS: Final = "/apis/cluster.karmada.io/v1alpha1/clusters"
PROXY: Final = _CLUSTERS + "/{}/proxy"
EVERYWHERE: Final = "*"
_OURS: Final = {"-C": "cluster", "--cluster": "cluster", "--kubeconfig": "kubeconfig", "--karmada-context": "context"}
_ALL: Final = {"-n": "namespace", "--namespace": "namespace", **_OURS}
# kubectl's flags whose value may stand behind them: it must not be taken for a pod
_VALUED: Final = frozenset(
    (
        "-c",
        "--container",
        "--as",
        "--as-group",
        "--as-uid",
        "--as-user-extra",
        "--request-timeout",
        "--token",
        "--user",
        "-v",
        "--v",
        "--pod-running-timeout",
    )
)
_OF_LOGS: Final = ("--limit-bytes", "--max-log-requests", "--since", "--since-time", "--tail", "-l", "--selector")
_VALUED_OF: Final[Mapping[str, frozenset[str]]] = {
    "logs": _VALUED.union(_OF_LOGS),
    "exec": _VALUED,
    "attach": _VALUED,
    "cp": _VALUED.union(("--retries",)),
    "port-forward": _VALUED.union(("--address",)),
}
_SEVERAL: Final = re.compile("-[A-Za-z]{2,}")
_READY: Final = ("readyReplicas", "numberReady", "active", "succeeded")

Tokens = Annotated[
    str,
    Parameter(
        name="TARGET",
        allow_leading_hyphen=True,
        help="POD or TYPE/NAME (cp: files and POD:FILE), and kubectl's flags; -C or --cluster: in this cluster, else where it is.",
    ),
]


class Wanted(NamedTuple):
    """``target``: empty where a selector says which pods; ``passed``: everything that kubectl reads itself."""

    target: str
    passed: tuple[str, ...]
    cluster: str = ""
    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""


def described(*tokens: Tokens) -> None:
    """What ``--help`` shows of each of these commands."""


def wanted(command: str, tokens: Sequence[str]) -> Wanted:
    """What is meant. Raises UsageError."""
    own: dict[str, str] = {}
    passed: list[str] = []
    target = ""
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if token == "--":
            passed += [token, *rest]
            break
        name, is_given, value = token.partition("=")
        if name in _ALL or name in _VALUED_OF[command]:
            if not is_given:
                if not rest:
                    raise UsageError(f"flag needs an argument: {name}")
                value = rest.pop(0)
            if name in _ALL:
                own[_ALL[name]] = value
            else:
                passed += [f"{name}={value}"] if name.startswith("--") else [name, value]
            continue
        passed.append(token)
        if not token.startswith("-"):
            target = target or token
        elif _SEVERAL.fullmatch(token) and "-" + token[-1] in _VALUED_OF[command] and rest:  # -itc NAME
            passed.append(rest.pop(0))
    selects = command == "logs" and any(token.startswith(("-l", "--selector")) for token in passed)
    if not target and not selects:
        raise UsageError(f"kafila {command} needs {'files and POD:FILE' if command == 'cp' else 'a POD or TYPE/NAME'}")
    return Wanted(target, tuple(passed), **own)


def run(command: str, tokens: Sequence[str]) -> NoReturn:
    """Becomes kubectl. Raises CommandError."""
    asked = wanted(command, tokens)
    plane = access(asked.kubeconfig, asked.context)
    namespace = asked.namespace or plane.namespace or "default"
    (cluster,) = checked(plane, [asked.cluster or EVERYWHERE])
    kind, is_typed, name = asked.target.partition("/") if command != "cp" else ("", "", "")  # files, and POD:FILE
    if not asked.cluster and is_typed and kind not in ("pod", "pods", "po"):
        cluster = _located(plane, kind, name, namespace)
    arguments = ["kubectl", f"--server={plane.endpoint}{PROXY.format(cluster)}", f"--namespace={namespace}"]
    arguments += [f"--kubeconfig={asked.kubeconfig}"] if asked.kubeconfig else []
    arguments += [f"--context={asked.context}"] if asked.context else []
    sys.stdout.flush()
    try:
        os.execvp("kubectl", [*arguments, command, *asked.passed])
    except OSError:
        raise CommandError(f"kubectl is needed for kafila {command}, and is not on the PATH") from None


def _located(plane: Access, kind: str, name: str, namespace: str) -> str:
    """A cluster that has it, one where something of it runs if there is any. Raises CommandError."""
    found = told(plane, lambda client: _looked_for(client, kind, name, namespace))
    if not found:
        raise CommandError(
            f"{kind}/{name} is in no cluster that answers; kafila why {kind}/{name} -n {namespace} says more"
        )
    chosen = next((cluster for cluster, runs in found.items() if runs), next(iter(found)))
    if len(found) > 1:
        print(
            f"Found {kind}/{name} in {len(found)} clusters, using {chosen}; -C chooses: {', '.join(found)}",
            file=sys.stderr,
        )
    return chosen


async def _looked_for(client: MemberClient, kind: str, name: str, namespace: str) -> dict[str, bool]:
    """The clusters that have it, and whether something of it runs there. Raises CommandError, StatusError, Unreachable."""
    from kafila.core.errors import StatusError
    from kafila.placement.constants import CACHED_FROM_CLUSTER

    resource = await resource_named(client, kind, ": name a cluster with -C")
    path = PROXY.format(EVERYWHERE) + resource.path(namespace if resource.namespaced else "", "")
    try:
        items, _ = await client.list(path, query={"fieldSelector": f"metadata.name={name}"})
    except StatusError as error:
        if error.code == 404:
            return {}
        raise
    found = {}
    for item in items:
        status = item.get("status") or {}
        found[item["metadata"].get("annotations", {}).get(CACHED_FROM_CLUSTER, "")] = any(
            status.get(field) for field in _READY
        )
    return found


def checked(plane: Access, wanted: list[str]) -> list[str]:
    """The clusters that are wanted, or all that there are. Raises CommandError."""
    from kafila.core.errors import StatusError

    async def found(client: MemberClient) -> list[str]:
        if not wanted:
            items, _ = await client.list(_CLUSTERS)
            return [item["metadata"]["name"] for item in items]
        try:
            for name in wanted:
                if name != EVERYWHERE:
                    await client.get(f"{_CLUSTERS}/{name}")
        except StatusError as error:
            if error.code != 403:  # who may use one may not be allowed to look at it
                raise
        return wanted

    names = told(plane, found)
    if not names:
        raise CommandError("there are no clusters: kafila join registers one")
    return names
