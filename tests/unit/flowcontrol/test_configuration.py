"""What FlowSchemas and levels make of a request, and what every server has of them."""

from __future__ import annotations

import copy
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.flowcontrol import configuration
from kafila.flowcontrol.bootstrap import AUTO_UPDATE, MANDATORY, SUGGESTED, WANTED, is_left_over, revised
from kafila.flowcontrol.configuration import ClassifiedFlow, Configuration, Schema
from kafila.flowcontrol.estimates import seats_of_list
from kafila.flowcontrol.objects import Level, read_level, read_schema
from kafila.flowcontrol.rules import Asked, Rules
from kafila.flowcontrol.turns import Turns

Object = dict[str, Any]
AUTHENTICATED: Final = "system:authenticated"
PODS: Final = Asked("get", "", "pods", "default")


def schema_of(obj: Object) -> Schema:
    found = read_schema(orjson.dumps(obj))
    assert found is not None
    return Schema(found)


def level_of(obj: Object) -> Level:
    found = read_level(orjson.dumps(obj))
    assert found is not None
    return found


def made(*more: Object, without: tuple[str, ...] = ()) -> Configuration:
    objects = [*(o for o in (*SUGGESTED, *MANDATORY) if o["metadata"]["name"] not in without), *more]
    found = Configuration(600, 0.0, Turns(lambda most: (0, False)))
    found.digest(
        [schema_of(o) for o in objects if o["kind"] == "FlowSchema"],
        [level_of(o) for o in objects if o["kind"] != "FlowSchema"],
        0.0,
    )
    return found


def asked_by(found: Configuration, name: str, groups: tuple[str, ...], asked: Asked = PODS) -> ClassifiedFlow:
    known = found.known(name, groups)
    flow = found.classify(known, name, asked)
    if asked.path is None and known.resources is not None:
        assert known.resources is flow
    return flow


def flow_schema(name: str, precedence: int, rules: list[Object], level: str = "workload-low", by: str = "") -> Object:
    spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": rules}
    if by:
        spec["distinguisherMethod"] = {"type": by}
    return {"kind": "FlowSchema", "metadata": {"name": name, "uid": f"uid-of-{name}"}, "spec": spec}


def rule(user: str = "*", verb: str = "*", group: str = "*", resource: str = "*", namespace: str = "*") -> Object:
    resources = {
        "verbs": [verb],
        "apiGroups": [group],
        "resources": [resource],
        "namespaces": [namespace] if namespace else [],
        "clusterScope": not namespace,
    }
    return {"subjects": [{"kind": "User", "user": {"name": user}}], "resourceRules": [resources]}


@pytest.mark.parametrize(
    ("name", "groups", "asked", "schema", "level"),
    [
        ("admin", ("system:masters", AUTHENTICATED), PODS, "exempt", "exempt"),
        ("anna", (AUTHENTICATED,), PODS, "global-default", "global-default"),
        ("system:anonymous", ("system:unauthenticated",), Asked("get", path="/healthz"), "probes", "exempt"),
        ("anna", (AUTHENTICATED,), Asked("get", path="/livez/ping"), "probes", "exempt"),
        ("anna", (AUTHENTICATED,), Asked("post", path="/livez"), "global-default", "global-default"),
        ("anna", (AUTHENTICATED,), Asked("get", path="/livezy"), "global-default", "global-default"),
        ("system:node:a", ("system:nodes", AUTHENTICATED), PODS, "system-nodes", "system"),
        ("system:node:a", ("system:nodes",), Asked("update", "", "nodes/status"), "system-node-high", "node-high"),
        (
            "system:kube-scheduler",
            (AUTHENTICATED,),
            Asked("update", "coordination.k8s.io", "leases", "kube-system"),
            "system-leader-election",
            "leader-election",
        ),
        ("system:kube-scheduler", (AUTHENTICATED,), PODS, "kube-scheduler", "workload-high"),
        (
            "system:serviceaccount:kube-system:x",
            ("system:serviceaccounts", AUTHENTICATED),
            PODS,
            "kube-system-service-accounts",
            "workload-high",
        ),
        (
            "system:serviceaccount:kube-systemx:x",
            ("system:serviceaccounts", AUTHENTICATED),
            PODS,
            "service-accounts",
            "workload-low",
        ),
        ("nobody", (), PODS, "catch-all", "catch-all"),
    ],
)
def test_the_stock_schemas(name: str, groups: tuple[str, ...], asked: Asked, schema: str, level: str) -> None:
    flow = asked_by(made(), name, groups, asked)
    assert (flow.schema.name, flow.level.name) == (schema, level)


