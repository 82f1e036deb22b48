"""``kafila check``: where the control plane and its members do not agree about what is where, and what can be removed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, final

from cyclopts import Parameter

from . import CommandError
from .flags import KarmadaContext, Kubeconfig, Output, check_output
from .membership import access, told

if TYPE_CHECKING:
    from kafila.core.values import Object
    from kafila.members.client import MemberClient
    from kafila.placement.disagreements import Disagreement

PAUSE: Final = 5.0  # seconds until it looks again: what is under way is no disagreement
AT_ONCE: Final = 8  # clusters
LOOK_SECONDS: Final = 120.0  # into one cluster
_HEADERS: Final = ("CLUSTER", "KIND", "OBJECT", "REASON", "MESSAGE")
_UNLISTED: Final = (403, 404, 405)
_OF_THE_CLUSTER: Final = (401, 502, 503, 504)  # not of one kind only
_RECORDS: Final = "audit.kafila.io"  # of a member that is kafila: read from a table, no objects that a Work could bring
_MOST_REFUSED: Final = 10  # kinds of a cluster that are told of one by one


def check(
    *,
    cluster: Annotated[list[str] | None, Parameter(help="Only look into this cluster; may be repeated.")] = None,
    repair: Annotated[
        bool, Parameter(help="Delete objects in members that say they are of a Work which does not exist.")
    ] = False,
    output: Output = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> int:
    """Compare bindings, Works and what the members hold, twice within some seconds; say what does not agree both times.

    Ends with 1 when there is something left that does not agree, or a cluster that could not be looked into.
    """
    check_output(output, "json")
    plane = access(kubeconfig, karmada_context)
    found = told(plane, lambda client: _compared(client, frozenset(cluster or ()), repair))
    print(_json(found) if output else _text(found))
    return 1 if found.left or found.unseen else 0


class Unseen(NamedTuple):
    cluster: str
    why: str


class Found(NamedTuple):
    disagreements: list[Disagreement]
    repaired: list[Disagreement]
    unseen: list[Unseen]

    @property
    def left(self) -> list[Disagreement]:
        repaired = set(self.repaired)
        return [each for each in self.disagreements if each not in repaired]


async def _compared(client: MemberClient, only: frozenset[str], repair: bool) -> Found:
    looking = _Looking(client, only)
    first, _ = await looking.look()
    if not first and not looking.unseen:
        return Found([], [], [])
    await asyncio.sleep(PAUSE)
    again, uids = await looking.look()
    there = set(again)
    both = [each for each in first if each in there]
    repaired = [each for each in both if repair and await looking.repair(each, uids)]
    return Found(both, repaired, looking.unseen)


@final
class _Looking:
    def __init__(self, client: MemberClient, only: frozenset[str]) -> None:
        self._client = client
        self._only = only
        self.unseen: list[Unseen] = []

    async def look(self) -> tuple[list[Disagreement], dict[Disagreement, tuple[str, str]]]:
        """And of objects in members: path and uid. Raises StatusError, Unreachable, CommandError."""
        from kafila.placement.disagreements import of_works

        self.unseen = []
        clusters = await self._all("cluster.karmada.io/v1alpha1", "clusters")
        if unknown := self._only - {each["metadata"]["name"] for each in clusters}:
            raise CommandError(f'clusters.cluster.karmada.io "{min(unknown)}" not found')
        # members first: what is placed meanwhile is then not taken for something that nobody placed
        slots = asyncio.Semaphore(AT_ONCE)
        wanted = [each for each in clusters if not self._only or each["metadata"]["name"] in self._only]
        held = await asyncio.gather(*(self._held(each, slots) for each in wanted))
        works = await self._all("work.karmada.io/v1alpha1", "works")
        bindings = [
            *await self._all("work.karmada.io/v1alpha2", "resourcebindings"),
            *await self._all("work.karmada.io/v1alpha2", "clusterresourcebindings"),
        ]
        found = [] if self._only else list(of_works(bindings, works, clusters))
        where: dict[Disagreement, tuple[str, str]] = {}
        for obj in held:
            found += obj.disagreements(works, where)
        return found, where

    async def repair(self, each: Disagreement, where: dict[Disagreement, tuple[str, str]]) -> bool:
        """Whether it was an object in a member that nobody wants, and is deleted now."""
        from kafila.core.errors import StatusError
        from kafila.placement.disagreements import ORPHANED

        path, uid = where.get(each, ("", ""))
        if each.reason != ORPHANED or not uid:
            return False
        try:
            await self._client.delete(path, uid=uid, propagation="Background")
        except StatusError as error:
            if error.code == 404:
                return True
            self.unseen.append(Unseen(each.cluster, f"{each.kind} {each.namespace}/{each.name}: {error.message}"))
            return False
        return True

    async def _all(self, api_version: str, plural: str) -> list[Object]:
        from kafila.members.client import resource_path

        items, _ = await self._client.list(resource_path(api_version, plural))
        return items

    async def _held(self, cluster: Object, slots: asyncio.Semaphore) -> _Held:
        from kafila.core.errors import StatusError
        from kafila.members.client import resource_path
        from kafila.members.transport import Unreachable, UnusableAnswer
        from kafila.placement import constants

        name = cluster["metadata"]["name"]
        found = _Held(name)
        through = f"/apis/cluster.karmada.io/v1alpha1/clusters/{name}/proxy"
        query = {"labelSelector": f"{constants.MANAGED}={constants.TRUE}"}
        refused: list[str] = []  # of other kinds all is known
        try:
            async with slots, asyncio.timeout(LOOK_SECONDS):
                for group, kind, api_version, plural in _kinds(cluster):
                    try:
                        items, _ = await self._client.list(through + resource_path(api_version, plural), query=query)
                    except StatusError as error:
                        if error.code in _OF_THE_CLUSTER:
                            raise
                        if error.code not in _UNLISTED:
                            refused.append(f"{plural}.{group}".rstrip(".") + f": {error.message}")
                        continue
                    found.listed.add((group, kind))
                    for item in items:
                        meta = item["metadata"]
                        within = resource_path(api_version, plural, meta.get("namespace", ""), meta["name"])
                        found.objects.append((item, through + within))
        except (StatusError, Unreachable, UnusableAnswer, TimeoutError) as error:
            self.unseen.append(Unseen(name, str(error) or f"it did not answer within {LOOK_SECONDS:.0f} s"))
        self.unseen += [Unseen(name, why) for why in refused[:_MOST_REFUSED]]
        if len(refused) > _MOST_REFUSED:
            self.unseen.append(Unseen(name, f"{len(refused) - _MOST_REFUSED} more kinds are refused"))
        return found


@final
class _Held:
    """What a member has of ours."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.listed: set[tuple[str, str]] = set()
        self.objects: list[tuple[Object, str]] = []  # and its path

    def disagreements(
        self, works: Sequence[Object], where: dict[Disagreement, tuple[str, str]]
    ) -> Iterable[Disagreement]:
        from kafila.placement.disagreements import of_member

        paths = {
            (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): (
                path,
                obj["metadata"].get("uid", ""),
            )
            for obj, path in self.objects
        }
        for each in of_member(self.cluster, works, [obj for obj, _ in self.objects], self.listed):
            if (key := (each.kind, each.namespace, each.name)) in paths:
                where[each] = paths[key]
            yield each


