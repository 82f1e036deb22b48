from __future__ import annotations

import re
from pathlib import Path

import pytest

from kafila.core.feature_gates import DEFAULT_GATES, KNOWN, GateError, parse_gates

_NAMES_OF_SOMETHING_ELSE = {"MultiClusterService", "WorkloadAffinity"}  # a kind, a filter of the scheduler


def test_defaults() -> None:
    assert {
        "GracefulEviction",
        "PropagateDeps",
        "CustomizedClusterResourceModeling",
        "PriorityBasedScheduling",
        "LoggingBetaOptions",
        "ContextualLogging",
        "ControllerPriorityQueue",
    } == DEFAULT_GATES
    assert parse_gates("") == DEFAULT_GATES


def test_all_alpha_and_all_beta() -> None:
    assert parse_gates("AllAlpha=true,AllBeta=true") == set(KNOWN)
    assert parse_gates("AllBeta=false") == set()
    assert set(KNOWN) - parse_gates("AllAlpha=true") == {"Failover"}


@pytest.mark.parametrize("flag", ["WorkloadAffinity=false,AllAlpha=true", " AllAlpha=true , WorkloadAffinity = false "])
def test_a_gate_named_by_itself_wins(flag: str) -> None:
    gates = parse_gates(flag)
    assert "WorkloadAffinity" not in gates
    assert "MultiClusterService" in gates


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("Nonsense=true", "unrecognized feature gate: Nonsense"),
        ("Failover", "missing bool value for Failover"),
        (
            "Failover=yes",
            'invalid value of Failover=yes, err: strconv.ParseBool: parsing "yes": invalid syntax',
        ),
    ],
)
def test_wrong_flags(flag: str, message: str) -> None:
    with pytest.raises(GateError) as error:
        parse_gates(flag)
    assert str(error.value) == message


def test_the_table_in_the_documentation_is_this_one() -> None:
    page = (Path(__file__).parents[3] / "docs/operations.md").read_text()
    table = page[page.index("### Feature gates") :]
    written = re.findall(r"^\| `(\w+)` \| (alpha|beta) \| (on|off) \|", table[: table.index("## ", 4)], re.M)
    assert written == [
        (name, gate.stage.lower(), "on" if gate.default else "off") for name, gate in sorted(KNOWN.items())
    ]


def test_no_other_module_has_a_table_of_gates() -> None:
    app = Path(__file__).parents[3] / "app/kafila"
    named = re.compile("|".join(rf'"{name}"' for name in KNOWN if name not in _NAMES_OF_SOMETHING_ELSE))
    others = [path for path in app.rglob("*.py") if named.search(path.read_text())]
    assert others == [app / "core/feature_gates.py"]
