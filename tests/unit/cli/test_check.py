"""What ``kafila check`` looks into; what becomes of kinds that a member refuses: tests/attack/test_check.py."""

from __future__ import annotations

from kafila.cli.check import _kinds
from kafila.core.values import Object


def member(*served: tuple[str, str, str]) -> Object:
    """``served``: groupVersion, kind, resource."""
    enabled = [{"groupVersion": gv, "resources": [{"kind": kind, "name": name}]} for gv, kind, name in served]
    return {"metadata": {"name": "m1"}, "status": {"apiEnablements": enabled}}


def test_records_of_a_member_are_no_objects() -> None:
    served = ("audit.kafila.io/v1alpha1", "AuditRecord", "auditrecords"), ("v1", "ConfigMap", "configmaps")
    assert list(_kinds(member(*served))) == [("", "ConfigMap", "v1", "configmaps")]
