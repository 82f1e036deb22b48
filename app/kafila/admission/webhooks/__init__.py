"""Which webhooks of ``admissionregistration.k8s.io`` a write is shown to, what they are asked, and what their answers mean.

Nothing here asks anybody: ``registry.admitting`` does.
"""

from .attributes import Attributes
from .hooks import MUTATING, VALIDATING, ClientConfig, Hook, hooks_of
from .index import Call, Index
from .reviews import InvalidAnswer, Verdict, review, verdict_of

__all__ = [
    "MUTATING",
    "VALIDATING",
    "Attributes",
    "Call",
    "ClientConfig",
    "Hook",
    "Index",
    "InvalidAnswer",
    "Verdict",
    "hooks_of",
    "review",
    "verdict_of",
]
