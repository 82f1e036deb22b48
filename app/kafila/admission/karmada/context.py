"""What some rules read beside the object itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from kafila.core.values import Object
from kafila.placement.allowed_clusters import Limit
from kafila.placement.types import ResourceBindingSpec


def _none() -> Iterable[Object]:
    return ()


class Claimed(NamedTuple):
    """``specs`` of bindings, as many as are read; ``more``: are there others?"""

    specs: Sequence[ResourceBindingSpec]
    more: bool


def _nothing_claimed(identity: str, namespace: str) -> Claimed:
    return Claimed((), False)


def _unknown() -> str:
    return ""


def _everybody(user: Any, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
    return True


def _no_limit(namespace: str) -> Limit | None:
    return None


class Served(NamedTuple):
    """A kind as it stands in paths and roles."""

    group: str
    plural: str
    namespaced: bool


def _none_served(api_version: str, kind: str) -> Served | None:
    return None


def _no_cluster(name: str) -> bool:
    return False


def _fits(api_version: str, kind: str, status: Any) -> str:
    return ""


def _compiles(script: str) -> str | None:
    return None


@final
@dataclass(slots=True, frozen=True)
class AdmissionContext:
    """``customizations`` lists all ResourceInterpreterCustomizations; ``lua_error`` says why a script does not compile.

    ``allow_no_execute`` is ``--allow-no-execute-taint-policy``; ``clusters`` are all Clusters; ``claimed`` are the bindings of the
    policy with that permanent id, of its namespace where it has one. ``own_id`` is the uid of our kube-system, empty when it is not
    known; ``may(user, verb, group, resource, namespace, name)`` lets everybody where nobody decides about rights; ``limit``: the
    clusters that a namespace may use; ``resource_of(apiVersion, kind)``: None for a kind that is not served;
    ``misfit(apiVersion, kind, status)``: why that is no status of the kind, "" where it is;
    ``has_cluster``: whether there is a Cluster of that name.
    """

    customizations: Callable[[], Iterable[Object]] = _none
    lua_error: Callable[[str], str | None] = _compiles
    allow_no_execute: bool = False
    clusters: Callable[[], Iterable[Object]] = _none
    claimed: Callable[[str, str], Claimed] = _nothing_claimed
    own_id: Callable[[], str] = _unknown
    may: Callable[[Any, str, str, str, str, str], bool] = _everybody
    limit: Callable[[str], Limit | None] = _no_limit
    resource_of: Callable[[str, str], Served | None] = _none_served
    misfit: Callable[[str, str, Any], str] = _fits
    has_cluster: Callable[[str], bool] = _no_cluster


NOTHING = AdmissionContext()
