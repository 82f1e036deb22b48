"""Which plugins there are, in the order in which they are asked, and which of them are on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from . import limit_ranger, others, pods, service_accounts, storage
from .attributes import Mutator, Validator
from .pods import PRIORITY_CLASSES
from .podsecurity import plugin as pod_security

_CERTIFICATE_REQUESTS: Final = "certificatesigningrequests.certificates.k8s.io"


class Plugin(NamedTuple):
    """Its rules by the resource that they are about."""

    name: str
    mutators: Mapping[str, Mutator] = {}
    validators: Mapping[str, Validator] = {}


# in the order of kube-apiserver
PLUGINS: Final = (
    Plugin("LimitRanger", {"pods": limit_ranger.default}, dict.fromkeys(limit_ranger.RESOURCES, limit_ranger.check)),
    Plugin("ServiceAccount", {"pods": service_accounts.run_as}, {"pods": service_accounts.check}),
    Plugin("TaintNodesByCondition", {"nodes": pods.taint_new_node}),
    Plugin("AlwaysPullImages", {"pods": pods.pull_always}, {"pods": pods.check_pull_always}),
    Plugin("PodSecurity", {}, dict.fromkeys(pod_security.RESOURCES, pod_security.check)),
    Plugin("Priority", {"pods": pods.prioritize}, {PRIORITY_CLASSES: pods.one_default_class}),
    Plugin("DefaultTolerationSeconds", {"pods": pods.tolerate_for_a_while}),
    Plugin("ExtendedResourceToleration", {"pods": pods.tolerate_extended_resources}),
    Plugin("DefaultStorageClass", {"persistentvolumeclaims": storage.default_class}),
    Plugin(
        "StorageObjectInUseProtection",
        dict.fromkeys(("persistentvolumes", "persistentvolumeclaims"), storage.protect),
    ),
    Plugin("PersistentVolumeClaimResize", {}, {"persistentvolumeclaims": storage.check_expansion}),
    Plugin("RuntimeClass", {"pods": pods.run_as_class}, {"pods": pods.check_overhead}),
    Plugin("CertificateSubjectRestriction", {}, {_CERTIFICATE_REQUESTS: others.check_subject}),
    Plugin("DefaultIngressClass", {"ingresses.networking.k8s.io": others.default_ingress_class}),
    Plugin("DenyServiceExternalIPs", {}, {"services": others.check_external_ips}),
)
# what is asked whatever plugins are on
ALWAYS: Final = Plugin(
    "",
    {},
    {
        "resourceclaims.resource.k8s.io": storage.check_admin_access,
        "resourceclaimtemplates.resource.k8s.io": storage.check_admin_access,
        "resourcequotas": others.check_number,
        "limitranges": others.check_number,
    },
)


class Rules(NamedTuple):
    mutators: Mapping[str, tuple[Mutator, ...]]
    validators: Mapping[str, tuple[Validator, ...]]


def rules_of(names: Iterable[str]) -> Rules:
    """The rules of the plugins that are on, by resource."""
    on = set(names)
    mutators: dict[str, tuple[Mutator, ...]] = {}
    validators: dict[str, tuple[Validator, ...]] = {}
    for plugin in (ALWAYS, *(plugin for plugin in PLUGINS if plugin.name in on)):
        for resource, mutator in plugin.mutators.items():
            mutators[resource] = (*mutators.get(resource, ()), mutator)
        for resource, validator in plugin.validators.items():
            validators[resource] = (*validators.get(resource, ()), validator)
    return Rules(mutators, validators)
