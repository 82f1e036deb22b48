"""FlowSchemas and priority levels that are in force, and what they make of a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, final

import orjson

from kafila.catalog.builtin.validation.flowcontrol import CATCH_ALL, EXEMPT

from . import concurrency
from .bootstrap import MANDATORY
from .concurrency import Adjusted, Limits, Shares
from .demand import Observed
from .drops import Drops
from .objects import (
    FlowSchema,
    Level,
    LevelSpec,
    Queuing,
    read_level,
    read_schema,
)
from .queueset import Flow, QueueSet
from .rules import Asked, Rules
from .shuffle import MAX_HASH_BITS, deal, flow_hash, required_entropy_bits
from .turns import Turns

MOST_USERS: Final = 4096  # whose flows are remembered
MOST_ANSWERS: Final = 1 << 16  # of all of them: resources and paths are anybody's to think up
MOST_FLOWS: Final = 1 << 13
LONGEST: Final = 512  # characters of what is remembered
_FLOW_SCHEMA_UID: Final = b"x-kubernetes-pf-flowschema-uid"
_LEVEL_UID: Final = b"x-kubernetes-pf-prioritylevel-uid"
Headers = tuple[tuple[bytes, bytes], ...]


@final
class Counts:
    """Requests that one FlowSchema has matched; plain numbers, for the metrics."""

    __slots__ = ("ended", "rejected", "started", "waited")

    def __init__(self) -> None:
        self.started = 0
        self.ended = 0
        self.waited = 0  # of those that started
        self.rejected: dict[str, int] = {}  # by reason


@final
class Schema:
    """A FlowSchema that is in force."""

    def __init__(self, stored: FlowSchema) -> None:
        self.name = stored.metadata.name
        self.uid = stored.metadata.uid
        spec = stored.spec
        self.precedence = spec.matchingPrecedence
        self.level = spec.priorityLevelConfiguration.name
        self.distinguisher = spec.distinguisherMethod.type if spec.distinguisherMethod is not None else ""
        self.rules = Rules(spec.rules or ())
        self.counts = Counts()


@final
class PriorityLevel:
    """A level that is in force, or was, and has not come to rest."""

    def __init__(self, stored: Level, now: float) -> None:
        self.name = stored.metadata.name
        self.queues = QueueSet(now, 0)
        self.queues.exempt = stored.metadata.name == EXEMPT
        self.limits = Limits(0, 0, 0)
        self.observed = Observed()
        self.smoothed = 0.0
        self.target = 0.0
        self.most_seats = 1  # of one request; 0: as many as it would take
        self.is_new = True
        self.is_wanted = True
        self.drops = Drops()
        self.change(stored)

    def change(self, stored: Level) -> None:
        self.uid = stored.metadata.uid
        self.shares = _shares(stored.spec)
        limited = stored.spec.limited
        queuing = limited.limitResponse.queuing if limited is not None else None
        queues = self.queues
        if queuing is None:
            queues.queues = 0
        else:
            queues.queues, queues.hand = queuing.queues, _hand(queuing)
            queues.length_limit = queuing.queueLengthLimit

    def limit(self, limits: Limits) -> None:
        self.limits = limits
        if self.is_new:
            self.is_new = False
            self.queues.limit = limits.initial
        if self.queues.queues:
            self.most_seats = concurrency.most_seats(limits.nominal, self.queues.hand)


def _hand(queuing: Queuing) -> int:
    """Validation allows none that would take more of a hash than there is."""
    hand = queuing.handSize
    while required_entropy_bits(queuing.queues, hand) > MAX_HASH_BITS:
        hand -= 1
    return max(hand, 1)


def _shares(spec: LevelSpec) -> Shares:
    if spec.limited is not None:
        limited = spec.limited
        return Shares(False, limited.nominalConcurrencyShares, limited.lendablePercent, limited.borrowingLimitPercent)
    exempt = spec.exempt
    return (
        Shares(True, exempt.nominalConcurrencyShares, exempt.lendablePercent)
        if exempt is not None
        else Shares(True, 0, 0)
    )


@final
class ClassifiedFlow(Flow):
    """``headers``: what the answers to its requests say of it."""

    __slots__ = ("distinguisher", "headers", "level", "schema", "turns")

    def __init__(self, schema: Schema, level: PriorityLevel, distinguisher: str, turns: Turns) -> None:
        queues = level.queues
        cards: tuple[int, ...] = (0,)
        if queues.queues > 1:
            cards = deal(flow_hash(schema.name, distinguisher), queues.queues, queues.hand)
        super().__init__(cards)
        self.schema = schema
        self.level = level
        self.distinguisher = distinguisher
        self.turns = turns
        self.headers: Headers = ((_FLOW_SCHEMA_UID, _value(schema.uid)), (_LEVEL_UID, _value(level.uid)))


def _value(uid: str) -> bytes:
    """Of a header: nothing that would be another line."""
    return uid.encode() if uid.isascii() and uid.isprintable() else b""


@final
class Known:
    """What is known of somebody: the one flow of all his requests for resources, if it is one, and answers to single questions."""

    __slots__ = ("answers", "groups", "resources")

    def __init__(self, groups: tuple[str, ...], resources: ClassifiedFlow | None) -> None:
        self.groups = groups
        self.resources = resources
        self.answers: dict[Asked, ClassifiedFlow] = {}


class Condition(NamedTuple):
    """Whether the level that a FlowSchema names is not there."""

    schema: str
    level: str
    dangling: bool


@final
class Configuration:
    """``total``: seats of the server."""

    def __init__(self, total: int, now: float, turns: Turns) -> None:
        self.total = total
        self.turns = turns  # that requests take
        self.levels: dict[str, PriorityLevel] = {}
        self.schemas: list[Schema] = []  # in the order in which they are asked
        self.fair = 0.0
        self._known: dict[str, Known] = {}
        self._flows: dict[tuple[str, str], ClassifiedFlow] = {}
        self._most_flows = MOST_FLOWS
        self._answers = 0
        self.digest((), (), now)

    # -- what is stored --------------------------------------------------------------------------------------------------

    def digest(self, schemas: Iterable[Schema], levels: Iterable[Level], now: float) -> None:
        """Everything that is stored. What has to be there and is not is added: without it nobody would be served."""
        self._digest_levels({level.metadata.name: level for level in levels}, now)
        counts = {schema.name: schema.counts for schema in self.schemas}
        found = {schema.name: schema for schema in schemas}
        used = [schema for schema in found.values() if self._is_there(schema.level)]
        used += [schema for schema in _mandatory_schemas() if schema.name not in {each.name for each in used}]
        for schema in used:
            schema.counts = counts.get(schema.name, schema.counts)
        self.schemas = sorted(used, key=lambda schema: (schema.precedence, schema.name))
        self._known.clear()
        self._flows.clear()
        self._answers = 0

    def _is_there(self, level: str) -> bool:
        found = self.levels.get(level)
        return found is not None and found.is_wanted

    def _digest_levels(self, stored: dict[str, Level], now: float) -> None:
        wanted = {**{level.metadata.name: level for level in _MANDATORY_LEVELS}, **stored}
        for name, level in wanted.items():
            existing = self.levels.get(name)
            if existing is None:
                self.levels[name] = PriorityLevel(level, now)
            else:
                existing.change(level)
                existing.is_wanted = True
        for name in [name for name in self.levels if name not in wanted]:
            self.levels[name].is_wanted = False
            if self.levels[name].queues.is_idle:
                del self.levels[name]
        found = concurrency.limits({name: level.shares for name, level in self.levels.items()}, self.total)
        for name, used in self.levels.items():
            used.limit(found[name])
        self.adjust(now)

    def adjust(self, now: float) -> Adjusted:
        """Gives each level the seats of the next period."""
        levels = {}
        for name, level in self.levels.items():
            observed = level.queues.demand.reset(now)
            level.observed = observed
            level.smoothed = concurrency.smoothed(level.smoothed, observed)
            levels[name] = concurrency.Level(level.shares.exempt, level.limits, observed.highest, level.smoothed)
        adjusted = concurrency.adjust(levels)
        for name, level in self.levels.items():
            level.queues.limit = adjusted.current[name]
            level.target = adjusted.targets.get(name, 0.0)
        self.fair = adjusted.fair
        return adjusted

    # -- requests --------------------------------------------------------------------------------------------------------

    def known(self, name: str, groups: tuple[str, ...]) -> Known:
        """Somebody, by the name and groups that he was authenticated with."""
        found = self._known.get(name)
        if found is not None and found.groups == groups:
            return found
        found = Known(groups, self._of_all_resources(name, groups))
        if len(name) + sum(map(len, groups)) <= LONGEST:
            if len(self._known) >= MOST_USERS:
                self._known.clear()
                self._answers = 0
            self._known[name] = found
        return found

    def _of_all_resources(self, name: str, groups: tuple[str, ...]) -> ClassifiedFlow | None:
        for schema in self.schemas:
            rules = schema.rules.about(name, groups)
            if rules and schema.rules.match_everything(rules):
                return None if schema.distinguisher == "ByNamespace" else self._flow(schema, name, "")
            if rules and schema.rules.match_some(rules):
                return None
        return None

    def classify(self, known: Known, name: str, asked: Asked) -> ClassifiedFlow:
        """The flow of a request of ``known``, whose name is ``name``."""
        found = known.answers.get(asked)
        if found is None:
            found = self._classified(name, known.groups, asked)
            if len(asked.resource) + len(asked.group) + len(asked.namespace) + len(asked.path or "") <= LONGEST:
                if self._answers >= MOST_ANSWERS:
                    self._known.clear()
                    self._answers = 0
                known.answers[asked] = found
                self._answers += 1
        return found

    def _classified(self, name: str, groups: tuple[str, ...], asked: Asked) -> ClassifiedFlow:
        """The first FlowSchema that matches; what none does is everybody's last."""
        last: Schema | None = None
        for schema in self.schemas:
            rules = schema.rules.about(name, groups)
            if rules and schema.rules.match(rules, asked):
                return self._flow(schema, name, asked.namespace)
            if schema.name == CATCH_ALL:
                last = schema
        assert last is not None
        return self._flow(last, name, asked.namespace)

    def _flow(self, schema: Schema, user: str, namespace: str) -> ClassifiedFlow:
        distinguisher = {"ByUser": user, "ByNamespace": namespace}.get(schema.distinguisher, "")
        key = (schema.name, distinguisher)
        found = self._flows.get(key)
        if found is None:
            found = ClassifiedFlow(schema, self.levels[schema.level], distinguisher, self.turns)
            if len(distinguisher) <= LONGEST:
                if len(self._flows) >= self._most_flows:
                    self._forget_idle_flows()
                self._flows[key] = found
        return found

    def _forget_idle_flows(self) -> None:
        self._flows = {key: flow for key, flow in self._flows.items() if flow.executing}
        self._most_flows = max(MOST_FLOWS, 2 * len(self._flows))
        self._known.clear()
        self._answers = 0


def _stored(kind: str) -> list[bytes]:
    return [orjson.dumps(wanted) for wanted in MANDATORY if wanted["kind"] == kind]


_MANDATORY_LEVELS: Final = [level for body in _stored("PriorityLevelConfiguration") if (level := read_level(body))]
_MANDATORY_FLOW_SCHEMAS: Final = [schema for body in _stored("FlowSchema") if (schema := read_schema(body))]


def _mandatory_schemas() -> list[Schema]:
    return [Schema(stored) for stored in _MANDATORY_FLOW_SCHEMAS]
