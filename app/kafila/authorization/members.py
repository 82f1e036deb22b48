"""What no role gives the agent of a cluster: roles may be older than the cluster that now has its name. Pure."""

from __future__ import annotations

from typing import Final, final

import msgspec

from kafila.core.agents import PREFIX, TOKEN_OF, agent_of

from .attributes import Attributes, Decision

CLUSTERS: Final = "clusters.cluster.karmada.io"
_READS: Final = ("get", "list", "watch")


class _Spec(msgspec.Struct, frozen=True, gc=False):
    syncMode: str = ""


class _Cluster(msgspec.Struct, gc=False):
    spec: _Spec = _Spec()


_decode = msgspec.json.Decoder(_Cluster).decode


@final
class Members:
    """The clusters that there are, by name: whether they are in Pull mode."""

    def __init__(self) -> None:
        self._pulled: dict[str, bool] = {}

    def put(self, name: str, body: bytes | None) -> None:
        """``body``: the Cluster as JSON, None when it is gone."""
        if body is None:
            self._pulled.pop(name, None)
            return
        try:
            self._pulled[name] = _decode(body).spec.syncMode == "Pull"
        except msgspec.DecodeError:
            self._pulled[name] = False

    def refusal(self, asked: Attributes) -> Decision | None:
        """None where roles decide."""
        if not asked.user.name.startswith(PREFIX) or not (cluster := agent_of(asked.user)):
            return None
        match asked.group, asked.resource:
            case "", "secrets":
                if cluster.endswith(TOKEN_OF):
                    return _denied(f"what cluster {cluster.removesuffix(TOKEN_OF)} leaves has this name")
                if asked.name == f"{cluster}{TOKEN_OF}" and asked.name in self._pulled:
                    return _denied(f"it is of cluster {asked.name}")
            case "work.karmada.io", "works":
                pass
            case "cluster.karmada.io", "clusters" if asked.name == cluster and asked.verb not in _READS:
                pass
            case _:
                return None
        return None if self._pulled.get(cluster, True) else _denied(f"cluster {cluster} is in Push mode")


def _denied(why: str) -> Decision:
    return Decision(False, denied=True, reason=why)
