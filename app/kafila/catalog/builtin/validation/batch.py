"""Job and CronJob."""

from __future__ import annotations

import re
import zoneinfo
from typing import Any

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import (
    Found,
    check_enum,
    check_immutable,
    check_label_key,
    check_label_selector,
    check_not_negative,
    duplicate,
    invalid,
    not_supported,
    required,
    same,
    selector_is_sound,
    selector_matches,
)
from .cron import schedule_error
from .gostructs import go_struct
from .pod import check_template

_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_STATUSES = ("False", "True", "Unknown")
_HIGH = "when completions are above 100000 and used with backoff limit per index"
_is_zone_part = re.compile(r"[A-Za-z.\-_0-9+]{1,14}").fullmatch
_is_http_path = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+").fullmatch


def _shown(values: tuple[str, ...]) -> str:
    return "valid values: [" + " ".join(f'"{value}"' for value in values) + "]"


# -- Job -------------------------------------------------------------------------------------------------------------------


def validate_job(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    metadata = obj.get("metadata") or {}
    if not spec.get("manualSelector") and spec.get("selector") is not None:
        _check_generated(obj, spec, found)
    _check_whole_spec(spec, found)
    completions = spec.get("completions")
    if spec.get("completionMode") == "Indexed" and completions and completions > 0:
        hostname = f"{metadata.get('name') or ''}-{completions - 1}"
        if names.dns1123_label(hostname):
            text = f"will not able to create pod with invalid DNS label: {hostname}"
            found.append(invalid("metadata.name", metadata.get("name") or "", text))
    return found


def _check_whole_spec(spec: Object, found: Found) -> None:
    check_job_spec(spec, "spec", found)
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if selector is None:
        found.append(required("spec.selector"))
    else:
        check_label_selector(selector, "spec.selector", found)
    if selector_is_sound(selector) and not selector_matches(selector, labels):
        found.append(
            invalid(
                "spec.template.metadata.labels",
                dict(sorted(labels.items())) or None,
                "`selector` does not match template `labels`",
            )
        )


def _check_generated(obj: Object, spec: Object, found: Found) -> None:
    metadata = obj.get("metadata") or {}
    uid, name = metadata.get("uid") or "", metadata.get("name") or ""
    if not uid:
        found.append(required("metadata.uid"))
    expected = {
        "controller-uid": uid,
        "job-name": name,
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
    }
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    for key, value in expected.items():
        path = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            found.append(required(path, f"must be '{value}'"))
        elif labels[key] != value:
            found.append(invalid(path, labels, f"must be '{value}'"))
    if selector_is_sound(spec["selector"]) and not selector_matches(spec["selector"], expected):
        found.append(invalid("spec.selector", spec["selector"], "`selector` not auto-generated"))


def check_job_spec(spec: Object, path: str, found: Found) -> None:
    get = spec.get
    for field in _COUNTS:
        if get(field) is not None:
            check_not_negative(spec, field, path, found)
    if get("maxFailedIndexes") is not None and get("backoffLimitPerIndex") is None:
        found.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if get("managedBy") is not None:
        check_domain_path(spec["managedBy"], f"{path}.managedBy", found)
        if len(spec["managedBy"]) > 63:
            found.append(FieldError.too_long(f"{path}.managedBy", 63))
    mode = get("completionMode")
    if mode is not None and mode not in ("NonIndexed", "Indexed"):
        found.append(not_supported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed")))
    if mode == "Indexed":
        _check_indexed(spec, path, found)
    elif mode in (None, "NonIndexed"):
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if get(field) is not None:
                found.append(invalid(f"{path}.{field}", get(field), "requires indexed completion mode"))
    if get("podFailurePolicy") is not None:
        _check_failure_policy(spec, f"{path}.podFailurePolicy", found)
    if get("successPolicy") is not None:
        if mode != "Indexed":
            text = "requires indexed completion mode"
            found.append(
                invalid(f"{path}.successPolicy", go_struct("api.batch.v1.SuccessPolicy", get("successPolicy")), text)
            )
        else:
            _check_success_policy(spec, f"{path}.successPolicy", found)
    replacement = get("podReplacementPolicy")
    if replacement is not None:
        allowed = ("Failed",) if get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
        if replacement not in allowed:
            found.append(not_supported(f"{path}.podReplacementPolicy", replacement, allowed))
    template = get("template") or {}
    check_template(template, f"{path}.template", found)
    restart = (template.get("spec") or {}).get("restartPolicy") or ""
    where = f"{path}.template.spec.restartPolicy"
    if restart in ("", "Always"):
        found.append(required(where, 'valid values: "OnFailure", "Never"'))
    elif restart not in ("OnFailure", "Never"):
        found.append(not_supported(where, restart, ("OnFailure", "Never")))
    elif get("podFailurePolicy") is not None and restart != "Never":
        text = 'only "Never" is supported when podFailurePolicy is specified'
        found.append(invalid(where, restart, text))


def _check_indexed(spec: Object, path: str, found: Found) -> None:
    completions, parallelism = spec.get("completions"), spec.get("parallelism")
    failed = spec.get("maxFailedIndexes")
    if completions is None:
        found.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism is not None and parallelism > 100000:
        text = "must be less than or equal to 100000 when completion mode is Indexed"
        found.append(invalid(f"{path}.parallelism", parallelism, text))
    if failed is not None:
        if completions is not None and failed > completions:
            found.append(invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions"))
        if failed > 100000:
            found.append(invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to 100000"))
    if completions is not None and completions > 100000 and spec.get("backoffLimitPerIndex") is not None:
        if failed is None:
            text = "must be specified when completions is above 100000"
            found.append(required(f"{path}.maxFailedIndexes", text))
        for field, value in (("parallelism", parallelism), ("maxFailedIndexes", failed)):
            if value is not None and value > 10000:
                found.append(invalid(f"{path}.{field}", value, f"must be less than or equal to 10000 {_HIGH}"))


def _check_failure_policy(spec: Object, path: str, found: Found) -> None:
    rules = spec["podFailurePolicy"].get("rules") or ()
    if len(rules) > 20:
        found.append(FieldError.too_many(f"{path}.rules", len(rules), 20))
    pod = (spec.get("template") or {}).get("spec") or {}
    containers = {c.get("name") for field in ("containers", "initContainers") for c in pod.get(field) or ()}
    for i, rule in enumerate(rules):
        where = f"{path}.rules[{i}]"
        action = rule.get("action") or ""
        if not action:
            found.append(required(f"{where}.action", _shown(_ACTIONS)))
        elif action == "FailIndex":
            if spec.get("backoffLimitPerIndex") is None:
                found.append(invalid(f"{where}.action", action, "requires the backoffLimitPerIndex to be set"))
        elif action not in _ACTIONS:
            found.append(not_supported(f"{where}.action", action, _ACTIONS))
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            _check_exit_codes(codes, containers, f"{where}.onExitCodes", found)
        _check_conditions(conditions, f"{where}.onPodConditions", found)
        if codes is not None and conditions:
            text = "specifying both OnExitCodes and OnPodConditions is not supported"
            found.append(FieldError("FieldValueInvalid", where, detail=text))
        if codes is None and not conditions:
            text = "specifying one of OnExitCodes and OnPodConditions is required"
            found.append(FieldError("FieldValueInvalid", where, detail=text))


def _check_exit_codes(codes: Object, containers: set[Any], path: str, found: Found) -> None:
    operator = codes.get("operator") or ""
    if not operator:
        found.append(required(f"{path}.operator", _shown(("In", "NotIn"))))
    elif operator not in ("In", "NotIn"):
        found.append(not_supported(f"{path}.operator", operator, ("In", "NotIn")))
    name = codes.get("containerName")
    if name is not None and name not in containers:
        text = "must be one of the container or initContainer names in the pod template"
        found.append(invalid(f"{path}.containerName", name, text))
    values = codes.get("values") or []
    if not values:
        found.append(invalid(f"{path}.values", codes.get("values"), "at least one value is required"))
    elif len(values) > 255:
        found.append(FieldError.too_many(f"{path}.values", len(values), 255))
    seen: set[int] = set()
    for i, value in enumerate(values):
        if operator == "In" and value == 0:
            found.append(invalid(f"{path}.values[{i}]", value, "must not be 0 for the In operator"))
        if value in seen:
            found.append(duplicate(f"{path}.values[{i}]", value))
        seen.add(value)
    if values != sorted(values):
        found.append(invalid(f"{path}.values", values, "must be ordered"))


def _check_conditions(conditions: Any, path: str, found: Found) -> None:
    if len(conditions) > 20:
        found.append(FieldError.too_many(path, len(conditions), 20))
    for i, pattern in enumerate(conditions):
        check_label_key(pattern.get("type") or "", f"{path}[{i}].type", found)
        status = pattern.get("status") or ""
        if not status:
            found.append(required(f"{path}[{i}].status", _shown(_STATUSES)))
        elif status not in _STATUSES:
            found.append(not_supported(f"{path}[{i}].status", status, _STATUSES))


def _check_success_policy(spec: Object, path: str, found: Found) -> None:
    rules = spec["successPolicy"].get("rules") or ()
    if not rules:
        text = "at least one rules must be specified when the successPolicy is specified"
        found.append(required(f"{path}.rules", text))
    if len(rules) > 20:
        found.append(FieldError.too_many(f"{path}.rules", len(rules), 20))
    completions = spec.get("completions") or 0
    for i, rule in enumerate(rules):
        count = rule.get("succeededCount")
        if count is None and rule.get("succeededIndexes") is None:
            text = "at least one of succeededCount or succeededIndexes must be specified"
            found.append(required(f"{path}.rules[{i}]", text))
        if count is not None:
            check_not_negative(rule, "succeededCount", f"{path}.rules[{i}]", found)
            if count > completions:
                text = f"must be less than or equal to {completions} (the number of specified completions)"
                found.append(invalid(f"{path}.rules[{i}].succeededCount", count, text))


def check_domain_path(value: str, path: str, found: Found) -> None:
    """A name like ``acme.io/foo``."""
    if not value:
        found.append(required(path))
        return
    host, _, rest = value.partition("/")
    if not host or not rest:
        found.append(invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
        return
    for why in names.dns1123_subdomain(host):
        found.append(invalid(path, host, why))
    if not _is_http_path(rest):
        text = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"
        found.append(invalid(path, rest, text))


def validate_job_update(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    _check_whole_spec(spec, found)  # once more
    if spec == was:
        return found
    if spec.get("completionMode") != "Indexed":
        check_immutable(spec.get("completions"), was.get("completions"), "spec.completions", found)
    elif spec.get("completions") not in (None, was.get("completions"), spec.get("parallelism")):
        text = "can only be modified in tandem with spec.parallelism"
        found.append(invalid("spec.completions", spec["completions"], text))
    check_immutable(spec.get("selector"), was.get("selector"), "spec.selector", found)
    _check_template_update(new, old, spec, was, found)
    for field in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        check_immutable(spec.get(field), was.get(field), f"spec.{field}", found)
    return found


def _check_template_update(new: Object, old: Object, spec: Object, was: Object, found: Found) -> None:
    """Where a suspended Job's pods run and how much they use may still change."""
    template, before = spec.get("template") or {}, was.get("template") or {}
    if same(template, before):
        return
    if not was.get("suspend"):
        check_immutable(template, before, "spec.template", found)
        return
    if (old.get("status") or {}).get("startTime") is None or spec.get("suspend"):
        pods, pods_before = dict(template.get("spec") or {}), dict(before.get("spec") or {})
        for pod in (pods, pods_before):
            for field in ("nodeSelector", "tolerations", "schedulingGates"):
                pod.pop(field, None)
            affinity = dict(pod.get("affinity") or {})
            affinity.pop("nodeAffinity", None)
            pod["affinity"] = affinity
            for field in ("containers", "initContainers"):
                pod[field] = [{**c, "resources": None} for c in pod.get(field) or ()]
        template, before = {"spec": pods}, {"spec": pods_before}
    check_immutable(template, before, "spec.template", found)


# -- CronJob ---------------------------------------------------------------------------------------------------------------


def validate_cron_job(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    schedule, zone = spec.get("schedule") or "", spec.get("timeZone")
    if not schedule:
        found.append(required("spec.schedule"))
    else:
        error = schedule_error(schedule)
        if error:
            found.append(invalid("spec.schedule", schedule, error))
        if "TZ" in schedule:
            text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            found.append(invalid("spec.schedule", schedule, text))
    check_not_negative(spec, "startingDeadlineSeconds", "spec", found)
    if zone is not None:
        _check_zone(zone, "spec.timeZone", found)
    check_enum(spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"), "spec.concurrencyPolicy", found)
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    check_job_spec(job, "spec.jobTemplate.spec", found)
    if job.get("selector") is not None:
        text = "`selector` will be auto-generated"
        found.append(invalid("spec.jobTemplate.spec.selector", job["selector"], text))
    if job.get("manualSelector"):
        found.append(not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        check_not_negative(spec, field, "spec", found)
    return found


def validate_new_cron_job(obj: Object) -> Found:
    """Its Jobs get a name of eleven characters more."""
    name = (obj.get("metadata") or {}).get("name") or ""
    return [invalid("metadata.name", name, "must be no more than 52 characters")] if len(name) > 52 else []


def _check_zone(zone: str, path: str, found: Found) -> None:
    if not zone:
        found.append(invalid(path, zone, "timeZone must be nil or non-empty string"))
        return
    parts = zone.split("/")
    if any(part in (".", "..") or part.startswith("-") or not _is_zone_part(part) for part in parts):
        found.append(invalid(path, zone, f"unknown time zone {zone}"))
        return
    if zone.lower() == "local":
        text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        found.append(invalid(path, zone, text))
    elif zone not in _zones():
        found.append(invalid(path, zone, f"unknown time zone {zone}"))


_ZONES: set[str] = set()


def _zones() -> set[str]:
    if not _ZONES:
        _ZONES.update(zoneinfo.available_timezones())
    return _ZONES
