"""What somebody places, overrides or binds is what he could write himself. Karmada does not ask.

Its controllers write into members with all rights, so a policy, an override or a binding is as good as the write itself. A
binding must be about an object of its own namespace, wherever it is. The rest is asked in namespaces that are given to somebody
(`placement/allowed_clusters.py`): elsewhere who may write policies places whatever is there, as in Karmada. Bindings of such a
namespace are the controllers': they say where it goes and what it takes of a quota.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kafila.authorization import MASTERS
from kafila.core import errors
from kafila.core.values import Object
from kafila.placement.allowed_clusters import NAMES, SELECTOR, Limit, clusters_named, problems

from .context import AdmissionContext

POLICIES: Final = "propagationpolicies.policy.karmada.io"
OVERRIDES: Final = "overridepolicies.policy.karmada.io"
BINDINGS: Final = "resourcebindings.work.karmada.io"
_RBAC: Final = "rbac.authorization.k8s.io"
# what is changed on the way to a member is not compared with its writer's own rights, as a write here is
_UNCHECKED: Final = {"roles": ("escalate", "roles"), "rolebindings": ("bind", "clusterroles")}
_NAMED: Final = 10  # clusters in one warning


def admit_namespace(new: Object, old: Object | None) -> None:
    """Raises StatusError 422 for annotations that mean nothing."""
    now, before = _annotations(new), _annotations(old or {})
    if any(now.get(key) != before.get(key) for key in (NAMES, SELECTOR)) and (found := problems(now)):
        raise errors.invalid("", "Namespace", new["metadata"].get("name") or "", found)


def admit_by_rights(resource: str, new: Object | None, old: Object | None, user: Any, around: AdmissionContext) -> None:
    """``new``: None when it is deleted. Raises StatusError 403. Where only something else changes nobody is asked."""
    if MASTERS in user.groups:
        return  # the controllers' own writes cost nothing
    if new is not None and old is not None and _about(resource, new) == _about(resource, old):
        return
    states = [state for state in (new, old) if state is not None]
    namespace = states[0]["metadata"].get("namespace") or ""
    is_given = around.limit(namespace) is not None
    if resource == BINDINGS:
        if is_given or (new is not None and not _is_within(new, namespace, around)):
            why = "it is not in this namespace" if not is_given else "it is the control plane's in this namespace"
            verb = "create" if old is None else "update" if new is not None else "delete"
            asked = (verb, "work.karmada.io", "clusterresourcebindings", "")
            _check(resource, states[0], f"spec.resource: {why}", asked, user, around)
        return
    for state in states if is_given else ():  # what is taken out of a policy is touched as what is put in
        for path, verb, group, plural in _needed(resource, state, around):
            _check(resource, state, path, (verb, group, plural, namespace), user, around)


def beyond_limit(new: Object, old: Object | None, around: AdmissionContext) -> list[str]:
    """A warning where a policy names clusters that its namespace may not use: they are left out."""
    namespace = new["metadata"].get("namespace") or ""
    limit = around.limit(namespace) if namespace else None
    if limit is None or (old is not None and new["spec"] == old["spec"]):
        return []
    beyond = sorted(clusters_named(new["spec"].get("placement") or {}) - _allowed(limit, around))
    if not beyond:
        return []
    listed = ", ".join(beyond[:_NAMED]) + (f" and {len(beyond) - _NAMED} more" if len(beyond) > _NAMED else "")
    return [f"spec.placement: namespace {namespace} may not use {listed}: left out"]


def _about(resource: str, obj: Object) -> tuple[Any, ...]:
    """What counts of it: how a rollout goes on says nothing of where a binding's object goes, or of what it is."""
    if resource != BINDINGS:
        return (obj.get("spec"),)
    spec = {field: value for field, value in (obj.get("spec") or {}).items() if field != "rollout"}
    return spec, *(obj["metadata"].get(field) for field in ("ownerReferences", "labels", "annotations"))


def _is_within(binding: Object, namespace: str, around: AdmissionContext) -> bool:
    """Are the objects that it names, and that it follows, of its namespace?"""
    resource = binding["spec"].get("resource") or {}
    owners = (owner for owner in binding["metadata"].get("ownerReferences") or () if owner.get("controller"))
    is_here = (resource.get("namespace") or namespace) == namespace
    return is_here and all(_is_namespaced(reference, around) for reference in (resource, *owners))


def _is_namespaced(reference: Object, around: AdmissionContext) -> bool:
    found = around.resource_of(reference.get("apiVersion") or "", reference.get("kind") or "")
    return found is not None and found.namespaced


def _needed(resource: str, new: Object, around: AdmissionContext) -> Iterator[tuple[str, str, str, str]]:
    """Path, and the verb, group and resource that somebody has to be allowed."""
    for path, verb, reference in _touched(resource, new):
        if reference is None:
            yield path, verb, "*", "*"
            continue
        api_version, kind = reference.get("apiVersion") or "", reference.get("kind") or ""
        found = around.resource_of(api_version, kind)
        if found is None:  # nobody knows yet what that will be
            yield path, verb, api_version.rpartition("/")[0], "*"
        elif verb == "update" and found.group == _RBAC and found.plural in _UNCHECKED:
            yield path, _UNCHECKED[found.plural][0], found.group, _UNCHECKED[found.plural][1]
        else:
            yield path, verb, found.group, found.plural


def _touched(resource: str, new: Object) -> Iterator[tuple[str, str, Object | None]]:
    """Path, verb, and what is touched: None for everything."""
    verb, selectors = "create" if resource == POLICIES else "update", new["spec"].get("resourceSelectors") or ()
    if not selectors:
        yield "spec.resourceSelectors: it is about every kind", verb, None
    for index, selector in enumerate(selectors):
        yield f"spec.resourceSelectors[{index}]", verb, selector


def _check(
    resource: str, new: Object, path: str, asked: tuple[str, str, str, str], user: Any, around: AdmissionContext
) -> None:
    verb, group, plural, namespace = asked
    if around.may(user, verb, group, plural, namespace, ""):
        return
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    why = f'{path}: User "{user.name}" cannot {verb} resource "{plural}" in API group "{group}" {where}'
    named, _, of = resource.partition(".")
    raise errors.forbidden(of, named, new["metadata"].get("name") or "", why)


def _annotations(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def _allowed(limit: Limit, around: AdmissionContext) -> frozenset[str]:
    return limit.among(around.clusters())