def test_the_lowest_precedence_matches_first_and_names_decide_between_equals() -> None:
    found = made(
        flow_schema("b", 700, [rule("anna")]),
        flow_schema("a", 700, [rule("anna")]),
        flow_schema("c", 699, [rule("no")]),
    )
    assert asked_by(found, "anna", (AUTHENTICATED,)).schema.name == "a"


def test_flows_are_told_apart_by_user_or_namespace() -> None:
    found = made(
        flow_schema("n", 600, [rule(verb="list")], by="ByNamespace"), flow_schema("u", 601, [rule()], by="ByUser")
    )
    anna, bert = (found.known(name, (AUTHENTICATED,)) for name in ("anna", "bert"))
    one, other = Asked("list", "", "pods", "one"), Asked("list", "", "pods", "other")
    assert found.classify(anna, "anna", one) is found.classify(bert, "bert", one)
    assert found.classify(anna, "anna", one) is not found.classify(anna, "anna", other)
    assert found.classify(anna, "anna", PODS) is not found.classify(bert, "bert", PODS)
    assert found.classify(anna, "anna", PODS) is found.classify(anna, "anna", PODS._replace(namespace="other"))


def test_without_objects_the_mandatory_ones_are_imagined() -> None:
    found = Configuration(600, 0.0, Turns(lambda most: (0, False)))
    assert asked_by(found, "admin", ("system:masters",)).schema.name == "exempt"
    assert asked_by(found, "anna", (AUTHENTICATED,)).schema.name == "catch-all"
    assert found.levels["catch-all"].queues.limit >= 13


def test_a_schema_whose_level_is_not_there_matches_nothing() -> None:
    found = made(flow_schema("d", 600, [rule("anna")], level="no-such"))
    assert asked_by(found, "anna", (AUTHENTICATED,)).schema.name == "global-default"


def test_a_level_that_is_not_wanted_comes_to_rest_first() -> None:
    found = made()
    level = found.levels["global-default"]
    flow = asked_by(found, "anna", (AUTHENTICATED,))
    level.queues.start(flow, 1, 0.0)
    schemas = [schema_of(o) for o in WANTED.values() if o["kind"] == "FlowSchema"]
    levels = [
        level_of(o) for o in WANTED.values() if o["kind"] != "FlowSchema" and o["metadata"]["name"] != "global-default"
    ]
    found.digest(schemas, levels, 1.0)
    assert found.levels["global-default"] is level
    assert asked_by(found, "anna", (AUTHENTICATED,)).schema.name == "catch-all"
    level.queues.finish(flow, 1, 2.0)
    found.digest(schemas, levels, 2.0)
    assert "global-default" not in found.levels


def test_counts_outlive_a_change() -> None:
    found = made()
    asked_by(found, "anna", (AUTHENTICATED,)).schema.counts.started = 7
    found.digest([schema_of(o) for o in WANTED.values() if o["kind"] == "FlowSchema"], [], 1.0)
    assert {s.name: s.counts.started for s in found.schemas}.get("global-default", 7) == 7


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "Limited"},
        {"type": "Limited", "limited": {"limitResponse": {"type": "Queue"}}},
        {"type": "Limited", "limited": {"limitResponse": {"type": "Reject", "queuing": {}}}},
        {"type": "Exempt", "exempt": {}},
        {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": 0}}}},
    ],
)
def test_levels_that_contradict_themselves_are_as_if_not_there(spec: Object) -> None:
    assert read_level(orjson.dumps({"metadata": {"name": "x"}, "spec": spec})) is None