def _kinds(cluster: Object) -> Iterable[tuple[str, str, str, str]]:
    """Group, kind, apiVersion and resource of everything that the member serves, each kind once."""
    from kafila.core.resources import split_api_version

    seen = set()
    for enabled in (cluster.get("status") or {}).get("apiEnablements") or ():
        api_version = enabled["groupVersion"]
        group, _ = split_api_version(api_version)
        if group == _RECORDS:
            continue
        for resource in enabled.get("resources") or ():
            if (group, resource["kind"]) not in seen:
                seen.add((group, resource["kind"]))
                yield group, resource["kind"], api_version, resource["name"]


def _json(found: Found) -> str:
    import orjson

    repaired = set(found.repaired)
    document = {
        "disagreements": [{**each._asdict(), "repaired": each in repaired} for each in found.disagreements],
        "unseen": [each._asdict() for each in found.unseen],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _text(found: Found) -> str:
    from .certs import table

    lines = []
    if found.disagreements:
        rows = [
            (
                each.cluster or "<none>",
                each.kind,
                "/".join(part for part in each[2:4] if part),
                each.reason,
                each.message,
            )
            for each in found.disagreements
        ]
        lines.append(table([_HEADERS, *rows]))
    if found.repaired:
        lines.append(f"{len(found.repaired)} deleted.")
    lines += [f"cluster {each.cluster}: {each.why}" for each in found.unseen]
    return "\n".join(lines) or "Bindings, Works and members agree."
