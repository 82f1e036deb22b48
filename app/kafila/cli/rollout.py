"""``kafila rollout status|approve|pause|resume|undo``: staged rollouts, cluster by cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeVar, cast

from cyclopts import Parameter

from kafila.placement.types import Binding, RolloutControl

from . import CommandError
from .flags import KarmadaContext, Kubeconfig, Output, check_output
from .membership import access, told
from .resources import resource_named
from .why import binding_of, parse_subjects

if TYPE_CHECKING:
    from kafila.members.client import MemberClient

T = TypeVar("T")
Subjects = Annotated[str, Parameter(name="TYPE NAME", help="What is rolled out: deployment/web, or deployment web.")]
Namespace = Annotated[str, Parameter(name=["--namespace", "-n"], help="Namespace of the object.")]
_GAP: Final = "   "
_HEAD: Final = ("CLUSTER", "STAGE", "PHASE", "REVISION", "SINCE", "MESSAGE")


class _Rolled(NamedTuple):
    """An object and its binding. ``path``: of the binding."""

    called: str
    path: str
    binding: Binding


def status(
    *subjects: Subjects,
    namespace: Namespace = "",
    output: Output = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """Show how far rollouts are: which cluster has which revision, and what is waited for."""
    from kafila.placement.rollout.control import rollout_of

    check_output(output, "json")
    found = _found(subjects, namespace, kubeconfig, karmada_context)
    rollouts = [_possible(each, rollout_of) for each in found]
    if output == "json":
        import orjson

        shown = rollouts[0] if len(rollouts) == 1 else rollouts
        print(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
    else:
        print("\n\n".join(_text(each) for each in found))


def approve(
    *subjects: Subjects, namespace: Namespace = "", kubeconfig: Kubeconfig = "", karmada_context: KarmadaContext = ""
) -> None:
    """Let the stage that waits for an approval begin."""
    from kafila.placement.rollout.control import approved

    _ask(subjects, namespace, kubeconfig, karmada_context, approved, "approved")


def pause(
    *subjects: Subjects, namespace: Namespace = "", kubeconfig: Kubeconfig = "", karmada_context: KarmadaContext = ""
) -> None:
    """Let no further cluster have the new revision."""
    from kafila.placement.rollout.control import paused

    _ask(subjects, namespace, kubeconfig, karmada_context, paused, "paused")


def resume(
    *subjects: Subjects, namespace: Namespace = "", kubeconfig: Kubeconfig = "", karmada_context: KarmadaContext = ""
) -> None:
    """Go on after a pause, a failure or a rollback."""
    from kafila.placement.rollout.control import resumed

    _ask(subjects, namespace, kubeconfig, karmada_context, lambda binding: resumed(binding, time.time()), "resumed")


def undo(
    *subjects: Subjects, namespace: Namespace = "", kubeconfig: Kubeconfig = "", karmada_context: KarmadaContext = ""
) -> None:
    """Give all clusters the revision back that had been everywhere before."""
    from kafila.placement.rollout.control import undone

    _ask(subjects, namespace, kubeconfig, karmada_context, undone, "rolled back")


def _ask(
    subjects: tuple[str, ...],
    namespace: str,
    kubeconfig: str,
    karmada_context: str,
    asked: Callable[[Binding], RolloutControl],
    done: str,
) -> None:
    """Of all or of none: what cannot be asked of one is refused before anything is written."""
    plane = access(kubeconfig, karmada_context)
    found = _found(subjects, namespace, kubeconfig, karmada_context)
    wanted = [(each, _possible(each, asked)) for each in found]

    async def write(client: MemberClient) -> None:
        for each, control in wanted:
            await client.patch(each.path, {"spec": {"rollout": dict(control)}})

    told(plane, write)
    for each in found:
        print(f"{each.called} {done}")


def _possible(rolled: _Rolled, asked: Callable[[Binding], T]) -> T:
    from kafila.placement.rollout.control import NotPossible

    try:
        return asked(rolled.binding)
    except NotPossible as error:
        raise CommandError(f"{rolled.called}: {error}") from None


def _found(subjects: tuple[str, ...], namespace: str, kubeconfig: str, karmada_context: str) -> list[_Rolled]:
    """Raises CommandError, UsageError."""
    wanted = parse_subjects(subjects)
    plane = access(kubeconfig, karmada_context)
    where = namespace or plane.namespace or "default"

    async def all_of_them(client: MemberClient) -> list[_Rolled]:
        return [await _one(client, kind, where, name) for kind, name in wanted]

    return told(plane, all_of_them)


async def _one(client: MemberClient, kind: str, namespace: str, name: str) -> _Rolled:
    from kafila.members.client import resource_path

    resource = await resource_named(client, kind)
    where = namespace if resource.namespaced else ""
    template = await client.find(resource.path(where, name))
    called = f"{resource.kind.lower()}/{name}"
    if template is None:
        raise CommandError(f'{resource.kind} "{name}" not found' + (f' in namespace "{where}"' if where else ""))
    binding = await binding_of(client, template, where)
    if binding is None:
        raise CommandError(f"{called}: no policy brings it to a cluster")
    plural = "resourcebindings" if where else "clusterresourcebindings"
    path = resource_path("work.karmada.io/v1alpha2", plural, where, binding["metadata"]["name"])
    return _Rolled(called, path, cast(Binding, binding))


def _text(rolled: _Rolled) -> str:
    from kafila.core.printable import one_line
    from kafila.placement.rollout.advance import LONGEST
    from kafila.placement.rollout.control import rollout_of, summary

    rows = [_HEAD]
    for row in rollout_of(rolled.binding).get("clusters") or ():
        since = row.get("completedAt") or row.get("gateSatisfiedSince") or row.get("startedAt") or ""
        cells = (
            row["name"],
            row.get("stage", ""),
            row["phase"],
            row.get("revision", ""),
            since,
            one_line(row.get("message", ""), LONGEST),
        )
        rows.append(cells)
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    lines = [
        _GAP.join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1])).rstrip()
        for row in rows
    ]
    head = f"{rolled.called}: {one_line(summary(rolled.binding), LONGEST)}"
    return "\n".join((head, *(lines if len(lines) > 1 else ())))
