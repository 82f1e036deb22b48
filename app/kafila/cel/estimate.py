"""What an expression may cost at most and at least, before anything is known but types and sizes (cel-go's checker/cost.go)."""

from __future__ import annotations

from typing import NamedTuple, final

from .ast import Call, Comprehension, Expr, Ident, ListExpr, Literal, MapExpr, Select, Struct
from .estimated_calls import estimated
from .ranges import NOTHING_YET, ONE, UNKNOWN, ZERO, Entries, Known, Path, Range, Sizes, fixed
from .types import is_scalar


class _Local(NamedTuple):
    path: Path
    size: Range | None
    entries: Entries | None


@final
class Estimator:
    """Of one checked expression."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._paths: dict[Expr, Path] = {}
        self._sizes: dict[Expr, Range] = {}
        self._entries: dict[Expr, Entries] = {}
        self._locals: dict[str, list[_Local]] = {}

    def cost(self, node: Expr) -> Range:
        if isinstance(node, Literal):
            return ZERO
        if isinstance(node, Ident):
            return self._identifier(node)
        if isinstance(node, Select):
            return self._selected(node)
        if isinstance(node, Call):
            return self._called(node)
        if isinstance(node, ListExpr):
            return self._list(node)
        if isinstance(node, MapExpr):
            return self._map(node)
        if isinstance(node, Struct):
            return _sum([self.cost(entry.value) for entry in node.entries]).plus(fixed(40))
        assert isinstance(node, Comprehension)
        return self._bound(node) if _is_bind(node) else self._comprehension(node)

    def _local(self, name: str) -> _Local | None:
        found = self._locals.get(name)
        return found[-1] if found else None

    def _identifier(self, node: Ident) -> Range:
        local = self._local(node.name)
        self._paths[node] = local.path if local else (node.name,)
        return ONE

    def _selected(self, node: Select) -> Range:
        if node.resolved:
            self._paths[node] = (node.resolved,)
            return ONE
        cost = self.cost(node.operand)
        if node.test_only:
            return cost
        if _kind(node.operand) in ("map", "struct", "param"):
            cost = cost.plus(ONE)
        self._paths[node] = (*self.path(node.operand), node.field_name)
        return cost

    def path(self, node: Expr) -> Path:
        if isinstance(node, Ident) and (local := self._local(node.name)):
            return local.path
        return self._paths.get(node, ())

    def known(self, node: Expr) -> Known:
        path = self.path(node)
        if path and path[0] in ("@result", "__result__"):
            path = ()
        assert node.type is not None
        return Known(path, node.type, node, self.size(node))

    def size(self, node: Expr) -> Range | None:
        found = self._sizes.get(node) or _literal_size(node)
        if found is not None:
            return found
        path = self.path(node)
        most = self.sizes(path) if path else None
        if most is not None:
            self._sizes[node] = Range(0, most)
            return self._sizes[node]
        if node.type is not None and is_scalar(node.type):
            return ONE
        local = self._local(node.name) if isinstance(node, Ident) else None
        return local.size if local else None

    def entries(self, node: Expr | None) -> Entries | None:
        if node is None:
            return None
        found = self._entries.get(node)
        if found is None and isinstance(node, Ident) and (local := self._local(node.name)):
            return local.entries
        return found

    def size_of(self, known: Known) -> Range:
        """Whatever can be known of an argument's size."""
        if known.size is not None:
            return known.size
        most = self.sizes(known.path) if known.path else None
        return UNKNOWN if most is None else Range(0, most)

    def _called(self, node: Call) -> Range:
        if node.function == "dyn":
            cost = self.cost(node.args[0])
            self._copy(node, node.args[0])
            return cost.plus(ONE)
        costs = []
        for arg in node.args:  # no comprehension: it would take a frame of the stack for each level
            costs.append(self.cost(arg))
        args = [self.known(arg) for arg in node.args]
        if not node.overloads:
            return ZERO
        target_cost, target = ZERO, None
        if node.target is not None:
            target_cost, target = self.cost(node.target), self.known(node.target)
        cost, size = NOTHING_YET, None
        for overload in node.overloads:
            found = estimated(self, node, overload, target, args, costs)
            cost = cost.union(found.cost)
            if found.size is not None:
                size = found.size if size is None else size.union(found.size)
            if overload in ("index_list", "index_map"):
                entries = self.entries(node.args[0])
                size = entries.value if entries else None
                self._paths[node] = (*self.path(node.args[0]), "@items" if overload == "index_list" else "@values")
            if size is None:
                size = self.size(node)
        if size is not None:
            self._sizes[node] = size
        return target_cost.plus(cost)

    def set_entries(self, node: Expr, entries: Entries | None) -> None:
        if entries is not None:
            self._entries[node] = entries

    def _copy(self, node: Expr, source: Expr) -> None:
        size = self.size(source)
        if size is not None:
            self._sizes[node] = size
        self.set_entries(node, self.entries(source))

    def _list(self, node: ListExpr) -> Range:
        items = NOTHING_YET if node.elements else ZERO
        cost = ZERO
        for element in node.elements:
            cost = cost.plus(self.cost(element))
            items = items.union(self.size(element) or UNKNOWN)
        self._entries[node] = Entries("list", ONE, items)
        return cost.plus(fixed(10))

    def _map(self, node: MapExpr) -> Range:
        key, value = (NOTHING_YET, NOTHING_YET) if node.entries else (ZERO, ZERO)
        cost = ZERO
        for entry in node.entries:
            cost = cost.plus(self.cost(entry.key)).plus(self.cost(entry.value))
            key = key.union(self.size(entry.key) or UNKNOWN)
            value = value.union(self.size(entry.value) or UNKNOWN)
        self._entries[node] = Entries("map", key, value)
        return cost.plus(fixed(30))

    def _push(self, name: str, local: _Local) -> None:
        self._locals.setdefault(name, []).append(local)

    def _pop(self, name: str) -> None:
        self._locals[name].pop()

    def _push_iterated(self, node: Comprehension) -> None:
        over = node.range
        entries, path = self.entries(over), self.path(over)
        listed = (entries.kind if entries else _kind(over)) == "list"
        key = entries.key if entries else None
        value = entries.value if entries else None
        if node.var2:
            self._push(node.var, _Local((*path, "@indices" if listed else "@keys"), key, None))
            self._push(node.var2, _Local((*path, "@items" if listed else "@values"), value, None))
        else:
            self._push(node.var, _Local((*path, "@items" if listed else "@keys"), value if listed else key, None))

    def _comprehension(self, node: Comprehension) -> Range:
        cost = self.cost(node.range).plus(self.cost(node.init))
        self._push(node.accu, _Local(self.path(node.init), self.size(node.init), self.entries(node.init)))
        self._push_iterated(node)
        each = self.cost(node.condition)
        step = self.cost(node.step)
        self._pop(node.var)
        if node.var2:
            self._pop(node.var2)
        cost = cost.plus(self.cost(node.result))
        self._pop(node.accu)
        count = self.size(node.range) or UNKNOWN
        cost = cost.plus(count.times(step.plus(each)))
        if isinstance(node.init, Literal):
            size = self.size(node.init)
            if size is not None:
                self._sizes[node] = size
        elif isinstance(node.init, ListExpr | MapExpr):
            self._sizes[node] = count
            self.set_entries(node, self.entries(node.step))
        return cost

    def _bound(self, node: Comprehension) -> Range:
        cost = self.cost(node.range).plus(self.cost(node.init))
        self._push(node.accu, _Local(self.path(node.init), self.size(node.init), self.entries(node.init)))
        cost = cost.plus(self.cost(node.result))
        self._pop(node.accu)
        self._copy(node, node.result)
        return cost


def _sum(costs: list[Range]) -> Range:
    out = ZERO
    for cost in costs:
        out = out.plus(cost)
    return out


def _kind(node: Expr) -> str:
    return node.type.kind if node.type is not None else ""


def _is_bind(node: Comprehension) -> bool:
    over, condition = node.range, node.condition
    nothing = isinstance(over, ListExpr) and not over.elements
    never = isinstance(condition, Literal) and condition.value is False
    return nothing and never and node.accu != "__result__"


def _literal_size(node: Expr) -> Range | None:
    if isinstance(node, Literal):
        return fixed(len(node.value) if isinstance(node.value, str | bytes) else 1)
    if isinstance(node, ListExpr):
        return fixed(len(node.elements))
    return fixed(len(node.entries)) if isinstance(node, MapExpr) else None
