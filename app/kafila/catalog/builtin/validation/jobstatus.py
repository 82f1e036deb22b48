"""What is asked of a Job's status.

A rule is asked only where what it is about has changed, so that a wrong status that is there does not block others.
"""

from __future__ import annotations

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import Found, check_not_negative, duplicate, invalid, required


def validate_job_status(new: Object, old: Object) -> Found:
    """An ended Job stays as it ended; its conditions come in the order in which the Job controller gives them."""
    found: Found = []
    status, was = new.get("status") or {}, old.get("status") or {}
    for field in ("active", "succeeded", "failed", "ready", "terminating"):
        check_not_negative(status, field, "status", found)
    _check_uncounted(status.get("uncountedTerminatedPods") or {}, found)
    _check_job_end(new, status, was, found)
    _check_job_indexes(new, status, was, found)
    _check_job_pods(status, was, found)
    _check_success(new, status, found)
    _check_job_progress(new, status, was, found)
    return found


def _is(status: Object, kind: str, value: str = "True") -> bool:
    return any(c.get("type") == kind and c.get("status") == value for c in status.get("conditions") or ())


def _ended(status: Object) -> bool:
    return _is(status, "Complete") or _is(status, "Failed")


def _check_uncounted(uncounted: Object, found: Found) -> None:
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        for i, uid in enumerate(uncounted.get(field) or ()):
            path = f"status.uncountedTerminatedPods.{field}[{i}]"
            if not uid:
                found.append(invalid(path, uid or "", "must not be empty"))
            elif uid in seen:
                found.append(duplicate(path, uid))
            seen.add(uid)


def _against_conditions(text: str) -> FieldError:
    return FieldError("FieldValueInvalid", "status.conditions", detail=text)


def _check_job_end(new: Object, status: Object, was: Object, found: Found) -> None:
    complete, failed = _is(status, "Complete"), _is(status, "Failed")
    completes, fails = complete != _is(was, "Complete"), failed != _is(was, "Failed")
    target = _is(status, "FailureTarget")
    when, start = status.get("completionTime"), status.get("startTime")
    retimed, restarted = when != was.get("completionTime"), start != was.get("startTime")
    if complete and failed and (completes or fails):
        found.append(_against_conditions("cannot set Complete=True and Failed=true conditions"))
    if complete and target and (completes or target != _is(was, "FailureTarget")):
        found.append(_against_conditions("cannot set Complete=True and FailureTarget=true conditions"))
    if completes or retimed:
        if when and not complete:
            text = "cannot set completionTime when there is no Complete=True condition"
            found.append(invalid("status.completionTime", when, text))
        if complete and not when:
            found.append(required("status.completionTime", "completionTime is required for Complete jobs"))
    if when and start and when < start and (retimed or restarted):
        found.append(invalid("status.completionTime", when, "must be equal to or after `startTime`"))
    if failed and not target and (fails or status.get("failedIndexes") != was.get("failedIndexes")):
        found.append(_against_conditions("cannot set Failed=True condition without the FailureTarget=true condition"))
    met = _is(status, "SuccessCriteriaMet")
    if complete and not met and (completes or met != _is(was, "SuccessCriteriaMet")):
        text = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        found.append(_against_conditions(text))
    if not (complete or failed):
        return
    ends = not _ended(was)
    if (status.get("active") or 0) > 0 and (ends or status.get("active") != was.get("active")):
        found.append(invalid("status.active", status["active"], "active>0 is invalid for finished job"))
    spec = new.get("spec") or {}
    nothing_to_do = spec.get("suspend") is True and spec.get("completions") == 0
    if not start and (ends or restarted) and not nothing_to_do:
        found.append(required("status.startTime", "startTime is required for finished job"))
    uncounted = status.get("uncountedTerminatedPods") or {}
    changed = uncounted != (was.get("uncountedTerminatedPods") or {})
    if (uncounted.get("failed") or uncounted.get("succeeded")) and (ends or changed):
        found.append(invalid("status.uncountedTerminatedPods", uncounted, "must be empty for finished job"))


