"""``status.typeChecking`` of ValidatingAdmissionPolicies, beside what the real kube-controller-manager wrote of the same policies."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kafila.admission.policies.typechecking import expression_warnings, kinds_of
from kafila.catalog.catalog import load_catalog

CATALOG = load_catalog()
RECORDED = [json.loads(line) for line in Path(__file__).with_name("type_checks.jsonl").read_text().splitlines()]
_NUMBERED = re.compile(r"([A-Z][A-Za-z]+)\d{3,9}\b")


def without_numbers(warnings: Any) -> Any:
    """Types have the nanoseconds of a clock behind their names."""
    return json.loads(_NUMBERED.sub(r"\1#", json.dumps(warnings)))


@pytest.mark.parametrize("case", RECORDED, ids=[case["name"] for case in RECORDED])
def test_the_words_of_kube_controller_manager(case: Any) -> None:
    found = expression_warnings(case["spec"], CATALOG, 123456789)
    assert without_numbers(found) == without_numbers(case["warnings"])


def test_ten_kinds_of_a_rule() -> None:
    resources = sorted({kind.plural for kind in CATALOG if kind.version == "v1"})
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": resources}
    assert len(kinds_of({"matchConstraints": {"resourceRules": [rule]}}, CATALOG)) == 10
