"""What holds for every binding and every fleet."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kafila.core.feature_gates import DEFAULT_GATES
from kafila.core.values import Object
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot
from kafila.placement.scheduler.plugins import SchedulerPlugin
from kafila.placement.scheduler.reschedule import should_schedule
from kafila.placement.scheduler.schedule import SchedulingContext, schedule, with_result, with_status
from tests.unit.placement.objects import binding, cluster

NAMES = [f"m{number}" for number in range(8)]
DYNAMIC = {"dynamicWeight": "AvailableReplicas"}


def divided(preference: str = "Weighted", weights: Object | None = None) -> Object:
    made = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": preference}
    return {**made, "weightPreference": weights} if weights else made


static = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 9)), min_size=1, max_size=4).map(
    lambda pairs: divided(
        weights={"staticWeightList": [{"targetCluster": {"clusterNames": [n]}, "weight": w} for n, w in pairs]}
    )
)
strategies = st.one_of(
    st.just(divided()), st.just(divided("Aggregated")), st.just(divided(weights=DYNAMIC)), static, st.none()
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Object]:
    found = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        taints = [{"key": "a", "effect": "NoSchedule"}] if draw(st.integers(0, 3)) == 0 else []
        pods = str(draw(st.integers(0, 40)))
        made = cluster(name, cpu=str(draw(st.integers(0, 40))), pods=pods, region=draw(st.sampled_from("abc")))
        made["spec"]["taints"] = taints
        if draw(st.integers(0, 9)) == 0:
            made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        found.append(made)
    return found


@st.composite
def placements(draw: st.DrawFn) -> Object:
    placement: Object = {}
    if draw(st.booleans()):
        placement["clusterAffinity"] = {"clusterNames": draw(st.lists(st.sampled_from(NAMES), min_size=1))}
    if draw(st.booleans()):
        placement["clusterTolerations"] = [{"operator": "Exists"}]
    if draw(st.booleans()):
        low = draw(st.integers(1, 3))
        placement["spreadConstraints"] = [
            {"spreadByField": "cluster", "minGroups": low, "maxGroups": low + draw(st.integers(0, 3))}
        ]
        if draw(st.booleans()):
            region = {"spreadByField": "region", "minGroups": draw(st.integers(1, 2)), "maxGroups": 3}
            placement["spreadConstraints"].append(region)
    strategy = draw(strategies)
    if strategy:
        placement["replicaScheduling"] = strategy
    return placement


def wanted(placement: Object, replicas: int, clusters: list[Object] | None = None) -> Object:
    requests = {"resourceRequest": {"cpu": "1"}}
    made = binding(replicas, placement, replicaRequirements=requests)
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default", "generation": 1}
    made["spec"]["resource"]["uid"] = "u"
    if clusters:
        made["spec"]["clusters"] = clusters
    return made


def is_divided(placement: Object) -> bool:
    return bool(placement.get("replicaScheduling"))


@given(fleets(), placements(), st.integers(1, 60))
def test_replicas_add_up_to_the_request(snapshot: list[Object], placement: Object, replicas: int) -> None:
    decision = schedule(wanted(placement, replicas), snapshot)
    if decision.failure is not None:
        assert decision.clusters in (None, [])
        return
    assert decision.clusters
    given = [target["replicas"] for target in decision.clusters]
    assert all(count > 0 for count in given)
    if is_divided(placement):
        assert sum(given) == replicas
    else:
        assert set(given) == {replicas}


@given(fleets(), placements(), st.integers(1, 60))
def test_nothing_goes_where_it_must_not(snapshot: list[Object], placement: Object, replicas: int) -> None:
    decision = schedule(wanted(placement, replicas), snapshot)
    by_name = {each["metadata"]["name"]: each for each in snapshot}
    allowed = (placement.get("clusterAffinity") or {}).get("clusterNames", NAMES)
    for target in decision.clusters or ():
        found = by_name[target["name"]]
        assert target["name"] in allowed
        assert not found["metadata"].get("deletionTimestamp")
        assert not found["spec"]["taints"] or placement.get("clusterTolerations")
    (attempt,) = decision.attempts
    told = {candidate.name for candidate in attempt.candidates} | attempt.rejected.keys()
    alive = {name for name, each in by_name.items() if not each["metadata"].get("deletionTimestamp")}
    assert told == alive, "every cluster has passed or has a reason"


@given(fleets(), st.integers(1, 40), st.integers(1, 40), st.sampled_from(["Weighted", "Aggregated"]))
def test_steady_mode_moves_no_more_than_the_difference(
    snapshot: list[Object], before: int, after: int, preference: str
) -> None:
    placement = {"replicaScheduling": divided(preference, DYNAMIC if preference == "Weighted" else None)}
    first = schedule(wanted(placement, before), snapshot)
    if not first.clusters:
        return
    second = schedule(wanted(placement, after, first.clusters), snapshot)
    if second.failure is not None:
        return
    old = {target["name"]: target["replicas"] for target in first.clusters}
    new = {target["name"]: target["replicas"] for target in second.clusters or ()}
    moved = sum(abs(new.get(name, 0) - old.get(name, 0)) for name in old.keys() | new.keys())
    assert moved == abs(after - before)


@settings(max_examples=60)
@given(fleets(), st.lists(st.tuples(placements(), st.integers(1, 20)), min_size=1, max_size=8))
def test_the_same_snapshot_gives_the_same_answer(snapshot: list[Object], asked: list[tuple[Object, int]]) -> None:
    """Whatever a fleet was asked before, and in whatever order its clusters come."""
    remembering = ClusterSnapshot(map(ClusterInfo, snapshot))
    for placement, replicas in [*asked, *asked]:
        shared = schedule(wanted(placement, replicas), remembering)
        assert shared == schedule(wanted(placement, replicas), snapshot)
        if shared.clusters is not None:
            again = schedule(wanted(placement, replicas), snapshot[::-1])
            assert again.clusters == shared.clusters
            assert again.condition == shared.condition


@given(fleets(), placements(), st.integers(1, 20))
def test_a_result_that_is_stored_is_not_changed_again(snapshot: list[Object], placement: Object, replicas: int) -> None:
    made = wanted(placement, replicas)
    first = schedule(made, snapshot)
    if not first.clusters:
        return
    stored = with_result({**made, "status": with_status(made, first, 1)}, first)
    if is_divided(placement):
        assert not should_schedule(stored).schedules
    if any(constraint["spreadByField"] == "region" for constraint in placement.get("spreadConstraints") or ()):
        return  # as in Karmada, what is placed already changes the score of its region: asked once more, another may win
    second = schedule(stored, snapshot)
    if second.failure is None and is_divided(placement):
        assert {t["name"]: t["replicas"] for t in second.clusters or ()} == {
            t["name"]: t["replicas"] for t in first.clusters
        }


class Picky(SchedulerPlugin):
    name = "Picky"

    def filter(self, binding_spec: Object, cluster: Object) -> str:
        return "cluster(s) had an odd name" if int(cluster["metadata"]["name"][1:]) % 2 else ""

    def score(self, binding_spec: Object, cluster: Object) -> int:
        return 100 if cluster["metadata"]["name"] == "m4" else 0


def with_plugin(plugin: SchedulerPlugin) -> SchedulingContext:
    return SchedulingContext(DEFAULT_GATES, plugins=[plugin])


def test_plugins_filter_and_score() -> None:
    snapshot = [cluster(name) for name in ("m1", "m2", "m4")]
    one = {"spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]}
    decision = schedule(wanted(one, 2), snapshot, with_plugin(Picky()))
    assert decision.clusters == [{"name": "m4", "replicas": 2}]
    assert decision.attempts[0].rejected == {"m1": ("Picky", "cluster(s) had an odd name")}
    decision = schedule(wanted(one, 2), snapshot[:1], with_plugin(Picky()))
    assert decision.condition["message"] == "0/1 clusters are available: 1 cluster(s) had an odd name."


def test_a_plugin_that_fails_fails_the_attempt_and_says_so() -> None:
    class Broken(SchedulerPlugin):
        name = "Broken"

        def score(self, binding_spec: Object, cluster: Object) -> int:
            raise KeyError("price")

    decision = schedule(wanted({}, 2), [cluster("m1")], with_plugin(Broken()))
    assert decision.clusters is None
    assert decision.retry == "backoff"
    assert decision.condition["message"] == "scheduler plugin Broken failed to score: KeyError('price')"
