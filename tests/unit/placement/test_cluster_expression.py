from __future__ import annotations

import pytest

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.cluster_expression import ANNOTATION, LONGEST, MOST_COST, PATH, Outcome, outcome, problems
from kafila.placement.explain.explain import explain
from kafila.placement.explain.report import Evidence
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot
from kafila.placement.scheduler.filters import ALLOWED, EXPRESSION, NO_ANSWER, NOT_BY_EXPRESSION, Rejection, feasible
from kafila.placement.scheduler.reschedule import RescheduleReason, should_schedule
from kafila.placement.scheduler.schedule import schedule, with_result, with_status
from tests.unit.placement.objects import binding, cluster, deployment

NESTED = "cluster.status.apiEnablements.all(a, " * 12 + "true" + ")" * 12


def member(name: str, **spec: str) -> Object:
    made = cluster(name, **spec)
    made["status"]["apiEnablements"] *= 3
    made["status"]["kubernetesVersion"] = "v1.34.1"
    return made


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cluster.spec.provider == 'own'", Outcome(True)),
        ("cluster.spec.provider in ['aws', 'gcp']", Outcome(False)),
        ("cluster.metadata.name.startsWith('m')", Outcome(True)),
        ("semver(cluster.status.kubernetesVersion, true).isLessThan(semver('1.35.0'))", Outcome(True)),
        ("quantity(cluster.status.resourceSummary.allocatable.cpu).isGreaterThan(quantity('64'))", Outcome(True)),
        ("has(cluster.spec.region) && cluster.spec.region == 'eu'", Outcome(False)),
        ("cluster.spec.region == 'eu'", Outcome(False, "no such key: region")),
        ("cluster.spec.region == 'eu' || true", Outcome(True)),
        ("cluster.spec.provider", Outcome(False, "its value is neither true nor false")),
        (NESTED, Outcome(False, f"it costs more than {MOST_COST}")),
        ("1 + 1", Outcome(False, "must evaluate to bool, not int")),
        ("x" * (LONGEST + 1), Outcome(False, f"must be no longer than {LONGEST} characters")),
    ],
)
def test_what_it_says_of_a_cluster(text: str, found: Outcome) -> None:
    assert outcome(text, member("m1", provider="own")) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cluster.", "compilation failed: ERROR: <input>:1:9: Syntax error"),
        ("object.spec.provider == 'own'", "undeclared reference to 'object'"),
        ("cluster.spec.size() == 'a'", "found no matching overload for '_==_'"),
        ("'own'", "must evaluate to bool, not string"),
        ("", "compilation failed"),
        ("x" * (LONGEST + 1), f"must be no longer than {LONGEST} characters"),
        ("(" * 500 + "true" + ")" * 500, "expression recursion limit exceeded"),
        ("cluster.metadata.name.matches('(a')", "invalid matches argument"),
    ],
)
def test_what_does_not_compile_says_why(text: str, said: str) -> None:
    (found,) = problems(text)
    assert found.field == PATH
    assert said in str(found)


FLEET = [member("m1", provider="own"), member("m2", provider="aws"), member("m3")]
TEXT = "cluster.spec.provider == 'own'"


def wanted(text: str = TEXT, *there: str, **placement: object) -> Object:
    made = binding(2, placement, clusters=[{"name": name, "replicas": 2} for name in there])
    made["metadata"]["annotations"] = {ANNOTATION: text}
    return made


def test_the_scheduler_leaves_out_what_does_not_match() -> None:
    decision = schedule(wanted(), FLEET)
    assert [each["name"] for each in decision.clusters or ()] == ["m1"]
    assert decision.attempts[0].rejected == {
        "m2": Rejection(EXPRESSION, NOT_BY_EXPRESSION),
        "m3": Rejection(EXPRESSION, NO_ANSWER),
    }


def test_where_nothing_matches_the_condition_says_so() -> None:
    decision = schedule(wanted(), FLEET[1:])
    assert decision.condition["reason"] == constants.REASON_NO_CLUSTER_FIT
    assert decision.condition["message"] == (
        "0/2 clusters are available: 1 cluster(s) did not match the cluster expression, "
        "1 cluster(s) failed to evaluate the cluster expression."
    )


def test_it_is_asked_besides_each_group_of_affinities() -> None:
    terms = [{"affinityName": "a", "clusterNames": ["m2"]}, {"affinityName": "b", "clusterNames": ["m1", "m2"]}]
    decision = schedule(wanted(clusterAffinities=terms), FLEET)
    assert (decision.affinity, [each["name"] for each in decision.clusters or ()]) == ("b", ["m1"])


def test_what_gives_no_answer_any_more_takes_nothing_away() -> None:
    decision = schedule(wanted(TEXT, "m2", "m3"), FLEET)
    assert {each["name"] for each in decision.clusters or ()} == {"m1", "m3"}


def test_another_expression_is_another_decision() -> None:
    made = wanted()
    placed = with_result(made, schedule(made, FLEET))
    placed["metadata"]["annotations"][ANNOTATION] = "true"
    assert should_schedule(placed) is RescheduleReason.PLACEMENT_CHANGED
    snapshot = ClusterSnapshot(map(ClusterInfo, FLEET))
    assert len(feasible(made["spec"], "", snapshot, expression=TEXT)[0]) == 1
    assert len(feasible(made["spec"], "", snapshot, expression="true")[0]) == 3


