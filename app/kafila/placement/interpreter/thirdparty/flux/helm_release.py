"""helm.toolkit.fluxcd.io/v2beta1 HelmRelease."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.references import References
from kafila.placement.interpreter.thirdparty.statuses import added, reflecting
from kafila.placement.interpreter.thirdparty.values import at, find, number, numbered

from .common import add_texts, ready, retain, summed

_TEXTS: Final = ("lastAttemptedRevision", "lastAppliedRevision", "lastAttemptedValuesChecksum", "helmChart")
_RELEASE: Final = "lastReleaseRevision"
_FAILURES: Final = ("failures", "upgradeFailures", "installFailures")


def _start(status: Mapping[str, Any]) -> dict[str, Any]:
    """Failures are counted only where the template has a counter.

    They are those of the members. Karmada adds them to what the template has already, so that they grow with each look.
    """
    found = {field: status.get(field) for field in (*_TEXTS, _RELEASE)}
    for field in _FAILURES:
        if status.get(field) is not None:
            number(status[field], field)
            found[field] = 0
    return found


def _add(found: dict[str, Any], member: Any) -> None:
    add_texts(found, member, *_TEXTS)
    release = at(member, _RELEASE)
    if release is not None:
        found[_RELEASE] = release
    for field in _FAILURES:
        if field in found:
            found[field] = added(found[field], member, field)


def _dependencies(obj: Any) -> Any:
    found, spec = References(), at(obj, "spec")
    sources = at(spec, "valuesFrom")
    for source in numbered(sources, "valuesFrom") if sources is not None else ():
        if at(source, "kind") in ("Secret", "ConfigMap"):
            found.add(source["kind"], at(source, "name"))
    found.add_secret(find(spec, "chart", "spec", "verify", "secretRef"))
    found.add_secret(find(spec, "kubeConfig", "secretRef"))
    found.add_named("ServiceAccount", at(spec, "serviceAccountName"))
    return found.of(obj)


HELM_RELEASE: Final = ThirdParty(
    retain=retain,
    aggregate=summed(
        _start, _add, when_nowhere={**dict.fromkeys((*_TEXTS, _RELEASE), ""), **dict.fromkeys(_FAILURES, 0)}
    ),
    reflect=reflecting("conditions", "observedGeneration", *_TEXTS, _RELEASE, *_FAILURES, with_generations=True),
    health=ready("ReconciliationSucceeded"),
    dependencies=_dependencies,
)
