"""What code does, counted: every step of a loop, and how much of a list or a text each operation looks at.

The modules of ``app`` are rewritten as they are imported, so that ``x in names`` counts the names. Clocks and profilers see
either too much or, as here, nothing: such a search is one instruction. To be imported before anything of ``app``.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

weights: Counter[str] = Counter()
SIZED = (list, tuple, dict, set, frozenset)
WHOLE = frozenset({"list", "tuple", "set", "frozenset", "sorted", "dict", "sum", "min", "max", "any", "all"})
METHODS = frozenset({"index", "count", "remove", "insert", "copy", "join", "dumps", "loads", "replace", "startswith"})


def _size(value: Any) -> int:
    if isinstance(value, SIZED):
        return len(value)
    return len(value) >> 4 if isinstance(value, (str, bytes)) else 0


def contains(item: Any, where: Any) -> bool:
    if isinstance(where, (list, tuple)):
        weights["search"] += len(where)
    return item in where


def equal(one: Any, other: Any) -> Any:
    weights["compare"] += min(_size(one), _size(other))
    return one == other


def each(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        weights["loop"] += 1
        yield item


def added(one: Any, other: Any) -> Any:
    weights["copy"] += _size(one) + _size(other)
    return one + other


def made(value: Any) -> Any:
    weights["copy"] += _size(value)
    return value


def called(name: str) -> None:
    weights["call"] += 1


def whole(function: Any, *arguments: Any, **options: Any) -> Any:
    weights["copy"] += sum(map(_size, arguments))
    return function(*arguments, **options)


def method(owner: Any, name: str, *arguments: Any, **options: Any) -> Any:
    if not isinstance(owner, type):
        weights["method"] += _size(owner) if isinstance(owner, list) else 0
        if name in ("join", "loads"):
            weights["method"] += sum(map(_size, arguments))
    found = getattr(owner, name)(*arguments, **options)
    if name in ("dumps", "copy", "join"):
        weights["method"] += _size(found)
    return found


class _Rewriter(ast.NodeTransformer):
    def _call(self, name: str, node: ast.AST, *arguments: Any) -> Any:
        return ast.copy_location(ast.Call(ast.Name(f"_weigh_{name}", ast.Load()), list(arguments), []), node)

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        if len(node.ops) != 1:
            return node
        pair = (node.left, node.comparators[0])
        match node.ops[0]:
            case ast.In():
                return self._call("contains", node, *pair)
            case ast.NotIn():
                return ast.copy_location(ast.UnaryOp(ast.Not(), self._call("contains", node, *pair)), node)
            case ast.Eq():
                return self._call("equal", node, *pair)
            case ast.NotEq():
                return ast.copy_location(ast.UnaryOp(ast.Not(), self._call("equal", node, *pair)), node)
        return node

    def visit_For(self, node: ast.For) -> Any:
        self.generic_visit(node)
        node.iter = self._call("each", node, node.iter)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        self.generic_visit(node)
        if not node.is_async:
            node.iter = self._call("each", node.iter, node.iter)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        return self._call("added", node, node.left, node.right) if isinstance(node.op, ast.Add) else node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        self.generic_visit(node)
        if isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
            return self._call("made", node, node)
        return node

    def _display(self, node: Any) -> Any:
        self.generic_visit(node)
        parts = node.keys if isinstance(node, ast.Dict) else node.elts
        unpacks = any(part is None or isinstance(part, ast.Starred) for part in parts)
        return (
            self._call("made", node, node)
            if unpacks and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
            else node
        )

    visit_List = visit_Set = visit_Dict = _display

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        self.generic_visit(node)
        return self._call("made", node, node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        node.value = self.visit(node.value)
        return node  # the specification in it is no text of its own

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in WHOLE:
            return ast.copy_location(
                ast.Call(ast.Name("_weigh_whole", ast.Load()), [node.func, *node.args], node.keywords), node
            )
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            name = ast.Constant(node.func.attr)
            arguments = [node.func.value, name, *node.args]
            return ast.copy_location(ast.Call(ast.Name("_weigh_method", ast.Load()), arguments, node.keywords), node)
        return node

    def _function(self, node: Any) -> Any:
        node.body = [self.visit(statement) for statement in node.body]
        begin = ast.Expr(self._call("called", node.body[0], ast.Constant(node.name)))
        at = 1 if ast.get_docstring(node) is not None and len(node.body) > 1 else 0
        node.body.insert(at, ast.copy_location(begin, node.body[0]))
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = _Rewriter().visit(ast.parse(self.get_data(path), path))
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "kafila":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    for function in (contains, equal, each, added, made, called, whole, method):
        setattr(builtins, f"_weigh_{function.__name__}", function)
    assert not any(name.startswith("kafila.") for name in sys.modules)
    sys.meta_path.insert(0, _Finder())
