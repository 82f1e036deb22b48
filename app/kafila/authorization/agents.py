"""Whoever registers a cluster in pull mode writes the roles of its agent without having those rights himself. Pure.

Karmada lets him do everything. Here he may write these roles and no others: what is in them is what the agent of the cluster
that they are named after needs, and it is bound to that agent alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from kafila.catalog.karmada import agent_roles
from kafila.core.agents import PREFIX, is_generator, why_unfit
from kafila.core.values import Object
from kafila.placement import constants

from .attributes import Subject
from .reconciliation import rules_of
from .rules import Rule

_NAMED: Final = re.compile(r"system:karmada:([a-z0-9](?:[-a-z0-9]{0,46}[a-z0-9])?):agent(|-secret|-work)")
_AGGREGATES: Final = "rbac.authorization.k8s.io/aggregate-to-"
_RULES: Final[dict[str, tuple[str, Callable[[str], list[Object]]]]] = {
    "": ("", agent_roles.cluster_rules),
    "-secret": (constants.NAMESPACE_KARMADA_CLUSTER, agent_roles.secret_rules),
    "-work": (constants.EXECUTION_NAMESPACE_PREFIX, lambda cluster: agent_roles.work_rules()),
}


def lent(kind: str, new: Object, user: Subject) -> tuple[Rule, ...]:
    """Rules that ``user`` counts as having for this write; ``kind`` is one of group rbac.authorization.k8s.io."""
    metadata = new["metadata"]
    found = _NAMED.fullmatch(metadata.get("name", "")) if is_generator(user) else None
    if found is None:
        return ()
    cluster, part = str(found[1]), str(found[2])
    if why_unfit(cluster):
        return ()
    namespace, rules = _RULES[part]
    if part == "-work":
        namespace += cluster
    scoped = "" if namespace else "Cluster"
    if metadata.get("namespace", "") != namespace or kind not in (f"{scoped}Role", f"{scoped}RoleBinding"):
        return ()
    if any(label.startswith(_AGGREGATES) for label in metadata.get("labels") or ()):
        return ()  # other roles would have its rules too
    if kind.endswith("Binding") and not _is_of_its_agent(new, cluster):
        return ()
    return rules_of({"rules": rules(cluster)})


def _is_of_its_agent(binding: Object, cluster: str) -> bool:
    subjects, reference = list(binding.get("subjects") or []), binding.get("roleRef") or {}
    if reference.get("name") != binding["metadata"]["name"] or len(subjects) != 1:
        return False
    return subjects[0].get("kind") == "User" and subjects[0].get("name") == PREFIX + cluster
