"""The names of ``--enable-admission-plugins`` and ``--disable-admission-plugins``, kube-apiserver's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# what is always done here
BUILT_IN: Final = frozenset({"NamespaceLifecycle", "CertificateApproval", "CertificateSigning"})
ON: Final = frozenset(
    {
        "LimitRanger",
        "TaintNodesByCondition",
        "PodSecurity",
        "Priority",
        "DefaultTolerationSeconds",
        "DefaultStorageClass",
        "PersistentVolumeClaimResize",
        "RuntimeClass",
        "CertificateSubjectRestriction",
        "DefaultIngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionWebhook",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionWebhook",
        "ResourceQuota",
    }
)
# Karmada turns the first two off, and kube-apiserver the others
OFF: Final = frozenset(
    {
        "ServiceAccount",
        "StorageObjectInUseProtection",
        "AlwaysPullImages",
        "DenyServiceExternalIPs",
        "ExtendedResourceToleration",
    }
)
PLUGINS: Final = BUILT_IN | ON | OFF


def in_force(enabled: Iterable[str] = (), disabled: Iterable[str] = ()) -> frozenset[str]:
    return (ON | set(enabled)) - set(disabled)
