"""The messages of the accurate estimator's gRPC service, as bytes: Karmada's estimator.proto, written out for the few fields it has.

Quantities, tolerations and node selectors travel as Kubernetes' own protobuf messages, in a field of bytes and, for estimators
before 1.17, in the message field that it replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kafila.core.values import AnyObject
from kafila.machinery.protobuf_wire import (
    VARINT,
    ProtobufError,
    bytes_field,
    fail,
    read_varint,
    signed,
    skip,
    text_field,
    varint_field,
)
from kafila.placement.scheduler.estimate import Assumed

SERVICE: Final = "/github.com.karmada_io.karmada.pkg.estimator.service.Estimator/"
MAX_REPLICAS: Final = SERVICE + "MaxAvailableReplicas"
MAX_SETS: Final = SERVICE + "MaxAvailableComponentSets"
UNSCHEDULABLE: Final = SERVICE + "GetUnschedulableReplicas"


class EstimatorError(Exception):
    """An estimator did not answer, or not usefully."""


def replicas_request(
    cluster: str, requirements: AnyObject | None, namespace: str, assumed: Sequence[Assumed] = ()
) -> bytes:
    """MaxAvailableReplicasRequest. ``namespace``: of assumed work."""
    message = text_field(1, cluster)
    if requirements is not None:
        message += bytes_field(2, _requirements(requirements))
    return message + b"".join(bytes_field(3, _assumed(work, namespace)) for work in assumed)


def sets_request(
    cluster: str, components: Iterable[AnyObject], namespace: str, assumed: Sequence[Assumed] = ()
) -> bytes:
    """MaxAvailableComponentSetsRequest."""
    message = text_field(1, cluster) + b"".join(bytes_field(2, _component(each)) for each in components)
    message += text_field(3, namespace)
    return message + b"".join(bytes_field(4, _assumed(work, namespace)) for work in assumed)


def unschedulable_request(cluster: str, resource: AnyObject, threshold: float) -> bytes:
    """UnschedulableReplicasRequest. ``resource``: apiVersion, kind, namespace and name of a workload; ``threshold``: seconds that its
    pods have found no node.
    """
    fields = ("apiVersion", "kind", "namespace", "name")
    reference = b"".join(text_field(number, resource.get(field) or "") for number, field in enumerate(fields, 1))
    nanoseconds = round(threshold * 1e9)  # a Go Duration
    message = text_field(1, cluster) + bytes_field(2, reference)
    return message + (varint_field(3, nanoseconds) if nanoseconds else b"")


def answer(message: bytes) -> int:
    """The field of either response that we know, an int32; negative numbers are -1 and the like. Others are skipped."""
    try:
        return _first(message)
    except (ProtobufError, IndexError):
        raise ValueError("not a response of an estimator") from None


def _first(message: bytes) -> int:
    position = 0
    while position < len(message):
        tag, position = read_varint(message, position)
        if tag >> 3 == 1:
            if tag & 7 != VARINT:
                fail("not a number")
            return signed(read_varint(message, position)[0], 64)
        position = skip(message, position, len(message), tag)
    return 0


def _requirements(found: AnyObject) -> bytes:
    message = _claim(found.get("nodeClaim"))
    message += _amounts(found.get("resourceRequest") or {}, 2, 5)
    return message + text_field(3, found.get("namespace") or "") + text_field(4, found.get("priorityClassName") or "")


def _component(found: AnyObject) -> bytes:
    message = text_field(1, found.get("name") or "")
    requirements = found.get("replicaRequirements")
    if requirements is not None:
        inner = _claim(requirements.get("nodeClaim"))
        inner += _amounts(requirements.get("resourceRequest") or {}, 2, 4)
        message += bytes_field(2, inner + text_field(3, requirements.get("priorityClassName") or ""))
    return message + (varint_field(3, replicas) if (replicas := found.get("replicas")) else b"")


def _assumed(work: Assumed, namespace: str) -> bytes:
    return text_field(1, namespace) + b"".join(bytes_field(2, _component(each)) for each in work.components)


def _claim(claim: AnyObject | None) -> bytes:
    if claim is None:
        return b""
    message = b""
    affinity = claim.get("hardNodeAffinity")
    if affinity is not None:
        message += bytes_field(1, _node_selector(affinity))
    message += b"".join(
        _pair(2, key, value.encode()) for key, value in sorted((claim.get("nodeSelector") or {}).items())
    )
    tolerations = [_toleration(each) for each in claim.get("tolerations") or ()]
    message += b"".join(bytes_field(3, each) for each in tolerations)
    if affinity is not None:
        message += bytes_field(4, _node_selector(affinity))
    return bytes_field(1, message + b"".join(bytes_field(5, each) for each in tolerations))


def _amounts(request: Mapping[str, Any], old_field: int, field: int) -> bytes:
    quantities = [(name, text_field(1, str(amount))) for name, amount in sorted(request.items())]
    return b"".join(_pair(number, name, each) for number in (old_field, field) for name, each in quantities)


def _toleration(found: AnyObject) -> bytes:
    parts = [found.get(key) or "" for key in ("key", "operator", "value", "effect")]
    # gogo writes plain strings even when they are empty
    message = b"".join(bytes_field(number, part.encode()) for number, part in enumerate(parts, 1))
    seconds = found.get("tolerationSeconds")
    return message if seconds is None else message + varint_field(5, seconds)


def _node_selector(found: AnyObject) -> bytes:
    return b"".join(
        bytes_field(
            1,
            b"".join(
                bytes_field(number, _requirement(each))
                for number, field in ((1, "matchExpressions"), (2, "matchFields"))
                for each in term.get(field) or ()
            ),
        )
        for term in found.get("nodeSelectorTerms") or ()
    )


def _requirement(found: AnyObject) -> bytes:
    message = bytes_field(1, (found.get("key") or "").encode()) + bytes_field(2, (found.get("operator") or "").encode())
    return message + b"".join(bytes_field(3, value.encode()) for value in found.get("values") or ())


def _pair(number: int, key: str, value: bytes) -> bytes:
    return bytes_field(number, text_field(1, key) + bytes_field(2, value))
