"""Bodies in YAML, read as sigs.k8s.io/yaml reads them: YAML 1.1 booleans and numbers, no dates, keys are strings."""

from __future__ import annotations

import base64
import math
import re
from typing import Any, Final

import orjson
import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .duplicates import find_duplicates

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_NODES: Final = 200_000  # after aliases are expanded; a small body of aliases to aliases must not exhaust memory

_BOOLEANS: Final = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_SPECIAL: Final = {
    ".nan": math.nan,
    ".NaN": math.nan,
    ".NAN": math.nan,
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER: Final = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_TAGS: Final = "tag:yaml.org,2002:"


class YAMLError(ValueError):
    """The body is no YAML, or has no JSON form."""


def load(body: bytes | str) -> tuple[Any, list[str]]:
    """The value of the first document and ``line N: key "x" already set in map`` for every repeated key.

    The first value of a repeated key is kept only until the last one replaces it. Raises YAMLError; callers
    put "error converting YAML to JSON: " before it where Kubernetes does.
    """
    if (json := _json(body)) is not None:
        return json, []
    try:
        loader = _Loader(body)
        try:
            node = loader.get_node() if loader.check_node() else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise YAMLError(f"yaml: {_reason(error)}") from None
    if node is None:
        return None, []
    builder = _Builder()
    try:
        return builder.value(node), builder.duplicates
    except RecursionError:
        raise YAMLError("yaml: exceeded max depth") from None


# what JSON and YAML may read differently: escapes of UTF-16 and "/", tabs, and DEL, which YAML refuses
_UNLIKE: Final = (b"\\u", b"\\/", b"\t", b"\x7f")


def _json(body: bytes | str) -> dict[str, Any] | None:
    """The value when the body is JSON that YAML reads alike, which most programs send; None leaves it to YAML."""
    if not isinstance(body, bytes) or body[:1] != b"{" or not body.isascii() or any(text in body for text in _UNLIKE):
        return None
    try:
        value = orjson.loads(body)
        return None if find_duplicates(body, value) or _has_fraction(value) else value
    except (orjson.JSONDecodeError, RecursionError):
        return None


def _has_fraction(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_fraction(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_fraction(item) for item in value)
    return isinstance(value, float)


def _reason(error: Exception) -> str:
    """As Go's library says it, which counts lines from zero but in errors of the scanner, and never names the first."""
    if isinstance(error, yaml.reader.ReaderError):
        return str(error.reason)
    problem = getattr(error, "problem", None) or str(error)
    found, around = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    line = 0
    if found is not None and found.line:
        line = found.line + isinstance(error, yaml.scanner.ScannerError)
    elif around is not None:
        line = around.line
    return f"line {line}: {problem}" if line else problem


class _Builder:
    def __init__(self) -> None:
        self.duplicates: list[str] = []
        self.count = 0
        self.open: set[int] = set()  # containers being built, to find one that contains itself

    def value(self, node: Node) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise YAMLError("yaml: document contains excessive aliasing")
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if id(node) in self.open:
            raise YAMLError("yaml: anchor contains itself")
        self.open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.value(item) for item in node.value]
            assert isinstance(node, MappingNode)
            return self.mapping(node)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: MappingNode) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and _is_merge(key_node):
                for name, item in self.merged(value_node).items():
                    merged.setdefault(name, item)
                continue
            key = _key(key_node)
            if key in out:
                self.duplicates.append(f'line {key_node.start_mark.line + 1}: key "{key}" already set in map')
            out[key] = self.value(value_node)
        return {**merged, **out} if merged else out

    def merged(self, node: Node) -> dict[str, Any]:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        out: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, MappingNode):
                raise YAMLError("yaml: map merge requires map or sequence of maps as the value")
            for name, item in self.value(part).items():
                out.setdefault(name, item)
        return out


def _is_merge(node: ScalarNode) -> bool:
    return node.value == "<<" and node.tag in (f"{_TAGS}merge", f"{_TAGS}str") and not node.style


def _key(node: Node) -> str:
    """JSON has string keys only; numbers and booleans are written out."""
    if not isinstance(node, ScalarNode):
        raise YAMLError("yaml: invalid map key")
    value = _scalar(node)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        raise YAMLError("yaml: unsupported map key of type: <nil>")
    return str(value)


def _scalar(node: ScalarNode) -> Any:
    text, tag = node.value, node.tag
    if node.style:
        return text if tag == f"{_TAGS}str" else _tagged(text, tag)
    # The loader has resolved plain scalars by PyYAML's rules, which differ from Go's; only a tag that is not its own
    # doing was written by the client.
    if tag != _resolver.resolve(ScalarNode, text, (True, False)):
        return text if tag == f"{_TAGS}str" else _tagged(text, tag)
    return _plain(text)


_resolver: Final = yaml.resolver.Resolver()


def _tagged(text: str, tag: str) -> Any:
    if tag == f"{_TAGS}binary":
        try:
            return base64.b64decode(text).decode()
        except ValueError:
            raise YAMLError("yaml: !!binary value contains invalid base64 data") from None
    if tag in (f"{_TAGS}int", f"{_TAGS}float", f"{_TAGS}bool", f"{_TAGS}null"):
        return _plain(text)
    return text


def _plain(text: str) -> Any:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text in _NULLS:
        return None
    if text[0] not in "+-.0123456789":
        return text
    if text in _SPECIAL:
        raise YAMLError("json: unsupported value: NaN or Inf")
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            return text
        # JSON made of it has no fraction, so it is read back as an integer
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return text


def _integer(text: str) -> Any:
    digits = text.replace("_", "")
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-")
    try:
        if digits[:2] in ("0b", "0o", "0x"):
            return sign * int(digits, 0)
        if len(digits) > 1 and digits[0] == "0":
            return sign * int(digits, 8)  # YAML 1.1: a leading zero is octal
        number = sign * int(digits)
    except ValueError:
        return sign * int(digits) if digits.isdigit() else text
    return number if -(2**63) <= number < 2**64 else float(number)
