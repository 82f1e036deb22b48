"""The names of those who act for a cluster in pull mode: Karmada's, and who is who."""

from __future__ import annotations

from typing import Any, Final

GROUP: Final = "system:karmada:agents"  # all agents
PREFIX: Final = "system:karmada:agent:"  # of the user, with the name of his cluster behind it
GENERATOR: Final = f"{PREFIX}rbac-generator"  # who registers a cluster: writes the roles of its agent
BOOTSTRAPPERS: Final = "system:bootstrappers:karmada:default-cluster-token"  # whoever has a token
RESERVED: Final = GENERATOR.removeprefix(PREFIX)  # the name that no cluster may have: its agent would be the generator


def agent_of(user: Any) -> str:
    """The cluster whose agent somebody is, "" for anybody else."""
    name = str(user.name)
    if name.startswith(PREFIX) and name != GENERATOR and GROUP in user.groups:
        return name.removeprefix(PREFIX)
    return ""


def is_generator(user: Any) -> bool:
    return user.name == GENERATOR and GROUP in user.groups
