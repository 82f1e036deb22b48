"""What leaves a member and what stays there when it is unjoined: our accounts, and the copies that were placed in it."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar, final

from kafila.core.errors import StatusError
from kafila.core.printable import one_line
from kafila.core.resources import gvk_of, split_api_version
from kafila.core.values import Object
from kafila.placement.work.member_object import is_managed
from kafila.telemetry.tasks import cancelled

from .accounts import IMPERSONATOR, RBAC, SYSTEM_LABELS, Print, role_name, service_account_name
from .client import MemberClient, resource_path
from .discovery import Discovery
from .transport import Unreachable

CORE: Final = "v1"
T = TypeVar("T")
TOGETHER: Final = 16  # copies that are looked for at a time
LOOK: Final = 20.0  # seconds
NAMED: Final = 10  # of the removed objects of one kind


class Thing(NamedTuple):
    """An object in the member, as kubectl names it."""

    kind: str  # Deployment.v1.apps, serviceaccount
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" + (f" -n {self.namespace}" if self.namespace else "")


def thing_of(manifest: Object) -> Thing:
    group, version = split_api_version(manifest["apiVersion"])
    kind = f"{manifest['kind']}.{version}.{group}" if group else manifest["kind"]
    return Thing(kind, manifest["metadata"].get("namespace") or "", manifest["metadata"]["name"])


@final
@dataclass(slots=True)
class Account:
    """Of what was done: nothing is in it that was not seen."""

    removed: list[Thing] = field(default_factory=list)
    stays: dict[Thing, str] = field(default_factory=dict)  # and why
    unknown: int = 0  # copies that nobody looked for

    def lines(self, cluster: str) -> list[str]:
        """Some are made to be copied into a shell, so nothing in them is more than one word or a comment."""
        found = []
        if self.removed:
            found = [f"Removed from cluster {cluster}:", *_grouped(self.removed)]
        if self.stays:
            found.append(f"{len(self.stays)} objects stay in cluster {cluster}. There, this removes them:")
            found += [
                f"  kubectl delete {f'-n {_word(thing.namespace)} ' if thing.namespace else ''}"
                + _word(f"{thing.kind}/{thing.name}")
                + (f"  # {one_line(why)}" if why else "")
                for thing, why in self.stays.items()
            ]
        if self.unknown:
            found.append(f"{self.unknown} more objects that were placed there were not looked for: it took too long")
        return found


def _word(text: str) -> str:
    return shlex.quote(one_line(text, len(text)))


def _grouped(things: Iterable[Thing]) -> list[str]:
    """A line for each kind in each namespace, however many there are."""
    groups: dict[tuple[str, str], list[str]] = {}
    for thing in things:
        groups.setdefault((thing.namespace, thing.kind), []).append(thing.name)
    lines = []
    for (namespace, kind), names in groups.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines.append(
            f"  {f'-n {namespace} ' if namespace else ''}{kind}: {', '.join(map(one_line, names[:NAMED]))}{more}"
        )
    return lines


# -- copies -----------------------------------------------------------------------------------------------------------


async def look_for(member: MemberClient, copies: Sequence[Object], account: Account) -> None:
    """Which copies are there still, as far as that can be seen in LOOK seconds. Raises StatusError and Unreachable."""
    discovery = Discovery(member)
    await discovery.refresh()
    slots = asyncio.Semaphore(TOGETHER)

    async def look(manifest: Object) -> None:
        metadata, thing = manifest["metadata"], thing_of(manifest)
        async with slots:
            resource = await discovery.find(gvk_of(manifest))
            found = resource and await member.find(resource.path(metadata.get("namespace") or "", metadata["name"]))
        if not found or not is_managed(found):
            account.removed.append(thing)
        elif found["metadata"].get("deletionTimestamp"):
            account.stays[thing] = _held(found)
        else:
            account.stays[thing] = ""

    before = len(account.removed) + len(account.stays)
    looking = [asyncio.create_task(look(manifest)) for manifest in copies]
    try:
        async with asyncio.timeout(LOOK):
            await asyncio.gather(*looking)
    except TimeoutError:
        account.unknown = len(copies) - (len(account.removed) + len(account.stays) - before)
    finally:
        await cancelled(*looking)


def _held(obj: Object) -> str:
    finalizers = obj["metadata"].get("finalizers") or (obj.get("spec") or {}).get("finalizers") or ()
    return "it is being deleted" + (
        f", and waits for its finalizers: {', '.join(map(str, finalizers))}" if finalizers else ""
    )


# -- our accounts -----------------------------------------------------------------------------------------------------


async def accounts_in(member: MemberClient, cluster: str, namespace: str) -> bool:
    """Whether something that join makes is there. Raises StatusError and Unreachable."""
    paths = (_role(cluster), _role_binding(cluster), _account(namespace, service_account_name(cluster)))
    return any([await member.find(path) is not None for path in paths])


async def remove_accounts(
    member: MemberClient, cluster: str, namespace: str, account: Account, force: bool, report: Print
) -> None:
    """With ``force`` what cannot be removed stays and is told; else raises what the member said."""
    role, own = role_name(cluster), service_account_name(cluster)
    steps = _Steps(account, force, report)
    await steps.delete(Thing("clusterrolebinding", "", role), member, _role_binding(cluster))
    await steps.delete(Thing("clusterrole", "", role), member, _role(cluster))
    await steps.delete(Thing("serviceaccount", namespace, own), member, _account(namespace, own))
    others = await steps.asked(lambda: _others(member, namespace, own))
    if others is None:  # it cannot be asked
        return
    if others:
        await steps.delete(Thing("secret", namespace, own), member, resource_path(CORE, "secrets", namespace, own))
        report(
            f"namespace {namespace} stays in cluster {cluster}: it has accounts of others ({one_line(', '.join(others))})"
        )
    elif await steps.asked(lambda: _is_ours(member, namespace)):
        await steps.delete(Thing("namespace", "", namespace), member, resource_path(CORE, "namespaces", name=namespace))
    else:
        await steps.delete(Thing("serviceaccount", namespace, IMPERSONATOR), member, _account(namespace, IMPERSONATOR))


async def _others(member: MemberClient, namespace: str, own: str) -> list[str]:
    """Who else would lose by the end of the namespace: another control plane may have joined the same cluster."""
    accounts, _ = await member.list(resource_path(CORE, "serviceaccounts", namespace))
    names = {each["metadata"]["name"] for each in accounts} - {own, IMPERSONATOR}
    return sorted(name for name in names if name.startswith(service_account_name("")))


async def _is_ours(member: MemberClient, namespace: str) -> bool:
    """Made by join: --cluster-namespace may name a namespace of the user's."""
    found = await member.find(resource_path(CORE, "namespaces", name=namespace))
    return found is not None and SYSTEM_LABELS.items() <= (found["metadata"].get("labels") or {}).items()


