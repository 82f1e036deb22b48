"""What of OpenAPI a schema of a CustomResourceDefinition may use, how its extensions go together, and what its defaults must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from kafila.core.errors import FieldError
from kafila.core.values import repeats

from .fieldpaths import PathProblem, field_at
from .props import (
    EMBEDDED,
    INT_OR_STRING,
    LIST_MAP_KEYS,
    LIST_TYPE,
    MAP_TYPE,
    META,
    PRESERVE,
    QUANTORS,
    RULES,
    Props,
    additional,
    items,
    properties,
)
from .pruning import compile_pruning
from .rules import structural_findings
from .validation import compile_validation

_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED: Final = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_REASONS: Final = ("FieldValueForbidden", "FieldValueRequired", "FieldValueInvalid", "FieldValueDuplicate")
_AT_ROOT: Final = (
    "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems "
    "UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations"
)
_ROOT_KEYWORDS: Final = frozenset(
    {name[0].lower() + name[1:] for name in _AT_ROOT.split() if name[0] != "X"} | {PRESERVE, RULES}
)


CheckDefault = Callable[[Props, str, Any], list[FieldError]]  # the schema that it stands in, its path, and the default


def schema_findings(props: Props, path: str, status: bool, check: CheckDefault) -> tuple[list[FieldError], bool]:
    """And whether rules are looked at too. ``path`` is the schema's, ``status`` whether the subresource is enabled; ``check``: more
    that is asked of a default with which nothing else is wrong."""
    found = list(_root(props, path, status))
    wrong = structural_findings(props, path) or list(_defaults(props, path, check))
    found += wrong
    found += _openapi(props, path, True, "", False)
    return found, not wrong


def _root(props: Props, path: str, status: bool) -> Iterator[FieldError]:
    if status:
        if props.get("type") not in (None, "", "object"):
            why = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            yield FieldError.invalid(f"{path}.type", props["type"], why)
        elif any(
            name not in _ROOT_KEYWORDS and value not in (None, "", False, [], {}) for name, value in props.items()
        ):
            why = f"only [{_AT_ROOT}] fields are allowed at the root of the schema if the status subresource is enabled"
            yield FieldError.invalid(path, props, why)
    if props.get("nullable"):
        yield FieldError.forbidden(f"{path}.nullable", "nullable cannot be true at the root")


def _openapi(props: Any, path: str, root: bool, no_defaults: str, in_meta: bool) -> Iterator[FieldError]:
    if not isinstance(props, dict):
        return
    yield from _supported(props, path, no_defaults, in_meta)
    if props.get("additionalProperties") is not None:
        where = f"{path}.additionalProperties"
        if properties(props) and props["additionalProperties"] is not True:
            yield FieldError.forbidden(where, "additionalProperties and properties are mutual exclusive")
        reason = "inside additionalProperties applying to object metadata" if in_meta else no_defaults
        yield from _openapi(additional(props), where, False, reason, in_meta)
    for name, child in properties(props).items():
        meta = (root or bool(props.get(EMBEDDED))) and name in META
        reason = f"in top-level {name}" if meta and root else no_defaults
        yield from _openapi(child, f"{path}.properties[{name}]", False, reason, in_meta or meta)
    yield from _openapi(props.get("not"), f"{path}.not", False, no_defaults, in_meta)
    for name in QUANTORS:
        for i, one in enumerate(props.get(name) or ()):
            yield from _openapi(one, f"{path}.{name}[{i}]", False, no_defaults, in_meta)
    yield from _openapi(items(props), f"{path}.items", False, no_defaults, in_meta)
    yield from _extensions(props, path)
    yield from _map_list(props, path)
    yield from _rules(props, path)


def _supported(props: Props, path: str, no_defaults: str, in_meta: bool) -> Iterator[FieldError]:
    kind = props.get("type") or ""
    if kind and kind not in _TYPES:
        yield FieldError.not_supported(f"{path}.type", kind, _TYPES)
    if props.get("default") is not None and no_defaults:
        yield FieldError.forbidden(f"{path}.default", f"must not be set {no_defaults}")
    for name in _UNSUPPORTED:
        if props.get(name) not in (None, "", {}):
            yield FieldError.forbidden(f"{path}.{name}", f"{name} is not supported")
    if kind == "null":
        why = "type cannot be set to null, use nullable as an alternative"
        yield FieldError.forbidden(f"{path}.type", why)
    if isinstance(props.get("items"), list) and props["items"]:
        yield FieldError.forbidden(f"{path}.items", "items must be a schema object and not an array")
    if in_meta and props.get(EMBEDDED):
        yield FieldError.forbidden(f"{path}.{EMBEDDED}", "must not be used inside of resource meta")
    if props.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield FieldError.forbidden(f"{path}.uniqueItems", why)


def _extensions(props: Props, path: str) -> Iterator[FieldError]:
    kind, map_type, list_type = props.get("type") or "", props.get(MAP_TYPE), props.get(LIST_TYPE)
    if props.get(PRESERVE) is False:
        yield FieldError.invalid(f"{path}.{PRESERVE}", False, "must be true or undefined")
    if map_type is not None:
        yield from _needs_type(kind, "object", MAP_TYPE, path)
        if map_type not in ("atomic", "granular"):
            yield FieldError.not_supported(f"{path}.{MAP_TYPE}", map_type, ("atomic", "granular"))
    if list_type is not None and kind != "array":
        yield from _needs_type(kind, "array", LIST_TYPE, path)
    elif list_type == "set" and (inner := items(props)) is not None:
        why = f"must be atomic as item of a list with {LIST_TYPE}=set"
        if inner.get("type") == "array" and inner.get(LIST_TYPE) not in (None, "atomic"):
            yield FieldError.invalid(f"{path}.items.{LIST_TYPE}", inner.get(LIST_TYPE), why)
        elif inner.get("type") == "object" and inner.get(MAP_TYPE) != "atomic":
            yield FieldError.invalid(f"{path}.items.{MAP_TYPE}", inner.get(LIST_TYPE), why)
    if list_type is not None and list_type not in ("atomic", "set", "map"):
        yield FieldError.not_supported(f"{path}.{LIST_TYPE}", list_type, ("atomic", "set", "map"))


def _needs_type(kind: str, needed: str, extension: str, path: str) -> Iterator[FieldError]:
    why = f"must be {needed} if {extension} is specified"
    if not kind:
        yield FieldError.required(f"{path}.type", why)
    elif kind != needed:
        yield FieldError.invalid(f"{path}.type", kind, why)


def _map_list(props: Props, path: str) -> Iterator[FieldError]:
    keys, list_type, inner = props.get(LIST_MAP_KEYS) or [], props.get(LIST_TYPE), items(props)
    if keys and list_type != "map":
        why, where = f"must be map if {LIST_MAP_KEYS} is non-empty", f"{path}.{LIST_TYPE}"
        yield FieldError.required(where, why) if list_type is None else FieldError.invalid(where, list_type, why)
    if list_type == "map":
        if not keys:
            yield FieldError.required(f"{path}.{LIST_MAP_KEYS}", f"must not be empty if {LIST_TYPE} is map")
        if props.get("items") is None:
            yield FieldError.required(f"{path}.items", f"must have a schema if {LIST_TYPE} is map")
        if inner is not None and inner.get("type") != "object":
            why = f"must be object if parent array's {LIST_TYPE} is map"
            yield FieldError.invalid(f"{path}.items.type", inner.get("type") or "", why)
        elif inner is not None:
            yield from _map_keys(keys, inner, path)
    if inner is not None and list_type in ("set", "map") and inner.get("nullable"):
        yield FieldError.forbidden(f"{path}.items.nullable", f"cannot be nullable when {LIST_TYPE} is {list_type}")
    if inner is not None and list_type == "map":
        yield from _keys_are_given(keys, inner, path)


def _map_keys(keys: list[str], inner: Props, path: str) -> Iterator[FieldError]:
    for key, again in zip(keys, repeats(keys), strict=True):
        known = properties(inner).get(key)
        if known is None:
            why = "entries must all be names of item properties"
            yield FieldError.invalid(f"{path}.{LIST_MAP_KEYS}", keys, why)
        elif known.get("type") in ("array", "object"):
            why = f"must be a scalar type if parent array's {LIST_TYPE} is map"
            yield FieldError.invalid(f"{path}.items.properties[{key}].type", inner.get("type"), why)
        if again:
            yield FieldError.invalid(f"{path}.{LIST_MAP_KEYS}", keys, "must not contain duplicate entries")


def _keys_are_given(keys: list[str], inner: Props, path: str) -> Iterator[FieldError]:
    for key in keys:
        known = properties(inner).get(key)
        if known is None:
            continue
        where = f"{path}.items.properties[{key}]"
        said = f"this property is in {LIST_MAP_KEYS}, so it"
        if key not in (inner.get("required") or ()) and known.get("default") is None:
            yield FieldError.required(f"{where}.default", f"{said} must have a default or be a required property")
        if known.get("nullable"):
            yield FieldError.forbidden(f"{where}.nullable", f"{said} cannot be nullable")


def _rules(props: Props, path: str) -> Iterator[FieldError]:
    """The form of x-kubernetes-validations; for what the expressions say see ``kafila.cel.rules``."""
    for i, rule in enumerate(props.get(RULES) or ()):
        where = f"{path}.{RULES}[{i}]"
        text, message = rule.get("rule") or "", rule.get("message") or ""
        if not text.strip():
            yield FieldError.required(f"{where}.rule", "rule is not specified")
        elif message and not message.strip():
            yield FieldError.invalid(f"{where}.message", message, "must be non-empty if specified")
        elif _broken(message.strip()):
            yield FieldError.invalid(f"{where}.message", message, "must not contain line breaks")
        elif _broken(text.strip()) and not message.strip():
            yield FieldError.required(f"{where}.message", "message must be specified if rule contains line breaks")
        expression, field = rule.get("messageExpression") or "", rule.get("fieldPath") or ""
        if expression and not expression.strip():
            why = "messageExpression must be non-empty if specified"
            yield FieldError.required(f"{where}.messageExpression", why)
        if rule.get("reason") is not None and rule["reason"] not in _REASONS:
            yield FieldError.not_supported(f"{where}.reason", rule["reason"], sorted(_REASONS))
        if field and not field.strip():
            yield FieldError.invalid(f"{where}.fieldPath", field, "must be non-empty if specified")
        if _broken(field):
            yield FieldError.invalid(f"{where}.fieldPath", field, "must not contain line breaks")
        if field and not _is_path(field, props):
            yield FieldError.invalid(f"{where}.fieldPath", field, "must be a valid path")


def _is_path(text: str, props: Props) -> bool:
    try:
        field_at(text, props)
    except PathProblem:
        return False
    return True


def size_of_rules(schema: Any) -> int:
    """Characters of all expressions within a schema."""
    total, todo = 0, [schema]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            for rule in value.get(RULES) or () if isinstance(value.get(RULES), list) else ():
                if isinstance(rule, dict):
                    total += len(str(rule.get("rule") or "")) + len(str(rule.get("messageExpression") or ""))
            todo += value.values()
        elif isinstance(value, list):
            todo += value
    return total


def _broken(text: str) -> bool:
    return "\n" in text or "\r" in text


def _defaults(props: Props, path: str, check: CheckDefault) -> Iterator[FieldError]:
    """Defaults must be valid themselves. Those of apiVersion, kind and metadata are forbidden elsewhere."""
    default = props.get("default")
    if default is not None:
        where = f"{path}.default"
        if not _is_pruned(props, default):
            yield FieldError.invalid(where, default, "must not have unknown fields")
        yield from compile_validation(props, where)[0](default) or check(props, where, default)
    if (inner := items(props)) is not None:
        yield from _defaults(inner, f"{path}.items", check)
    for name, child in properties(props).items():
        yield from _defaults(child, f"{path}.properties[{name}]", check)


def _is_pruned(props: Props, default: Any) -> bool:
    if props.get(INT_OR_STRING) or not isinstance(default, (dict, list)):
        return True
    wrapped = {"type": "object", "properties": {"value": props}}
    return not compile_pruning(wrapped)({"value": default})[1]
