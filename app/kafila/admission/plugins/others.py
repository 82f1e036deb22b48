"""Small plugins about other kinds: DefaultIngressClass, DenyServiceExternalIPs, CertificateSubjectRestriction."""

from __future__ import annotations

from typing import Final

from kafila.catalog.builtin.validation.certificates import organizations_of

from .attributes import Attributes, Lookups
from .storage import annotated

MOST_BOUNDS: Final = 100  # quotas of a namespace, and limit ranges
_CLIENTS: Final = "kubernetes.io/kube-apiserver-client"  # the signer of certificates that this API server believes
_MASTERS: Final = "system:masters"
_INGRESS_DEFAULT: Final = "ingressclass.kubernetes.io/is-default-class"


def default_ingress_class(asked: Attributes, look: Lookups) -> None:
    spec = asked.new.setdefault("spec", {})
    annotations = asked.new["metadata"].get("annotations") or {}
    if asked.old is None and spec.get("ingressClassName") is None and "kubernetes.io/ingress.class" not in annotations:
        name = annotated(look.objects("ingressclasses.networking.k8s.io"), (_INGRESS_DEFAULT,))
        if name is not None:
            spec["ingressClassName"] = name


def check_number(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    """Each of these is read at every write that it may bound, so a namespace has a bounded number of them."""
    if asked.old is None:
        there = sum(1 for _ in look.within(asked.kind.resource, asked.namespace))
        if there >= MOST_BOUNDS:
            raise asked.refused(f"a namespace has at most {MOST_BOUNDS} {asked.kind.plural}")
    return ()


def check_external_ips(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    """Whoever may name an external IP can take others' traffic (CVE-2020-8554): those that are there may stay."""
    given = (asked.new.get("spec") or {}).get("externalIPs") or ()
    before = ((asked.old or {}).get("spec") or {}).get("externalIPs") or ()
    if not set(given) <= set(before):
        raise asked.refused("Use of external IPs is denied by admission control")
    return ()


def check_subject(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    """CertificateSubjectRestriction: nobody asks for a certificate with which he may do everything, whoever approves it."""
    spec = asked.new.get("spec") or {}
    if (
        asked.old is None
        and spec.get("signerName") == _CLIENTS
        and _MASTERS in organizations_of(spec.get("request") or "")
    ):
        raise asked.refused(f"use of {_CLIENTS} signer with {_MASTERS} group is not allowed")
    return ()
