"""Override policies: what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from kafila.catalog.karmada.affinity import validate_cluster_affinity
from kafila.core.errors import FieldError
from kafila.core.metadata import validate_annotations, validate_labels
from kafila.core.values import Object
from kafila.placement.identity import Changed, check_keys, check_path, pointed

from .errors import refuse_if
from .propagation import validate_selectors

Found = list[FieldError]

# fieldOverrider is not among them: Karmada does not count it here
_COUNTED = (
    "plaintext",
    "imageOverrider",
    "commandOverrider",
    "argsOverrider",
    "labelsOverrider",
    "annotationsOverrider",
)
_POINTER = 'JSON pointer must be empty or start with a "/\nJSON pointer error'


def admit_override_policy(new: Object) -> None:
    """OverridePolicy and ClusterOverridePolicy (which has no namespace)."""
    refuse_if(validate_spec(new["spec"], new["metadata"].get("namespace", "")))


def _with_values(overriders: Object) -> Object:
    """As Go writes them: a patch has a value even where it has none."""
    if not (patches := overriders.get("plaintext")):
        return overriders
    return {**overriders, "plaintext": [{**patch, "value": patch.get("value")} for patch in patches]}


def validate_spec(spec: Object, namespace: str) -> Found:
    found: Found = []
    target, overriders, rules = spec.get("targetCluster"), spec.get("overriders") or {}, spec.get("overrideRules")
    if target is not None:
        found += validate_cluster_affinity(target, "spec.targetCluster")
    if target is not None and rules is not None:
        text = "overrideRules and targetCluster can't co-exist"
        found.append(FieldError.invalid("spec.targetCluster", target, text))
    if rules is not None and any(overriders.get(n) for n in _COUNTED):
        text = "overrideRules and overriders can't co-exist"
        found.append(FieldError.invalid("spec.overriders", _with_values(overriders), text))
    found += _identity(overriders, "spec.overriders")
    for index, rule in enumerate(rules or ()):
        found += _rule(rule, f"spec.overrideRules[{index}]")
        found += _identity(rule.get("overriders") or {}, f"spec.overrideRules[{index}].overriders")
    return found + validate_selectors(spec.get("resourceSelectors") or [], namespace, "spec.resourceSelectors")


def _rule(rule: Object, path: str) -> Found:
    found: Found = []
    overriders, at = rule.get("overriders") or {}, f"{path}.overriders"
    for index, one in enumerate(overriders.get("annotationsOverrider") or ()):
        found += validate_annotations(one.get("value") or {}, f"{at}.annotationsOverrider[{index}].value")
    for index, one in enumerate(overriders.get("labelsOverrider") or ()):
        found += validate_labels(one.get("value") or {}, f"{at}.labelsOverrider[{index}].value")
    for index, one in enumerate(overriders.get("imageOverrider") or ()):
        predicate = one.get("predicate")
        if predicate is not None:
            found += _pointer(predicate.get("path", ""), f"{at}.imageOverrider[{index}].predicate.path")
    for index, one in enumerate(overriders.get("fieldOverrider") or ()):
        found += _field(one, f"{at}.fieldOverrider[{index}]")
    return found + validate_cluster_affinity(rule.get("targetCluster"), f"{path}.targetCluster")


def _identity(overriders: Object, path: str) -> Found:
    """An override must leave the object what it is. Karmada takes it, and writes another object into the member."""
    found: Found = []
    for at, check in _writes(overriders):
        try:
            check()
        except Changed as error:
            found.append(FieldError.forbidden(f"{path}.{at}", str(error)))
    return found


def _writes(overriders: Object) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each place that is written, and what checks it."""
    for index, one in enumerate(overriders.get("plaintext") or ()):
        parts = pointed(one.get("path") or "")
        yield f"plaintext[{index}].path", partial(check_path, parts, one.get("value"))
    for index, one in enumerate(overriders.get("imageOverrider") or ()):
        if one.get("predicate") is not None:
            parts = (one["predicate"].get("path") or "").strip("/").split("/")
            yield f"imageOverrider[{index}].predicate.path", partial(check_path, parts)
    for index, one in enumerate(overriders.get("fieldOverrider") or ()):
        yield f"fieldOverrider[{index}].fieldPath", partial(check_path, pointed(one.get("fieldPath") or ""))
    for field in ("labels", "annotations"):
        for index, one in enumerate(overriders.get(f"{field}Overrider") or ()):
            yield f"{field}Overrider[{index}].value", partial(check_keys, field, one.get("value") or ())


def _field(overrider: Object, path: str) -> Found:
    found: Found = []
    as_yaml, as_json = overrider.get("yaml") or [], overrider.get("json") or []
    if as_yaml and as_json:
        text = "FieldOverrider has both YAML and JSON set. Only one is allowed"
        found.append(FieldError.invalid(path, overrider, text))
    if not as_yaml and not as_json:
        found.append(FieldError.required(path, "FieldOverrider must have either JSON or YAML set"))
    found += _pointer(overrider.get("fieldPath", ""), f"{path}.fieldPath")
    for form, patches in (("json", as_json), ("yaml", as_yaml)):
        for index, patch in enumerate(patches):
            at = f"{path}.{form}[{index}]"
            found += _pointer(patch.get("subPath", ""), f"{at}.subPath")
            found += _value(patch, f"{at}.value")
    return found


def _value(patch: Object, path: str) -> Found:
    operator, value = patch.get("operator"), patch.get("value")
    if operator in ("add", "replace") and value is None:
        return [FieldError.invalid(path, None, "value is required for add or replace operation")]
    if operator == "remove" and value is not None:
        return [FieldError.invalid(path, value, "value is not allowed for remove operation")]
    return []


def _pointer(pointer: str, path: str) -> Found:
    return [FieldError.invalid(path, pointer, _POINTER)] if pointer and not pointer.startswith("/") else []
