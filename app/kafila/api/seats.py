"""A request's seat: how it is classified, how many seats it takes, and what it is told when there is none."""

from __future__ import annotations

from itertools import islice
from typing import Final

from kafila.flowcontrol.configuration import ClassifiedFlow
from kafila.flowcontrol.estimates import seats_of_list
from kafila.flowcontrol.fairness import Fairness, Rejected, Seat
from kafila.flowcontrol.rules import Asked
from kafila.registry import Registry
from kafila.watch.resource import Resource

from .auditing import LONG_RUNNING
from .authorization import verb_of
from .request import Asking, Request, Target
from .responses import Response, text_response

_SAMPLE: Final = 8  # objects from whose sizes that of all is guessed
_READING: Final = frozenset({"GET", "HEAD"})


def is_long_running(request: Request) -> bool:
    target = request.target
    return target is not None and target.subresource in LONG_RUNNING


def flow_of(fairness: Fairness, request: Asking) -> ClassifiedFlow:
    user, target = request.user, request.target
    known = fairness.configuration.known(user.name, user.groups)
    if target is not None and target.plural and known.resources is not None:
        return known.resources
    return fairness.configuration.classify(known, user.name, _asked(request))


def _asked(request: Asking) -> Asked:
    target = request.target
    if target is None or not target.plural:
        return Asked(request.method.lower(), path=request.path)
    resource = target.plural.strip("\0")
    if target.subresource:
        resource = f"{resource}/{target.subresource}"
    namespace = target.name if target.plural == "namespaces" and target.name else target.namespace
    return Asked(verb_of(request.method, target, is_watch(request)), target.group, resource, namespace)


def is_watch(request: Asking) -> bool:
    """The parameter makes watches of lists; of a single object only the old prefix does."""
    target = request.target
    return target is not None and (target.watch or (not target.name and request.flag("watch")))


def at_once(fairness: Fairness, flow: ClassifiedFlow, request: Request, registry: Registry, now: float) -> Seat | None:
    """None: it has to wait."""
    return fairness.begin(flow, now, _seats(flow, request, registry), request.method in _READING, request)


async def waited(fairness: Fairness, flow: ClassifiedFlow, request: Request, registry: Registry) -> Seat:
    """Raises Rejected, Left."""
    reads = request.method in _READING
    return await fairness.wait(flow, _seats(flow, request, registry), reads, request.lost, request)


def _seats(flow: ClassifiedFlow, request: Request, registry: Registry) -> int:
    target = request.target
    most = flow.level.most_seats
    if most == 1 or target is None or target.name or not target.plural or request.method not in _READING:
        return 1
    return _seats_of_list(most, request, target, registry)


def _seats_of_list(most: int, request: Request, target: Target, registry: Registry) -> int:
    """Also of a watch that begins with what there is."""
    query = request.query
    if (
        is_watch(request)
        and query.get("resourceVersion") not in (None, "", "0")
        and not request.flag("sendInitialEvents")
    ):
        return 1
    if "metadata.name=" in query.get("fieldSelector", ""):
        return 1
    kind = registry.catalog.get(target.group, target.version, target.plural)
    return seats_of_list(_size(registry.cache.resource(kind.resource), query.get("limit", "")), most) if kind else 1


def _size(resource: Resource, limit: str) -> float:
    """Bytes that a list of the resource has, nearly."""
    count = len(resource.objects)
    if not count:
        return 0.0
    sample = [len(entry.body) for entry in islice(resource.objects.values(), _SAMPLE)]
    if limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) < count:
        count = int(limit[:9])
    return count * sum(sample) / len(sample)


def details(request: Asking) -> tuple[str, ...]:
    """User, verb, path, namespace, name, version, resource and subresource: what dumps of flow control say of one."""
    user, path, target = request.user.name, request.path, request.target
    if target is None or not target.plural:
        return user, request.method.lower(), path, "", "", "", "", ""
    verb = verb_of(request.method, target, is_watch(request)) or request.method.lower()
    version = f"{target.group}/{target.version}" if target.group else target.version
    resource = target.plural.strip("\0")
    return user, verb, path, target.namespace, target.name, version, resource, target.subresource


def too_many_requests(rejected: Rejected) -> Response:
    """As kube-apiserver says it: no Status."""
    response = text_response("Too many requests, please try again later.\n", 429)
    return response._replace(headers=(*response.headers, (b"retry-after", str(rejected.retry_after).encode())))
