"""Names, labels and metadata: Kubernetes' own texts."""

from __future__ import annotations

import os
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core import metadata as metadata_rules
from kafila.core import names

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
PART = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize(
    ("rule", "value", "reasons"),
    [
        (names.dns1123_subdomain, "a.b-c.d", []),
        (names.dns1123_subdomain, "A", [SUBDOMAIN]),
        (names.dns1123_subdomain, "a\n", [SUBDOMAIN]),
        (names.dns1123_subdomain, "a" * 254, ["must be no more than 253 characters"]),
        (names.dns1123_subdomain, "é" * 200, ["must be no more than 253 characters", SUBDOMAIN]),
        (names.dns1123_label, "a.b", ["must not contain dots"]),
        (names.dns1123_label, "-a", [LABEL]),
        (names.dns1123_label, "a" * 64, ["must be no more than 63 characters"]),
        (names.path_segment, "a:b.C", []),
        (names.path_segment, "..", ["may not be '..'"]),
        (names.path_segment, "a/b%c", ["may not contain '/'", "may not contain '%'"]),
        (names.qualified_name, "example.com/My.Name_1", []),
        (names.qualified_name, "", ["name part must be non-empty", f"name part {PART}"]),
        (names.qualified_name, "/a", ["prefix part must be non-empty"]),
        (names.qualified_name, "a" * 64, ["name part must be no more than 63 bytes"]),
        (
            names.qualified_name,
            "a/b/c",
            [f"a valid label key {PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"],
        ),
        (names.label_value, "", []),
        (names.label_value, "a b", [VALUE]),
        (names.label_value, "a" * 64, ["must be no more than 63 bytes"]),
        (names.port_name, "http", []),
        (names.port_name, "80", ["must contain at least one letter (a-z)"]),
        (names.port_name, "a--b", ["must not contain consecutive hyphens"]),
        (names.config_key, "..a", ["must not start with '..'"]),
        (names.config_key, ".a", []),
        (names.env_name, "A.b-c", []),
        (names.port_number, 0, ["must be between 1 and 65535, inclusive"]),
    ],
)
def test_reasons(rule, value, reasons):
    assert rule(value) == reasons


def test_a_prefix_may_end_with_a_dash():
    assert names.dns1123_subdomain("web-", True) == []
    assert names.dns1123_subdomain("web-") == [SUBDOMAIN]
    assert names.dns1035_label("1web")[0].startswith("a DNS-1035 label must consist of")


@given(st.text(max_size=120))
def test_generated_names_are_short_and_spell_no_words(base):
    name = names.generate_name(base)
    assert len(name.encode()) <= 63
    assert re.fullmatch("[bcdfghjklmnpqrstvwxz2456789]{5}", name[-5:])
    assert base.startswith(name[:-5])


def meta(**fields):
    return {"metadata": {"name": "web", "namespace": "default", **fields}}


def texts(obj, namespaced=True):
    return [str(error) for error in metadata_rules.validate_object_meta(obj, namespaced, names.dns1123_subdomain)]


def test_metadata_of_a_new_object():
    assert texts(meta()) == []
    assert texts(meta(name="")) == ["metadata.name: Required value: name or generateName is required"]
    assert texts(meta(name="A")) == [f'metadata.name: Invalid value: "A": {SUBDOMAIN}']
    assert texts(meta(), namespaced=False) == ["metadata.namespace: Forbidden: not allowed on this type"]
    assert texts({"metadata": {"name": "a"}}) == ["metadata.namespace: Required value"]
    assert texts(meta(labels={"a": "b c"})) == [f'metadata.labels: Invalid value: "b c": {VALUE}']
    assert texts(meta(annotations={"A.b/C": "any text"})) == []
    assert texts(meta(annotations={"a": "x" * 262144})) == [
        "metadata.annotations: Too long: may not be more than 262144 bytes"
    ]
    both = texts(meta(finalizers=["orphan", "foregroundDeletion"]))
    assert both == [
        'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: '
        "finalizer orphan and foregroundDeletion cannot be both set"
    ]


def test_owner_references():
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a", "uid": "1", "controller": True}
    assert texts(meta(ownerReferences=[owner])) == []
    assert texts(meta(ownerReferences=[{**owner, "uid": ""}])) == [
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty'
    ]
    (two,) = texts(meta(ownerReferences=[owner, {**owner, "name": "b"}]))
    assert two.endswith('Found "true" in references for Deployment/a and Deployment/b')


def test_metadata_of_a_changed_object():
    old = meta(uid="1", generation=2, creationTimestamp="2026-01-01T00:00:00Z")
    same = [str(error) for error in metadata_rules.validate_object_meta_update(old, old)]
    assert same == []
    new = meta(uid="2", generation=1, name="x", creationTimestamp="2026-01-01T00:00:00Z")
    assert [str(error) for error in metadata_rules.validate_object_meta_update(new, old)] == [
        "metadata.generation: Invalid value: 1: must not be decremented",
        'metadata.name: Invalid value: "x": field is immutable',
        'metadata.uid: Invalid value: "2": field is immutable',
    ]


def test_no_finalizer_is_added_to_a_deleted_object():
    old = meta(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["a/b"])
    new = meta(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["a/b", "a/c"])
    assert [str(error) for error in metadata_rules.validate_object_meta_update(new, old)] == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"a/c"}'
    ]


def test_uids_are_random_uuids_also_in_a_process_that_was_forked() -> None:
    made = {names.new_uid() for _ in range(1000)}
    assert len(made) == 1000
    assert {uuid.UUID(uid).version for uid in made} == {4}
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, names.new_uid().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 36).decode() not in {names.new_uid() for _ in range(1000)}
