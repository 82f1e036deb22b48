"""kafila.cli.sql: how queries are read, and how answers are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafila.cli import main
from kafila.cli.sql import as_csv, as_table, statements
from kafila.store.querying import Result, as_json

RESULT = Result(["name", "n", "labels"], [["web", 1, {"a": "b"}], ["api", None, ["x"]], ["é", True, None]], False)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["SELECT 1;\n", "SELECT\n", "2;\n"], ["SELECT 1;\n", "SELECT\n2;\n"]),
        (["SELECT ';'\n", "AS x"], ["SELECT ';'\nAS x"]),
        (["\n", "  \n"], []),
        ([], []),
    ],
)
def test_statements(lines: list[str], expected: list[str]) -> None:
    assert list(statements(lines)) == expected


def test_forms() -> None:
    assert as_table(RESULT) == 'NAME   N      LABELS\nweb    1      {"a":"b"}\napi           ["x"]\né      true'
    assert as_csv(RESULT) == 'name,n,labels\nweb,1,"{""a"":""b""}"\napi,,"[""x""]"\né,true,\n'
    assert as_json(Result(["a", "b"], [[1, None]], False)) == b'[\n  {\n    "a": 1,\n    "b": null\n  }\n]'
    assert as_table(Result([], [[], []], False)) == "2 rows without columns"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "yaml"], 'unable to match a printer suitable for the output format "yaml", allowed: table, csv, json'),
        (["--limit", "0"], "invalid value '0' for --limit: must be at least 1 and at most 1000000"),
        (["--timeout", "0"], "invalid value '0' for --timeout: must be more than 0 and at most 3600"),
        (["--timeout", "nan"], "invalid value 'nan' for --timeout: must be more than 0 and at most 3600"),
        (["--as-namespace", "a,b"], "invalid value 'a,b' for --as-namespace: must be the name of a namespace"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sql", "SELECT 1", *arguments])
    assert (ended.value.code, capsys.readouterr().err) == (2, f"error: {said}\n")


def test_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for where, said in (
        (f"--data-dir={tmp_path}", f"error: --data-dir {tmp_path}: there is no database\n"),
        ("--database-url=postgresql://127.0.0.1:1/none", "error: the database: "),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["sql", "SELECT 1", where])
        assert ended.value.code == 1
        assert capsys.readouterr().err.startswith(said)