def test_what_cannot_be_read_is_as_if_not_there() -> None:
    assert read_schema(b"[") is None
    assert read_level(b'{"metadata": 7}') is None


def test_uids_that_would_be_other_headers_are_left_out() -> None:
    obj = flow_schema("x", 600, [rule("anna")])
    obj["metadata"]["uid"] = "a\r\nset-cookie: b"
    assert asked_by(made(obj), "anna", (AUTHENTICATED,)).headers[0][1] == b""


# -- rules, against what they say ----------------------------------------------------------------------------------------

_names = st.sampled_from(["a", "b", "*"])
_some = st.lists(_names, min_size=1, max_size=2)
_resource_rules = st.fixed_dictionaries(
    {
        "verbs": _some,
        "apiGroups": _some,
        "resources": _some,
        "namespaces": st.lists(_names, max_size=2),
        "clusterScope": st.booleans(),
    }
)
_paths = st.sampled_from(["*", "/", "/a", "/a/*", "/a/b", "/a/b/*"])
_path_rules = st.fixed_dictionaries({"verbs": _some, "nonResourceURLs": st.lists(_paths, min_size=1, max_size=2)})
_subjects = st.one_of(
    st.fixed_dictionaries({"kind": st.just("User"), "user": st.fixed_dictionaries({"name": _names})}),
    st.fixed_dictionaries({"kind": st.just("Group"), "group": st.fixed_dictionaries({"name": _names})}),
    st.fixed_dictionaries(
        {
            "kind": st.just("ServiceAccount"),
            "serviceAccount": st.fixed_dictionaries({"namespace": st.sampled_from(["a", "b"]), "name": _names}),
        }
    ),
)
_rules = st.lists(
    st.fixed_dictionaries(
        {
            "subjects": st.lists(_subjects, min_size=1, max_size=2),
            "resourceRules": st.lists(_resource_rules, max_size=2),
            "nonResourceRules": st.lists(_path_rules, max_size=2),
        }
    ),
    max_size=3,
)
_asked = st.one_of(
    st.builds(Asked, _names, _names, _names, st.sampled_from(["", "a", "b"])),
    st.builds(lambda verb, path: Asked(verb, path=path), _names, st.sampled_from(["/", "/a", "/ab", "/a/b", "/a/b/c"])),
)


def _has(values: list[str], value: str) -> bool:
    return values == ["*"] or value in values


def _is_subject(subject: Object, name: str, groups: tuple[str, ...]) -> bool:
    match subject["kind"]:
        case "User":
            return subject["user"]["name"] in ("*", name)
        case "Group":
            return subject["group"]["name"] == "*" or subject["group"]["name"] in groups
    account = subject["serviceAccount"]
    prefix = f"system:serviceaccount:{account['namespace']}:"
    return name.startswith(prefix) if account["name"] == "*" else name == prefix + account["name"]


def _says(rules: list[Object], name: str, groups: tuple[str, ...], asked: Asked) -> bool:
    """Rule by rule, as Kubernetes describes them."""
    for each in rules:
        if not any(_is_subject(subject, name, groups) for subject in each["subjects"]):
            continue
        if asked.path is not None:
            for found in each["nonResourceRules"]:
                for url in found["nonResourceURLs"]:
                    below = url.removesuffix("*")
                    below = below if below.endswith("/") else below + "/"
                    if _has(found["verbs"], asked.verb) and (url in ("*", asked.path) or asked.path.startswith(below)):
                        return True
            continue
        for found in each["resourceRules"]:
            where = _has(found["namespaces"], asked.namespace) if asked.namespace else found["clusterScope"]
            if (
                _has(found["verbs"], asked.verb)
                and _has(found["apiGroups"], asked.group)
                and _has(found["resources"], asked.resource)
                and where
            ):
                return True
    return False


