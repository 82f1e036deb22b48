"""Nobody reads through a policy what he may not read himself: asked of whoever writes a policy or a binding with parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from kafila.core import errors
from kafila.core.errors import FieldError
from kafila.core.resources import split_api_version
from kafila.core.values import Object

from .attributes import MASTERS, Attributes, Subject
from .authorizer import Authorizer

GROUP: Final = "admissionregistration.k8s.io"
_POLICIES: Final = ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")
Resolve = Callable[[str, str, str], str | None]  # group, version, kind -> resource
Policies = Callable[[str, str], Object | None]  # kind, name


@final
class ParamAccess:
    """``resolve``: the resource of a kind that is served; ``policy``: the policy that a binding names."""

    def __init__(self, authorizer: Authorizer, resolve: Resolve, policy: Policies) -> None:
        self._authorizer = authorizer
        self._resolve = resolve
        self._policy = policy

    def check(self, kind: str, new: Object, old: Object | None, user: Subject) -> None:
        """``kind`` is one of group admissionregistration.k8s.io. Raises StatusError 422."""
        base = kind.removesuffix("Binding")
        if base not in _POLICIES or MASTERS in user.groups:
            return
        spec, was = new.get("spec") or {}, (old or {}).get("spec") or {}
        if kind == base:
            field, why = "spec.paramKind", self._why_no_kind(spec, was, user)
        else:
            field, why = "spec.paramRef", self._why_no_reference(base, spec, was, user)
        if why:
            name = (new.get("metadata") or {}).get("name") or ""
            raise errors.invalid(GROUP, kind, name, [FieldError.forbidden(field, why)])

    def _why_no_kind(self, spec: Object, was: Object, user: Subject) -> str:
        kind = spec.get("paramKind")
        if kind is None or kind == was.get("paramKind"):
            return ""
        if self._authorizer.decide(Attributes(user, "get", *self._resource(kind), "", "*", "*")).allowed:
            return ""
        named = f"(kind={kind.get('kind')}, apiVersion={kind.get('apiVersion')})"
        return f'user {_shown(user)} must have "get" permission on all objects of the referenced paramKind {named}'

    def _why_no_reference(self, base: str, spec: Object, was: Object, user: Subject) -> str:
        reference = spec.get("paramRef")
        if reference is None or (reference == was.get("paramRef") and spec.get("policyName") == was.get("policyName")):
            return ""
        policy = self._policy(base, spec.get("policyName") or "")
        kind = ((policy or {}).get("spec") or {}).get("paramKind")
        name = reference.get("name") or ""
        verb = "get" if name else "list"
        resource = self._resource(kind) if kind is not None else ("*", "*", "*")
        asked = Attributes(user, verb, *resource, "", reference.get("namespace") or "", name)
        if self._authorizer.decide(asked).allowed:
            return ""
        if policy is None:
            what = f"unable to get policy {spec.get('policyName')} to determine minimum required permissions and user"
            return f'{what} {_shown(user)} does not have "{verb}" permission for all groups, versions and resources'
        return f'user {_shown(user)} does not have "{verb}" permission on the object referenced by paramRef'

    def _resource(self, kind: Object) -> tuple[str, str, str]:
        """Group, version and resource; everything where nobody knows which."""
        try:
            group, version = split_api_version(kind.get("apiVersion") or "")
        except ValueError:
            return "*", "*", "*"
        return group, version, self._resolve(group, version, kind.get("kind") or "") or "*"


def _shown(user: Subject) -> str:
    """As Go prints a user.DefaultInfo."""
    extra = " ".join(f"{name}:[{' '.join(values)}]" for name, values in sorted(user.extra))
    return f"&{{{user.name} {user.uid} [{' '.join(user.groups)}] map[{extra}]}}"
