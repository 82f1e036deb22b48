"""FlowSchemas and PriorityLevelConfigurations as they are stored, as far as they matter here."""

from __future__ import annotations

from typing import Final

import msgspec

from kafila.catalog.builtin.validation.flowcontrol import EXEMPT

GROUP: Final = "flowcontrol.apiserver.k8s.io"
SCHEMAS: Final = f"flowschemas.{GROUP}"
LEVELS: Final = f"prioritylevelconfigurations.{GROUP}"


class Named(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    namespace: str = ""


class Subject(msgspec.Struct, frozen=True, gc=False):
    kind: str = ""
    user: Named | None = None
    group: Named | None = None
    serviceAccount: Named | None = None


class ResourceRule(msgspec.Struct, frozen=True, gc=False):
    verbs: tuple[str, ...] = ()
    apiGroups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    clusterScope: bool = False
    namespaces: tuple[str, ...] | None = None


class NonResourceRule(msgspec.Struct, frozen=True, gc=False):
    verbs: tuple[str, ...] = ()
    nonResourceURLs: tuple[str, ...] = ()


class PolicyRule(msgspec.Struct, frozen=True, gc=False):
    subjects: tuple[Subject, ...] = ()
    resourceRules: tuple[ResourceRule, ...] | None = None
    nonResourceRules: tuple[NonResourceRule, ...] | None = None


class DistinguisherMethod(msgspec.Struct, frozen=True, gc=False):
    type: str = ""


class FlowSchemaSpec(msgspec.Struct, frozen=True, gc=False):
    priorityLevelConfiguration: Named = Named()
    matchingPrecedence: int = 1000
    distinguisherMethod: DistinguisherMethod | None = None
    rules: tuple[PolicyRule, ...] | None = None


class Metadata(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    uid: str = ""


class FlowSchema(msgspec.Struct, frozen=True, gc=False):
    metadata: Metadata
    spec: FlowSchemaSpec = FlowSchemaSpec()


class Queuing(msgspec.Struct, frozen=True, gc=False):
    queues: int = 64
    handSize: int = 8
    queueLengthLimit: int = 50


class LimitResponse(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    queuing: Queuing | None = None


class Limited(msgspec.Struct, frozen=True, gc=False):
    nominalConcurrencyShares: int = 30
    limitResponse: LimitResponse = LimitResponse()
    lendablePercent: int = 0
    borrowingLimitPercent: int | None = None


class Exempt(msgspec.Struct, frozen=True, gc=False):
    nominalConcurrencyShares: int = 0
    lendablePercent: int = 0


class LevelSpec(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    limited: Limited | None = None
    exempt: Exempt | None = None


class Level(msgspec.Struct, frozen=True, gc=False):
    metadata: Metadata
    spec: LevelSpec = LevelSpec()


_decode_schema = msgspec.json.Decoder(FlowSchema).decode
_decode_level = msgspec.json.Decoder(Level).decode


def read_schema(body: bytes) -> FlowSchema | None:
    """None: it cannot be read, and is as if it were not there."""
    try:
        return _decode_schema(body)
    except msgspec.DecodeError:
        return None


def read_level(body: bytes) -> Level | None:
    """None: it cannot be read or contradicts itself, and is as if it were not there."""
    try:
        level = _decode_level(body)
    except msgspec.DecodeError:
        return None
    return level if _is_sound(level) else None


def _is_sound(level: Level) -> bool:
    spec = level.spec
    if (spec.type == "Limited") != (spec.limited is not None) or (spec.type == "Exempt") != (spec.exempt is not None):
        return False
    if (spec.type == "Exempt") != (level.metadata.name == EXEMPT):
        return False
    if spec.limited is None:
        return spec.exempt is not None
    response = spec.limited.limitResponse
    if (response.type == "Reject") != (response.queuing is None):
        return False
    queuing = response.queuing
    return queuing is None or 1 <= queuing.handSize <= queuing.queues
