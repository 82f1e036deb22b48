"""kustomize.toolkit.fluxcd.io/v1 Kustomization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.references import References
from kafila.placement.interpreter.thirdparty.statuses import reflecting
from kafila.placement.interpreter.thirdparty.values import at

from .common import add_texts, ready, retain, summed

_REVISIONS: Final = ("lastAppliedRevision", "lastAttemptedRevision")


def _start(status: Mapping[str, Any]) -> dict[str, Any]:
    return {field: status.get(field) for field in _REVISIONS}


def _add(found: dict[str, Any], member: Any) -> None:
    add_texts(found, member, *_REVISIONS)


def _dependencies(obj: Any) -> Any:
    found, spec = References(), at(obj, "spec")
    for field in ("decryption", "kubeConfig"):
        user = at(spec, field)
        if user is not None:
            found.add_secret(at(user, "secretRef"))
    found.add_named("ServiceAccount", at(spec, "serviceAccountName"))
    return found.of(obj)


KUSTOMIZATION: Final = ThirdParty(
    retain=retain,
    aggregate=summed(_start, _add, when_nowhere=dict.fromkeys(_REVISIONS, "")),
    reflect=reflecting("conditions", *_REVISIONS, "observedGeneration", with_generations=True),
    health=ready("ReconciliationSucceeded"),
    dependencies=_dependencies,
)
