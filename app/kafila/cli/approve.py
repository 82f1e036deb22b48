"""``kafila approve``: what waits because it takes much out of clusters, and the word that it may go on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from cyclopts import Parameter

from kafila.core.values import Object

from . import CommandError, UsageError
from .flags import KarmadaContext, Kubeconfig, check_output
from .membership import access, told
from .why import parse_subjects

if TYPE_CHECKING:
    from kafila.members.client import MemberClient

_GAP: Final = "   "
_HEAD: Final = ("KIND", "NAMESPACE", "NAME", "WAITS")


class _Waits(NamedTuple):
    """An object whose change is held."""

    kind: str
    path: str  # of the object
    obj: Object
    what: str


class _Resource(NamedTuple):
    api_version: str
    plural: str
    kind: str
    words: frozenset[str]
    namespaced: bool
    of_deletions: bool = False

    def waiting(self, obj: Object) -> str:
        """What waits of it for an approval, "" for nothing."""
        from kafila.placement import bulk_deletion, withdrawal

        return bulk_deletion.waiting(obj, time.time()) if self.of_deletions else withdrawal.waiting(obj)

    def approval(self, obj: Object) -> str:
        """The value of the annotation that lets it go on."""
        from kafila.placement import bulk_deletion, withdrawal

        return bulk_deletion.approval(time.time()) if self.of_deletions else withdrawal.approval(obj)


_RESOURCES: Final = (
    _Resource(
        "policy.karmada.io/v1alpha1",
        "propagationpolicies",
        "PropagationPolicy",
        frozenset({"propagationpolicy", "propagationpolicies", "pp"}),
        True,
    ),
    _Resource(
        "policy.karmada.io/v1alpha1",
        "clusterpropagationpolicies",
        "ClusterPropagationPolicy",
        frozenset({"clusterpropagationpolicy", "clusterpropagationpolicies", "cpp"}),
        False,
    ),
    _Resource("cluster.karmada.io/v1alpha1", "clusters", "Cluster", frozenset({"cluster", "clusters"}), False),
    _Resource("v1", "namespaces", "Namespace", frozenset({"namespace", "namespaces", "ns"}), False, True),
    _Resource(
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        frozenset({"customresourcedefinition", "customresourcedefinitions", "crd", "crds"}),
        False,
        True,
    ),
)


def approve(
    *subjects: Annotated[
        str,
        Parameter(name="TYPE NAME", help="What may go on: propagationpolicy/web. Without it, what waits is listed."),
    ],
    namespace: Annotated[str, Parameter(name=["--namespace", "-n"], help="Namespace of the policy.")] = "",
    output: Annotated[str, Parameter(name=["--output", "-o"], help="json, for programs; of the list.")] = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """List the changes that wait because they take much out of clusters, or let one of them go on."""
    check_output(output, "json")
    plane = access(kubeconfig, karmada_context)
    if not subjects:
        _show(told(plane, _waiting), output)
        return
    wanted = [(_resource(kind), name) for kind, name in parse_subjects(subjects)]
    where = namespace or plane.namespace or "default"

    async def approve_all(client: MemberClient) -> list[_Waits]:
        return [await _approve(client, resource, where, name) for resource, name in wanted]

    for each in told(plane, approve_all):
        print(f"{each.kind.lower()}/{each.obj['metadata']['name']} approved: {each.what}")


def _resource(word: str) -> _Resource:
    found = next((each for each in _RESOURCES if word.lower().partition(".")[0] in each.words), None)
    if found is None:
        kinds = ", ".join(each.kind for each in _RESOURCES)
        raise UsageError(f'nothing of the type "{word}" waits for an approval, allowed: {kinds}')
    return found


async def _waiting(client: MemberClient) -> list[_Waits]:
    from kafila.members.client import resource_path

    found: list[_Waits] = []
    for resource in _RESOURCES:
        objects, _ = await client.list(resource_path(resource.api_version, resource.plural))
        found += [_Waits(resource.kind, "", obj, what) for obj in objects if (what := resource.waiting(obj))]
    return found


async def _approve(client: MemberClient, resource: _Resource, namespace: str, name: str) -> _Waits:
    """Of what was seen: whoever changes it meanwhile has asked another question, and the patch is refused."""
    from kafila.members.client import resource_path
    from kafila.placement.withdrawal import APPROVED

    path = resource_path(resource.api_version, resource.plural, namespace if resource.namespaced else "", name)
    obj = await client.get(path)
    what = resource.waiting(obj)
    if not what:
        raise CommandError(f'nothing of {resource.kind} "{name}" waits for an approval')
    version = obj["metadata"]["resourceVersion"]
    await client.patch(
        path, {"metadata": {"resourceVersion": version, "annotations": {APPROVED: resource.approval(obj)}}}
    )
    return _Waits(resource.kind, path, obj, what)


def _show(found: Sequence[_Waits], output: str) -> None:
    rows = [
        (each.kind, each.obj["metadata"].get("namespace", ""), each.obj["metadata"]["name"], each.what)
        for each in found
    ]
    if output == "json":
        import orjson

        fields = ("kind", "namespace", "name", "waits")
        print(orjson.dumps([dict(zip(fields, row, strict=True)) for row in rows], option=orjson.OPT_INDENT_2).decode())
    elif rows:
        table = [_HEAD, *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD) - 1)]
        for row in table:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
            print(_GAP.join((*cells, row[-1])))
    else:
        print("Nothing waits for an approval.")
