"""Why an object is where it is: reads what is stored and explains it to a stranger. Pure; the command ``kafila why`` fetches and prints."""

from .explain import explain
from .report import Advice, ClusterRow, Evidence, Reference, Report, Warned

__all__ = ["Advice", "ClusterRow", "Evidence", "Reference", "Report", "Warned", "explain"]
