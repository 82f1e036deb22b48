"""Configuration files of administrators: YAML with the line of every part, so that what is wrong is found at once."""

from __future__ import annotations

import yaml

from .yaml import YAMLError, load


class ConfigurationError(ValueError):
    """``line: reason``, as far as there is a line."""


class Node:
    """A part of the document, with where it stands."""

    def __init__(self, node: yaml.Node, path: str = "") -> None:
        self._node = node
        self.path = path

    def error(self, reason: str) -> ConfigurationError:
        where = f"{self.path}: " if self.path else ""
        return ConfigurationError(f"line {self._node.start_mark.line + 1}: {where}{reason}")

    def missing(self, name: str) -> Node:
        """A field that is not there: for an error, which says so where the object begins."""
        return Node(self._node, f"{self.path}.{name}".strip("."))

    def fields(self, *known: str) -> dict[str, Node]:
        """Raises ConfigurationError for others, and for one that comes twice."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("must be an object")
        found: dict[str, Node] = {}
        for key, value in self._node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            child = Node(value, f"{self.path}.{name}".strip("."))
            if name not in known:
                raise Node(key, self.path).error(f'unknown field "{name}"')
            if name in found:
                raise child.error("stands here a second time")
            if not (isinstance(value, yaml.ScalarNode) and value.tag == "tag:yaml.org,2002:null"):
                found[name] = child
        return found

    def items(self) -> list[Node]:
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.error("must be a list")
        return [Node(item, f"{self.path}[{at}]") for at, item in enumerate(self._node.value)]

    def scalar(self) -> str:
        """Whatever stands there, as it is written."""
        return str(self._node.value) if isinstance(self._node, yaml.ScalarNode) else ""

    def text(self) -> str:
        if not isinstance(self._node, yaml.ScalarNode) or self._node.tag != "tag:yaml.org,2002:str":
            raise self.error("must be a text")
        return str(self._node.value)

    def boolean(self) -> bool:
        if not isinstance(self._node, yaml.ScalarNode) or self._node.tag != "tag:yaml.org,2002:bool":
            raise self.error("must be true or false")
        return self._node.value.lower() in ("true", "yes", "on")


def read(content: bytes) -> Node:
    """The one document of a file. Raises ConfigurationError."""
    try:
        load(content)  # within bounds: what composes below recurses as deep as the document
        node = yaml.compose(content.decode(), Loader=yaml.CSafeLoader)
    except UnicodeDecodeError:
        raise ConfigurationError("line 1: is not UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        raise ConfigurationError(f"line {line}: {getattr(error, 'problem', None) or 'is no YAML'}") from None
    except YAMLError as error:
        reason = str(error).removeprefix("yaml: ")
        raise ConfigurationError(reason if reason.startswith("line ") else f"line 1: {reason}") from None
    if node is None:
        raise ConfigurationError("line 1: is empty")
    return Node(node)
