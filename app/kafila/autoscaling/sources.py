"""What each kind of metric of a FederatedHPA asks for, proposes, and shows in the status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from kafila.core import gostrings, quantity, selectors
from kafila.core.values import AnyObject, Object

from . import calculator
from .calculator import Proposal, Workload
from .metrics import MetricsError, ObjectReference, PodMetrics, PodUsage, of_resource
from .pods import Tuning
from .podset import CannotCompute

Answer = Sequence[PodUsage] | PodMetrics | int | MetricsError  # what a metrics API answered, by the kind of metric


class Question(NamedTuple):
    """What has to be asked for one metric. ``about``: None where it is about pods. ``metric``: "" for the resources of pods."""

    metric: str = ""
    metric_selector: str = ""
    about: ObjectReference | None = None


class Computed(NamedTuple):
    """``name``: of the metric, as conditions and events name it. ``status``: for ``status.currentMetrics``."""

    replicas: int
    name: str
    status: Object


class Failed(NamedTuple):
    """``reason`` and ``message`` for event and condition, ``error`` for what is said of all metrics together."""

    reason: str
    message: str
    error: str


class _Context(NamedTuple):
    workload: Workload
    tuning: Tuning
    namespace: str
    now: float


def question(metric: AnyObject) -> Question | None:
    """What to ask for a metric of the spec. None: nothing can be asked, and computing says why."""
    match metric.get("type"):
        case "Resource" | "ContainerResource":
            return Question()
        case "Pods":
            return _named(metric["pods"]["metric"], None)
        case "Object":
            about = metric["object"]["describedObject"]
            reference = ObjectReference(about.get("apiVersion") or "", about["kind"], about["name"])
            return _named(metric["object"]["metric"], reference)
    return None


def _named(identifier: AnyObject, about: ObjectReference | None) -> Question | None:
    try:
        return Question(identifier["name"], _selector(identifier), about)
    except selectors.SelectorError:
        return None


def _selector(identifier: AnyObject) -> str:
    """Without one: all. Raises SelectorError."""
    return str(selectors.from_object(identifier["selector"])) if identifier.get("selector") is not None else ""


def computed(
    metric: AnyObject, answer: Answer | None, workload: Workload, tuning: Tuning, namespace: str, now: float
) -> Computed | Failed:
    """``answer``: to :func:`question`, None where there was none."""
    compute = _SOURCES.get(metric.get("type") or "")
    if compute is None:
        text = f'unknown metric source type "{metric.get("type") or ""}"'
        return Failed("InvalidMetricSourceType", text, text)
    return compute(metric, answer, _Context(workload, tuning, namespace, now))


# -- resources of pods ---------------------------------------------------------------------------------------------------


def _resource(metric: AnyObject, answer: Any, context: _Context) -> Computed | Failed:
    source = metric["resource"]
    name = source["name"]
    found = _of_resource(source, answer, context, "")
    if isinstance(found, str):
        return Failed("FailedGetResourceMetric", found, f"failed to get {name} resource metric value: {found}")
    proposal, current = found
    status = {"type": "Resource", "resource": {"name": name, "current": current}}
    return Computed(proposal.replicas, _resource_name(name, current, "resource"), status)


def _container(metric: AnyObject, answer: Any, context: _Context) -> Computed | Failed:
    source = metric["containerResource"]
    name, container = source["name"], source["container"]
    found = _of_resource(source, answer, context, container)
    if isinstance(found, str):
        error = f"failed to get {container} container metric value: {found}"
        return Failed("FailedGetContainerResourceMetric", found, error)
    proposal, current = found
    shown = {"name": name, "current": current, "container": container}
    text = _resource_name(name, current, "container resource")
    return Computed(proposal.replicas, text, {"type": "ContainerResource", "containerResource": shown})


def _resource_name(name: str, current: Object, source: str) -> str:
    return (
        f"{name} {source} utilization (percentage of request)"
        if "averageUtilization" in current
        else f"{name} resource"
    )


def _of_resource(source: AnyObject, answer: Any, context: _Context, container: str) -> tuple[Proposal, Object] | str:
    """A proposal with what the status shows; a text: why there is none."""
    name, target = source["name"], source["target"]
    average, share = target.get("averageValue"), target.get("averageUtilization")
    if average is None and share is None:
        return (
            "invalid resource metric source: neither an average utilization target nor an average value target was set"
        )
    workload, tuning, _, now = context
    try:
        samples = of_resource(_usable(answer), name, container)
    except MetricsError as error:
        return f"failed to get {name} utilization: unable to get metrics for resource {name}: {error}"
    try:
        if average is not None:
            wanted = quantity.to_milli(average)
            proposal = calculator.by_average(samples, workload, wanted, name, tuning, now)
            return proposal, {"averageValue": _shown(proposal.usage)}
        proposal = calculator.by_utilization(samples, workload, share, name, container, tuning, now)
    except CannotCompute as error:
        return f"failed to get {name} utilization: {error}"
    return proposal, {"averageUtilization": proposal.utilization, "averageValue": _shown(proposal.usage)}


# -- custom metrics ------------------------------------------------------------------------------------------------------


def _pods(metric: AnyObject, answer: Any, context: _Context) -> Computed | Failed:
    identifier, target = metric["pods"]["metric"], metric["pods"]["target"]
    name = identifier["name"]
    try:
        _selector(identifier)
        samples = _usable(answer)
        wanted = quantity.to_milli(target["averageValue"])
        proposal = calculator.by_average(samples, context.workload, wanted, "", context.tuning, context.now)
    except MetricsError as error:
        return _pods_failed(f"unable to get metric {name}: {error}")
    except (selectors.SelectorError, CannotCompute) as error:
        return _pods_failed(str(error))
    current = {"averageValue": _shown(proposal.usage)}
    status = {"type": "Pods", "pods": {"metric": _identified(identifier), "current": current}}
    return Computed(proposal.replicas, f"pods metric {name}", status)


def _pods_failed(text: str) -> Failed:
    return Failed("FailedGetPodsMetric", text, f"failed to get pods metric value: {text}")


def _object(metric: AnyObject, answer: Any, context: _Context) -> Computed | Failed:
    source = metric["object"]
    identifier, target, about = source["metric"], source["target"], source["describedObject"]
    name, of_each = identifier["name"], target.get("type") == "AverageValue"
    try:
        _selector(identifier)
    except selectors.SelectorError as error:
        return _object_failed(str(error))
    wanted = target.get("averageValue" if of_each else "value")
    if target.get("type") not in ("Value", "AverageValue") or wanted is None:
        return _object_failed(
            "invalid object metric source: neither a value target nor an average value target was set"
        )
    wanted = quantity.to_milli(wanted)
    try:
        usage = _usable(answer)
        if of_each:
            proposal = calculator.by_value_for_each(usage, context.workload, wanted, context.tuning)
        else:
            proposal = calculator.by_value(usage, context.workload, wanted, context.tuning)
    except MetricsError as error:
        where = f"{about['kind']} {context.namespace}/{about['name']}"
        text = f"unable to get metric {name}: {error} on {where}"
        return _object_failed(text, f"failed to get {name} object metric: {text}" if of_each else text)
    except CannotCompute as error:
        return _object_failed(str(error))
    if of_each:  # Karmada, as Kubernetes, names the object in neither of them
        shown = {"averageValue": _shown(proposal.usage)}
        text = f"external metric {name}({gostrings.label_selector(identifier.get('selector'))})"
        nobody = {"kind": "", "name": ""}
        status = {"metric": _identified(identifier), "current": shown, "describedObject": nobody}
    else:
        text = f"{about['kind']} metric {name}"
        shown = {"value": _shown(proposal.usage)}
        status = {"metric": _identified(identifier), "current": shown, "describedObject": dict(about)}
    return Computed(proposal.replicas, text, {"type": "Object", "object": status})


def _object_failed(text: str, error: str = "") -> Failed:
    return Failed("FailedGetObjectMetric", text, f"failed to get object metric value: {error or text}")


_SOURCES: Final[dict[str, Callable[[AnyObject, Any, _Context], Computed | Failed]]] = {
    "Resource": _resource,
    "ContainerResource": _container,
    "Pods": _pods,
    "Object": _object,
}


def _usable(answer: Any) -> Any:
    """Raises MetricsError for an answer that is one."""
    if isinstance(answer, MetricsError):
        raise answer
    return answer


def _shown(milli: int) -> str:
    return str(quantity.from_milli(milli))


def _identified(identifier: AnyObject) -> Object:
    found = {"name": identifier["name"]}
    if identifier.get("selector") is not None:
        found["selector"] = identifier["selector"]
    return found
