"""Differences between clusters: (Cluster)OverridePolicies, in which order they apply, and what every overrider does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from kafila.core.values import AnyObject, Object, copy_json
from kafila.placement import constants
from kafila.placement.cluster_affinity import matcher
from kafila.placement.detector.match import Priority, selectors_priority
from kafila.placement.identity import Changed, check_same, identity_of
from kafila.placement.objects import name, namespace, own_map
from kafila.placement.override.applied import Applied, applied_text
from kafila.placement.override.images import ImageError, override_image
from kafila.placement.override.patch import TOO_DEEP, FieldTexts, Form, OverrideError, patched
from kafila.placement.types import Cluster, OverridePolicy

TEXTS: Final = FieldTexts()
_LONG: Final = 4096  # characters of text that are patched in a thread
_POD_TEMPLATES: Final = frozenset({"ReplicaSet", "Deployment", "DaemonSet", "Job", "StatefulSet"})


class Overridden(NamedTuple):
    """The object for one cluster, and what was applied to it."""

    obj: Object
    by_cluster_policies: tuple[Applied, ...]
    by_policies: tuple[Applied, ...]
    events: tuple[str, ...]  # messages of ApplyOverridePolicySucceed


class _Rule(NamedTuple):
    policy: OverridePolicy
    overriders: AnyObject


def apply_overrides(
    obj: Object, cluster: Cluster, cluster_policies: Iterable[OverridePolicy], policies: Iterable[OverridePolicy]
) -> Overridden:
    """All that match: first the ClusterOverridePolicies, then the OverridePolicies of the object's namespace.

    ``obj`` is not changed; it is the answer itself when nothing matches. Raises OverrideError.
    """
    cluster_rules = matching_rules(obj, cluster, cluster_policies)
    where = namespace(obj)
    mine: list[OverridePolicy] = [policy for policy in policies if namespace(policy) == where] if where else []
    if not cluster_rules and not mine:
        return Overridden(obj, (), (), ())
    if cluster_rules:
        obj = copy_json(obj)
    events: list[str] = []
    for rule in cluster_rules:
        obj = _apply_rule(obj, rule, f"cluster override policy({name(rule.policy)})", cluster, events)
    # What the cluster policies changed decides which of the others match.
    rules = matching_rules(obj, cluster, mine)
    if rules and not cluster_rules:
        obj = copy_json(obj)
    for rule in rules:
        obj = _apply_rule(obj, rule, f"override policy({namespace(rule.policy)}/{name(rule.policy)})", cluster, events)
    return Overridden(obj, _applied(cluster_rules), _applied(rules), tuple(events))


def _applied(rules: Sequence[_Rule]) -> tuple[Applied, ...]:
    return tuple(Applied(name(rule.policy), rule.overriders) for rule in rules)


def _apply_rule(obj: Object, rule: _Rule, what: str, cluster: Cluster, events: list[str]) -> Object:
    failed = f"Apply {what} for cluster({name(cluster)}) failed."
    before = identity_of(obj)
    try:
        changed = apply_overriders(obj, rule.overriders)
        check_same(before, changed)
    except Changed as error:  # admission refuses such a policy; what is stored may be older than that
        raise OverrideError(f"{what}: {error}", f"{failed[:-1]}: {error}") from error
    except (OverrideError, ImageError, ValueError, RecursionError) as error:
        why = TOO_DEEP if isinstance(error, RecursionError) else str(error)
        # Karmada's patch library is the next version of the API server's, which says this with a small letter.
        raise OverrideError(why.replace("Unable to", "unable to"), failed) from error
    except (AttributeError, LookupError, TypeError) as error:
        # An earlier overrider may have put anything where containers or labels belong.
        message = f"failed to convert {obj.get('kind')} from unstructured object: {error}"
        raise OverrideError(message, failed) from error
    events.append(f"Apply {what} for cluster({name(cluster)}) succeed.")
    return changed


def matching_rules(obj: Object, cluster: Cluster, policies: Iterable[OverridePolicy]) -> list[_Rule]:
    """The rules for this object and cluster: the more precisely a policy selects, the later it applies; then by name."""
    found = []
    for policy in policies:
        resource_selectors = policy["spec"].get("resourceSelectors")
        priority = selectors_priority(obj, resource_selectors) if resource_selectors else Priority.ALL
        if priority:
            found.append((priority, name(policy), policy))
    found.sort(key=lambda each: each[:2])
    return [
        _Rule(policy, rule.get("overriders") or {})
        for _, _, policy in found
        for rule in _rules_of(policy)
        if matcher(rule.get("targetCluster"))(cluster)
    ]


def _rules_of(policy: OverridePolicy) -> Sequence[AnyObject]:
    spec = policy["spec"]
    # The older form has one target and one set of overriders at the top.
    return spec.get("overrideRules") or (
        {"targetCluster": spec.get("targetCluster"), "overriders": spec.get("overriders")},
    )


def apply_overriders(obj: Object, overriders: AnyObject) -> Object:
    """One set of overriders, in Karmada's order. May change ``obj`` and returns the result."""
    for overrider in overriders.get("imageOverrider") or ():
        _override_images(obj, overrider)
    for target in ("command", "args"):
        for overrider in overriders.get(f"{target}Overrider") or ():
            _override_command(obj, target, overrider)
    for target in ("labels", "annotations"):
        for overrider in overriders.get(f"{target}Overrider") or ():
            _override_strings(obj, target, overrider)
    for overrider in overriders.get("fieldOverrider") or ():
        _override_field(obj, overrider)
    return patched(obj, overriders.get("plaintext") or (), "path")


