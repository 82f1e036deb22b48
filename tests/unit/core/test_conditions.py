from kafila.core.conditions import condition, find, is_true, with_condition


def test_transition_time_moves_with_the_status_only() -> None:
    first = with_condition(None, condition("Ready", "True", "A", "a"), now=0)
    assert first == [
        {"type": "Ready", "status": "True", "reason": "A", "message": "a", "lastTransitionTime": "1970-01-01T00:00:00Z"}
    ]
    same = with_condition(first, condition("Ready", "True", "B", "b", 3), now=60)
    assert same[0]["lastTransitionTime"] == "1970-01-01T00:00:00Z"
    assert (same[0]["reason"], same[0]["observedGeneration"]) == ("B", 3)
    changed = with_condition(same, condition("Ready", "False", "B", "b"), now=60)
    assert changed[0]["lastTransitionTime"] == "1970-01-01T00:01:00Z"
    assert "observedGeneration" not in changed[0]
    assert first[0]["reason"] == "A"


def test_others_are_kept_in_order() -> None:
    found = with_condition([{"type": "X", "status": "True"}], condition("Y", "False", "", ""))
    assert [each["type"] for each in found] == ["X", "Y"]
    assert is_true(found, "X")
    assert not is_true(found, "Y")
    assert find(found, "Z") is None


def test_a_condition_may_bring_its_own_time() -> None:
    own = {**condition("Ready", "True", "A", "a"), "lastTransitionTime": "1970-01-01T00:00:07Z"}
    first = with_condition([], own, now=60)
    assert first == [own]
    same = with_condition(first, {**own, "lastTransitionTime": "1970-01-01T00:00:09Z"}, now=60)
    assert same == first
    changed = with_condition(first, {**own, "status": "False", "lastTransitionTime": "1970-01-01T00:00:09Z"}, now=60)
    assert changed[0]["lastTransitionTime"] == "1970-01-01T00:00:09Z"
