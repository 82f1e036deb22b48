"""How a member behaves, and what its Cluster says of that."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.cluster_conditions import CLOCK, PERMITTED, RESPONSIVE, Figures, figures_of, responds, step
from kafila.members.conduct import LASTING, RECENT, Conduct, Missing, missing_permission
from kafila.members.reporting import conditions, news, with_conditions

WALL = 1_790_000_000.0
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"  # the same time


def refusal(message: str) -> bytes:
    return orjson.dumps({"kind": "Status", "status": "Failure", "message": message, "code": 403})


USER = 'User "system:serviceaccount:karmada-cluster:karmada-m1"'
DENIED = refusal(
    f'deployments.apps is forbidden: {USER} cannot create resource "deployments" in API group "apps" in the namespace "d"'
)


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        (DENIED, Missing("create", "deployments.apps", "d")),
        (
            refusal(f'pods is forbidden: {USER} cannot list resource "pods" in API group "" at the cluster scope'),
            Missing("list", "pods", ""),
        ),
        (refusal(f'forbidden: {USER} cannot get path "/metrics"'), Missing("get", "/metrics", "")),
        (refusal('pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'), None),
        (refusal('admission webhook "w" denied the request: you cannot have it'), None),
        (b"<html>403</html>", None),
        (b"[]", None),
        (orjson.dumps({"message": ["cannot"]}), None),
    ],
)
def test_what_is_not_permitted_is_told_from_what_is_refused(body: bytes, missing: Missing | None) -> None:
    assert missing_permission(body) == missing


def test_a_permission_that_was_given_is_not_missing_any_more() -> None:
    conduct = Conduct()
    conduct.answered("POST /deployments", 403, DENIED, 0.0)
    conduct.answered("GET /pods", 403, refusal('cannot list resource "pods" in API group ""'), 100.0)
    assert [str(each) for each in conduct.missing(100.0)] == ["create deployments.apps", "list pods"]
    conduct.answered("POST /deployments", 201, b"", 101.0)
    assert [str(each) for each in conduct.missing(101.0)] == ["list pods"]
    assert conduct.missing(100.0 + LASTING + 1) == []


def test_the_clocks_differ_by_what_the_exchange_does_not_explain() -> None:
    conduct = Conduct()
    conduct.probed(3.0, {"Date": DATE}, WALL + 3.0)
    assert conduct.skew == 0.0
    conduct.probed(0.0, {"date": DATE}, WALL + 601.0)
    assert conduct.skew == -600.0
    conduct.probed(0.0, {"Date": DATE}, WALL - 600.0)
    assert conduct.skew == 600.0
    for nonsense in ("", "yesterday", "Mon, 99 Sep 99999 99:99:99 GMT"):
        conduct.probed(0.0, {"Date": nonsense}, WALL - 600.0)
        assert conduct.skew == 0.0


def test_what_is_said_of_a_member() -> None:
    conduct = Conduct()

    def said(kind: str, waiting: int = 0, now: float = 0.0) -> tuple[str, str] | None:
        found = conditions(conduct, waiting, now)[kind]
        return (found["reason"], found["message"]) if found else None

    conduct.probed(0.012, {"Date": DATE}, WALL)
    assert said(RESPONSIVE, waiting=3) == ("Responding", "answers within 20ms; up to 5 changes wait")
    assert said(CLOCK) is None
    assert said(PERMITTED) is None
    for _ in range(7):
        conduct.answered("GET /pods", 503, b"", 0.0)
    assert said(RESPONSIVE) == (
        "Erring",
        "up to 10 requests failed there in the last minute, the last: GET /pods: 503; answers within 20ms; 0 changes wait",
    )
    conduct.answered("GET /pods", 429, b"", 30.0)
    assert (said(RESPONSIVE, now=30.0) or ("",))[0] == "Throttled"
    assert (said(RESPONSIVE, now=31.0 + RECENT) or ("",))[0] == "Responding"
    for _ in range(6):
        conduct.probed(2.5, {"Date": DATE}, WALL - 90.0)
    assert said(RESPONSIVE, now=200.0) == ("Slow", "it answers slowly; answers within 5000ms; 0 changes wait")
    assert (said(CLOCK) or ("", ""))[1].startswith("the member's clock is 90s ahead of ours: tokens")
    conduct.ours = -90.0  # it is the clock of the agent who looks that is wrong
    assert (said(CLOCK) or ("", ""))[1].startswith("its agent's clock is 90s behind ours: tokens")
    conduct.ours = 3600.0
    told = "the member's clock is 61m ahead of ours, its agent's clock is 60m ahead of ours: tokens"
    assert (said(CLOCK) or ("", ""))[1].startswith(told)
    conduct.ours = 0.0
    conduct.answered("POST /deployments", 403, DENIED, 200.0)
    assert (said(PERMITTED, now=200.0) or ("", ""))[1].startswith("our account may not create deployments.apps there")


def test_figures_are_written_now_and_then_and_troubles_at_once() -> None:
    conduct = Conduct()
    conduct.probed(0.012, {"Date": DATE}, WALL)
    first = with_conditions({}, conditions(conduct, 0, 0.0), WALL, reword=False)
    assert [c["type"] for c in first["conditions"]] == [RESPONSIVE]
    same = with_conditions(first, conditions(conduct, 9, 0.0), WALL + 1, reword=False)
    assert same is first
    later = with_conditions(first, conditions(conduct, 9, 0.0), WALL + 1, reword=True)
    assert later["conditions"][0]["message"] == "answers within 20ms; up to 10 changes wait"
    assert news(first["conditions"], later["conditions"]) == []
    conduct.answered("POST /deployments", 403, DENIED, 0.0)
    trouble = with_conditions(first, conditions(conduct, 9, 0.0), WALL + 1, reword=False)
    assert [c["reason"] for c in news(first["conditions"], trouble["conditions"])] == ["Forbidden"]
    assert news(trouble["conditions"], trouble["conditions"]) == []
    conduct.answered("POST /deployments", 200, b"", 0.0)
    over = with_conditions(trouble, conditions(conduct, 0, 0.0), WALL + 2, reword=False)
    assert [c["type"] for c in over["conditions"]] == [RESPONSIVE]
    assert with_conditions(over, {RESPONSIVE: None}, WALL + 3, reword=False)["conditions"] == []


def test_an_answer_that_is_quicker_is_written_when_it_is_much_quicker() -> None:
    def after(seconds: float) -> str:
        conduct = Conduct()
        conduct.probed(seconds, {"Date": DATE}, WALL)
        now = with_conditions(first, conditions(conduct, 0, 0.0), WALL + 100, reword=True)
        return str(now["conditions"][0]["message"])

    conduct = Conduct()
    conduct.probed(0.045, {"Date": DATE}, WALL)
    first = with_conditions({}, conditions(conduct, 0, 0.0), WALL, reword=False)
    found = {seconds: after(seconds) for seconds in (0.006, 0.05, 0.06, 0.004)}
    assert found == {
        0.006: "answers within 50ms; 0 changes wait",
        0.05: "answers within 50ms; 0 changes wait",
        0.06: "answers within 100ms; 0 changes wait",
        0.004: "answers within 5ms; 0 changes wait",
    }


@given(st.floats(0, 1e9), st.integers(0, 10**9))
def test_figures_are_read_as_they_were_written(latency: float, waiting: int) -> None:
    figures = Figures(step(latency), step(waiting))
    assert figures_of(f"something; {responds(figures)}") == figures
    assert figures.milliseconds >= min(latency, 5_000_000)
    assert figures.milliseconds <= max(latency * 2.5, 1)
