"""Which rule a body falls under. Two answers go beyond the file, since secrets would lie in clear elsewhere:

* A Work carries whole objects, and so do the revisions that are kept of templates. What carries an object of a sealed resource is sealed
  as that object is.
* The keys of this control plane (its CA, what signs tokens) are sealed as Secrets are: no API serves them, so no file can name them.
"""

from __future__ import annotations

import re
from typing import Final, final

from .configuration import Configuration, Identity, Rule, split

CARRIERS: Final = frozenset(
    (
        "works.work.karmada.io",
        "templaterevisions.placement.kafila.io",
        "clustertemplaterevisions.placement.kafila.io",
    )
)
OWN_KEYS: Final = "keypairs.internal"
INTERNAL: Final = ".internal"  # resources that no API serves
_SECRETS: Final = "secrets"
_KIND: Final = re.compile(rb'"kind":"([A-Za-z0-9]{1,63})"')
_GROUP: Final = re.compile(rb'"apiVersion":"([a-z0-9.-]{1,253})/')


@final
class Selection:
    def __init__(self, configuration: Configuration) -> None:
        self.rules = configuration.rules
        self._found: dict[str, Rule | None] = {}  # by resource, as they come: there are no more of them than kinds
        self._by_name: dict[str, Rule] = {}
        for rule in self.rules:
            for resource in rule.resources:
                self._by_name.setdefault(resource, rule)
        sealing = [rule for rule in self.rules if not isinstance(rule.providers[0], Identity)]
        self._carried = [resource for rule in sealing for resource in rule.resources if resource not in CARRIERS]
        chosen = {resource: rule in sealing for resource, rule in self._by_name.items()}
        self.sealed = (
            " ".join(f"{resource}={chosen[resource]}" for resource in sorted(chosen)) if any(chosen.values()) else ""
        )

    def rule(self, resource: str, clear: bytes) -> Rule | None:
        """None: nothing is said about it. ``clear``: the object's JSON, which is looked at if it carries objects."""
        found = self._named(resource)
        if resource in CARRIERS and self._carried:
            return self._of_carried(clear) or found
        return found

    def concerns(self, resource: str) -> bool:
        """Whether there is a rule for objects of the resource, or may be for some of them."""
        return self._named(resource) is not None or (resource in CARRIERS and bool(self._carried))

    def _named(self, resource: str) -> Rule | None:
        try:
            return self._found[resource]
        except KeyError:
            found = self._found[resource] = self._of(resource)
            return found

    def _of(self, resource: str) -> Rule | None:
        if resource.endswith(INTERNAL):
            return self._of(_SECRETS) if resource == OWN_KEYS else None
        _, group = split(resource)
        names = (resource, f"*.{group}", "*.*")
        return next((self._by_name[name] for name in names if name in self._by_name), None)

    def _of_carried(self, work: bytes) -> Rule | None:
        """By the kinds and groups that the Work's JSON names anywhere: rather one too many than one too few."""
        names = self._by_name
        if names.keys().isdisjoint(self._carried):
            return None
        groups = {found.decode() for found in _GROUP.findall(work)}
        for group in groups:
            for resource in self._carried:
                if split(resource)[1] in (group, "*"):
                    return names[resource]
        kinds = {found.decode().lower() for found in _KIND.findall(work)}
        if not kinds:
            return None
        plurals = {plural for kind in kinds for plural in _plurals(kind)}
        for resource in self._carried:
            plural, group = split(resource)
            if (not group and plural in plurals) or (plural == "*" and group in ("", "*")):
                return names[resource]
        return None


def _plurals(kind: str) -> tuple[str, ...]:
    """How resources of the core group may be called: Kubernetes' meta.UnsafeGuessKindToResource, and "endpoints"."""
    if kind.endswith("s"):
        return f"{kind}es", kind
    return (f"{kind[:-1]}ies",) if kind.endswith("y") else (f"{kind}s",)
