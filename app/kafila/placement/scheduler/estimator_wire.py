"""The messages of the accurate estimator's gRPC service, as bytes: Karmada's estimator.proto, written out for the few fields it has.

Quantities, tolerations and node selectors travel as Kubernetes' own protobuf messages, in a field of bytes and, for estimators
before 1.17, in the message field that it replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kafila.machinery.protobuf_wire import varint
from kafila.placement.objects import Object
from kafila.placement.scheduler.estimate import Assumed

SERVICE: Final = "/github.com.karmada_io.karmada.pkg.estimator.service.Estimator/"
_FIXED: Final = {1: 8, 5: 4}  # bytes of a value, by wire type
MAX_REPLICAS: Final = SERVICE + "MaxAvailableReplicas"
MAX_SETS: Final = SERVICE + "MaxAvailableComponentSets"


class EstimatorError(Exception):
    """An estimator did not answer, or not usefully."""


def replicas_request(
    cluster: str, requirements: Object | None, namespace: str, assumed: Sequence[Assumed] = ()
) -> bytes:
    """MaxAvailableReplicasRequest. ``namespace``: of assumed work."""
    message = _text(1, cluster)
    if requirements is not None:
        message += _block(2, _requirements(requirements))
    return message + b"".join(_block(3, _assumed(work, namespace)) for work in assumed)


def sets_request(cluster: str, components: Iterable[Object], namespace: str, assumed: Sequence[Assumed] = ()) -> bytes:
    """MaxAvailableComponentSetsRequest."""
    message = _text(1, cluster) + b"".join(_block(2, _component(each)) for each in components)
    message += _text(3, namespace)
    return message + b"".join(_block(4, _assumed(work, namespace)) for work in assumed)


def answer(message: bytes) -> int:
    """The field of either response that we know, an int32; negative numbers are -1 and the like. Others are skipped."""
    position = 0
    while position < len(message):
        tag, position = _read(message, position)
        if tag & 7 == 0:
            value, position = _read(message, position)
            if tag >> 3 == 1:
                return value - 2**64 if value >= 2**63 else value
        elif tag & 7 == 2:
            length, position = _read(message, position)
            position += length
        elif tag & 7 in _FIXED and tag >> 3 != 1:
            position += _FIXED[tag & 7]
        else:
            raise ValueError("not a response of an estimator")
    return 0


def _requirements(found: Object) -> bytes:
    message = _claim(found.get("nodeClaim"))
    message += _amounts(found.get("resourceRequest") or {}, 2, 5)
    return message + _text(3, found.get("namespace") or "") + _text(4, found.get("priorityClassName") or "")


def _component(found: Object) -> bytes:
    message = _text(1, found.get("name") or "")
    requirements = found.get("replicaRequirements")
    if requirements is not None:
        inner = _claim(requirements.get("nodeClaim"))
        inner += _amounts(requirements.get("resourceRequest") or {}, 2, 4)
        message += _block(2, inner + _text(3, requirements.get("priorityClassName") or ""))
    return message + _number(3, found.get("replicas") or 0)


def _assumed(work: Assumed, namespace: str) -> bytes:
    return _text(1, namespace) + b"".join(_block(2, _component(each)) for each in work.components)


def _claim(claim: Object | None) -> bytes:
    if claim is None:
        return b""
    message = b""
    affinity = claim.get("hardNodeAffinity")
    if affinity is not None:
        message += _block(1, _node_selector(affinity))
    message += b"".join(
        _pair(2, key, value.encode()) for key, value in sorted((claim.get("nodeSelector") or {}).items())
    )
    tolerations = [_toleration(each) for each in claim.get("tolerations") or ()]
    message += b"".join(_block(3, each) for each in tolerations)
    if affinity is not None:
        message += _block(4, _node_selector(affinity))
    return _block(1, message + b"".join(_block(5, each) for each in tolerations))


def _amounts(request: Mapping[str, Any], old_field: int, field: int) -> bytes:
    quantities = [(name, _text(1, str(amount))) for name, amount in sorted(request.items())]
    return b"".join(_pair(number, name, each) for number in (old_field, field) for name, each in quantities)


def _toleration(found: Object) -> bytes:
    parts = [found.get(key) or "" for key in ("key", "operator", "value", "effect")]
    # gogo writes plain strings even when they are empty
    message = b"".join(_block(number, part.encode()) for number, part in enumerate(parts, 1))
    seconds = found.get("tolerationSeconds")
    return message if seconds is None else message + varint(5 << 3) + varint(seconds & (2**64 - 1))


def _node_selector(found: Object) -> bytes:
    return b"".join(
        _block(
            1,
            b"".join(
                _block(number, _requirement(each))
                for number, field in ((1, "matchExpressions"), (2, "matchFields"))
                for each in term.get(field) or ()
            ),
        )
        for term in found.get("nodeSelectorTerms") or ()
    )


def _requirement(found: Object) -> bytes:
    message = _block(1, (found.get("key") or "").encode()) + _block(2, (found.get("operator") or "").encode())
    return message + b"".join(_block(3, value.encode()) for value in found.get("values") or ())


def _pair(number: int, key: str, value: bytes) -> bytes:
    return _block(number, _text(1, key) + _block(2, value))


def _text(number: int, text: str) -> bytes:
    return _block(number, text.encode()) if text else b""


def _number(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value) if value else b""


def _block(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def _read(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise ValueError("not a response of an estimator")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
