import copy

from hypothesis import given
from hypothesis import strategies as st

from kafila.core.values import copy_json, printed

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES)
def test_a_copy_is_the_same_value_in_the_same_order(value: object) -> None:
    found = copy_json(value)
    assert found == value
    assert repr(found) == repr(value)  # 1, 1.0 and True are not the same, and neither are maps in another order


def test_a_copy_shares_nothing_that_can_be_changed() -> None:
    twice = {"a": ["x"]}
    value = {"one": twice, "two": twice, "list": [twice]}
    before = copy.deepcopy(value)
    found = copy_json(value)
    found["one"]["a"].append("y")
    found["list"][0]["b"] = "z"
    assert value == before
    assert found["two"] == {"a": ["x"]}


def test_values_as_go_prints_them() -> None:
    assert printed({"b": [1, "x", None], "a": {"c": True}}) == "map[a:map[c:true] b:[1 x <nil>]]"
