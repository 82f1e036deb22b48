"""What happens to a Cluster on its way in: canonical form, resource models, and its own validation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kafila.catalog.kind import Strategy
from kafila.core import gourl, quantity
from kafila.core.clock import rfc3339
from kafila.core.errors import FieldError
from kafila.core.names import dns1123_label, in_range, label_value, qualified_name
from kafila.core.values import Object

CLUSTER_NAME_MAX = 48  # the namespace karmada-es-<name> must still be a DNS label
MAX_INT64 = 2**63 - 1
_GRADES_CPU = (0, 1, 2, 4, 8, 16, 32, 64, 128, MAX_INT64)
_GRADES_MEMORY_GI = (0, 4, 16, 32, 64, 128, 256, 512, 1024)
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_SYNC_MODES = ("Pull", "Push")
_TAINT_EFFECTS = ("NoSchedule", "NoExecute")  # the order in which Karmada lists them


def cluster_strategy(resource_models: bool = True) -> Strategy:
    """``resource_models``: the gate CustomizedClusterResourceModeling."""
    return Strategy(
        default=canonicalize,
        prepare_for_create=_prepare_for_create if resource_models else lambda obj: None,
        prepare_for_update=_prepare_for_update if resource_models else lambda new, old: None,
        validate=validate_cluster,
        validate_changed=validate_changed_cluster,
        name_rule=cluster_name,
    )


def cluster_name(name: str, prefix: bool = False) -> list[str]:
    """What is wrong with a cluster's name."""
    if not name:
        return ["must be not empty"]
    if len(name) > CLUSTER_NAME_MAX:
        return [f"must be no more than {CLUSTER_NAME_MAX} characters"]
    return dns1123_label(name, prefix)


def canonicalize(obj: Object) -> None:
    """Stamps NoExecute taints with the time they were added and moves ``zone`` to ``zones``."""
    spec = obj.get("spec") or {}
    for taint in spec.get("taints") or ():
        if taint.get("effect") == "NoExecute" and not taint.get("timeAdded"):
            taint["timeAdded"] = rfc3339()
    if spec.get("zone") and not spec.get("zones") and not label_value(spec["zone"]):  # else validation says so
        spec["zones"] = [spec.pop("zone")]


