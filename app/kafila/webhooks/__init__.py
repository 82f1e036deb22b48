"""How webhooks that configurations in the control plane name are reached: admission, conversion, interpreters.

Whoever writes a configuration decides where the request goes, as in Kubernetes (docs/admission.md says what that means); what comes
back is bounded in size and time, and no redirect is followed.
"""

from .client import Callers, CallFailed
from .identity import NOBODY, Identities
from .services import Unresolved, resolved

__all__ = ["NOBODY", "CallFailed", "Callers", "Identities", "Unresolved", "resolved"]
