"""A cheap slice of the comparison with kube-apiserver in every run, all of it in the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from differential.__main__ import scored
from differential.compare import compare
from differential.normalise import normalised
from differential.score import KNOWN_LIMIT, NEVER_KNOWN, Known, Score, read_known
from differential.scripts import all_cases
from differential.servers import Answer
from differential.steps import Case

SLICE = (
    "*/Deployment.apps.v1",
    "*/Service.v1",
    "*/ConfigMap.v1",
    "ssa/*",
    "patch/*",
    "authentication/*",
    "custom/*",
    "documents/*",
    "rules/[!e]*",  # all but "evaluated", which defines forty kinds
)


# the share of equal pairs that has been reached: it may only rise
REACHED_IN_SLICE = 0.98
REACHED = 0.99


def _share(score: Score) -> float:
    return score.equal.total() / score.pairs.total()


def _report(score: Score) -> str:
    return "\n".join([*map(str, score.differences[:40]), *score.summary()])


@pytest.mark.clusters
@pytest.mark.timeout(900)  # the first time the programs are built
def test_three_kinds_answer_as_kube_apiserver_does() -> None:
    cases = [
        case for case in all_cases() if any(Path(case.id).match(pattern) for pattern in SLICE) and case.area != "mutate"
    ]
    assert len(cases) > 10
    score = scored(cases)
    assert _share(score) >= REACHED_IN_SLICE, _report(score)


@pytest.mark.clusters
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_all_answer_as_kube_apiserver_does() -> None:
    score = scored(all_cases())
    assert score.pairs.total() >= 1000
    assert len(score.kinds) >= 60
    assert _share(score) >= REACHED, _report(score)


def test_known_differences_are_few_and_never_about_what_clients_see_first() -> None:
    known = read_known()
    assert len(known) <= KNOWN_LIMIT
    assert all(len(entry.reason) > 10 for entry in known)
    everything = Known("*", "*", "all of it")
    for one, other in (
        ({"status": 200, "headers": {}, "body": [{"kind": "X"}]}, {"status": 500}),
        (
            {"status": 200, "headers": {}, "body": [{"kind": "X"}]},
            {"status": 200, "headers": {}, "body": [{"kind": "X", "a": 1}]},
        ),
    ):
        (found,) = compare("c", "s", one, other)
        assert found.sort in NEVER_KNOWN
        assert not everything.covers(found)


def test_a_difference_is_found_and_named() -> None:
    def answered(body: bytes) -> Answer:
        return Answer(422, {"content-type": ["application/json"], "audit-id": ["x"]}, body)

    def answer(body: bytes) -> dict[str, object]:
        return normalised(answered(body))

    same = (
        b'{"kind":"Status","metadata":{},"message":"uid 01234567-0123-0123-0123-0123456789ab","details":{"causes":[]}}'
    )
    other = same.replace(b"01234567", b"76543210")
    assert compare("c", "s", answer(same), answer(other)) == []
    (found,) = compare("c", "s", answer(same), answer(same.replace(b"[]", b'[{"field":"x"}]')))
    assert (found.sort, found.path) == ("causes", "body[0].details.causes")
    score = Score([])
    case = Case("area", "name", "Kind.").ask("s", "GET", "/x")
    score.add(case, {"s": answered(same)}, {"s": answered(b"{}")})
    assert (score.pairs["area"], score.equal["area"]) == (1, 0)


def test_what_is_known_but_was_not_met_is_reported() -> None:
    met, unmet = Known("area/*", "*message", "it is meant"), Known("other/*", "*message", "it was meant once")
    score = Score([met, unmet])
    answers = [
        Answer(422, {"content-type": ["application/json"]}, b'{"kind":"Status","message":"%s"}' % text)
        for text in (b"one", b"other")
    ]
    score.add(Case("area", "name", "Kind.").ask("s", "GET", "/x"), {"s": answers[0]}, {"s": answers[1]})
    assert (score.with_known, score.differences, score.unused) == (1, [], [unmet])


def test_a_bookmark_counts_where_initial_events_end() -> None:
    def seen(*events: bytes) -> object:
        kind = ["application/json;stream=watch"]
        return normalised(Answer(200, {"content-type": kind}, b"".join(event + b"\n" for event in events)))["body"]

    added = b'{"type":"ADDED","object":{"kind":"ConfigMap","metadata":{"name":"a"}}}'
    timed = b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","metadata":{"resourceVersion":"7"}}}'
    end = timed.replace(b'"7"', b'"7","annotations":{"k8s.io/initial-events-end":"true"}')
    assert seen(added, end, timed) == seen(added, end)
    assert seen(added, end) != seen(added)
