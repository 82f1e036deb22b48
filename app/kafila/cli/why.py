"""``kafila why TYPE/NAME``: which policy, which clusters, why, and what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast, final

from cyclopts import Parameter

from kafila.core.values import Object
from kafila.placement.types import Binding, Cluster, OverridePolicy, PropagationPolicy, Work

from . import CommandError, UsageError
from .flags import KarmadaContext, Kubeconfig, Output, check_output
from .membership import access, told
from .resources import resource_named

if TYPE_CHECKING:
    from kafila.members.client import MemberClient
    from kafila.members.kubeconfig import Access
    from kafila.placement.explain import Evidence, Warned

_POLICIES = ("policy.karmada.io/v1alpha1", "propagationpolicies")
_CLUSTER_POLICIES = ("policy.karmada.io/v1alpha1", "clusterpropagationpolicies")
_WARNINGS = 3
_AUTOSCALERS = (
    ("FederatedHPA", "autoscaling.karmada.io/v1alpha1", "federatedhpas"),
    ("CronFederatedHPA", "autoscaling.karmada.io/v1alpha1", "cronfederatedhpas"),
    ("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
)


def why(
    *subjects: Annotated[
        str,
        Parameter(name="TYPE NAME", help="What to explain: deployment/web, or deployment web, as kubectl takes it."),
    ],
    namespace: Annotated[str, Parameter(name=["--namespace", "-n"], help="Namespace of the object.")] = "",
    cluster: Annotated[str, Parameter(help="Explain this cluster only, with every check it passes or fails.")] = "",
    output: Output = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """Explain why an object is, or is not, in the clusters: the policy, the decision, each cluster, and what to do next."""
    from kafila.placement.explain import explain

    from .whytext import render

    wanted = parse_subjects(subjects)
    check_output(output, "json")
    plane = access(kubeconfig, karmada_context)
    found = _gathered(plane, wanted, namespace or plane.namespace or "default")
    reports = [explain(evidence, cluster) for evidence in found]
    if output == "json":
        import orjson

        documents = [asdict(report) for report in reports]
        shown = documents[0] if len(documents) == 1 else documents
        print(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
    else:
        print("\n\n".join(render(report) for report in reports))


def parse_subjects(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """(type, name) of each, from ``TYPE NAME…`` or ``TYPE/NAME…``. Raises UsageError in kubectl's words."""
    if any("/" in argument for argument in arguments):
        return [_pair(argument) for argument in arguments]
    kind, *names = arguments or ("",)
    if not names:
        raise UsageError("arguments must be TYPE NAME or TYPE/NAME, e.g. deployment web or deployment/web")
    return [(kind, name) for name in names]


def _pair(argument: str) -> tuple[str, str]:
    kind, slash, name = argument.partition("/")
    if not slash:
        raise UsageError(
            "there is no need to specify a resource type as a separate argument when passing arguments in"
            f" resource/name form (e.g. 'kafila why {argument}/NAME' instead of 'kafila why {argument} {argument}/NAME')"
        )
    if not kind or not name or "/" in name:
        raise UsageError("arguments in resource/name form must have a single resource and name")
    return kind, name


def _gathered(plane: Access, wanted: list[tuple[str, str]], namespace: str) -> list[Evidence]:
    """Raises CommandError."""

    async def all_of_them(client: MemberClient) -> list[Evidence]:
        return [await gather_evidence(client, kind, namespace, name) for kind, name in wanted]

    found = told(plane, all_of_them)
    for evidence in found:
        if evidence.template is None:
            where = f' in namespace "{evidence.namespace}"' if evidence.namespace else ""
            raise CommandError(
                f'{evidence.kind} "{evidence.name}" not found{where}: only what is in the control plane is propagated'
            )
    return found


async def gather_evidence(client: MemberClient, kind: str, namespace: str, name: str) -> Evidence:
    """Reads everything the explanation needs. Raises CommandError, StatusError, Unreachable."""
    from kafila.placement import constants
    from kafila.placement.explain import Evidence
    from kafila.placement.objects import identity, labels_of
    from kafila.placement.scheduler.decision_record import API_VERSION

    resource = await resource_named(client, kind)
    where = namespace if resource.namespaced else ""
    template = await client.find(resource.path(where, name))
    if template is None:
        return Evidence(resource.kind, where, name)
    decisions = "decisions" if where else "clusterdecisions"
    called, read = constants.binding_names(identity(template)), _Reading(client)
    policies, cluster_policies, overrides, cluster_overrides, clusters, binding = await asyncio.gather(
        read.all(*_POLICIES, instead_in=where),
        read.all(*_CLUSTER_POLICIES),
        read.all("policy.karmada.io/v1alpha1", "overridepolicies", where) if where else _none(),
        read.all("policy.karmada.io/v1alpha1", "clusteroverridepolicies"),
        read.all("cluster.karmada.io/v1alpha1", "clusters"),
        binding_of(client, template, where),
    )
    decision = None
    if binding is not None:
        decision = await read.one(API_VERSION, decisions, where, binding["metadata"]["name"])
    attached = [each for own in called for each in await _attached(read, template, own)] if not where else []
    works: dict[tuple[str, str], Object] = {}
    for each in (*([binding] if binding is not None else ()), *attached):
        key = constants.RB_PERMANENT_ID if each["metadata"].get("namespace") else constants.CRB_PERMANENT_ID
        selector = f"{key}={labels_of(each).get(key, '')}"
        of_binding = await read.all("work.karmada.io/v1alpha1", "works", labelSelector=selector)
        works |= {(work["metadata"]["namespace"], work["metadata"]["name"]): work for work in of_binding}
    warnings = await _warnings(read, where, [obj for obj in (template, binding) if obj is not None])
    return Evidence(
        resource.kind,
        where,
        name,
        template,
        cast(list[PropagationPolicy], policies),
        cast(list[PropagationPolicy], cluster_policies),
        cast(list[OverridePolicy], [*overrides, *cluster_overrides]),
        cast(Binding | None, binding),
        decision,
        cast(list[Cluster], clusters),
        cast(list[Work], list(works.values())),
        warnings,
        cast(list[Binding], attached),
        time.time(),
        sorted(read.withheld),
        await _autoscalers(read, where) if where else (),
        await _home(client, where) if where else None,
    )


