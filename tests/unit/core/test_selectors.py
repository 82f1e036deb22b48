from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core import selectors
from kafila.core.selectors import EVERYTHING, NOTHING, FieldRequirement, Requirement, Selector, SelectorError

WEB = {"app": "web", "tier": "front", "n": "5", "empty": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=db", False),
        ("app!=db", True),
        ("none!=db", True),
        ("app!=web", False),
        ("app in (web,db)", True),
        ("app in (db)", False),
        ("none in (web)", False),
        ("app notin (db,x)", True),
        ("none notin (db)", True),
        ("app notin (web)", False),
        ("app", True),
        ("none", False),
        ("!none", True),
        ("! app", False),
        ("n>4", True),
        ("n>5", False),
        ("n<6", True),
        ("app>1", False),
        ("none<1", False),
        ("empty=", True),
        ("empty in ()", True),
        ("empty in (,a)", True),
        ("app=web,tier=front", True),
        ("app=web,tier=back", False),
        ("in in (in,notin)", False),
        ("example.com/app", False),
    ],
)
def test_matching(text: str, expected: bool) -> None:
    assert selectors.parse(text).matches(WEB) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("a==!b", "unable to parse requirement: found '!', expected: identifier"),
        ("!!a", "unable to parse requirement: found '!', expected: identifier"),
        ("a>b", "values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer"),
        ("-a", '<nil>: Invalid value: "-a": name part must consist of alphanumeric characters'),
        ("a/b/c", '<nil>: Invalid value: "a/b/c": a valid label key must consist of'),
        ("/a", "prefix part must be non-empty"),
        ("A/a", "prefix part a lowercase RFC 1123 subdomain must consist of"),
        ("a=-b", 'values[0][a]: Invalid value: "-b": a valid label must be an empty string or consist of'),
        ("a=" + "x" * 64, "must be no more than 63 bytes"),
    ],
)
def test_errors_are_in_kubernetes_words(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        selectors.parse(text)
    assert message in str(caught.value)


def test_text_is_ordered_by_key_and_values() -> None:
    assert str(selectors.parse("z,b in (y,x),!c,a!=1,n>1,m<2")) == "a!=1,b in (x,y),!c,m<2,n>1,z"


def test_objects() -> None:
    selector = selectors.from_object(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "back"]},
                {"key": "n", "operator": "Exists"},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "tier", "operator": "NotIn", "values": ["x"]},
            ],
        }
    )
    assert selector.matches(WEB)
    assert not selector.matches({**WEB, "old": "1"})
    assert selectors.from_object(None) is NOTHING
    assert not NOTHING.matches({})
    assert selectors.from_object({}) is EVERYTHING
    assert EVERYTHING.empty
    assert not NOTHING.empty


def test_object_errors() -> None:
    with pytest.raises(SelectorError, match='"Like" is not a valid label selector operator'):
        selectors.from_object({"matchExpressions": [{"key": "a", "operator": "Like"}]})
    with pytest.raises(SelectorError, match="values set can't be empty"):
        selectors.from_object({"matchExpressions": [{"key": "a", "operator": "In"}]})
    with pytest.raises(SelectorError, match="values set must be empty for exists"):
        selectors.from_object({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]})


def test_field_selectors() -> None:
    assert selectors.parse_fields("status.phase!=Running,metadata.name=a,b==c") == (
        FieldRequirement("b", "=", "c"),
        FieldRequirement("metadata.name", "=", "a"),
        FieldRequirement("status.phase", "!=", "Running"),
    )
    (escaped,) = selectors.parse_fields("a=x\\,y\\=z\\\\")
    assert escaped.value == "x,y=z\\"
    assert str(escaped) == "a=x\\,y\\=z\\\\"
    assert selectors.parse_fields("") == ()
    assert escaped.holds("x,y=z\\")
    assert FieldRequirement("a", "!=", "b").holds("c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_field_selector_errors(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        selectors.parse_fields(text)
    assert str(caught.value) == message


KEYS = st.from_regex(r"\A([a-z0-9]{1,8}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?\Z").filter(
    lambda key: key not in ("in", "notin")
)
VALUES = st.from_regex(r"\A([A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?)?\Z")
REQUIREMENTS = st.one_of(
    st.builds(Requirement, KEYS, st.sampled_from(["=", "==", "!="]), st.tuples(VALUES)),
    st.builds(
        Requirement, KEYS, st.sampled_from(["in", "notin"]), st.lists(VALUES, min_size=1, unique=True).map(tuple)
    ),
    st.builds(Requirement, KEYS, st.sampled_from(["exists", "!"])),
    st.builds(Requirement, KEYS, st.sampled_from(["gt", "lt"]), st.tuples(st.integers(0, 99).map(str))),
)


@given(st.lists(REQUIREMENTS, max_size=4), st.dictionaries(KEYS, VALUES, max_size=3))
def test_text_is_read_back_as_the_same_selector(requirements: list[Requirement], labels: dict[str, str]) -> None:
    selector = Selector(requirements)
    again = selectors.parse(str(selector))
    assert again == selector
    assert again.matches(labels) == selector.matches(labels) == all(r.test()(labels) for r in requirements)


@given(st.lists(st.tuples(KEYS, st.sampled_from(["=", "!="]), st.text(max_size=6)), max_size=3))
def test_field_text_is_read_back(terms: list[tuple[str, str, str]]) -> None:
    requirements = sorted((FieldRequirement(*term) for term in terms), key=str)  # type: ignore[arg-type]
    text = ",".join(map(str, requirements))
    assert sorted(selectors.parse_fields(text), key=str) == requirements
