"""Member clusters that need nothing: our own API over the in-memory store, with small controllers instead of nodes."""

from .cluster import SimulatedCluster

__all__ = ["SimulatedCluster"]
