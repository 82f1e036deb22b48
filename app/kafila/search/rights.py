"""What a caller may read of members' objects: what the members themselves let him read.

Here he needs the right to use ``search`` or ``proxying``; what he sees through it is for each member to say, who is asked by a
SubjectAccessReview in his name, and believed for a while. A member that is away is believed what it said last.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final, NamedTuple, final

from kafila.authorization import MASTERS, Attributes
from kafila.authorization.attributes import refusal
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.members.clients import MemberClients
from kafila.members.credentials import CredentialsError
from kafila.members.transport import Transport, Unreachable, UnusableAnswer
from kafila.members.tunnels import Tunnels
from kafila.registry import Registry

ALLOWED_FOR: Final = 60.0  # seconds that an answer is believed
DENIED_FOR: Final = 10.0
AWAY_FOR: Final = 3600.0  # of a member that does not answer
REMEMBERED: Final = 20_000  # answers
TIMEOUT: Final = 5.0  # seconds
SILENT_FOR: Final = 10.0  # seconds that a member is not asked again after it did not answer
LONGEST_NAME: Final = 253
REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

Question = tuple[str, bytes]  # the cluster, and a digest: whoever asks cannot make what is remembered large


class _Verdict(NamedTuple):
    at: float
    allowed: bool
    why: str


class Permitted(NamedTuple):
    """``refused``: why not, by cluster."""

    clusters: list[str]
    refused: dict[str, str]


def can_be(asked: Attributes) -> bool:
    """Whether an object may have those names: no longer ones are asked about, and kept with the answers."""
    return all(
        len(name) <= LONGEST_NAME and "\0" not in name for name in (asked.namespace, asked.name, asked.subresource)
    )


@final
class MemberRights:
    """``transport_for``: a Cluster's own transport (simulation), None for the network; ``tunnels``: of members in pull mode."""

    def __init__(
        self,
        registry: Registry,
        transport_for: Callable[[Object], Transport | None],
        tunnels: Tunnels | None = None,
    ) -> None:
        self._verdicts: OrderedDict[Question, _Verdict] = OrderedDict()
        self._silent: dict[str, tuple[float, str]] = {}  # by cluster: until when, and why
        self._clients = MemberClients(registry.cache, transport_for, tunnels=tunnels)
        self._clients.on_gone(self._forget)

    async def close(self) -> None:
        await self._clients.close()

    async def permitted(self, asked: Attributes, clusters: Collection[str]) -> Permitted:
        """In which of the clusters ``asked.user`` may do that: in none, and without a question, where what is named can be nowhere.
        Raises StatusError 403 when there are some and he may in none."""
        if not can_be(asked):
            return Permitted([], {})
        if MASTERS in asked.user.groups:
            return Permitted(list(clusters), {})
        answers = await asyncio.gather(*(self._asked(asked, cluster) for cluster in clusters))
        found = dict(zip(clusters, answers, strict=True))
        refused = {cluster: verdict.why for cluster, verdict in found.items() if not verdict.allowed}
        if clusters and len(refused) == len(found):
            where, why = next(iter(refused.items()))
            raise refusal(asked, f"cluster {where}: {why}" if why else "")
        return Permitted([cluster for cluster in clusters if cluster not in refused], refused)

    async def allows(self, asked: Attributes, cluster: str) -> bool:
        if MASTERS in asked.user.groups:
            return True
        return (await self._asked(asked, cluster)).allowed

    async def _asked(self, asked: Attributes, cluster: str) -> _Verdict:
        found = await self._verdict(asked._replace(name=""), cluster)
        if found.allowed or not asked.name:
            return found
        return await self._verdict(asked, cluster)

    async def _verdict(self, asked: Attributes, cluster: str) -> _Verdict:
        question = _question(asked, cluster)
        known, now = self._verdicts.get(question), time.monotonic()
        if known is not None and now - known.at < (ALLOWED_FOR if known.allowed else DENIED_FOR):
            return known
        silent_until, why = self._silent.get(cluster, (0.0, ""))
        if now >= silent_until:
            try:
                async with asyncio.timeout(TIMEOUT):
                    found = await self._review(asked, cluster)
            except (StatusError, UnusableAnswer, CredentialsError) as error:
                why = str(error)
            except (Unreachable, TimeoutError) as error:
                why = str(error) or "timed out"
                self._silent[cluster] = time.monotonic() + SILENT_FOR, why
            else:
                self._silent.pop(cluster, None)
                self._remember(question, found)
                return found
        if known is not None and now - known.at < AWAY_FOR:
            return known
        return _Verdict(now, False, f"it cannot be asked whether that is allowed: {why}")

    def _remember(self, question: Question, found: _Verdict) -> None:
        self._verdicts[question] = found
        self._verdicts.move_to_end(question)
        while len(self._verdicts) > REMEMBERED:
            self._verdicts.popitem(last=False)

    async def _review(self, asked: Attributes, cluster: str) -> _Verdict:
        attributes = {
            "verb": asked.verb,
            "group": asked.group,
            "version": asked.version,
            "resource": asked.resource,
            "subresource": asked.subresource,
            "namespace": asked.namespace,
            "name": asked.name,
        }
        spec = {
            "user": asked.user.name,
            "groups": list(asked.user.groups),
            "resourceAttributes": {name: value for name, value in attributes.items() if value},
        }
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await self._clients.get(cluster).create(REVIEWS, review)
        status = answer.get("status") if isinstance(answer, dict) else None
        if not isinstance(status, dict):
            raise UnusableAnswer("the answer to a SubjectAccessReview has no status")
        reason = status.get("reason")
        allowed = status.get("allowed") is True and status.get("denied") is not True
        return _Verdict(time.monotonic(), allowed, reason[:512] if isinstance(reason, str) else "")

    def _forget(self, cluster: str) -> None:
        """Another cluster of that name has rights of its own."""
        self._silent.pop(cluster, None)
        for question in [question for question in self._verdicts if question[0] == cluster]:
            del self._verdicts[question]


def _question(asked: Attributes, cluster: str) -> Question:
    text = repr((asked.user.name, asked.user.groups, *asked[1:]))
    return cluster, hashlib.blake2b(text.encode(), digest_size=16).digest()
