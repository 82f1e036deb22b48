"""One fact, one home: what stood in several places once, and where it may stand now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kafila

ROOT = Path(kafila.__file__).parent
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in ROOT.rglob("*.py")}

HOMES = [
    (
        "YAML is read and written",
        r"^ *import yaml|^ *from yaml",
        "machinery/yaml.py",
        "machinery/yamlout.py",
        "machinery/configuration.py",
    ),
    ("tags of protobuf fields", r"<< 3 \|", "machinery/protobuf_wire.py", "machinery/protobuf_decode.py"),
    ("names of resources in a quota", r"must be a standard resource for quota", "catalog/builtin/validation/quotas.py"),
    ("what bindings use of a quota", r"exceeded for resource", "placement/quota.py"),
    ("lists such as *,-x", r'f"-\{', "core/switches.py"),
    ("pauses that grow", r"2 \*\* min|pause \* 2|_next \* 2|first \* factor|\*= (2|1\.5)\b", "core/rates.py"),
    ("tokens of a rate", r"_tokens - 1|tokens \+|_tokens = self.available", "core/rates.py"),
    (
        "loggers",
        r"logging\.getLogger",
    ),
    ("objects", r"^Object\b.*= ", "core/values.py"),
    ("searches in stored JSON", r" in \w+(\.\w+)*\.body\b", "watch/entry.py", "store/memory_events.py"),
    ("which failures of a webhook may be tried again", r"class WebhookError|if not error\.again", "core/webhooks.py"),
    ("what a webhook answers", r"raise WebhookError\(f", "workers/webhooks.py"),
    ("names of authorization modes", r"AlwaysDeny\"", "core/authorization_modes.py"),
    ("nobody", r"65534", "core/posix.py"),
    ("that storage is away", r"storage is not reachable: \{", "core/errors.py", "store/postgres.py"),
    ("that a revision of a list is gone", r"for the provided list is too old", "registry/continuation.py"),
    ("as whom controllers write", r'Options\(manager="karmada-controller-manager"', "reconcile/karmada/kinds.py"),
    (
        "when a Work may be made again",
        r"deleted(_works)?\.holds\(",
        "reconcile/karmada/controlled_works.py",
        "reconcile/karmada/template/commit.py",
    ),
    (
        "back-pressure of connections, beside what aiohttp and uvicorn have",
        r"def pause_writing",
        "members/joined_connections.py",
        "members/network.py",
        "members/wire.py",
        "api/server.py",
    ),
    ("label selectors as Go prints them", r"LabelSelectorRequirement\{\{", "core/gostrings.py"),
    ("who a user is, as UserInfo", r"\"groups\"\] = list\(", "catalog/kind.py"),
    ("tasks that are cancelled and waited for", r"\.cancel\(\)\n *await asyncio\.gather", "telemetry/tasks.py"),
    (
        "that nothing is to be done where an object is not there",
        r"if not error\.is_not_found:\n *raise",
        "api/tunnels.py",
    ),
    ("that a set is gone when it is empty", r"\.discard\(.*\)\n *if not \w+:\n *del \w", "core/sets.py"),
    ("flags that several commands have", r"Namespace in the control plane where", "cli/flags.py"),
    ("that there is no such output format", r"unable to match a printer", "cli/flags.py", "cli/sql.py"),
    ("what an autoscaler without metrics looks at", r'"averageUtilization": 80', "catalog/builtin/defaults/others.py"),
    ("files that only their owner reads", r"0o600", "core/files.py", "store/embedded.py"),
]


@pytest.mark.parametrize(
    ("pattern", "homes"), [(pattern, homes) for _, pattern, *homes in HOMES], ids=[h[0] for h in HOMES]
)
def test_it_stands_in_no_other_module(pattern: str, homes: list[str]) -> None:
    found = {path for path, text in SOURCES.items() if re.search(pattern, text, re.MULTILINE)}
    assert found == set(homes)


def test_the_registry_asks_strategies_and_no_names_of_kinds() -> None:
    """Where a resource is read from is asked in registry/storage.py alone; what ends with a deletion, in registry/deletions.py."""
    named = re.compile(r"kind\.(?:kind|resource) (?:==|!=|in) ")
    assert {path for path, text in SOURCES.items() if path.startswith("registry/") and named.search(text)} == {
        "registry/deletions.py"
    }


def test_tricks_stand_where_their_decision_says() -> None:
    """docs/adr/0011: reaching into uvicorn, into the collector of cycles, and keeping rich away."""
    tricks = {
        r"httptools_impl": {"api/point_protocol.py", "api/server.py", "api/cycle.py"},
        r"gc\.(freeze|set_threshold)": {"workers/collector.py"},
        r'sys\.modules\.setdefault\("rich"': {"telemetry/logs.py"},
    }
    for pattern, homes in tricks.items():
        assert {path for path, text in SOURCES.items() if re.search(pattern, text)} == homes
