"""Writes ``app/kafila/placement/types.py``: what Karmada's objects hold, as TypedDicts, from the models in ``catalog/karmada``.

Run by ``make openapi``. ``placement`` knows no catalog, so the types are written down there; a test compares them with the models.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.alias_generators import to_camel

from kafila.catalog.karmada import cluster, override, policy, work
from kafila.catalog.karmada.model import Model

ROOTS: dict[str, type[Model]] = {
    "Binding": work.ResourceBinding,
    "Work": work.Work,
    "Cluster": cluster.Cluster,
    "PropagationPolicy": policy.PropagationPolicy,
    "OverridePolicy": override.OverridePolicy,
    "FederatedResourceQuota": policy.FederatedResourceQuota,
}
FILE = Path(__file__).parents[1] / "app/kafila/placement/types.py"
HEAD = '''"""What Karmada's objects hold (written by hack/typed_dicts.py from the models in catalog/karmada).

A key is required where the schema requires it: whoever writes an object has been refused without. Of metadata it is none.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class OwnerReference(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool
    blockOwnerDeletion: bool


class ObjectMeta(TypedDict, total=False):
    name: str
    generateName: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: int
    creationTimestamp: str
    deletionTimestamp: str
    deletionGracePeriodSeconds: int
    labels: dict[str, str]
    annotations: dict[str, str]
    ownerReferences: list[OwnerReference]
    finalizers: list[str]
    managedFields: list[dict[str, Any]]
'''


def text_of(annotation: Any, found: dict[str, type[Model]]) -> str:
    """The annotation in a TypedDict; models that it names are added to ``found``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return text_of(get_args(annotation)[0], found)
    if origin in (types.UnionType, typing.Union):
        parts = [text_of(each, found) for each in get_args(annotation) if each is not type(None)]
        return " | ".join(dict.fromkeys(parts))
    if origin is Literal:
        return f"Literal[{', '.join(repr(each) for each in get_args(annotation))}]".replace("'", '"')
    if origin in (list, dict):
        return f"{origin.__name__}[{', '.join(text_of(each, found) for each in get_args(annotation))}]"
    if isinstance(annotation, type) and issubclass(annotation, Model):
        found.setdefault(annotation.__name__, annotation)
        return annotation.__name__
    if annotation is Any:
        return "Any"
    assert annotation in (str, int, bool, float), annotation
    return str(annotation.__name__)


def fields_of(model: type[Model], found: dict[str, type[Model]]) -> Iterator[str]:
    hints = typing.get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        text = text_of(hints[name], found)
        yield f"    {field.alias or to_camel(name)}: {text if field.is_required() else f'NotRequired[{text}]'}\n"


def written() -> str:
    found: dict[str, type[Model]] = {}
    roots = {name: "".join(fields_of(model, found)) for name, model in ROOTS.items()}
    parts: dict[str, str] = {}
    while missing := [name for name in found if name not in parts]:
        for name in missing:
            parts[name] = "".join(fields_of(found[name], found)) or "    pass\n"
    own = "    apiVersion: str\n    kind: str\n    metadata: ObjectMeta\n"
    classes = [*sorted(parts.items()), *((name, own + body) for name, body in roots.items())]
    return HEAD + "".join(f"\n\nclass {name}(TypedDict):\n{body}" for name, body in classes)


if __name__ == "__main__":
    FILE.write_text(written())
