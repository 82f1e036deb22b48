from __future__ import annotations

import pytest

from kafila.settings.gates import KNOWN, GateError, Gates, help_lines, parse_gates


def test_defaults() -> None:
    on = {name for name, value in Gates().items() if value}
    assert on == {
        "GracefulEviction",
        "PropagateDeps",
        "CustomizedClusterResourceModeling",
        "PriorityBasedScheduling",
        "LoggingBetaOptions",
        "ContextualLogging",
        "ControllerPriorityQueue",
    }
    assert parse_gates("") == Gates()


def test_all_alpha_and_all_beta() -> None:
    assert all(parse_gates("AllAlpha=true,AllBeta=true").values())
    assert {n for n, v in parse_gates("AllBeta=false").items() if v} == set()
    alpha = parse_gates("AllAlpha=true")
    assert {n for n, gate in KNOWN.items() if not alpha[n]} == {"Failover"}


@pytest.mark.parametrize("flag", ["WorkloadAffinity=false,AllAlpha=true", " AllAlpha=true , WorkloadAffinity = false "])
def test_a_gate_named_by_itself_wins(flag: str) -> None:
    gates = parse_gates(flag)
    assert not gates["WorkloadAffinity"]
    assert gates["MultiClusterService"]


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


def test_help_names_every_gate() -> None:
    lines = help_lines()
    assert "Failover=true|false (BETA - default=false)" in lines
    assert len(lines) == len(KNOWN) + 2
