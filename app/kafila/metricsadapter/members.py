"""Asks all members about metrics, with the rights that the control plane has there, and makes one answer of theirs.

Only members that are Ready are asked, at the same time and for a limited time together: one that is slow, away or says what
cannot be used is left out, and it is said why. One that has no such API, or no such metric, has nothing to say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar, final
from urllib.parse import quote

import structlog
from prometheus_client import Counter

from kafila.autoscaling.metrics import PodUsage
from kafila.core.errors import StatusError, bad_request
from kafila.core.names import path_segment
from kafila.members.answers import status_error
from kafila.members.client import MemberClient
from kafila.members.clients import MemberClients
from kafila.members.credentials import CredentialsError
from kafila.members.limits import CircuitBreaker
from kafila.members.paths import resource_path
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.registry.threads import in_thread
from kafila.telemetry.members import forget_member, of_member

from . import answers, merging
from .usages import pod_usages
from .values import ALL_OBJECTS, CUSTOM, EXTERNAL, RESOURCE, VERSIONS, ExternalValue, MetricValue, Usage

T = TypeVar("T")
log = structlog.get_logger(__name__)
TIMEOUT: Final = 8.0  # seconds for all members together: our own controllers wait for ten
ONE_TIMEOUT: Final = 5.0  # for one request: what TIMEOUT cancels tells a member's circuit breaker nothing
AT_ONCE: Final = 100  # members that are asked at the same time
LEFT_OUT: Final = of_member(
    Counter(
        "kafila_member_metrics_left_out_total",
        "Answers about metrics that a member was left out of.",
        ["member_cluster"],
    )
)
VALUE: Final = 512  # bytes of a custom or external value in memory, beside its text
USAGE: Final = 128  # of one object's usage
POD_USAGE: Final = 1024  # of one pod's, as numbers
VERSIONS_FOR: Final = 60.0  # seconds that it is believed which versions of an API a member serves
NO_METRICS: Final = "it does not serve metrics.k8s.io"


class Answer(NamedTuple, Generic[T]):
    """``found``: what members say together; ``left_out``: why not, by the name of the member."""

    found: list[T]
    left_out: dict[str, str]

    @property
    def warnings(self) -> list[str]:
        return [f"cluster {cluster} is left out: {why}" for cluster, why in self.left_out.items()]


class _Heard(NamedTuple, Generic[T]):
    said: dict[str, T]  # by member, in the order of their names
    left_out: dict[str, str]


@final
class MemberMetrics:
    """``clients``: how members are reached; ``timeout``: seconds for all of them together, ``one_timeout`` for one request (less)."""

    def __init__(self, clients: MemberClients, timeout: float = TIMEOUT, one_timeout: float = ONE_TIMEOUT) -> None:
        self._clients = clients
        self._timeout, self._one_timeout = timeout, one_timeout
        self._versions: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}  # by member and group
        self._breakers: dict[tuple[str, str], CircuitBreaker] = {}  # by member and group with version
        self._room = Room(clients.limits.kept)
        clients.on_gone(self._forget)

    async def close(self) -> None:
        await self._clients.close()

    # -- metrics.k8s.io --------------------------------------------------------------------------------------------------

    async def pods(self, namespace: str, labels: str = "") -> Answer[Usage]:
        """Of all namespaces where ``namespace`` is "". ``labels``: a label selector of pods, "" for all."""
        path = resource_path(_api(RESOURCE), "pods", _segment(namespace))
        return await self._usage(path, labels, lambda body, name: answers.pods(body, f"GET {path}", name, namespace))

    async def nodes(self, labels: str = "") -> Answer[Usage]:
        path = resource_path(_api(RESOURCE), "nodes")
        return await self._usage(path, labels, lambda body, name: answers.nodes(body, f"GET {path}", name))

    async def pod(self, namespace: str, name: str) -> Answer[Usage]:
        """Of every member that has a pod of that name."""
        path = resource_path(_api(RESOURCE), "pods", _segment(namespace), _checked(name))
        return await self._one(path, name, lambda body, cluster: answers.pod(body, f"GET {path}", cluster, namespace))

    async def node(self, name: str) -> Answer[Usage]:
        path = resource_path(_api(RESOURCE), "nodes", "", _checked(name))
        return await self._one(path, name, lambda body, cluster: answers.node(body, f"GET {path}", cluster))

    async def pod_usages(self, namespace: str, labels: str = "") -> Answer[PodUsage]:
        """As `pods` of one namespace, for whoever reckons with it: no documents are made, and nothing is put in order."""
        path = resource_path(_api(RESOURCE), "pods", _segment(namespace))
        with self._room.share() as take:
            heard = await self._usages(
                path, labels, lambda body, name: pod_usages(body, f"GET {path}", name, namespace), take, POD_USAGE
            )
            return Answer([usage for said in heard.said.values() for usage in said], heard.left_out)

    async def _usage(self, path: str, labels: str, read: Callable[[bytes, str], list[Usage]]) -> Answer[Usage]:
        with self._room.share() as take:
            heard = await self._usages(path, labels, read, take, USAGE)
            return await _answer(heard, lambda said: merging.side_by_side(usage for each in said for usage in each))

    async def _usages(
        self,
        path: str,
        labels: str,
        read: Callable[[bytes, str], list[T]],
        take: Callable[[int], None],
        each: int,
    ) -> _Heard[list[T]]:
        query = {"labelSelector": labels} if labels else {}

        async def ask(client: MemberClient) -> list[T]:
            try:
                return await self._list(client, path, query, lambda body: read(body, client.name), take, each)
            except StatusError as error:
                raise CredentialsError(NO_METRICS) if error.code == 404 else error from None

        return await self._everywhere(ask)

    async def _one(self, path: str, name: str, read: Callable[[bytes, str], Usage]) -> Answer[Usage]:
        with self._room.share() as take:

            async def ask(client: MemberClient) -> list[Usage]:
                found = await self._list(client, path, {}, lambda body: [read(body, client.name)], take, USAGE)
                if found[0].name != name:
                    raise UnusableAnswer(f"the answer to GET {path} is about another object")
                return found

            heard = await self._everywhere(ask)
            return Answer([usage for said in heard.said.values() for usage in said], heard.left_out)

    # -- custom.metrics.k8s.io -------------------------------------------------------------------------------------------

    async def custom_by_name(
        self, namespace: str, resource: str, name: str, metric: str, metric_labels: str = ""
    ) -> Answer[MetricValue]:
        """Of one object. ``resource``: as "pods" or "jobs.batch"; ``namespace`` "" for objects without one. Raises StatusError 404."""
        return await self._custom(
            namespace, resource, name, metric, "", metric_labels, lambda said: merging.one_value(said, resource, metric)
        )

    async def custom_by_selector(
        self, namespace: str, resource: str, labels: str, metric: str, metric_labels: str = ""
    ) -> Answer[MetricValue]:
        """Of all objects that ``labels`` select. Raises StatusError 404."""
        return await self._custom(
            namespace,
            resource,
            ALL_OBJECTS,
            metric,
            labels,
            metric_labels,
            lambda said: merging.by_object(said, resource, metric),
        )

    async def _custom(
        self,
        namespace: str,
        resource: str,
        name: str,
        metric: str,
        labels: str,
        metric_labels: str,
        merge: Callable[[list[list[MetricValue]]], list[MetricValue]],
    ) -> Answer[MetricValue]:
        if resource == "namespaces":  # which lie in themselves
            place = ["namespaces", name, "metrics", metric]
        else:
            place = [*(["namespaces", namespace] if namespace else []), resource, name, metric]
        below = "/".join(map(_segment, place))
        query = {"labelSelector": labels, "metricLabelSelector": metric_labels}
        asked = {field: value for field, value in query.items() if value}

        with self._room.share() as take:

            async def ask(client: MemberClient) -> list[MetricValue]:
                version = await self._version(client, CUSTOM)
                path = f"/apis/{CUSTOM}/{version}/{below}"
                what = f"GET {path}"
                return await self._list(
                    client, path, asked, lambda body: answers.custom(body, what, metric), take, VALUE
                )

            return await _answer(await self._everywhere(ask), merge)

    # -- external.metrics.k8s.io -----------------------------------------------------------------------------------------

    async def external(self, namespace: str, metric: str, labels: str = "") -> Answer[ExternalValue]:
        """``labels``: a selector of the metric's own labels. Raises StatusError 404."""
        path = f"/apis/{_api(EXTERNAL)}/namespaces/{_segment(namespace)}/{_segment(metric)}"
        query = {"labelSelector": labels} if labels else {}
        what = f"GET {path}"
        with self._room.share() as take:

            async def ask(client: MemberClient) -> list[ExternalValue]:
                return await self._list(
                    client, path, query, lambda body: answers.external(body, what, metric), take, VALUE
                )

            heard = await self._everywhere(ask)
            return await _answer(heard, lambda said: merging.by_labels(said, namespace, metric))

    # -- what there is ---------------------------------------------------------------------------------------------------

    async def resources(self, group: str) -> Answer[tuple[str, bool]]:
        """Names as they stand in members' discovery ("pods/requests"), each with whether it has a namespace; sorted."""

        with self._room.share() as take:

            async def ask(client: MemberClient) -> list[tuple[str, bool]]:
                path = f"/apis/{group}/{await self._version(client, group)}"
                what = f"GET {path}"
                return await self._list(client, path, {}, lambda body: answers.resources(body, what), take, USAGE)

            return await _answer(await self._everywhere(ask), merging.all_of)

    # -- asking ----------------------------------------------------------------------------------------------------------

    async def _version(self, client: MemberClient, group: str) -> str:
        """Raises StatusError 404 when the member has none that we know."""
        loop, key = asyncio.get_running_loop(), (client.name, group)
        known = self._versions.get(key)
        if known is None or loop.time() - known[0] > VERSIONS_FOR:
            path = f"/apis/{group}"
            served = await self._get(client, path, {}, lambda body: set(answers.versions(body, f"GET {path}")))
            ours = tuple(version for version in VERSIONS[group] if version in served)
            known = self._versions[key] = loop.time(), ours
        found = merging.preferred(known[1], VERSIONS[group])
        if found is None:
            raise StatusError(404, "NotFound", f"{group} not found")
        return found

    async def _get(self, client: MemberClient, path: str, query: dict[str, str], read: Callable[[bytes], T]) -> T:
        """Raises StatusError, Unreachable, UnusableAnswer."""
        with client.judging(f"GET {path}"):
            with self._admitted(client.name, "/".join(path.split("/", 4)[:4])):
                status, body = await client.request("GET", path, query=query, timeout=self._one_timeout)
            if status == 200:
                return await in_thread(len(body), lambda: read(body))
        raise status_error(status, body)

    async def _list(
        self,
        client: MemberClient,
        path: str,
        query: dict[str, str],
        read: Callable[[bytes], list[T]],
        take: Callable[[int], None],
        each: int,
    ) -> list[T]:
        """As `_get`. ``take``: room for it; ``each``: bytes that one of them takes beside its text."""
        found, size = await self._get(client, path, query, lambda body: (read(body), len(body)))
        take(size + each * len(found))
        return found

    @contextlib.contextmanager
    def _admitted(self, cluster: str, api: str) -> Iterator[None]:
        """Behind each of a member's metrics APIs is another server: one that is silent is noticed though the others answer.

        Raises Unreachable while it is not waited for."""
        loop, breaker = asyncio.get_running_loop(), self._breakers.setdefault((cluster, api), CircuitBreaker())
        if not breaker.admits(loop.time()):
            raise Unreachable(f"{api} does not answer there; tried again soon", sent=False)
        try:
            yield
        except BaseException as error:
            if isinstance(error, Unreachable) and not isinstance(error, UnusableAnswer) and error.sent:
                breaker.failed(loop.time())
            else:  # it was cancelled, or never sent, for which the client has a breaker, or said something
                breaker.left()
            raise
        breaker.succeeded()

    async def _everywhere(self, ask: Callable[[MemberClient], Awaitable[T]]) -> _Heard[T]:
        able, unable = self._clients.ready()
        until = asyncio.get_running_loop().time() + self._timeout
        turns = asyncio.Semaphore(AT_ONCE)
        said: dict[str, T] = {}
        left_out = dict.fromkeys(unable, "it is not Ready")

        async def one(cluster: str) -> None:
            try:
                async with asyncio.timeout_at(until), turns:
                    said[cluster] = await ask(self._clients.get(cluster))
            except (StatusError, Unreachable, UnusableAnswer, CredentialsError, TimeoutError) as error:
                if not (isinstance(error, StatusError) and error.code == 404):
                    left_out[cluster] = str(error) or f"no answer within {self._timeout:g} s"
            except Exception:  # whatever one member is like, the others have answered
                log.exception("a member could not be asked for metrics", cluster=cluster)
                left_out[cluster] = "it could not be asked"

        await asyncio.gather(*map(one, able))
        for cluster, why in left_out.items():
            LEFT_OUT.labels(cluster).inc()
            log.debug("left out of an answer about metrics", cluster=cluster, error=why)
        return _Heard({name: said[name] for name in able if name in said}, dict(sorted(left_out.items())))

    def _forget(self, cluster: str) -> None:
        for key in [key for key in self._versions if key[0] == cluster]:
            del self._versions[key]
        for key in [key for key in self._breakers if key[0] == cluster]:
            del self._breakers[key]
        forget_member(cluster)


@final
class Room:
    """Bytes that all questions under way may fill together."""

    def __init__(self, size: int) -> None:
        self._left = size

    @contextlib.contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """For one question: what it takes is given back when it is answered. What it takes with raises UnusableAnswer."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._left:
                raise UnusableAnswer("all members together have more metrics than are kept in memory")
            self._left -= size
            taken += size

        try:
            yield take
        finally:
            self._left += taken


async def _answer(heard: _Heard[list[T]], merge: Callable[[list[list[T]]], list[T]]) -> Answer[T]:
    """Raises StatusError 404 where ``merge`` does."""
    said = list(heard.said.values())
    size = sum(map(len, said)) << 8  # as many bytes would be as slow
    return Answer(await in_thread(size, lambda: merge(said)), heard.left_out)


def _api(group: str) -> str:
    return f"{group}/{VERSIONS[group][0]}"


def _segment(name: str) -> str:
    """A name as a piece of a path. Raises StatusError 400 for what would lead elsewhere."""
    return quote(_checked(name), safe="*:@!$&()+,;=")


def _checked(name: str) -> str:
    if problems := path_segment(name):
        raise bad_request(f"{name[:253]!a} {problems[0]}")
    return name