def _check_job_indexes(new: Object, status: Object, was: Object, found: Found) -> None:
    spec = new.get("spec") or {}
    completions, per_index = spec.get("completions"), spec.get("backoffLimitPerIndex")
    completed, failed = status.get("completedIndexes") or "", status.get("failedIndexes")
    completed_changed = completed != (was.get("completedIndexes") or "")
    failed_changed = failed != was.get("failedIndexes")
    where = {"completedIndexes": "status.completedIndexes", "failedIndexes": "status.failedIndexes"}
    if completed_changed and completions is not None and (why := _index_error(completed, completions)):
        found.append(invalid(where["completedIndexes"], completed, f"error parsing completedIndexes: {why}"))
    if failed_changed and failed is not None and completions is not None and per_index is not None:
        if why := _index_error(failed, completions):
            found.append(invalid(where["failedIndexes"], failed, f"error parsing failedIndexes: {why}"))
    if completed_changed and completed and spec.get("completionMode") != "Indexed":
        text = "cannot set non-empty completedIndexes when non-indexed completion mode"
        found.append(invalid(where["completedIndexes"], completed, text))
    if failed_changed and failed is not None and per_index is None:
        text = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        found.append(invalid(where["failedIndexes"], failed, text))
    if (completed_changed or failed_changed) and completions is not None and failed:
        both = _indexes(completed, completions) & _indexes(failed, completions)
        if both:
            text = f"failedIndexes and completedIndexes overlap at index: {min(both)}"
            found.append(invalid(where["failedIndexes"], failed, text))


def _index_error(text: str, completions: int) -> str:
    """What is wrong with ``1,3-5``, "" when nothing."""
    last: int | None = None
    for part in text.split(",") if text else ():
        ends = part.split("-")
        if len(ends) > 2:
            shown = f'the fragment "{part}" violates the requirement that an index interval can have at most two parts'
            return f"{shown} separated by '-'"
        for end in ends:
            if not (end.isascii() and end.isdigit()):
                return f'cannot convert string to integer for index: "{end}"'
            if int(end) >= completions:
                return f'too large index: "{end}"'
        first, final = int(ends[0]), int(ends[-1])
        if len(ends) > 1 and first >= final:
            return f"non-increasing order, previous: {first}, current: {final}"
        if last is not None and last >= first:
            return f"non-increasing order, previous: {last}, current: {first}"
        last = final
    return ""


def _indexes(text: str, completions: int) -> set[int]:
    out: set[int] = set()
    for part in text.split(",") if text else ():
        if not _index_error(part, completions):
            first, _, final = part.partition("-")
            out.update(range(int(first), int(final or first) + 1))
    return out


def _check_job_pods(status: Object, was: Object, found: Found) -> None:
    ends = _ended(status) and not _ended(was)
    terminating, ready, active = status.get("terminating"), status.get("ready"), status.get("active") or 0
    if (terminating or 0) > 0 and _ended(status) and (ends or terminating != was.get("terminating")):
        found.append(invalid("status.terminating", terminating, "terminating>0 is invalid for finished job"))
    if ready is not None and ready > active and (ready != was.get("ready") or active != (was.get("active") or 0)):
        found.append(invalid("status.ready", ready, "cannot set more ready pods than active"))


def _check_success(new: Object, status: Object, found: Found) -> None:
    met, complete = _is(status, "SuccessCriteriaMet"), _is(status, "Complete")
    if met and _is(status, "Failed"):
        found.append(_against_conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions"))
    if met and _is(status, "FailureTarget"):
        found.append(_against_conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"))
    if complete and not met and (new.get("spec") or {}).get("successPolicy") is not None:
        text = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        found.append(_against_conditions(text))


def _check_job_progress(new: Object, status: Object, was: Object, found: Found) -> None:
    spec = new.get("spec") or {}
    for kind in ("Failed", "Complete", "FailureTarget"):
        if _is(was, kind) and not _is(status, kind):
            found.append(_against_conditions(f"cannot disable the terminal {kind}=True condition"))
    scales = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    for field in ("failed", *(() if scales else ("succeeded",))):
        if (status.get(field) or 0) < (was.get(field) or 0):
            found.append(invalid(f"status.{field}", status.get(field) or 0, f"cannot decrease the {field} counter"))
    when, start = status.get("completionTime"), status.get("startTime")
    if when and was.get("completionTime") and when != was["completionTime"]:
        found.append(invalid("status.completionTime", when, names.IMMUTABLE))
    resumes = _is(was, "Suspended") and _is(status, "Suspended", "False")
    if was.get("startTime") and start != was["startTime"] and not spec.get("suspend") and not resumes:
        found.append(invalid("status.startTime", start, "field is immutable for unsuspended job once set"))
    met, was_met = _is(status, "SuccessCriteriaMet"), _is(was, "SuccessCriteriaMet")
    if was_met and not met:
        found.append(_against_conditions("cannot disable the SuccessCriteriaMet=True condition"))
    if _is(was, "Complete") and not was_met and met:
        text = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        found.append(_against_conditions(text))
