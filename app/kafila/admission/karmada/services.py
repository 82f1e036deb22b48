"""MultiClusterService and MultiClusterIngress: what is refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from kafila.catalog.karmada.cluster_strategy import cluster_name
from kafila.core.errors import FieldError
from kafila.core.metadata import validate_object_meta
from kafila.core.names import (
    dns1035_label,
    dns1123_label,
    dns1123_subdomain,
    path_segment,
    port_name,
    port_number,
    wildcard_dns1123_subdomain,
)
from kafila.core.values import Object

from .errors import refuse_if

Found = list[FieldError]

_EXPOSURES = ("CrossCluster", "LoadBalancer")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_NOT_AN_IP = "must be a DNS name, not an IP address"


def admit_multi_cluster_service(new: Object, old: Object | None) -> None:
    found: Found = []
    if old is not None:
        before = old["spec"].get("types")
        if before != new["spec"].get("types"):
            found.append(FieldError.invalid("spec.types", before, "MultiClusterService types are immutable"))
    found += validate_object_meta(new, True, dns1035_label)
    found += _service_spec(new["spec"])
    if old is not None:
        found += _load_balancer((new.get("status") or {}).get("loadBalancer"), "status.loadBalancer")
    refuse_if(found)


def _service_spec(spec: Object) -> Found:
    found: Found = []
    names: set[str] = set()
    for index, port in enumerate(spec.get("ports") or ()):
        at, name, number = f"spec.ports[{index}]", port.get("name") or "", port.get("port", 0)
        if name:
            found += [FieldError.invalid(f"{at}.name", name, why) for why in dns1123_label(name)]
            if name in names:
                found.append(FieldError.duplicate(f"{at}.name", name))
            names.add(name)
        found += [FieldError.invalid(f"{at}.port", number, why) for why in port_number(number)]
    types = spec.get("types") or []
    for index, exposure in enumerate(types):
        if exposure not in _EXPOSURES:
            found.append(FieldError.invalid(f"spec.types[{index}]", exposure, "ExposureType Error"))
    if len(set(types)) > 1:
        text = "MultiClusterService types should not contain more than one type"
        found.append(FieldError.invalid("spec.types", types, text))
    for field in ("providerClusters", "consumerClusters"):
        for index, cluster in enumerate(spec.get(field) or ()):
            name = cluster.get("name", "")
            if why := cluster_name(name):
                # Karmada reports both lists below spec.range
                found.append(FieldError.invalid(f"spec.range.{field}[{index}]", name, ",".join(why)))
    return found


def _load_balancer(status: Object | None, path: str) -> Found:
    found: Found = []
    for index, ingress in enumerate((status or {}).get("ingress") or ()):
        at, ip, host = f"{path}.ingress[{index}]", ingress.get("ip") or "", ingress.get("hostname") or ""
        if ip and not _is_ip(ip):
            found.append(FieldError.invalid(f"{at}.ip", ip, "must be a valid IP address"))
        if host:
            found += [FieldError.invalid(f"{at}.hostname", host, why) for why in dns1123_subdomain(host)]
            if _is_ip(host):
                found.append(FieldError.invalid(f"{at}.hostname", host, _NOT_AN_IP))
    return found


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def admit_multi_cluster_ingress(new: Object, old: Object | None) -> None:
    found = validate_object_meta(new, True, dns1123_subdomain)
    found += _ingress_spec(new.get("spec") or {}, "spec")
    if old is not None:
        found += _load_balancer((new.get("status") or {}).get("loadBalancer"), "status.loadBalancer")
    refuse_if(found)


def _ingress_spec(spec: Object, path: str) -> Found:
    found: Found = []
    rules, backend = spec.get("rules") or [], spec.get("defaultBackend")
    if not rules and backend is None:
        text = "either `defaultBackend` or `rules` must be specified"
        found.append(FieldError.invalid(path, spec.get("rules"), text))
    if backend is not None:
        found += _backend(backend, f"{path}.defaultBackend")
    for index, rule in enumerate(rules):
        found += _rule(rule, f"{path}.rules[{index}]")
    for index, tls in enumerate(spec.get("tls") or ()):
        found += _tls(tls, f"{path}.tls[{index}]")
    name = spec.get("ingressClassName")
    if name is not None:
        found += [FieldError.invalid(f"{path}.ingressClassName", name, why) for why in dns1123_subdomain(name)]
    return found


def _rule(rule: Object, path: str) -> Found:
    found: Found = []
    host = rule.get("host") or ""
    if host:
        if _is_ip(host):
            found.append(FieldError.invalid(f"{path}.host", host, _NOT_AN_IP))
        found += [FieldError.invalid(f"{path}.host", host, why) for why in _host(host)]
    http = rule.get("http")
    if http is not None:
        paths: Sequence[Object] = http.get("paths") or ()
        if not paths:
            found.append(FieldError.required(f"{path}.http.paths"))
        for index, one in enumerate(paths):
            found += _path(one, f"{path}.http.paths[{index}]")
    return found


def _host(host: str) -> list[str]:
    return wildcard_dns1123_subdomain(host) if "*" in host else dns1123_subdomain(host)


def _path(rule: Object, path: str) -> Found:
    kind = rule.get("pathType")
    if kind is None:
        return [FieldError.required(f"{path}.pathType", "pathType must be specified")]
    found: Found = []
    text, at = rule.get("path") or "", f"{path}.path"
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            found.append(FieldError.invalid(at, text, "must be an absolute path"))
        found += [FieldError.invalid(at, text, f"must not contain '{s}'") for s in _BAD_SEQUENCES if s in text]
        found += [FieldError.invalid(at, text, f"cannot end with '{s}'") for s in _BAD_ENDS if text.endswith(s)]
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            found.append(FieldError.invalid(at, text, "must be an absolute path"))
    else:
        supported = ("Exact", "ImplementationSpecific", "Prefix")
        found.append(FieldError.not_supported(f"{path}.pathType", kind, supported))
    return found + _backend(rule.get("backend") or {}, f"{path}.backend")


def _backend(backend: Object, path: str) -> Found:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        return [FieldError.invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _reference(resource, f"{path}.resource")
    if service is None:
        return [FieldError.invalid(path, "", "resource or service backend is required")]
    found: Found = []
    name, port = service.get("name") or "", service.get("port") or {}
    if not name:
        found.append(FieldError.required(f"{path}.service.name"))
    else:
        found += [FieldError.invalid(f"{path}.service.name", name, why) for why in dns1035_label(name)]
    called, number, at = port.get("name") or "", port.get("number") or 0, f"{path}.service.port"
    if called and number:
        found.append(FieldError.invalid(path, "", "cannot set both port name & port number"))
    elif called:
        found += [FieldError.invalid(f"{at}.name", called, why) for why in port_name(called)]
    elif number:
        found += [FieldError.invalid(f"{at}.number", number, why) for why in port_number(number)]
    else:
        found.append(FieldError.required(path, "port name or number is required"))
    return found


def _reference(reference: Object, path: str) -> Found:
    found: Found = []
    group = reference.get("apiGroup")
    if group is not None:
        found += [FieldError.invalid(f"{path}.apiGroup", group, why) for why in dns1123_subdomain(group)]
    for field in ("kind", "name"):
        value = reference.get(field) or ""
        if not value:
            found.append(FieldError.required(f"{path}.{field}", f"{field} is required"))
        else:
            found += [FieldError.invalid(f"{path}.{field}", value, why) for why in path_segment(value)]
    return found


def _tls(tls: Object, path: str) -> Found:
    found: Found = []
    for index, host in enumerate(tls.get("hosts") or ()):
        found += [FieldError.invalid(f"{path}.hosts[{index}]", host, why) for why in _host(host)]
    secret = tls.get("secretName") or ""
    if secret:
        found += [FieldError.invalid(f"{path}.secretName", secret, why) for why in dns1123_subdomain(secret)]
    return found