def _role(cluster: str) -> str:
    return resource_path(RBAC, "clusterroles", name=role_name(cluster))


def _role_binding(cluster: str) -> str:
    return resource_path(RBAC, "clusterrolebindings", name=role_name(cluster))


def _account(namespace: str, name: str) -> str:
    return resource_path(CORE, "serviceaccounts", namespace, name)


@final
class _Steps:
    """Steps that stop at the first error, or with ``force`` report it and go on. What is gone already is no error. A member that
    does not answer is asked once: the other steps would only wait as long again."""

    def __init__(self, account: Account, force: bool, report: Print) -> None:
        self._account = account
        self._force = force
        self._report = report
        self._away: Unreachable | None = None

    async def delete(self, thing: Thing, member: MemberClient, path: str) -> None:
        if await self.asked(lambda: member.delete(path), thing) is not None:
            self._account.removed.append(thing)

    async def asked(self, step: Callable[[], Awaitable[T]], thing: Thing | None = None) -> T | None:
        """None: there is nothing, or no answer."""
        error: StatusError | Unreachable | None = self._away
        if error is None:
            try:
                return await step()
            except (StatusError, Unreachable) as raised:
                error = raised
        if isinstance(error, StatusError) and error.is_not_found:
            return None
        if not self._force:
            raise error
        if isinstance(error, Unreachable):
            self._away = error
        if thing is not None:
            self._account.stays[thing] = ""
            self._report(f"could not delete {thing}: {one_line(str(error))}")
        return None
