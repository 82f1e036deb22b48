"""The rules of Karmada's admission webhooks, run in process."""

from .context import NOTHING, Surroundings
from .rules import admit, mutate

__all__ = ["NOTHING", "Surroundings", "admit", "mutate"]
