"""YAML text in fields of objects, read and written as sigs.k8s.io/yaml does."""

from __future__ import annotations

import math
from typing import Any, Final

import yaml

_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_OLD_BOOLEANS: Final = frozenset("yYnN")


class _Loader(yaml.SafeLoader):
    """Dates stay text, since the document becomes JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    tag = "tag:yaml.org,2002:str"
    if "\n" in text:
        return dumper.represent_scalar(tag, text, style="|")
    # What some reader may take for a number, a boolean or null has double quotes; other quoting is left to the emitter.
    is_plain = dumper.resolve(yaml.ScalarNode, text, (True, False)) == tag and text not in _OLD_BOOLEANS
    return dumper.represent_scalar(tag, text, style=None if is_plain else '"')


_Dumper.add_representer(str, _represent_text)


def load_yaml(text: str) -> Any:
    """Raises ValueError when the text is no YAML."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"error converting YAML to JSON: yaml: {error}") from error


def dump_yaml(document: Any) -> str:
    return str(yaml.dump(document, Dumper=_Dumper, width=math.inf, allow_unicode=True, default_flow_style=False))