def test_a_cluster_remembers_its_answer_and_knows_when_it_is_another() -> None:
    before = ClusterInfo(member("m1", provider="aws"))
    assert not before.knows(TEXT)
    assert not before.outcome(TEXT).matches
    assert before.knows(TEXT)
    now = ClusterInfo(member("m1", provider="own"))
    now.take_over(before)
    assert now.asked_again(16)
    other = ClusterInfo(member("m1", provider="gcp"))
    other.take_over(before)
    assert (other.asked_again(16), other.to_ask) == (False, {})


def test_what_did_not_change_is_not_asked_again() -> None:
    before = ClusterInfo(member("m1", provider="aws"))
    before.outcome(TEXT)
    reported = member("m1", provider="aws")
    reported["metadata"]["resourceVersion"] = "2"
    reported["spec"]["apiEndpoint"] = "https://another"
    now = ClusterInfo(reported)
    now.take_over(before)
    assert now.knows(TEXT)
    assert not now.to_ask


def test_each_that_did_not_match_is_asked_again_however_many_there_are() -> None:
    before = ClusterInfo(member("m1", provider="aws"))
    texts = [f"cluster.spec.provider == 'p{index}'" for index in range(40)]
    for text in texts:
        before.outcome(text)
    between, now = ClusterInfo(member("m1", provider="gcp")), ClusterInfo(member("m1", provider="p39"))
    between.take_over(before)
    assert not between.asked_again(16)
    now.take_over(between)  # changed again before all were asked
    assert [now.asked_again(16) for _ in range(3)].count(True) == 1
    assert not now.to_ask


def test_expressions_that_nobody_asks_any_more_do_not_add_up() -> None:
    info = ClusterInfo(member("m1", provider="aws"))
    for change in range(5):
        for index in range(100):
            info.outcome(f"cluster.spec.provider == 'p{change}-{index}'")
        now = ClusterInfo(member("m1", provider=f"aws{change}"))
        now.take_over(info)
        info = now
    assert len(info.to_ask) <= 256
    assert info.asked_again(0)  # some are forgotten


def test_one_that_was_forgotten_may_match_now() -> None:
    before = ClusterInfo(member("m1", provider="aws"))
    for index in range(300):
        before.outcome(f"cluster.spec.provider == 'p{index}'")
    now = ClusterInfo(member("m1", provider="gcp"))
    now.take_over(before)
    assert [now.asked_again(0), now.asked_again(0)] == [True, False]


@pytest.mark.parametrize(
    "field",
    [
        "spec.proxyHeader.Authorization",
        "spec.proxyURL",
        "spec.secretRef.name",
        "spec.apiEndpoint",
        "metadata.annotations['a']",
    ],
)
def test_it_does_not_see_how_the_cluster_is_reached(field: str) -> None:
    made = member("m1")
    made["metadata"]["annotations"] = {"a": "secret"}
    made["spec"] |= {"proxyHeader": {"Authorization": "secret"}, "proxyURL": "secret", "apiEndpoint": "secret"}
    made["spec"]["secretRef"] = {"name": "secret", "namespace": "karmada-cluster"}
    assert outcome(f"cluster.{field}.startsWith('s')", made).error.startswith("no such key")


def test_nor_what_a_condition_says_in_words() -> None:
    made = member("m1")
    made["status"]["conditions"] = [{"type": "Ready", "status": "True", "reason": "R", "message": "http://inside"}]
    assert outcome("cluster.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", made).matches
    assert outcome("cluster.status.conditions.exists(c, has(c.message))", made) == Outcome(False)


def test_of_a_cluster_that_the_namespace_may_not_use_nothing_else_is_said() -> None:
    made = wanted()
    _, rejected = feasible(made["spec"], "", FLEET, allowed=frozenset({"m2"}), expression=TEXT)
    assert {name: rejection.filter for name, rejection in rejected.items()} == {
        "m1": ALLOWED,
        "m2": EXPRESSION,
        "m3": ALLOWED,
    }


@pytest.mark.parametrize("levels", [3, 12])
def test_values_that_share_their_parts_take_no_longer_than_others(levels: int) -> None:
    """A map of two times the same map, and so on: compared it is as big as 2 to that power, and costs next to nothing in cel-go."""
    names = [f"v{index}" for index in range(levels)]
    inner = "&&".join([f"{names[-1]}=={names[-1]}"] * 40)
    for outer, name in zip(names[-2::-1], names[:0:-1], strict=True):
        inner = f"[{{1:{outer},2:{outer}}}].all({name},{inner})"
    text = f"[1].all(v0,{inner})"
    expected = Outcome(True) if levels == 3 else Outcome(False, f"it costs more than {MOST_COST}")
    assert outcome(text, member("m1")) == expected


def test_kafila_why_tells_what_it_is_in_each_cluster() -> None:
    made = wanted()
    decision = schedule(made, FLEET[1:])
    made = {**made, "status": with_status(made, decision, 1)}
    report = explain(
        Evidence("Deployment", "default", "nginx", deployment(), [], binding=made, clusters=FLEET[1:]),
    )
    said = {each.problem: each.remedy for each in report.advice}
    assert f"m2: ClusterExpression: {TEXT}: is not true of it." in said
    assert f"m3: ClusterExpression: {TEXT}: no such key: provider." in said
    assert all(f"annotation {ANNOTATION} of the policy" in remedy for name, remedy in said.items() if TEXT in name)
