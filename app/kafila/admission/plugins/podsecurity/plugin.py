"""The plugin PodSecurity: pods are refused, what makes pods is warned of, and namespaces say what they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kafila.admission.plugins.attributes import Attributes, Lookups
from kafila.core import errors
from kafila.core.values import Object

from .evaluate import violations
from .standards import LEVELS, PRIVILEGED, Policy, Standard, policy_of

MOST_PODS: Final = 3000  # of a namespace that are looked at when it asks for more
_IGNORED: Final = frozenset({"exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"})
_TEMPLATES: Final = {
    "podtemplates": ("template",),
    "replicationcontrollers": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "deployments.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}
RESOURCES: Final = ("namespaces", "pods", *_TEMPLATES)


def check(asked: Attributes, look: Lookups) -> Iterable[str]:
    if asked.kind.resource == "namespaces":
        return () if asked.subresource else _namespace(asked, look)
    if asked.kind.resource == "pods":
        return _pod(asked, look)
    return () if asked.subresource else _template(asked, look)


# -- pods and what makes them ----------------------------------------------------------------------------------------------


def _pod(asked: Attributes, look: Lookups) -> list[str]:
    if asked.subresource in _IGNORED or (asked.old is not None and not _other_images(asked.new, asked.old)):
        return []
    policy = _policy(asked, look)
    metadata, spec = asked.new["metadata"], asked.new.get("spec") or {}
    found = violations(policy.enforce, metadata, spec)
    if found:
        text = f'violates PodSecurity "{policy.enforce}": {", ".join(map(str, found))}'
        raise asked.refused(text)
    return _warnings(policy, metadata, spec)


def _template(asked: Attributes, look: Lookups) -> list[str]:
    template: Object = asked.new
    for step in _TEMPLATES[asked.kind.resource]:
        template = template.get(step) or {}
    if not template:
        return []
    return _warnings(_policy(asked, look), template.get("metadata") or {}, template.get("spec") or {})


def _policy(asked: Attributes, look: Lookups) -> Policy:
    namespace = look.one("namespaces", "", asked.namespace)
    if namespace is None:
        return Policy()
    return policy_of(namespace["metadata"].get("labels") or {})[0]


def _warnings(policy: Policy, metadata: Object, spec: Object) -> list[str]:
    found = violations(policy.warn, metadata, spec)
    return [f'would violate PodSecurity "{policy.warn}": {", ".join(map(str, found))}'] if found else []


def _other_images(new: Object, old: Object) -> bool:
    """Nothing else of a pod that may be changed is of interest."""
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    for field in ("containers", "initContainers"):
        if _images(spec, field) != _images(was, field):
            return True
    before = {c.get("name"): c.get("image") for c in was.get("ephemeralContainers") or ()}
    return any(before.get(c.get("name"), "") != c.get("image") for c in spec.get("ephemeralContainers") or ())


def _images(spec: Object, field: str) -> list[str | None]:
    return [container.get("image") for container in spec.get(field) or ()]


# -- namespaces ------------------------------------------------------------------------------------------------------------


def _namespace(asked: Attributes, look: Lookups) -> list[str]:
    policy, found = policy_of(asked.new["metadata"].get("labels") or {})
    was, wrong_before = policy_of(((asked.old or {}).get("metadata") or {}).get("labels") or {})
    if found and (asked.old is None or found != wrong_before):
        raise errors.invalid("", asked.kind.kind, asked.new["metadata"].get("name", ""), found)
    if asked.old is None or not _is_stricter(policy.enforce, was.enforce):
        return []
    return list(_violated_by_pods(asked.namespace, policy.enforce, look))


def _is_stricter(new: Standard, old: Standard) -> bool:
    if new == old or new.level == PRIVILEGED:
        return False
    return new.version != old.version or LEVELS.index(new.level) > LEVELS.index(old.level)


def _violated_by_pods(namespace: str, enforce: Standard, look: Lookups) -> Iterator[str]:
    pods = _one_of_each_owner_first(look.within("pods", namespace))
    told: dict[str, list[str]] = {}
    for pod in pods[:MOST_PODS]:
        found = violations(enforce, pod["metadata"], pod.get("spec") or {})
        if found:
            reasons = ", ".join(violation.reason for violation in found)
            told.setdefault(reasons, []).append(pod["metadata"]["name"])
    if len(pods) > MOST_PODS:
        of = f"the first {MOST_PODS} of {len(pods)} existing pods"
        yield f"new PodSecurity enforce level only checked against {of}"
    if told:
        yield f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{enforce}"'
    yield from sorted(f"{_named(names)}: {reasons}" for reasons, names in told.items())


def _one_of_each_owner_first(pods: Iterable[Object]) -> list[Object]:
    seen: set[str] = set()
    first: list[Object] = []
    others: list[Object] = []
    for pod in pods:
        owner = next((o["uid"] for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")), None)
        (others if owner in seen else first).append(pod)
        if owner is not None:
            seen.add(owner)
    return first + others


def _named(names: list[str]) -> str:
    more = len(names) - 1
    if not more:
        return names[0]
    return f"{min(names)} (and {more} other {'pod' if more == 1 else 'pods'})"
