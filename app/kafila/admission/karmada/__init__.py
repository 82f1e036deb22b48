"""The rules of Karmada's admission webhooks, run in process."""

from .rules import admit, mutate
from .surroundings import NOTHING, Surroundings

__all__ = ["NOTHING", "Surroundings", "admit", "mutate"]
