"""Nobody gives away what he may not do himself: asked of whoever writes a role or a binding, as in kube-apiserver.

``escalate`` on a role allows any rule in it, ``bind`` on a role allows to bind it to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, final

import msgspec

from kafila.core import errors
from kafila.core.quoting import quoted, quoted_list
from kafila.core.values import Object

from .agents import lent
from .attributes import MASTERS, Attributes, Subject
from .authorizer import Authorizer
from .index import GROUP, Reference
from .reconciliation import rules_of
from .rules import FULL_AUTHORITY, Rule, TooManyRules, compacted, shown, uncovered

_ROLES: Final = {"Role": "roles", "ClusterRole": "clusterroles"}
_BINDINGS: Final = {"RoleBinding": "rolebindings", "ClusterRoleBinding": "clusterrolebindings"}
_OF_THE_COLLECTOR: Final = ("ownerReferences", "finalizers", "selfLink", "managedFields")
_EFFORT: Final = 1 << 19  # comparisons of rules: everybody waits for them
_MISSING: Final = re.compile(rf'(?:cluster)?role\.{re.escape(GROUP)} "')


@final
class Escalation:
    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def check(self, kind: str, new: Object, old: Object | None, user: Subject) -> None:
        """``kind`` is one of group rbac.authorization.k8s.io. Raises StatusError 403, 404."""
        if MASTERS in user.groups or (old is not None and _is_for_the_collector(new, old)):
            return
        if kind in _ROLES:
            self._check_role(kind, new, old, user)
        elif kind in _BINDINGS:
            self._check_binding(kind, new, user)

    def _check_role(self, kind: str, new: Object, old: Object | None, user: Subject) -> None:
        metadata, resource = new["metadata"], _ROLES[kind]
        name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
        asked_for = name if old is not None else ""  # as in Kubernetes, where the path of a create names nothing
        asked = Attributes(user, "escalate", GROUP, "*", resource, "", namespace, asked_for)
        if self._authorizer.decide(asked).allowed:
            return
        self._confirm(resource, name, rules_of(new), user, namespace, lent(kind, new, user))
        if _aggregates(new) or _aggregates(old):
            if uncovered(self._owned(user, namespace, resource)[0], FULL_AUTHORITY):
                why = "must have cluster-admin privileges to use the aggregationRule"
                raise errors.forbidden(GROUP, resource, name, why)

    def _check_binding(self, kind: str, new: Object, user: Subject) -> None:
        metadata, resource = new["metadata"], _BINDINGS[kind]
        namespace = metadata.get("namespace", "")
        reference = new.get("roleRef") or {}
        role = msgspec.convert({name: value or "" for name, value in reference.items()}, Reference)
        roles = _ROLES.get(role.kind)
        if roles is not None:
            asked = Attributes(user, "bind", role.apiGroup, "*", roles, "", namespace, role.name)
            if self._authorizer.decide(asked).allowed:
                return
        rules = self._authorizer.rbac.index.rules_of(role, namespace)
        if rules is None:
            if roles is None:
                raise errors.internal_error(f"unsupported role reference kind: {quoted(role.kind)}")
            raise errors.not_found(GROUP, resource, role.name)  # so it is named by kube-apiserver
        self._confirm(resource, metadata.get("name", ""), rules, user, namespace, lent(kind, new, user))

    def _owned(self, user: Subject, namespace: str, resource: str) -> tuple[list[Rule], str]:
        """What somebody may do, and which roles are missing: kube-apiserver names those as the resource that is written."""
        rules, problems = self._authorizer.rbac.rules_for(user, namespace)
        return rules, _MISSING.sub(f'{resource}.{GROUP} "', problems)

    def _confirm(
        self,
        resource: str,
        name: str,
        rules: Sequence[Rule],
        user: Subject,
        namespace: str,
        borrowed: Sequence[Rule] = (),
    ) -> None:
        """Raises StatusError 403 where somebody does not have all that ``rules`` allow. ``borrowed``: he counts as having these."""
        owned, problems = self._owned(user, namespace, resource)
        try:
            missing = uncovered([*owned, *borrowed], rules, _EFFORT)
        except TooManyRules:
            why = f"the rules are too many to be compared with those of user {quoted(user.name)}"
            raise errors.forbidden(GROUP, resource, name, why) from None
        if not missing:
            return
        listed = "\n".join(sorted({shown(rule) for rule in compacted(missing)}))
        who = f"user {quoted(user.name)} (groups={quoted_list(user.groups)})"
        why = f"{who} is attempting to grant RBAC permissions not currently held:\n{listed}"
        if problems:
            why += f"; resolution errors: [{problems}]"
        raise errors.forbidden(GROUP, resource, name, why)


def _aggregates(role: Object | None) -> bool:
    return bool(((role or {}).get("aggregationRule") or {}).get("clusterRoleSelectors"))


def _is_for_the_collector(new: Object, old: Object) -> bool:
    """Whether only that changes which garbage collection writes."""

    def rest(obj: Object) -> Object:
        metadata = {name: value for name, value in obj["metadata"].items() if name not in _OF_THE_COLLECTOR}
        return {**obj, "metadata": metadata}

    return rest(new) == rest(old)
