"""The names of those who act for a cluster in pull mode: Karmada's, and who is who."""

from __future__ import annotations

from typing import Any, Final

GROUP: Final = "system:karmada:agents"  # all agents
PREFIX: Final = "system:karmada:agent:"  # of the user, with the name of his cluster behind it
GENERATOR: Final = f"{PREFIX}rbac-generator"  # who registers a cluster: writes the roles of its agent
BOOTSTRAPPERS: Final = "system:bootstrappers:karmada:default-cluster-token"  # whoever has a token
RESERVED: Final = GENERATOR.removeprefix(PREFIX)  # the name that no cluster may have: its agent would be the generator

TOKEN_OF: Final = "-impersonator"  # behind the name of a cluster: the Secret beside that of its credentials
LEASE_OF: Final = "karmada-agent-"  # before it: the Lease of its agents, of whom one works


def why_unfit(cluster: str) -> str:
    """Why no cluster in pull mode has this name: what its agent may write would be another cluster's. "" for one that may."""
    if cluster == RESERVED:
        return "the agent of this cluster would be who registers clusters"
    if cluster.endswith(TOKEN_OF):
        return f"the credentials of this cluster would be those of cluster {cluster.removesuffix(TOKEN_OF)}"
    if cluster.startswith(LEASE_OF):
        return f"the Lease of this cluster would be that of the agents of cluster {cluster.removeprefix(LEASE_OF)}"
    return ""


def agent_of(user: Any) -> str:
    """The cluster whose agent somebody is, "" for anybody else."""
    name = str(user.name)
    if name.startswith(PREFIX) and name != GENERATOR and GROUP in user.groups:
        return name.removeprefix(PREFIX)
    return ""


def is_generator(user: Any) -> bool:
    return user.name == GENERATOR and GROUP in user.groups