async def binding_of(client: MemberClient, template: Object, namespace: str) -> Object | None:
    """The binding of an object, None when there is none. ``namespace``: the object's, "" for one of the cluster scope."""
    from kafila.members.client import resource_path
    from kafila.placement import constants
    from kafila.placement.objects import identity

    plural = "resourcebindings" if namespace else "clusterresourcebindings"
    called = constants.binding_names(identity(template))
    paths = (resource_path("work.karmada.io/v1alpha2", plural, namespace, each) for each in called)
    found = await asyncio.gather(*map(client.find, paths))
    return next((each for each in found if each is not None and _owns(template, each)), None)


async def _autoscalers(read: _Reading, namespace: str) -> list[Object]:
    """What may scale something there."""
    found = await asyncio.gather(*(read.all(api_version, plural, namespace) for _, api_version, plural in _AUTOSCALERS))
    return [
        {**obj, "apiVersion": api_version, "kind": kind}
        for (kind, api_version, _), items in zip(_AUTOSCALERS, found, strict=True)
        for obj in items
    ]


async def _home(client: MemberClient, namespace: str) -> Object | None:
    """None also for who may not read it: little is lost."""
    from kafila.core.errors import StatusError
    from kafila.members.client import resource_path

    try:
        return await client.find(resource_path("v1", "namespaces", "", namespace))
    except StatusError as error:
        if error.code != 403:
            raise
        return None


async def _none() -> list[Object]:
    return []


@final
class _Reading:
    """What somebody may not read is noted: an explanation is also for those who have a namespace, and nothing outside it."""

    def __init__(self, client: MemberClient) -> None:
        self._client = client
        self.withheld: set[str] = set()

    async def all(
        self, api_version: str, plural: str, namespace: str = "", instead_in: str = "", **query: str
    ) -> list[Object]:
        """``instead_in``: a namespace where it is enough to look. Raises StatusError for all but a lack of rights."""
        from kafila.core.errors import StatusError
        from kafila.members.client import resource_path

        try:
            return (await self._client.list(resource_path(api_version, plural, namespace), query=query or None))[0]
        except StatusError as error:
            if error.code != 403:
                raise
            if instead_in:
                return await self.all(api_version, plural, instead_in, **query)
            self.withheld.add(plural)
            return []

    async def one(self, api_version: str, plural: str, namespace: str, name: str) -> Object | None:
        from kafila.core.errors import StatusError
        from kafila.members.client import resource_path

        try:
            return await self._client.find(resource_path(api_version, plural, namespace, name))
        except StatusError as error:
            if error.code != 403:
                raise
            self.withheld.add(plural)
            return None


async def _attached(read: _Reading, template: Object, binding_name: str) -> list[Object]:
    """The bindings of a cluster-scoped object in the namespaces of workloads that need it."""
    selector = f"metadata.name={binding_name}"
    found = await read.all("work.karmada.io/v1alpha2", "resourcebindings", fieldSelector=selector)
    return [binding for binding in found if binding["metadata"].get("ownerReferences") and _owns(template, binding)]


def _owns(template: Object, binding: Object) -> bool:
    uid = template["metadata"].get("uid")
    owners = binding["metadata"].get("ownerReferences") or ()
    return not owners or any(owner.get("uid") == uid for owner in owners)


async def _warnings(read: _Reading, namespace: str, about: list[Object]) -> list[Warned]:
    """The latest different warnings, newest first."""
    from kafila.placement.explain import Warned

    events: list[Object] = []
    for obj in about:
        selector = f"involvedObject.uid={obj['metadata'].get('uid', '')},type=Warning"
        events += await read.all("v1", "events", namespace or "default", fieldSelector=selector)
    events.sort(key=lambda event: event.get("lastTimestamp") or "", reverse=True)
    latest: dict[tuple[str, str], Warned] = {}  # a message at its latest time
    for event in events:
        reason, message = event.get("reason") or "", event.get("message") or ""
        latest.setdefault((reason, message), Warned(event.get("lastTimestamp") or "", reason, message))
    return list(latest.values())[:_WARNINGS]
