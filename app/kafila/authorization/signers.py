"""Who may approve and sign certificate requests: the verbs ``approve`` and ``sign`` on the request's signer, as in kube-apiserver.

The right to write the subresource is not enough: it is one for all signers.
"""

from __future__ import annotations

from typing import Any, Final, final

from kafila.core import errors
from kafila.core.conditions import conditions_of
from kafila.core.quoting import quoted
from kafila.core.values import Object

from .attributes import MASTERS, Attributes, Subject
from .authorizer import Authorizer

GROUP: Final = "certificates.k8s.io"
RESOURCE: Final = f"certificatesigningrequests.{GROUP}"
_DECISIONS: Final = ("Approved", "Denied")


@final
class Signers:
    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def check(self, new: Object, old: Object, user: Subject) -> None:
        """A changed request. Raises StatusError 403."""
        if MASTERS in user.groups:
            return
        if _decisions(new) != _decisions(old):
            self._insist("approve", old, user)
        if _answer(new) != _answer(old):
            self._insist("sign", old, user)

    def _insist(self, verb: str, request: Object, user: Subject) -> None:
        signer = (request.get("spec") or {}).get("signerName") or ""
        domain = signer.partition("/")[0]
        for name in (signer, f"{domain}/*"):
            if self._authorizer.decide(Attributes(user, verb, GROUP, "*", "signers", "", "", name)).allowed:
                return
        why = f"user not permitted to {verb} requests with signerName {quoted(signer)}"
        raise errors.forbidden(GROUP, "certificatesigningrequests", request["metadata"]["name"], why)


def _decisions(request: Object) -> list[Object]:
    return [condition for condition in conditions_of(request) if condition.get("type") in _DECISIONS]


def _answer(request: Object) -> tuple[Any, list[Object]]:
    """What a signer writes."""
    others = [condition for condition in conditions_of(request) if condition.get("type") not in _DECISIONS]
    return (request.get("status") or {}).get("certificate"), others
