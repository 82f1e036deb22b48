"""Unjoining: the Cluster goes from the control plane (which first takes back what it placed), then our accounts from the member.

It always ends: what waits, waits until ``wait`` is over, and a member that does not answer is asked once. What it did, and what
it could not do, is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, final

from kafila.core.cluster_conditions import HEARTBEAT
from kafila.core.conditions import find
from kafila.core.errors import StatusError, ignoring_not_found
from kafila.core.printable import one_line
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.constants import COND_APPLIED, COND_READY

from .accounts import SYSTEM_LABELS, JoinError, Print
from .client import MemberClient, resource_path
from .join import CLUSTERS, DEFAULT_NAMESPACE
from .leaving import Account, Thing, accounts_in, look_for, remove_accounts, thing_of
from .transport import Unreachable

POLL: Final = 0.5  # seconds
SIMILAR: Final = 10  # events after which those that are alike are counted only
_OTHERWISE: Final = {
    "Push": "`unregister` if you want to continue unregistering the cluster",
    "Pull": "`unjoin` if you want to continue unjoining the cluster",
}
TELL: Final = 5.0  # seconds between two lines of what is waited for


@final
class _Wait:
    """One deadline for everything that is waited for."""

    def __init__(self, seconds: float, report: Print) -> None:
        self.seconds = seconds
        self._report = report
        self._deadline = time.monotonic() + seconds
        self._told = ("", 0.0)

    def is_over(self) -> bool:
        return time.monotonic() > self._deadline

    def tells(self) -> bool:
        """Whether it is time to say again what is waited for."""
        said, at = self._told
        return not said or time.monotonic() > at + TELL

    async def pause(self, what: str) -> None:
        """Tells what for at first, and when that changed, but not all the time."""
        if self.tells() and what != self._told[0]:
            self._report(what)
            self._told = what, time.monotonic()
        await asyncio.sleep(POLL)


async def unjoin(
    control_plane: MemberClient,
    member: MemberClient | None,
    name: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    wait: float = 60.0,
    force: bool = False,
    dry_run: bool = False,
    report: Print = print,
    mode: str = "Push",
) -> None:
    """Of a cluster in ``mode``. ``member`` None leaves our accounts in it. ``force`` drops the Cluster even when what was placed in the member cannot be
    taken back, or could not within ``wait`` seconds; it says what stays there. Raises JoinError, or what the APIs said."""
    cluster = await control_plane.find(f"{CLUSTERS}/{name}")
    if cluster is None:
        await _half_joined(control_plane, member, name, namespace, force, dry_run, report)
        return
    found = str(cluster["spec"].get("syncMode"))
    if found != mode:
        raise JoinError(f"cluster {name} is a {found} mode member cluster, please use command {_OTHERWISE[mode]}")
    copies = await _copies(control_plane, name)
    if dry_run:
        report(f"cluster({name}) would be unjoined (dry run): {len(copies)} objects placed there would be removed")
        return
    waiting = _Wait(wait, report)
    if copies and not_ready(cluster) and not force:
        cluster = await _ready_again(control_plane, cluster, len(copies), waiting)
    lost = not_ready(cluster)
    await control_plane.delete(f"{CLUSTERS}/{name}", uid=cluster["metadata"]["uid"])
    last = await _gone(control_plane, cluster, waiting)
    if last is not None and not force:
        raise JoinError(f"cluster {name} was not deleted within {wait:g}s: {await _holding(control_plane, name)}")
    left = await _copies(control_plane, name) if last is not None else []
    if last is not None:
        report(f"Start forced deletion. cluster name: {name}")
        await _force(control_plane, name, report)
        report("Forced deletion is complete.")
    account = Account()
    if lost or not_ready(cluster):
        left = left or copies
    refused = await _refused(control_plane, cluster, copies)
    known = {**dict.fromkeys(map(thing_of, left), ""), **refused}
    ended = [thing for thing in map(thing_of, copies) if thing not in known] if len(refused) < SIMILAR else []
    try:
        await _in_the_member(member, name, namespace, copies, Account(ended, known), account, force, report)
    finally:
        await _drop_secrets(control_plane, name, namespace)
        for line in account.lines(name):
            report(line)
    report(f"cluster({name}) is {'unjoined' if mode == 'Push' else 'unregistered'} successfully")


async def _in_the_member(
    member: MemberClient | None,
    name: str,
    namespace: str,
    copies: Sequence[Object],
    believed: Account,
    account: Account,
    force: bool,
    report: Print,
) -> None:
    """Who can ask the member looks what is there; who cannot believes the control plane."""
    looked = False
    try:
        if member is not None:
            await look_for(member, copies, account)
            looked = True
            await remove_accounts(member, name, namespace, account, force, report)
    except (StatusError, Unreachable) as error:
        if not force:
            why = one_line(str(error))
            raise JoinError(f"cluster {name} is unjoined, but not everything of it is removed there: {why}") from None
        report(f"cluster {name} does not say what is left in it: {one_line(str(error))}")
    finally:
        if not looked:
            account.removed[:0] = believed.removed
            account.stays = {**believed.stays, **account.stays}


async def _refused(control_plane: MemberClient, cluster: Object, copies: Sequence[Object]) -> dict[Thing, str]:
    """What the control plane gave up to take back, as its events say: at most so many that others may have been left out."""
    about = f"involvedObject.uid={cluster['metadata']['uid']},reason={constants.EVENT_COPY_LEFT_BEHIND}"
    events, _ = await control_plane.list(resource_path("v1", "events"), query={"fieldSelector": about})
    said = {}
    for event in events:
        copy, _, why = str(event.get("message")).partition(" stays in cluster ")
        said[copy] = why.partition(": ")[2]
    found = {}
    for manifest in copies:
        metadata = manifest["metadata"]
        copy = f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
        if copy in said:
            found[thing_of(manifest)] = said[copy]
    return found


async def _half_joined(
    control_plane: MemberClient,
    member: MemberClient | None,
    name: str,
    namespace: str,
    force: bool,
    dry_run: bool,
    report: Print,
) -> None:
    """There is no Cluster: a join may have broken off before it. Raises JoinError when nothing is left of one."""
    accounts = member is not None and await accounts_in(member, name, namespace)
    secrets = await _secrets(control_plane, name, namespace)
    if not accounts and not secrets:
        raise JoinError(f"no cluster object {name} found in karmada control Plane")
    if dry_run:
        report(f"what is left of cluster({name}), which did not join to the end, would be removed (dry run)")
        return
    account = Account()
    if member is not None:
        await remove_accounts(member, name, namespace, account, force, report)
    await _drop_secrets(control_plane, name, namespace)
    for line in account.lines(name):
        report(line)
    report(f"cluster({name}) had not joined to the end: what was left of it is removed")


async def _secrets(control_plane: MemberClient, name: str, namespace: str) -> list[str]:
    """Paths of the credentials that join stored."""
    found = []
    for secret in (name, f"{name}-impersonator"):
        path = resource_path("v1", "secrets", namespace, secret)
        stored = await control_plane.find(path)
        if stored is not None and SYSTEM_LABELS.items() <= (stored["metadata"].get("labels") or {}).items():
            found.append(path)
    return found


async def _drop_secrets(control_plane: MemberClient, name: str, namespace: str) -> None:
    """Of a Cluster that is gone they go by themselves, if they are its own; credentials must not stay in any case."""
    for path in await _secrets(control_plane, name, namespace):
        with ignoring_not_found():
            await control_plane.delete(path)


def not_ready(cluster: Object) -> str:
    """Why nothing can be taken back from it now; empty when it can."""
    found = (cluster.get("status") or {}).get("conditions")
    lost, ready = find(found, HEARTBEAT), find(found, COND_READY)
    if lost is None and ready is not None and ready.get("status") == "True":
        return ""
    return ((lost or ready) or {}).get("message") or "it has not been reached yet"


async def _ready_again(control_plane: MemberClient, cluster: Object, count: int, waiting: _Wait) -> Object:
    """The Cluster, once what is in it can be taken back. Raises JoinError when that does not come in time."""
    name = cluster["metadata"]["name"]
    while why := not_ready(cluster):
        if waiting.is_over():
            raise JoinError(
                f"cluster {name} is not ready ({why}): {count} objects placed there would stay there for good. Nothing was"
                " changed. Unjoin it when it is ready again, or with --force, which says what stays"
            )
        await waiting.pause(
            f"Waiting for the cluster {name} to be ready: {count} objects placed there cannot be taken back now"
        )
        found = await control_plane.find(f"{CLUSTERS}/{name}")
        if found is None:
            raise JoinError(f"cluster {name} was removed by somebody else")
        cluster = found
    return cluster


async def _copies(control_plane: MemberClient, name: str) -> list[Object]:
    """What was placed in the member, as manifests; without what shall stay there."""
    path = resource_path("work.karmada.io/v1alpha1", "works", constants.execution_namespace(name))
    works, _ = await control_plane.list(path)
    placed = [
        work
        for work in works
        if find((work.get("status") or {}).get("conditions"), COND_APPLIED) is not None
        and not (work.get("spec") or {}).get("preserveResourcesOnDeletion")
    ]
    return [manifest for work in placed for manifest in (work["spec"].get("workload") or {}).get("manifests") or ()]


async def _gone(control_plane: MemberClient, cluster: Object, waiting: _Wait) -> Object | None:
    """None when it went in time, else what it is now. ``cluster`` gets the last status that was seen."""
    name = cluster["metadata"]["name"]
    first = True
    while True:
        current = await control_plane.find(f"{CLUSTERS}/{name}")
        if current is None or current["metadata"]["uid"] != cluster["metadata"]["uid"]:
            return None
        cluster["status"] = current.get("status") or {}
        if waiting.is_over():
            return current
        what = f"Waiting for the cluster object {name} to be deleted"
        if not first and waiting.tells():
            count = len(await _copies(control_plane, name))
            what += f": {count} objects placed there are to be taken back" if count else ""
        await waiting.pause(what)
        first = False


async def _holding(control_plane: MemberClient, name: str) -> str:
    """What is left, for the message."""
    works, _ = await control_plane.list(
        resource_path("work.karmada.io/v1alpha1", "works", constants.execution_namespace(name))
    )
    if works:
        return f"{len(works)} objects placed there are not taken back yet; --force drops it without waiting for them"
    return "its finalizers are not removed yet (is the control plane running its controllers?)"


async def _force(control_plane: MemberClient, name: str, report: Print) -> None:
    """Takes away the finalizers that wait for the member: Works, their namespace, the Cluster."""
    space = constants.execution_namespace(name)
    works = resource_path("work.karmada.io/v1alpha1", "works", space)
    try:
        for work in (await control_plane.list(works))[0]:
            await _without_finalizer(
                control_plane, f"{works}/{work['metadata']['name']}", constants.FINALIZER_EXECUTION
            )
        await _finalize_namespace(control_plane, space)
        await _without_finalizer(control_plane, f"{CLUSTERS}/{name}", constants.FINALIZER_CLUSTER)
    except StatusError as error:
        report(f"Force deletion. {one_line(str(error))}")


async def _without_finalizer(client: MemberClient, path: str, finalizer: str) -> None:
    while (obj := await client.find(path)) is not None and finalizer in (obj["metadata"].get("finalizers") or ()):
        obj["metadata"]["finalizers"].remove(finalizer)
        try:
            await client.update(path, obj)
        except StatusError as error:
            if not error.is_conflict and not error.is_not_found:
                raise


async def _finalize_namespace(client: MemberClient, name: str) -> None:
    path = resource_path("v1", "namespaces", name=name)
    namespace = await client.find(path)
    if namespace is not None and namespace["metadata"].get("deletionTimestamp"):
        namespace["spec"]["finalizers"] = []
        await client.update(f"{path}/finalize", namespace)
