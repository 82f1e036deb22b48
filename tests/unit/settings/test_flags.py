"""The settings are the one table of flags: the command line, the documentation and the options of the packages follow from it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kafila.cli import program
from kafila.settings.checks import sni_files
from kafila.settings.controllers import CONTROLLERS, OFF_BY_DEFAULT
from kafila.settings.federation import FederationOptions
from kafila.settings.serving import ServingOptions
from kafila.settings.settings import Settings

ROOT = Path(__file__).parents[3]
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}


def written() -> dict[str, str]:
    """The documentation's table: by flag its default, as it is written there."""
    page = (ROOT / "docs/operations.md").read_text()
    table = page[page.index("## Flags") :]
    return dict(re.findall(r"^\| `--([a-z-]+)` \| ([^|]*) \|", table[: table.index("##", 3)], re.M))


def as_written(name: str, value: Any) -> str:
    if name == "advertise":
        return "the bound one"
    if value in (None, "", []) or value is False:
        return "off" if value is False else "–"
    return f"`{value:.12g}`" if isinstance(value, float) else f"`{value}`"


def test_the_documentation_has_every_flag_with_its_default() -> None:
    assert written() == {name.replace("_", "-"): as_written(name, value) for name, value in DEFAULTS.items()}


def test_the_documentation_names_every_controller() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    part = page[page.index("### Controllers") :]
    names = part[: part.index("\n\nWhere")]
    assert set(re.findall(r"`([\w-]+)`", names)) - {"--controllers", "default"} == CONTROLLERS


def test_the_command_line_has_every_flag_with_its_meaning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    program()(["serve", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"--{name.replace('_', '-')} " in text
        assert field.description in text, name


def test_what_the_command_line_reads_is_what_was_given() -> None:
    _, bound, _ = program().parse_args(["serve", "--max-connections=7", "--enable-scheduler-estimator"])
    assert bound.arguments == {"max_connections": 7, "enable_scheduler_estimator": True}


def test_a_flag_that_may_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    _, bound, _ = program().parse_args(["serve", "--tls-sni-cert-key=a,b", "--tls-sni-cert-key", "c,d:*.example.org"])
    assert bound.arguments == {"tls_sni_cert_key": ["a,b", "c,d:*.example.org"]}
    assert sni_files("c,d:*.example.org,x") == ("c", "d", ("*.example.org", "x"))
    file = Path(__file__)
    monkeypatch.setenv("KAFILA_TLS_SNI_CERT_KEY", f"{file},{file}; {file},{file}:x")
    assert Settings().tls_sni_cert_key == [f"{file},{file}", f"{file},{file}:x"]


def test_options_of_packages_have_the_defaults_of_the_flags() -> None:
    assert Settings().serving == ServingOptions()


def test_the_flags_of_karmadas_controllers_are_declared_once() -> None:
    """The controllers are handed the settings; what stands alone, as in tests, has the same defaults."""
    assert FederationOptions.model_fields.keys() <= Settings.model_fields.keys()
    alone, all_of_them = FederationOptions().model_dump(), Settings().model_dump()
    assert alone == {name: all_of_them[name] for name in alone}


def test_the_help_of_the_program_loads_no_command() -> None:
    code = """
import sys, kafila.cli
try:
    kafila.cli.main(["--help"])
finally:
    print(sorted(name for name in sys.modules if name.startswith(("pydantic", "kafila."))))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "['kafila.cli']"


def test_what_is_off_by_default_runs_where_it_is_named() -> None:
    assert OFF_BY_DEFAULT < CONTROLLERS
    for name in OFF_BY_DEFAULT:
        assert not Settings(controllers="*").runs(name)
        assert not Settings(controllers=f"*,{name},-{name}").runs(name)
        assert Settings(controllers=f"*,{name}").runs(name)
        assert Settings(controllers=name).runs(name)
    assert Settings(controllers="*").runs("binding")


def test_admission_plugins_that_are_always_on_can_be_named_and_not_disabled() -> None:
    assert Settings(enable_admission_plugins="NamespaceLifecycle").enable_admission_plugins == "NamespaceLifecycle"
    with pytest.raises(ValueError, match="NamespaceLifecycle cannot be disabled"):
        Settings(disable_admission_plugins="NamespaceLifecycle")
    with pytest.raises(ValueError, match='plugin "NamespaceLife" is unknown'):
        Settings(enable_admission_plugins="NamespaceLife")
