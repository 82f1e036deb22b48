"""Which names a CustomResourceDefinition gets: each may be used once in a group, by plural, singular and short names, and by kinds."""

from __future__ import annotations

from collections.abc import Iterable

from kafila.core.conditions import condition
from kafila.core.values import Object

from .definition import accepted_names

_RESOURCES = ("plural", "singular")
_KINDS = ("kind", "listKind")
_TITLES = {"plural": "Plural", "singular": "Singular", "kind": "Kind", "listKind": "ListKind"}


def accept_names(crd: Object, others: Iterable[Object]) -> tuple[Object, Object]:
    """The accepted names and the condition NamesAccepted. ``others`` are the other definitions of the group.

    A name that is in use by another stays what it was; all the others are accepted all the same.
    """
    wanted, had = crd["spec"]["names"], accepted_names(crd)
    resources, kinds = _claimed([crd, *others])
    names = dict(had)
    conflict: tuple[str, str] | None = None
    for field in ("plural", "singular", "shortNames", "kind", "listKind"):
        if field == "shortNames":
            short, known = wanted.get(field) or [], had.get(field) or []
            taken = [name for name in short if name not in known and name in resources]
            if not taken:
                names[field] = short
            else:
                texts = list(dict.fromkeys(_in_use(name) for name in taken))
                conflict = "ShortNamesConflict", texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
            continue
        name = wanted.get(field) or ""
        if name == (had.get(field) or "") or name not in (kinds if field in _KINDS else resources):
            names[field] = name
        else:
            conflict = f"{_TITLES[field]}Conflict", _in_use(name)
    names["categories"] = wanted.get("categories") or []
    names = {field: name for field, name in names.items() if name}
    if conflict is None:
        return names, _names_accepted("True", "NoConflicts", "no conflicts found")
    return names, _names_accepted("False", *conflict)


def _claimed(crds: Iterable[Object]) -> tuple[set[str], set[str]]:
    """Names of resources and of kinds that are accepted for any of the definitions."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for crd in crds:
        names = accepted_names(crd)
        resources.update(names.get(field) or "" for field in _RESOURCES)
        resources.update(names.get("shortNames") or ())
        kinds.update(names.get(field) or "" for field in _KINDS)
    return resources, kinds


def _in_use(name: str) -> str:
    return f'"{name}" is already in use'


def _names_accepted(status: str, reason: str, message: str) -> Object:
    return condition("NamesAccepted", status, reason, message)