def _prepare_for_create(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("resourceModels"):
        standardize(spec["resourceModels"])
    else:
        spec["resourceModels"] = default_resource_models()


def _prepare_for_update(new: Object, old: Object) -> None:
    standardize((new.get("spec") or {}).get("resourceModels") or [])


def standardize(models: list[dict[str, Any]]) -> None:
    """Sorts by grade; the first grade begins at nothing and the last has no upper end."""
    if not models:
        return
    models.sort(key=lambda m: m.get("grade", 0))
    for limits in models[0].get("ranges") or ():
        limits["min"] = "0"
    for limits in models[-1].get("ranges") or ():
        limits["max"] = str(MAX_INT64)


def default_resource_models() -> list[dict[str, Any]]:
    """Nine grades, each about twice the one before."""
    memory = ["0", *(quantity.canonical(f"{gi}Gi") for gi in _GRADES_MEMORY_GI[1:]), str(MAX_INT64)]
    return [
        {
            "grade": grade,
            "ranges": [
                {"name": "cpu", "min": str(_GRADES_CPU[grade]), "max": str(_GRADES_CPU[grade + 1])},
                {"name": "memory", "min": memory[grade], "max": memory[grade + 1]},
            ],
        }
        for grade in range(len(_GRADES_MEMORY_GI))
    ]


def validate_changed_cluster(new: Object, old: Object) -> list[FieldError]:
    """A URL that is stored and would not be taken today keeps nobody from writing the rest, or from letting the Cluster go."""
    return validate_cluster(new, old.get("spec") or {})


def validate_cluster(obj: Object, before: Mapping[str, Any] = _NOTHING) -> list[FieldError]:
    """``before``: the stored spec."""
    spec: dict[str, Any] = obj.get("spec") or {}
    found: list[FieldError] = []
    mode = spec.get("syncMode") or ""
    if not mode:
        found.append(FieldError.required("spec.syncMode"))
    if mode not in _SYNC_MODES:
        found.append(FieldError.not_supported("spec.syncMode", mode, _SYNC_MODES))
    if spec.get("apiEndpoint") and spec["apiEndpoint"] != before.get("apiEndpoint"):
        found.extend(_api_endpoint("spec.apiEndpoint", spec["apiEndpoint"]))
    for name in ("secretRef", "impersonatorSecretRef"):
        reference = spec.get(name)
        if reference is not None:
            found.extend(FieldError.required(f"spec.{name}.{f}") for f in ("namespace", "name") if not reference.get(f))
    if spec.get("proxyURL") and spec["proxyURL"] != before.get("proxyURL"):
        found.extend(_proxy_url("spec.proxyURL", spec["proxyURL"]))
    found.extend(_places(spec))
    if spec.get("taints"):
        found.extend(validate_taints("spec.taints", spec["taints"]))
    if spec.get("resourceModels"):
        wrong = _resource_models(spec["resourceModels"])
        if wrong:
            found.append(FieldError.invalid("spec.resourceModels", _go_models(spec["resourceModels"]), wrong))
    return found


_FORM = "; desired format: hostname, hostname:port, IP or IP:port"


def _api_endpoint(path: str, text: str) -> list[FieldError]:
    try:
        url = gourl.parse(text)
    except ValueError as error:
        return [FieldError.invalid(path, text, f"apiEndpoint must be a valid URL: {error}{_FORM}")]
    found = []
    if not url.host:
        found.append(FieldError.invalid(path, "", f"host must be provided{_FORM}"))
    elif url.scheme not in ("http", "https"):  # Karmada takes it, and finds out when it connects
        found.append(FieldError.invalid(path, text, f'unsupported scheme "{url.scheme}", must be http or https'))
    return found + plain_url(path, url)


def plain_url(path: str, url: gourl.URL) -> list[FieldError]:
    """No user, fragment or query in a URL, and a port that there is."""
    found = []
    if url.port is not None and not 0 < url.port <= gourl.HIGHEST_PORT:
        found.append(FieldError.invalid(path, url.port, f"port is not valid: {in_range(1, gourl.HIGHEST_PORT)}"))
    if url.user is not None:
        found.append(FieldError.invalid(path, url.user, "user information is not permitted in the URL"))
    if url.fragment:
        found.append(FieldError.invalid(path, url.fragment, "fragments are not permitted in the URL"))
    if url.query:
        found.append(FieldError.invalid(path, url.query, "query parameters are not permitted in the URL"))
    return found


def _proxy_url(path: str, text: str) -> list[FieldError]:
    try:
        url = gourl.parse(text)
    except ValueError as error:
        return [FieldError.invalid(path, text, f"apiEndpoint must be a valid URL: {error}")]
    if url.scheme not in ("http", "https", "socks5"):
        return [FieldError.invalid(path, text, f'unsupported scheme "{url.scheme}", must be http, https, or socks5')]
    return plain_url(path, url._replace(user=None, query="", fragment=""))


def _places(spec: dict[str, Any]) -> list[FieldError]:
    found = []
    for name in ("provider", "region"):
        value = spec.get(name) or ""
        if why := label_value(value):
            found.append(FieldError.invalid(f"spec.{name}", value, "; ".join(why)))
    zone, zones = spec.get("zone") or "", spec.get("zones") or []
    if zone and zones:
        return [*found, FieldError.type_invalid("spec.spec", _go_spec(spec), "Zone and Zones cannot co-exist")]
    if zone:
        if why := label_value(zone):
            found.append(FieldError.invalid("spec.Zone", zone, "; ".join(why)))
        return found
    for value in zones:
        if why := label_value(value):
            found.append(FieldError.invalid("spec.Zones", value, "; ".join(why)))
    return found


def validate_taints(path: str, taints: list[dict[str, Any]]) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        at = f"{path}[{index}]"
        key, value, effect = taint.get("key") or "", taint.get("value") or "", taint.get("effect") or ""
        found.extend(FieldError.invalid(f"{at}.key", key, why) for why in qualified_name(key))
        if wrong := label_value(value):
            found.append(FieldError.invalid(f"{at}.value", value, ";".join(wrong)))
        if not effect:
            found.append(FieldError.required(f"{at}.effect"))
        elif effect not in _TAINT_EFFECTS:
            found.append(FieldError.not_supported(f"{at}.effect", effect, _TAINT_EFFECTS))
        if (key, effect) in seen:
            text = "taints must be unique by key and effect pair"
            found.append(FieldError("FieldValueDuplicate", at, taint, text))
        seen.add((key, effect))
    return found


def _resource_models(models: list[dict[str, Any]]) -> str:
    """What is wrong with the grades, "" when nothing is."""
    before: dict[str, Any] | None = None
    for index, model in enumerate(models):
        ranges = model.get("ranges") or []
        earlier = [] if before is None else before.get("ranges") or []
        if before is not None:
            if model.get("grade", 0) == before.get("grade", 0):
                return "The grade of each models should not be the same"
            if len(earlier) != len(ranges):
                return "The number of resource types should be the same"
        for place, limits in enumerate(ranges):
            low, high = quantity.of(limits.get("min", "0")), quantity.of(limits.get("max", "0"))
            if high <= low:
                return "The max value of each resource must be greater than the min value"
            if before is None:
                if low:
                    return "The min value of each resource in the first model should be 0"
            elif earlier[place].get("name") != limits.get("name"):
                return "The resource types of each models should be the same"
            elif quantity.of(earlier[place].get("max", "0")) != low:
                return "Model intervals for resources must be contiguous and non-overlapping"
            if index == len(models) - 1 and quantity.to_int(high) != MAX_INT64:
                return "The max value of each resource in the last model should be MaxInt64"
        before = model
    return ""


def _go_spec(spec: dict[str, Any]) -> Object:
    """As it is shown in errors: by the names that the Go struct has, which Karmada validates without any JSON tags."""

    def reference(name: str) -> Object | None:
        found = spec.get(name)
        return found and {"Namespace": found.get("namespace", ""), "Name": found.get("name", "")}

    shown = {
        "id": spec.get("id"),
        "SyncMode": spec.get("syncMode") or "",
        "APIEndpoint": spec.get("apiEndpoint") or "",
        "SecretRef": reference("secretRef"),
        "ImpersonatorSecretRef": reference("impersonatorSecretRef"),
        "InsecureSkipTLSVerification": bool(spec.get("insecureSkipTLSVerification")),
        "ProxyURL": spec.get("proxyURL") or "",
        "ProxyHeader": spec.get("proxyHeader"),
        "Provider": spec.get("provider") or "",
        "Region": spec.get("region") or "",
        "Zone": spec.get("zone") or "",
        "zones": spec.get("zones"),
        "Taints": spec.get("taints"),
        "ResourceModels": _go_models(spec.get("resourceModels")),
    }
    return {name: value for name, value in shown.items() if value or name not in ("id", "zones")}


def _go_models(models: list[dict[str, Any]] | None) -> list[Object] | None:
    return models and [
        {
            "Grade": model.get("grade", 0),
            "Ranges": [
                {"Name": limits.get("name", ""), "Min": limits.get("min", "0"), "Max": limits.get("max", "0")}
                for limits in model.get("ranges") or ()
            ],
        }
        for model in models
    ]