@given(_rules, st.sampled_from(["a", "b", "system:serviceaccount:a:a", "system:serviceaccount:b:c"]), _asked)
def test_the_index_says_what_the_rules_say(rules: list[Object], name: str, asked: Asked) -> None:
    stored = read_schema(orjson.dumps(flow_schema("x", 1, rules)))
    assert stored is not None
    found = Rules(stored.spec.rules or ())
    about = found.about(name, ("a",))
    assert found.match(about, asked) == _says(rules, name, ("a",), asked)
    if found.match_everything(about) and asked.path is None:
        assert _says(rules, name, ("a",), asked)
    if asked.path is None and _says(rules, name, ("a",), asked):
        assert found.match_some(about)


@pytest.mark.parametrize("what", ["users", "answers", "flows"])
def test_what_is_remembered_of_strangers_is_bounded(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(configuration, "MOST_USERS", 10)
    monkeypatch.setattr(configuration, "MOST_ANSWERS", 20)
    monkeypatch.setattr(configuration, "MOST_FLOWS", 30)
    found = made(flow_schema("n", 600, [rule(verb="list")], by="ByNamespace"))
    found._most_flows = 30
    for number in range(200):
        name = f"user-{number}" if what == "users" else "anna"
        namespace = f"n-{number}" if what == "flows" else "one"
        asked_by(found, name, (AUTHENTICATED,), Asked("list", "", f"r-{number}", namespace))
    assert len(found._known) <= 10
    assert sum(len(known.answers) for known in found._known.values()) <= 20
    assert len(found._flows) <= 30
    asked_by(found, "x" * 1000, (AUTHENTICATED,))
    assert "x" * 1000 not in found._known


# -- what every server has -----------------------------------------------------------------------------------------------


def stored(obj: Object, generation: int = 1) -> Object:
    found = copy.deepcopy(obj)
    found["metadata"]["generation"] = generation
    return found


@pytest.mark.parametrize("wanted", WANTED.values(), ids=lambda o: f"{o['kind']}-{o['metadata']['name']}")
def test_what_is_as_it_was_made_stays(wanted: Object) -> None:
    assert revised(stored(wanted), wanted) is None


@pytest.mark.parametrize(
    ("mandatory", "annotation", "generation", "restored", "says"),
    [
        (False, "true", 5, True, "true"),
        (False, "false", 5, False, "false"),
        (False, None, 1, True, "true"),
        (False, None, 2, False, "false"),
        (False, "maybe", 2, False, "false"),
        (False, "T", 2, True, "T"),
        (True, "false", 5, True, "true"),
        (True, None, 5, True, "true"),
    ],
)
def test_what_was_changed(mandatory: bool, annotation: str | None, generation: int, restored: bool, says: str) -> None:
    wanted = WANTED["FlowSchema", "catch-all" if mandatory else "global-default"]
    changed = stored(wanted, generation)
    changed["spec"]["matchingPrecedence"] = 9000
    changed["metadata"]["annotations"] = {} if annotation is None else {AUTO_UPDATE: annotation}
    new = revised(changed, wanted) or changed
    assert (new["spec"] == wanted["spec"]) == restored
    assert new["metadata"]["annotations"][AUTO_UPDATE] == says


def test_seats_that_exempt_requests_lend_are_a_users_to_say() -> None:
    wanted = WANTED["PriorityLevelConfiguration", "exempt"]
    changed = stored(wanted, 2)
    changed["spec"]["exempt"]["lendablePercent"] = 20
    assert revised(changed, wanted) is None


@pytest.mark.parametrize(("annotation", "left"), [("true", True), ("false", False), ("x", False), (None, False)])
def test_what_an_earlier_server_made_goes(annotation: str | None, left: bool) -> None:
    obj = flow_schema("old", 600, [])
    obj["metadata"]["annotations"] = {} if annotation is None else {AUTO_UPDATE: annotation}
    assert is_left_over("FlowSchema", obj) == left
    assert not is_left_over("FlowSchema", stored(WANTED["FlowSchema", "probes"]))


@pytest.mark.parametrize(
    ("size", "most", "seats"), [(0, 10, 1), (99_999, 10, 1), (450_000, 10, 5), (1e12, 37, 10), (1e6, 4, 4)]
)
def test_lists_take_seats_by_their_size(size: float, most: int, seats: int) -> None:
    assert seats_of_list(size, most) == seats
