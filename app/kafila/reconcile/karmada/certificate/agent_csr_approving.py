"""Requests of agents for client certificates are approved where who asks has the right to one (Karmada's agentcsrapproving controller)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final, NamedTuple, final

from kafila.authorization import Attributes, Authorizer
from kafila.core.agents import GENERATOR, PREFIX, why_unfit
from kafila.core.clock import rfc3339
from kafila.core.conditions import conditions_of
from kafila.core.values import Object
from kafila.identity.requests import CLIENT, NotSigned, check_agent, common_name, read
from kafila.reconcile.controller import ResourceController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.kinds import CLUSTERS, OPTIONS
from kafila.registry import Registry, User

RESOURCE: Final = "certificatesigningrequests.certificates.k8s.io"
GROUP: Final = "certificates.k8s.io"
LEFT_TO_OTHERS: Final = "AgentRequestNotApproved"
_TAKEN: Final = (
    "cluster {} exists, and a bootstrap token is no proof of being its agent: kubectl certificate approve {}"
)


class Recognized(NamedTuple):
    """``subresource`` of certificatesigningrequests, which who asks has to be allowed to create."""

    subresource: str
    message: str


SELF: Final = Recognized("selfclusteragent", "Auto approving self karmada agent certificate after SubjectAccessReview.")
OTHER: Final = Recognized("clusteragent", "Auto approving karmada agent certificate after SubjectAccessReview.")


@final
class AgentCSRApproving(ResourceController):
    """``authorizer``: None where nobody can be asked; nothing is approved then.

    Whoever has a bootstrap token gets no certificate as the agent of a cluster that is there: Karmada would let him take it over.
    """

    name = "agentcsrapproving"
    about = RESOURCE

    def __init__(self, registry: Registry, authorizer: Authorizer | None, recorder: Recorder) -> None:
        super().__init__(registry.cache, self.name)
        self._recorder = recorder
        self._registry = registry
        self._authorizer = authorizer
        self._kind = registry.kind(GROUP, "v1", "certificatesigningrequests")

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(RESOURCE, "", name)
        if entry is None or entry.meta.deletionTimestamp or self._authorizer is None:
            return
        obj = entry.decode()
        user = user_of(obj)
        for found in recognized(obj):
            asked = Attributes(user, "create", GROUP, "*", "certificatesigningrequests", found.subresource)
            if not (await self._authorizer.authorize(asked)).allowed:
                continue
            if found is OTHER and (why := self._left_to_others(obj)):
                about = {**obj, "apiVersion": f"{GROUP}/v1", "kind": "CertificateSigningRequest"}
                self._recorder.event(about, "Warning", LEFT_TO_OTHERS, why)
                return
            await self._approve(name, found.message)
            return

    def _left_to_others(self, obj: Object) -> str:
        """Why whoever has a token does not become this agent, "" where he does."""
        asked = common_name(read(base64.b64decode(obj["spec"]["request"])))
        if asked == GENERATOR:
            return ""
        cluster = asked.removeprefix(PREFIX)
        if self._registry.cache.get(CLUSTERS, "", cluster) is not None:
            return _TAKEN.format(cluster, obj["metadata"]["name"])
        return why_unfit(cluster)

    async def _approve(self, name: str, message: str) -> None:
        def approved(current: Object) -> Object:
            if not any(True for _ in recognized(current)):
                return current
            condition = {
                "type": "Approved",
                "status": "True",
                "reason": "AutoApproved",
                "message": message,
                "lastUpdateTime": rfc3339(),
                "lastTransitionTime": rfc3339(),
            }
            status = {**(current.get("status") or {}), "conditions": [*conditions_of(current), condition]}
            return {**current, "status": status}

        await self._registry.modify(self._kind, "", name, approved, OPTIONS, "approval")


def user_of(obj: Object) -> User:
    """Who asked, as authentication found him."""
    spec = obj["spec"]
    extra = tuple((key, tuple(values)) for key, values in (spec.get("extra") or {}).items())
    return User(spec.get("username") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)


def recognized(obj: Object) -> Iterator[Recognized]:
    """As what it may be approved; nothing for what is no agent's request, or is decided already."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    decided = any(c.get("type") in ("Approved", "Denied") for c in conditions_of(obj))
    if spec.get("signerName") != CLIENT or status.get("certificate") or decided:
        return
    try:
        request = read(base64.b64decode(spec.get("request") or ""))
        check_agent(request, spec.get("usages") or ())
    except (NotSigned, ValueError):
        return
    if spec.get("username") == common_name(request) != GENERATOR:  # who registers needs a token each time
        yield SELF
    yield OTHER
