"""What came of talking to a cluster, in one line for users."""

from __future__ import annotations

from kafila.core.errors import StatusError

from .client import MemberClient
from .join import CLUSTER_API
from .transport import Unreachable


def explain(error: BaseException, member: MemberClient | None, control_plane: MemberClient) -> str:
    """One line for whatever join or unjoin raised."""
    endpoints = " or ".join(c.endpoint for c in (control_plane, member) if c is not None)
    if isinstance(error, Unreachable):
        return f"cannot reach {endpoints}: {error}"
    if isinstance(error, StatusError) and error.code == 401:
        return f"{endpoints} does not know the credentials of the kubeconfig, or they have ended: {error.message}"
    if isinstance(error, StatusError) and error.code == 404 and "clusters" not in error.message and not error.details:
        return f"{control_plane.endpoint} serves no {CLUSTER_API}; is it a Karmada control plane? ({error.message})"
    return " ".join(str(error).split())
