"""``kafila sql``: questions in SQL over everything that the control plane knows, to its database."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from . import CommandError, UsageError
from .flags import DataDir

if TYPE_CHECKING:
    from kafila.settings.settings import Settings
    from kafila.store.querying import Limits, Queries, Result

DatabaseURL = Annotated[
    str, Parameter(help="The database (default: KAFILA_DATABASE_URL), also as a role that sees some namespaces only.")
]
_OUTPUTS: Final = ("table", "csv", "json")
_MOST_ROWS: Final = 1_000_000
_MOST_SECONDS: Final = 3600.0
_BEHIND: Final = 30.0  # seconds after which whoever asks is told
_PROMPT: Final = "kafila> "
_SWITCH: Final = "start kafila serve with --controllers='*,sql-views'"


def sql(
    query: Annotated[
        str, Parameter(name="QUERY", help="One query; without it they are read from standard input, each ended by ';'.")
    ] = "",
    /,
    *,
    output: Annotated[str, Parameter(name=["--output", "-o"], help="table, csv or json.")] = "table",
    as_namespace: Annotated[
        list[str] | None, Parameter(help="Only what a reader of this namespace sees; may be repeated.")
    ] = None,
    limit: Annotated[int, Parameter(help="Rows at most.")] = 10_000,
    timeout: Annotated[float, Parameter(help="Seconds at most.")] = 30.0,
    database_url: DatabaseURL = "",
    data_dir: DataDir = None,
) -> int:
    """Ask the views cluster, placement, work, drift, pending, object and event. They are read, and nothing can be written.

    They are filled by the controller sql-views, which is off unless kafila serve is told: --controllers='*,sql-views'.
    """
    if output not in _OUTPUTS:
        allowed = ", ".join(_OUTPUTS)
        raise UsageError(f'unable to match a printer suitable for the output format "{output}", allowed: {allowed}')
    if not 1 <= limit <= _MOST_ROWS:
        raise UsageError(f"invalid value '{limit}' for --limit: must be at least 1 and at most {_MOST_ROWS}")
    if not 0 < timeout <= _MOST_SECONDS:
        raise UsageError(
            f"invalid value '{timeout:g}' for --timeout: must be more than 0 and at most {_MOST_SECONDS:g}"
        )
    if wrong := [each for each in as_namespace or () if not each or "," in each]:
        raise UsageError(f"invalid value '{wrong[0]}' for --as-namespace: must be the name of a namespace")
    from kafila.store.querying import Limits

    settings = _settings(database_url, data_dir)
    return asyncio.run(_asked(settings, query, output, as_namespace or [], Limits(limit, timeout)))


def _settings(database_url: str, data_dir: Path | None) -> Settings:
    """Raises UsageError."""
    from .starting import settings_of

    given: dict[str, Any] = {"database_url": database_url} if database_url else {}
    if data_dir is not None:
        given["data_dir"] = data_dir
    return settings_of(given)


async def _asked(settings: Settings, query: str, output: str, namespaces: list[str], limits: Limits) -> int:
    """Raises CommandError."""
    from kafila.store.accounts import EmbeddedError
    from kafila.store.querying import QueryError, querying
    from kafila.store.reaching import reached

    try:
        async with (
            reached(settings.database_url, settings.data_dir) as dsn,
            querying(dsn, namespaces) as queries,
        ):
            await _tell_how_old(queries)
            if query:
                _print(await queries.run(query, limits), output, limits)
                return 0
            return await _all_of(queries, output, limits)
    except QueryError as error:
        raise CommandError(str(error)) from None
    except EmbeddedError as error:
        raise CommandError(f"--data-dir {settings.data_dir}: {' '.join(str(error).split())}") from None


async def _tell_how_old(queries: Queries) -> None:
    """On stderr, where the views are not what is: nobody fills them, or not at the moment."""
    found = await queries.freshness()
    if not found.revision:
        _note(f"the views are empty: {_SWITCH}")
    elif found.age > _BEHIND:
        _note(f"the views are as of {found.age:.0f} s ago: is kafila serve running, with --controllers='*,sql-views'?")


async def _all_of(queries: Queries, output: str, limits: Limits) -> int:
    """One after the other. At a terminal a query that fails is told, and the next one is read; else it is the last."""
    from kafila.store.querying import QueryError

    asks = sys.stdin.isatty()
    for query in statements(_typed() if asks else sys.stdin):
        try:
            _print(await queries.run(query, limits), output, limits)
        except QueryError as error:
            if not asks:
                raise
            _note(f"error: {error}")
    return 0


def _typed() -> Iterator[str]:
    import readline  # noqa: F401 - lines can be edited and called back

    while True:
        try:
            yield input(_PROMPT) + "\n"
        except EOFError:
            print()
            return


def statements(lines: Iterable[str]) -> Iterator[str]:
    """A line whose last character is ``;`` ends one, and so does the end."""
    found: list[str] = []
    for line in lines:
        found.append(line)
        if line.rstrip().endswith(";"):
            yield "".join(found)
            found = []
    if any(line.strip() for line in found):
        yield "".join(found)


def _print(result: Result, output: str, limits: Limits) -> None:
    from kafila.store.querying import as_json

    if output == "json":
        print(as_json(result).decode())
    elif output == "csv":
        print(as_csv(result), end="")
    else:
        print(as_table(result))
    if result.more:
        _note(f"there are more than {limits.rows} rows: give --limit, or ask for less")


def as_csv(result: Result) -> str:
    """Of RFC 4180, with a head; null is nothing."""
    found = io.StringIO()
    writer = csv.writer(found, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows([[_text(value) for value in row] for row in result.rows])
    return found.getvalue()


def as_table(result: Result) -> str:
    """What strangers chose moves nobody's cursor: it stands in one line each, in quotes where it would not print."""
    from .audit import safe
    from .certs import table

    if not result.columns:
        return f"{len(result.rows)} rows without columns"
    head = [safe(column).upper() for column in result.columns]
    return table([head, *([safe(_text(value)) for value in row] for row in result.rows)])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _note(text: str) -> None:
    print(text, file=sys.stderr)
