"""PodSpec as a whole, Pods, and templates of pods."""

from __future__ import annotations

import re
from collections.abc import Collection

from kafila.core import metadata as metadata_rules
from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import (
    MAX_INT32,
    Found,
    check_enum,
    check_ip,
    check_label_key,
    check_labels,
    check_name,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)
from .containers import (
    AdmissionContext,
    check_containers,
    check_ephemeral_containers,
    check_image_has_no_space,
    check_init_containers,
)
from .gostructs import go_struct
from .resources import check_requirements, check_resource_name, is_huge_page
from .scheduling import check_affinity, check_spreading, check_tolerations
from .security import check_apparmor_profile, check_id, check_pod_annotations, check_seccomp_profile
from .volumes import check_volumes
from .windows import check_host_process, check_windows_options

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_SYSCTL = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
_is_sysctl = re.compile(_SYSCTL[1:-1]).fullmatch
_CLAIM = "api.core.v1.PodResourceClaim"
_POD_RESOURCES = ("cpu", "hugepages-*", "memory")


def check_template(template: Object, path: str, found: Found) -> None:
    """PodTemplateSpec."""
    check_template_labels(template, path, found)
    spec = template.get("spec") or {}
    check_pod_spec(spec, f"{path}.spec", found)
    if spec.get("ephemeralContainers"):
        found.append(forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"))


def check_template_labels(template: Object, path: str, found: Found) -> None:
    """They are reported at ``labels``, as Kubernetes does, not at ``metadata.labels``."""
    metadata = template.get("metadata") or {}
    labels, annotations = metadata.get("labels"), metadata.get("annotations")
    if labels:
        check_labels(labels, f"{path}.labels", found)
    if annotations:
        found.extend(metadata_rules.validate_annotations(annotations, f"{path}.annotations"))


def check_pod_spec(spec: Object, path: str, found: Found, *, is_pod: bool = False, name: str = "") -> None:
    get = spec.get
    if get("terminationGracePeriodSeconds") is None:
        found.append(required(f"{path}.terminationGracePeriodSeconds"))
    volumes = check_volumes(get("volumes"), f"{path}.volumes", found, name)
    if get("resourceClaims"):
        _check_claims(spec["resourceClaims"], f"{path}.resourceClaims", found)
    around = AdmissionContext(spec, volumes)
    containers = get("containers") or []
    check_containers(containers, f"{path}.containers", found, around)
    init = get("initContainers")
    if init:
        check_init_containers(init, containers, f"{path}.initContainers", found, around)
    ephemeral = get("ephemeralContainers")
    if ephemeral:
        others = {c.get("name") or "" for c in [*containers, *(init or ())]}
        check_ephemeral_containers(ephemeral, others, f"{path}.ephemeralContainers", found, around)
    resources = get("resources")
    if resources is not None:
        _check_pod_resources(resources, f"{path}.resources", found, around.claims)
    if get("hostNetwork"):
        _check_host_network(containers, f"{path}.containers", found, is_pod)
    if get("restartPolicy") not in RESTART_POLICIES:
        check_enum(get("restartPolicy"), RESTART_POLICIES, f"{path}.restartPolicy", found)
    if get("dnsPolicy") not in DNS_POLICIES:
        check_enum(get("dnsPolicy"), DNS_POLICIES, f"{path}.dnsPolicy", found)
    if get("nodeSelector"):
        check_labels(spec["nodeSelector"], f"{path}.nodeSelector", found)
    if get("securityContext") is not None:
        _check_security(spec, spec["securityContext"], f"{path}.securityContext", found)
    if get("affinity"):
        check_affinity(spec["affinity"], f"{path}.affinity", found)
    if get("dnsConfig") is not None or get("dnsPolicy") == "None":
        _check_dns(spec, f"{path}.dnsConfig", found)
    for i, gate in enumerate(get("readinessGates") or ()):
        check_label_key(gate.get("conditionType") or "", f"{path}.readinessGates[{i}].conditionType", found)
    if get("schedulingGates"):
        _check_gates(spec["schedulingGates"], f"{path}.schedulingGates", found)
    if get("topologySpreadConstraints"):
        check_spreading(spec["topologySpreadConstraints"], f"{path}.topologySpreadConstraints", found)
    check_host_process(spec, path, found)
    if get("hostUsers") is False:
        _check_host_users(spec, path, found)
    if get("hostnameOverride") is not None:
        _check_hostname_override(spec, f"{path}.hostnameOverride", found)
    _check_names(spec, ("serviceAccountName", "nodeName"), path, found)
    deadline = get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= MAX_INT32:
        found.append(invalid(f"{path}.activeDeadlineSeconds", deadline, names.in_range(1, MAX_INT32)))
    _check_names(spec, ("hostname", "subdomain"), path, found)
    if get("tolerations"):
        check_tolerations(spec["tolerations"], f"{path}.tolerations", found)
    for i, alias in enumerate(get("hostAliases") or ()):
        check_ip(alias.get("ip") or "", f"{path}.hostAliases[{i}].ip", found)
        for j, hostname in enumerate(alias.get("hostnames") or ()):
            check_name(hostname, f"{path}.hostAliases[{i}].hostnames[{j}]", found)
    _check_names(spec, ("priorityClassName", "runtimeClassName"), path, found)
    if get("preemptionPolicy") is not None:
        check_enum(get("preemptionPolicy"), ("PreemptLowerPriority", "Never"), f"{path}.preemptionPolicy", found)
    if get("overhead"):
        check_requirements({"limits": spec["overhead"]}, f"{path}.overhead", found)
    if get("os") is not None:
        _check_os(spec["os"], f"{path}.os", found)
    _check_file_volumes(spec, volumes, path, found)


def _check_names(spec: Object, fields: tuple[str, ...], path: str, found: Found) -> None:
    for field in fields:
        value = spec.get(field)
        rule = names.dns1123_label if field in ("hostname", "subdomain") else names.dns1123_subdomain
        if value and rule(value):
            check_name(value, f"{path}.{field}", found, rule)


def _check_claims(claims: list[Object], path: str, found: Found) -> None:
    seen: set[str] = set()
    for i, claim in enumerate(claims):
        where = f"{path}[{i}]"
        name = claim.get("name") or ""
        if not name:
            found.append(required(f"{where}.name"))
        elif name in seen:
            found.append(duplicate(f"{where}.name", name))
        else:
            check_name(name, f"{where}.name", found, names.dns1123_label)
            seen.add(name)
        direct, template = claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName")
        if direct is not None and template is not None:
            text = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            found.append(invalid(where, go_struct(_CLAIM, claim), text))
        if direct is None and template is None:
            text = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            found.append(invalid(where, go_struct(_CLAIM, claim), text))
        for field, value in (("resourceClaimName", direct), ("resourceClaimTemplateName", template)):
            if value is not None:
                check_name(value, f"{where}.{field}", found)


def _check_pod_resources(resources: Object, path: str, found: Found, claims: Collection[str]) -> None:
    if resources.get("claims"):
        found.append(forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    check_requirements(resources, path, found, claims, _check_pod_resource)


def _check_pod_resource(name: str, path: str, found: Found) -> None:
    if check_resource_name(name, path, found) and name not in ("cpu", "memory") and not is_huge_page(name):
        found.append(not_supported(path, name, _POD_RESOURCES))


def _check_host_network(containers: list[Object], path: str, found: Found, is_pod: bool) -> None:
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort") or 0
            if (is_pod or host) and host != (port.get("containerPort") or 0):
                text = "must match `containerPort` when `hostNetwork` is true"
                found.append(invalid(f"{path}[{i}].ports[{j}].hostPort", host, text))


def _check_security(spec: Object, context: Object, path: str, found: Found) -> None:
    get = context.get
    check_id(get("fsGroup"), f"{path}.fsGroup", found)
    check_id(get("runAsUser"), f"{path}.runAsUser", found)
    check_id(get("runAsGroup"), f"{path}.runAsGroup", found)
    for i, group in enumerate(get("supplementalGroups") or ()):
        check_id(group, f"{path}.supplementalGroups[{i}]", found)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(invalid(f"{path}.shareProcessNamespace", True, text))
    seen: set[str] = set()
    for i, sysctl in enumerate(get("sysctls") or ()):
        name = sysctl.get("name") or ""
        if not name:
            found.append(required(f"{path}.sysctls[{i}].name"))
        elif len(name) > 253 or not _is_sysctl(name):
            text = f"must have at most 253 characters and match regex {_SYSCTL}"
            found.append(invalid(f"{path}.sysctls[{i}].name", name, text))
        elif name in seen:
            found.append(duplicate(f"{path}.sysctls[{i}].name", name))
        seen.add(name)
    _check_choice(context, "fsGroupChangePolicy", ("Always", "OnRootMismatch"), path, found)
    check_seccomp_profile(get("seccompProfile"), f"{path}.seccompProfile", found)
    check_windows_options(get("windowsOptions"), f"{path}.windowsOptions", found)
    check_apparmor_profile(get("appArmorProfile"), f"{path}.appArmorProfile", found)
    _check_choice(context, "supplementalGroupsPolicy", ("Merge", "Strict"), path, found)
    _check_choice(context, "seLinuxChangePolicy", ("Recursive",), path, found)


def _check_choice(context: Object, field: str, allowed: tuple[str, ...], path: str, found: Found) -> None:
    value = context.get(field)
    if value is not None and value not in allowed:
        found.append(not_supported(f"{path}.{field}", value, allowed))


def _check_dns(spec: Object, path: str, found: Found) -> None:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            found.append(required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
            return
        if not config.get("nameservers"):
            text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            found.append(required(f"{path}.nameservers", text))
            return
    if config is None:
        return
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > 3:
        found.append(invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers"))
    for i, server in enumerate(servers):
        check_ip(server, f"{path}.nameservers[{i}]", found)
    if len(searches) > 32:
        found.append(invalid(f"{path}.searches", searches, "must not have more than 32 search paths"))
    if len(" ".join(searches)) > 2048:
        text = "must not have more than 2048 characters (including spaces) in the search list"
        found.append(invalid(f"{path}.searches", searches, text))
    for i, search in enumerate(searches):
        if search != ".":
            check_name(
                search.removesuffix("."), f"{path}.searches[{i}]", found, names.dns1123_subdomain_with_underscore
            )
    for i, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            found.append(required(f"{path}.options[{i}]", "must not be empty"))


def _check_gates(gates: list[Object], path: str, found: Found) -> None:
    seen: set[str] = set()
    for i, gate in enumerate(gates):
        name = gate.get("name") or ""
        check_label_key(name, f"{path}[{i}]", found)
        if name in seen:
            found.append(duplicate(f"{path}[{i}]", name))
        seen.add(name)


def _check_host_users(spec: Object, path: str, found: Found) -> None:
    for field, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(field):
            found.append(forbidden(f"{path}.{shown}", "when `hostUsers` is false"))
    for field in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(field) or ()):
            if container.get("volumeDevices"):
                found.append(forbidden(f"{path}.{field}[{i}].volumeDevices", "when `hostUsers` is false"))


def _check_hostname_override(spec: Object, path: str, found: Found) -> None:
    value = spec["hostnameOverride"]
    if spec.get("setHostnameAsFQDN"):
        found.append(forbidden(path, "may not be specified when setHostnameAsFQDN is true"))
    if spec.get("hostNetwork"):
        found.append(forbidden(path, "may not be specified when hostNetwork is true"))
    if len(value) > 64:
        found.append(FieldError.too_long(path, 64))
    check_name(value, path, found)


def _check_os(os: Object, path: str, found: Found) -> None:
    name = os.get("name")
    if not name:
        found.append(required(f"{path}.name", "cannot be empty"))
    elif name not in ("linux", "windows"):
        found.append(not_supported(path, name, ("linux", "windows")))


def _check_file_volumes(spec: Object, volumes: dict[str, Object], path: str, found: Found) -> None:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(field) or ()):
            for j, variable in enumerate(container.get("env") or ()):
                reference = (variable.get("valueFrom") or {}).get("fileKeyRef")
                if reference is not None:
                    where = f"{path}.{field}[{i}].env[{j}].valueFrom.fileKeyRef.volumeName"
                    name = reference.get("volumeName") or ""
                    volume = volumes.get(name)
                    if volume is None:
                        found.append(not_found(where, name))
                    elif volume.get("emptyDir") is None:
                        found.append(invalid(where, name, "referenced volume must be of type emptyDir"))


# -- Pod -------------------------------------------------------------------------------------------------------------------


def validate_pod(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    annotations = (obj.get("metadata") or {}).get("annotations")
    if annotations:
        check_pod_annotations(annotations, spec, "metadata.annotations", found)
    name = (obj.get("metadata") or {}).get("name") or ""
    check_pod_spec(spec, "spec", found, is_pod=True, name=name)
    for field in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(field) or ()):
            check_image_has_no_space(container, f"spec.{field}[{i}]", found)
    if not spec.get("serviceAccountName"):
        _check_no_tokens(spec, found)
    return found


def validate_new_pod(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    if spec.get("ephemeralContainers"):
        found.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        text = "cannot be set until all schedulingGates have been cleared"
        found.append(forbidden("spec.nodeName", text))
    return found


def _check_no_tokens(spec: Object, found: Found) -> None:
    for i, volume in enumerate(spec.get("volumes") or ()):
        for j, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            if source.get("serviceAccountToken") is not None:
                path = f"spec.volumes[{i}].projected.sources[{j}].serviceAccountToken"
                found.append(forbidden(path, "must not be specified when serviceAccountName is not set"))


def validate_pod_template_kind(obj: Object) -> Found:
    found: Found = []
    check_template(obj.get("template") or {}, "template", found)
    return found
