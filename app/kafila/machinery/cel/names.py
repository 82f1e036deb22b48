"""Which names of an expression nobody has declared."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from .syntax import Node, SyntaxProblem, TooDeep, parse

# types, and the first parts of qualified functions and types
_EVERYWHERE: Final = frozenset(
    [
        "bool",
        "bytes",
        "double",
        "duration",
        "dyn",
        "int",
        "list",
        "map",
        "null_type",
        "optional_type",
        "string",
        "timestamp",
        "type",
        "uint",
        "base64",
        "cel",
        "cidr",
        "format",
        "google",
        "ip",
        "isCIDR",
        "isIP",
        "JSONPatch",
        "kubernetes",
        "lists",
        "math",
        "net",
        "Object",
        "optional",
        "quantity",
        "semver",
        "sets",
        "strings",
        "url",
    ]
)
# methods whose first arguments are names that their later arguments know -> how many at most
_MACROS: Final = {
    "all": 2,
    "exists": 2,
    "exists_one": 2,
    "existsOne": 2,
    "filter": 1,
    "map": 1,
    "optMap": 1,
    "optFlatMap": 1,
    "sortBy": 1,
    "transformList": 2,
    "transformMap": 2,
    "transformMapEntry": 2,
}


class Problem(NamedTuple):
    at: int
    message: str


def compile_error(source: str, known: Collection[str], variables: Collection[str] | None = None) -> str:
    """Why the expression is refused, in the words of cel-go; "" when nothing is found.

    ``known`` names what it may refer to; ``variables``: the fields of ``variables``, None when there is no such thing.
    """
    try:
        problems = list(_problems(parse(source), frozenset(known), variables))
    except SyntaxProblem as problem:
        problems = [Problem(problem.at, f"Syntax error: {problem.message}")]
    except TooDeep:
        return ""
    return "\n".join(_shown(source, problem) for problem in sorted(problems))


def _problems(root: Node, known: frozenset[str], variables: Collection[str] | None) -> Iterator[Problem]:
    todo = [(root, known)]
    while todo:
        node, known = todo.pop()
        target = node.target
        if node.sort == "name" and node.text not in known and node.text not in _EVERYWHERE:
            if node.text != "variables" or variables is None:
                yield Problem(node.at, f"undeclared reference to '{node.text}' (in container '')")
        elif node.sort == "select" and target is not None and (target.sort, target.text) == ("name", "variables"):
            if variables is not None and node.text not in variables and "variables" not in known:
                yield Problem(node.at, f"undefined field '{node.text}'")
        if target is not None:
            todo.append((target, known))
        bound = _bound(node) if node.sort == "call" else frozenset()
        todo.extend((part, known | bound) for part in node.parts[len(bound) :])


def _bound(node: Node) -> frozenset[str]:
    """Names that a macro binds: its first arguments."""
    parts, target = node.parts, node.target
    if node.text == "bind" and target is not None and target.text == "cel":
        most = 1
    elif target is not None and node.text in _MACROS:
        most = min(_MACROS[node.text], len(parts) - 1)
    else:
        return frozenset()
    names = [part.text for part in parts[:most]]
    if any(part.sort != "name" for part in parts[:most]):
        names = names[:1] if parts and parts[0].sort == "name" else []
    return frozenset(names)


def _shown(source: str, problem: Problem) -> str:
    """With its place: line and column from 1, the line, and a mark under it."""
    lines = source.split("\n")
    before = source[: problem.at].split("\n")
    line, column = len(before), len(before[-1])
    text = lines[line - 1]
    if not source:
        return f"ERROR: <input>:1:0: {problem.message}"
    return f"ERROR: <input>:{line}:{column + 1}: {problem.message}\n | {text}\n | {'.' * column}^"
