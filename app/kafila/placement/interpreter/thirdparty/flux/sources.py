"""source.toolkit.fluxcd.io: GitRepository, Bucket, HelmChart, HelmRepository, OCIRepository.

They differ in the fields of their statuses and in what they refer to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.references import References
from kafila.placement.interpreter.thirdparty.statuses import reflecting
from kafila.placement.interpreter.thirdparty.values import at

from .common import add_texts, ready, retain, summed


def _aggregating(*texts: str) -> Callable[[Any, Any], Any]:
    """Artifact and texts are those of the last member that has them."""
    nothing = {"artifact": {}, **dict.fromkeys(texts, "")}

    def add(found: dict[str, Any], member: Any) -> None:
        artifact = at(member, "artifact")
        if artifact is not None:
            found["artifact"] = artifact
        add_texts(found, member, *texts)

    return summed(lambda status: dict(nothing), add, when_nowhere=nothing)


def _of_secrets(*paths: tuple[str, ...]) -> Callable[[Any], Any]:
    """References to the Secrets that these fields of the spec name."""

    def dependencies(obj: Any) -> Any:
        return _secrets(obj, *paths).of(obj)

    return dependencies


def _secrets(obj: Any, *paths: tuple[str, ...]) -> References:
    found, spec = References(), at(obj, "spec")
    for *parents, last in paths:
        parent = spec
        for field in parents:
            parent = at(parent, field)
            if parent is None:
                break
        else:
            found.add_secret(at(parent, last))
    return found


def _of_oci_repository(obj: Any) -> Any:
    """Karmada's script fails where no service account is named; here that is no reference."""
    found = _secrets(obj, _SECRET, _VERIFY, _CERTIFICATE)
    found.add_named("ServiceAccount", at(obj, "spec", "serviceAccountName"))
    return found.of(obj)


_SECRET: Final = ("secretRef",)
_VERIFY: Final = ("verify", "secretRef")
_CERTIFICATE: Final = ("certSecretRef",)
_SUCCEEDED: Final = ready("Succeeded")

GIT_REPOSITORY: Final = ThirdParty(
    retain=retain,
    aggregate=_aggregating(),
    reflect=reflecting(
        "conditions",
        "artifact",
        "observedGeneration",
        "observedIgnore",
        "observedRecurseSubmodules",
        with_generations=True,
    ),
    health=_SUCCEEDED,
    dependencies=_of_secrets(_SECRET, _VERIFY),
)
BUCKET: Final = ThirdParty(
    retain=retain,
    aggregate=_aggregating("url"),
    reflect=reflecting("conditions", "artifact", "observedIgnore", "observedGeneration", "url", with_generations=True),
    health=_SUCCEEDED,
    dependencies=_of_secrets(_SECRET),
)
HELM_CHART: Final = ThirdParty(
    retain=retain,
    aggregate=_aggregating("observedChartName", "observedSourceArtifactRevision", "url"),
    # Karmada's script has no observedGeneration either: it reads a variable that nobody sets
    reflect=reflecting(
        "artifact", "conditions", "observedChartName", "observedSourceArtifactRevision", "url", with_generations=True
    ),
    health=ready("Succeeded", "ChartPullSucceeded"),
    dependencies=_of_secrets(_VERIFY),
)
HELM_REPOSITORY: Final = ThirdParty(
    retain=retain,
    aggregate=_aggregating("url"),
    reflect=reflecting("artifact", "conditions", "observedGeneration", "url", with_generations=True),
    health=_SUCCEEDED,
    dependencies=_of_secrets(_SECRET),
)
OCI_REPOSITORY: Final = ThirdParty(
    retain=retain,
    aggregate=_aggregating("url"),
    reflect=reflecting(
        "artifact",
        "conditions",
        "url",
        "observedGeneration",
        "observedIgnore",
        "observedLayerSelector",
        with_generations=True,
    ),
    health=_SUCCEEDED,
    dependencies=_of_oci_repository,
)
