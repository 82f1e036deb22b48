"""What small plugins change of a pod: Priority, RuntimeClass, tolerations, image pull policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kafila.catalog.builtin.validation.resources import is_extended
from kafila.core.errors import FieldError, aggregate
from kafila.core.values import Object

from .attributes import Attributes, Lookups

TOLERATION_SECONDS: Final = 300
_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
PRIORITY_CLASSES: Final = "priorityclasses.scheduling.k8s.io"
_RUNTIME_CLASSES: Final = "runtimeclasses.node.k8s.io"


# -- Priority --------------------------------------------------------------------------------------------------------------


def prioritize(asked: Attributes, look: Lookups) -> None:
    spec = asked.new.setdefault("spec", {})
    if asked.old is None:
        _prioritize_new(asked, spec, look)
        return
    was = asked.old.get("spec") or {}
    for field in ("priority", "preemptionPolicy"):
        if spec.get(field) is None and was.get(field) is not None:
            spec[field] = was[field]


def _default_class(look: Lookups) -> Object | None:
    defaults = [obj for obj in look.objects(PRIORITY_CLASSES) if obj.get("globalDefault")]
    return min(defaults, key=lambda obj: obj["value"], default=None)


def _prioritize_new(asked: Attributes, spec: Object, look: Lookups) -> None:
    name = spec.get("priorityClassName") or ""
    found = look.one(PRIORITY_CLASSES, "", name) if name else _default_class(look)
    if found is None and name:
        raise asked.refused(f"no PriorityClass with name {name} was found")
    if found is not None:
        spec["priorityClassName"] = found["metadata"]["name"]
    given = (found or {}).get("value", 0), (found or {}).get("preemptionPolicy", "PreemptLowerPriority")
    for field, value, what in zip(
        ("priority", "preemptionPolicy"),
        given,
        ("the integer value of priority", "the string value of PreemptionPolicy"),
        strict=True,
    ):
        if spec.get(field) not in (None, value):
            text = (
                f"{what} ({spec[field]}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
            raise asked.refused(text)
        spec[field] = value


def one_default_class(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    if asked.new.get("globalDefault"):
        other = _default_class(look)
        if other is not None and (asked.old is None or other["metadata"]["name"] != asked.new["metadata"].get("name")):
            name = other["metadata"]["name"]
            raise asked.refused(f"PriorityClass {name} is already marked as default. Only one default can exist")
    return ()


# -- RuntimeClass ----------------------------------------------------------------------------------------------------------


def run_as_class(asked: Attributes, look: Lookups) -> None:
    if asked.old is not None:
        return
    spec = asked.new.setdefault("spec", {})
    name = spec.get("runtimeClassName")
    found = None
    if name is not None:
        found = look.one(_RUNTIME_CLASSES, "", name)
        if found is None:
            raise asked.refused(f'pod rejected: RuntimeClass "{name}" not found')
    overhead = ((found or {}).get("overhead") or {}).get("podFixed")
    if spec.get("overhead") and overhead is not None and spec["overhead"] != overhead:
        text = "Pod's Overhead doesn't match RuntimeClass's defined Overhead"
        raise asked.refused(f"pod rejected: {text}")
    if overhead:
        spec["overhead"] = overhead
    scheduling = (found or {}).get("scheduling") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        selector = spec.setdefault("nodeSelector", {})
        if selector.setdefault(key, value) != value:
            text = (
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {selector[key]}"
            )
            raise asked.refused(text)
    more = [t for t in scheduling.get("tolerations") or () if t not in (spec.get("tolerations") or ())]
    if more:
        spec["tolerations"] = [*(spec.get("tolerations") or ()), *more]


def check_overhead(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    spec = asked.new.get("spec") or {}
    if asked.old is None and spec.get("overhead"):
        found = look.one(_RUNTIME_CLASSES, "", spec.get("runtimeClassName") or "")
        if not ((found or {}).get("overhead") or {}).get("podFixed"):
            text = "Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise asked.refused(f"pod rejected: {text}")
    return ()


# -- tolerations -----------------------------------------------------------------------------------------------------------


def tolerate_for_a_while(asked: Attributes, look: Lookups) -> None:
    """DefaultTolerationSeconds."""
    spec = asked.new.setdefault("spec", {})
    tolerations = spec.get("tolerations") or []
    missing = [taint for taint in _TAINTS if not any(_covers(toleration, taint) for toleration in tolerations)]
    if missing:
        spec["tolerations"] = [
            *tolerations,
            *(
                {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS}
                for taint in missing
            ),
        ]


def _covers(toleration: Object, taint: str) -> bool:
    return toleration.get("key") in (taint, "", None) and toleration.get("effect") in ("NoExecute", "", None)


def tolerate_extended_resources(asked: Attributes, look: Lookups) -> None:
    """ExtendedResourceToleration: pods that ask for devices may run on the nodes that are kept for them."""
    if asked.subresource:
        return
    spec = asked.new.setdefault("spec", {})
    names: set[str] = set()
    for field in ("containers", "initContainers"):
        for container in spec.get(field) or ():
            names.update(filter(is_extended, (container.get("resources") or {}).get("requests") or ()))
    for name in sorted(names):
        wanted = {"key": name, "operator": "Exists", "effect": "NoSchedule"}
        others = [t for t in spec.get("tolerations") or () if (t.get("key"), t.get("effect")) != (name, "NoSchedule")]
        if wanted not in (spec.get("tolerations") or ()):
            spec["tolerations"] = [*others, wanted]


def taint_new_node(asked: Attributes, look: Lookups) -> None:
    """TaintNodesByCondition: a node is not ready until its kubelet says so."""
    if asked.old is not None:
        return
    spec = asked.new.setdefault("spec", {})
    taints = spec.get("taints") or []
    if not any(taint.get("key") == _TAINTS[0] and taint.get("effect") == "NoSchedule" for taint in taints):
        spec["taints"] = [*taints, {"key": _TAINTS[0], "effect": "NoSchedule"}]


# -- AlwaysPullImages ------------------------------------------------------------------------------------------------------


def pull_always(asked: Attributes, look: Lookups) -> None:
    """So that nobody runs an image from a node's cache without the credentials for it."""
    if not _pulls(asked):
        return
    for _, holder, field in _policies(asked.new):
        holder[field] = "Always"


def check_pull_always(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    if _pulls(asked):
        wrong = [
            (path, holder.get(field)) for path, holder, field in _policies(asked.new) if holder.get(field) != "Always"
        ]
        found = [str(FieldError.not_supported(path, value or "", ("Always",))) for path, value in wrong]
        if found:
            raise asked.refused(aggregate(found))
    return ()


def _pulls(asked: Attributes) -> bool:
    """Whether images are named that were not before."""
    if asked.subresource:
        return False
    before = {container.get("image") for _, container, _ in _policies(asked.old or {})}
    return asked.old is None or any(container.get("image") not in before for _, container, _ in _policies(asked.new))


def _policies(pod: Object) -> Iterator[tuple[str, Object, str]]:
    """Path, holder and field of each image pull policy."""
    spec = pod.get("spec") or {}
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(field) or ()):
            yield f"spec.{field}[{i}].imagePullPolicy", container, "imagePullPolicy"
    for i, volume in enumerate(spec.get("volumes") or ()):
        if volume.get("image") is not None:
            yield f"spec.volumes[{i}].image.pullPolicy", volume["image"], "pullPolicy"
