"""Who may do what: Kubernetes' authorization modes and their one answer to a request.

Pure but for what follows the watch cache (``feed``) and what asks a webhook. It stands beside ``identity``, which says who
asks, and below ``admission`` and ``registry``: whoever writes a role is asked what he may do himself.
"""

from .attributes import MASTERS, Attributes, Decision, Subject
from .authorizer import Authorizer, build
from .escalation import Escalation
from .feed import follow
from .params import ParamAccess
from .rbac import Rbac
from .signers import Signers

__all__ = [
    "MASTERS",
    "Attributes",
    "Authorizer",
    "Decision",
    "Escalation",
    "ParamAccess",
    "Rbac",
    "Signers",
    "Subject",
    "build",
    "follow",
]
