"""The rules of Karmada's admission webhooks, run in process."""

from .context import NOTHING, AdmissionContext
from .rules import admit, mutate

__all__ = ["NOTHING", "AdmissionContext", "admit", "mutate"]
