"""The APIs of metrics: what members say of themselves, stored by nobody (:mod:`kafila.metricsadapter`).

metrics.k8s.io has kinds; what custom.metrics.k8s.io and external.metrics.k8s.io have differs from one set of members to another.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

from pydantic import Field

from .karmada.kinds import Row, custom_kind
from .karmada.model import CanonicalResourceList, Model, Time, Wire
from .karmada.schemas import Builder
from .kind import Kind
from .tables import schema_of

GROUP: Final = "metrics.k8s.io"
# versions of groups without kinds of their own, the preferred one first
VERSIONS: Final = {"custom.metrics.k8s.io": ("v1beta2", "v1beta1"), "external.metrics.k8s.io": ("v1beta1",)}

Duration = Annotated[str, Wire("string")]
_USAGE: Final = "The memory usage is the memory working set."


class ContainerMetrics(Model):
    """Resource usage of a container."""

    name: str = Field(description="Name of the container, as in the pod's spec.containers.")
    usage: CanonicalResourceList = Field(description=_USAGE)


class PodMetrics(Model):
    """Resource usage of a pod, in the member cluster that it runs in."""

    timestamp: Time = Field(description="End of the time that was looked at.")
    window: Duration = Field(description="Length of the time that was looked at, which ends at the timestamp.")
    containers: list[ContainerMetrics] = Field(description="Usage of all containers, within the same time.")


class NodeMetrics(Model):
    """Resource usage of a node of a member cluster."""

    timestamp: Time = Field(description="End of the time that was looked at.")
    window: Duration = Field(description="Length of the time that was looked at, which ends at the timestamp.")
    usage: CanonicalResourceList = Field(description=_USAGE)


def kinds() -> list[Kind]:
    build = Builder(schema_of)
    rows = (
        Row(GROUP, "NodeMetrics", "nodes", NodeMetrics, False, "v1beta1", categories=(), status=False),
        Row(GROUP, "PodMetrics", "pods", PodMetrics, True, "v1beta1", categories=(), status=False),
    )
    return [replace(custom_kind(row, build), singular="", verbs=("get", "list")) for row in rows]
