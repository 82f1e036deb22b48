"""What a YAML document may cost: depth, nodes and directives, refused while they are read."""

from __future__ import annotations

import pytest

from kafila.machinery.yaml import MAX_DEPTH, MAX_DIRECTIVES, MAX_NODES, YAMLError, load


@pytest.mark.parametrize("mark", ["- ", "[", "{a: ", "? ", "[{a: ", "? - "])
def test_depth_ends_where_it_is_met(mark: str) -> None:
    with pytest.raises(YAMLError, match=f"exceeded max depth of {MAX_DEPTH}|invalid map key"):
        load(mark * 30_000)


def test_the_deepest_that_is_read() -> None:
    assert load("- " * MAX_DEPTH + "x")[0]
    with pytest.raises(YAMLError, match="exceeded max depth"):
        load("- " * (MAX_DEPTH + 1) + "x")


def test_aliases_add_their_height() -> None:
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 30_000))]
    with pytest.raises(YAMLError, match="exceeded max depth"):
        load("\n".join(lines))


def test_nodes_end_where_they_are_too_many() -> None:
    with pytest.raises(YAMLError, match=f"more than {MAX_NODES} nodes"):
        load("[" + "a," * 1_500_000 + "]")
    with pytest.raises(YAMLError, match=f"more than {MAX_NODES} nodes"):
        load("? [a]\n: [" + "a," * 1_500_000 + "]")  # also behind what cannot be a key


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("before", ["", "# a comment\n", "\r\n"])
def test_directives_are_counted(before: str, encoding: str) -> None:
    lines = before + "".join(f"%TAG !{i}! x\n" for i in range(MAX_DIRECTIVES + 1))
    with pytest.raises(YAMLError, match="directives"):
        load(f"{lines}---\na: 1\n".encode(encoding))
    assert load(f"%TAG !x! y\n---\na: '{'%TAG ' * 100}'\n".encode(encoding))[0] == {"a": "%TAG " * 100}


def test_what_is_no_yaml_is_said_before_what_has_no_json_form() -> None:
    with pytest.raises(YAMLError, match="did not find expected"):
        load("? [a]\n: b\nc: [")


def test_aliases_are_copies_and_repeat_what_is_wrong() -> None:
    value, duplicates = load("a: &a {k: 1, k: 2}\nb: *a")
    assert value == {"a": {"k": 2}, "b": {"k": 2}}
    assert value["a"] is not value["b"]
    assert duplicates == ['line 1: key "k" already set in map'] * 2


def test_aliases_repeat_no_more_text_than_a_body_has() -> None:
    with pytest.raises(YAMLError, match="excessive aliasing"):
        load(f"a: &a {'x' * 1_000_000}\nb: [*a, *a, *a, *a]")
    with pytest.raises(YAMLError, match="excessive aliasing"):
        load(f"a: &a [{'x' * 1_000_000}]\nb: &b [*a, *a]\nc: [*b, *b]")


def test_a_name_may_be_given_again_and_be_a_key() -> None:
    assert load("a: &x 1\nb: &x k\n*x : *x")[0] == {"a": 1, "b": "k", "k": "k"}
    with pytest.raises(YAMLError, match="invalid map key"):
        load("a: &x [1]\n*x : 1")
