"""Recorded answers of Karmada 1.18.2 to random requests (oracle/generate.py): ours must be the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from kafila.placement.interpreter import NATIVE
from kafila.placement.override.apply import applied_annotations, apply_overrides
from kafila.placement.override.patch import OverrideError
from kafila.placement.scheduler.schedule import schedule

RECORDED = [json.loads(line) for line in (Path(__file__).parent / "karmada_answers.jsonl").read_text().splitlines()]


def recorded(operation: str) -> Any:
    found = [(each["request"], each["answer"]) for each in RECORDED if each["request"]["Op"] == operation]
    return pytest.mark.parametrize(("request_", "answer"), found, ids=map(str, range(len(found))))


@recorded("schedule")
def test_schedule(request_: dict[str, Any], answer: dict[str, Any]) -> None:
    decision = schedule({"spec": request_["Spec"], "status": request_["Status"]}, request_["Clusters"])
    assert decision.placement == answer["placement"]
    message = decision.failure.message if decision.failure else None
    if message is not None and message.startswith("0/"):
        # Karmada runs its filters in random order, so a cluster with several faults may show any of them.
        assert answer["error"].split(":")[0] == message.split(":")[0]
    else:
        assert message == answer.get("error")
        by_name = sorted(decision.clusters or (), key=lambda target: target["name"])
        assert by_name == sorted(answer["clusters"] or (), key=lambda target: target["name"])


@recorded("override")
def test_override(request_: dict[str, Any], answer: dict[str, Any]) -> None:
    if "error" in answer:
        with pytest.raises(OverrideError) as caught:
            apply_overrides(request_["Object"], request_["Cluster"], (), request_["OPs"])
        assert str(caught.value) == answer["error"]
        return
    found = apply_overrides(request_["Object"], request_["Cluster"], (), request_["OPs"])
    assert found.obj == answer["object"]
    assert applied_annotations(found).get("policy.karmada.io/applied-overrides") == answer.get("ops")


@recorded("aggregate")
def test_aggregate(request_: dict[str, Any], answer: dict[str, Any]) -> None:
    def numbers(status: dict[str, Any]) -> dict[str, Any]:
        return {field: value for field, value in status.items() if value}

    status = NATIVE.aggregate_status(request_["Object"], request_["Items"])["status"]
    assert numbers(status) == numbers(answer["status"])
