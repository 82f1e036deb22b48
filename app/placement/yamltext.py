"""YAML text in fields of objects, read and written as sigs.k8s.io/yaml does."""

from __future__ import annotations

from typing import Any, Final

import yaml

_OLD_BOOLEANS: Final = frozenset("yYnN")


class _Dumper(yaml.CSafeDumper):
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


def dump_yaml(document: Any) -> str:
    return str(yaml.dump(document, Dumper=_Dumper, width=-1, allow_unicode=True, default_flow_style=False))