def _containers(obj: Object) -> list[Object]:
    kind = obj.get("kind")
    spec = obj.get("spec") or {}
    if kind in _POD_TEMPLATES:
        spec = (spec.get("template") or {}).get("spec") or {}
    elif kind != "Pod":
        return []
    found: list[Object] = spec.get("containers") or []
    return found


def _override_images(obj: Object, overrider: Object) -> None:
    component, operator = overrider.get("component") or "", overrider.get("operator") or ""
    value = overrider.get("value") or ""
    predicate = overrider.get("predicate")
    if predicate is None:
        for container in _containers(obj):
            container["image"] = override_image(container.get("image") or "", component, operator, value)
        return
    path = predicate.get("path") or ""
    parent, key = _image_at(obj, path)
    if not path.startswith("/"):
        raise OverrideError("imagePath should be start with / character")
    parent[key] = override_image(parent[key], component, operator, value)


def _image_at(obj: Object, path: str) -> tuple[Object, str]:
    def wrong(reason: str) -> OverrideError:
        return OverrideError(f"failed to obtain imageValue with predicate path({path}), error: {reason}")

    *steps, last = path.strip("/").split("/")
    at: Any = obj
    for step in steps:
        if isinstance(at, list):
            if not step.lstrip("+-").isdigit():
                raise wrong(f"path({step}) of rawObj's is not number")
            at = at[int(step)] if 0 <= int(step) < len(at) else None
        elif isinstance(at, dict):
            at = at.get(step)
        if not isinstance(at, dict | list):
            raise wrong(f"path({step}) of rawObj's type is not map[string]interface{{}} and []interface{{}}")
    if not isinstance(at, dict) or not isinstance(at.get(last), str):
        raise wrong(f"failed to convert path({last}) to string")
    return at, last


def _override_command(obj: Object, target: str, overrider: Object) -> None:
    value = overrider.get("value") or []
    for container in _containers(obj):
        if container.get("name") != overrider.get("containerName"):
            continue
        current: list[str] = container.get(target) or []
        if overrider.get("operator") == "add":
            current = [*current, *value]
        elif overrider.get("operator") == "remove":
            removed = set(value)
            current = [argument for argument in current if argument not in removed]
        container[target] = current


def _override_strings(obj: Object, target: str, overrider: Object) -> None:
    """Labels or annotations. Only those that exist are replaced or removed."""
    values, operator = overrider.get("value") or {}, overrider.get("operator")
    meta = own_map(obj, "metadata")
    if operator == "add":
        if values:
            own_map(meta, target).update(values)
        return
    present = meta.get(target) or {}
    for key, value in values.items():
        if key in present:
            if operator == "remove":
                del present[key]
            elif operator == "replace":
                present[key] = value


def _override_field(obj: Object, overrider: Object) -> None:
    """Change JSON or YAML text that a field holds, such as a file in a ConfigMap."""
    path = overrider.get("fieldPath") or ""
    parent, key = _pointed(obj, path)
    text = parent[key]
    if not isinstance(text, str):
        raise OverrideError(f"Get object's value by overrider's path({path}) is not string")
    form = _form(overrider)
    parent[key] = TEXTS.patched(text, form, overrider[form]) if form is not None else ""


def _form(overrider: Object) -> Form | None:
    return "yaml" if overrider.get("yaml") else "json" if overrider.get("json") else None


def read_ahead(obj: Object, policies: Iterable[OverridePolicy]) -> list[Callable[[], None]]:
    """What takes long about overriding a field's text, for any cluster, to be called in a thread; it is remembered."""
    found = []
    for policy in policies:
        for rule in _rules_of(policy):
            for overrider in (rule.get("overriders") or {}).get("fieldOverrider") or ():
                if (call := _reading(obj, overrider)) is not None:
                    found.append(call)
    return found


def _reading(obj: Object, overrider: Object) -> Callable[[], None] | None:
    form = _form(overrider)
    with suppress(OverrideError):
        parent, key = _pointed(obj, overrider.get("fieldPath") or "")
        text = parent[key]
        if form is not None and isinstance(text, str) and len(text) > _LONG:
            return partial(_read, text, form, overrider[form])
    return None


def _read(text: str, form: Form, overriders: Sequence[Object]) -> None:
    with suppress(OverrideError):  # whoever needs it gets an error
        TEXTS.patched(text, form, overriders)


def _pointed(obj: Object, path: str) -> tuple[Any, Any]:
    """The container and the key that a JSON pointer means."""
    if path and not path.startswith("/"):
        raise OverrideError('JSON pointer must be empty or start with a "/"')
    at: Any = obj
    parent: Any = None
    key: Any = None
    for part in path.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        parent, key = at, part
        if isinstance(at, dict):
            if part not in at:
                raise OverrideError(f'object has no key "{part}": JSON pointer error')
        elif isinstance(at, list) and part.isdigit() and int(part) < len(at):
            key = int(part)
        else:
            raise OverrideError(f'invalid token reference "{part}": JSON pointer error')
        at = parent[key]
    if parent is None:
        raise OverrideError(f"Get object's value by overrider's path({path}) is not string")
    return parent, key


def applied_annotations(overridden: Overridden) -> dict[str, str]:
    """The annotations of the Work that say what was applied."""
    found = {}
    if text := applied_text(overridden.by_cluster_policies):
        found[constants.APPLIED_CLUSTER_OVERRIDES] = text
    if text := applied_text(overridden.by_policies):
        found[constants.APPLIED_OVERRIDES] = text
    return found
