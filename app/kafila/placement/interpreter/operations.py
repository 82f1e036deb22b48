"""What is asked about a kind."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """Names as in ResourceInterpreterWebhookConfiguration."""

    REPLICA = "InterpretReplica"
    COMPONENT = "InterpretComponent"
    REVISE_REPLICA = "ReviseReplica"
    RETAIN = "Retain"
    AGGREGATE_STATUS = "AggregateStatus"
    REFLECT_STATUS = "InterpretStatus"
    HEALTH = "InterpretHealth"
    DEPENDENCY = "InterpretDependency"
