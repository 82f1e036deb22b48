"""``kafila audit``: who changed what, from the control plane's own records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from cyclopts import Parameter

from kafila.core.values import Object

from . import UsageError
from .certs import table
from .durations import duration
from .flags import KarmadaContext, Kubeconfig, check_output
from .membership import access, told
from .resources import resource_named

if TYPE_CHECKING:
    from kafila.members.client import MemberClient

_OUTPUTS: Final = ("json", "wide", "name")
_API: Final = "audit.kafila.io/v1alpha1"
_PAGE: Final = 500
_FEW: Final = 5  # changes that are shown without -o wide
_HEADERS: Final = ("TIME", "USER", "VERB", "OBJECT", "CODE")
_WIDE: Final = ("SOURCE", "USER AGENT")


class _Wanted(NamedTuple):
    namespace: str  # "": of all
    selector: str
    since: int  # seconds; 0: all there are


def audit(
    *,
    user: Annotated[str, Parameter(help="Only what this user asked for, as himself or as whom he acted.")] = "",
    object_: Annotated[
        str, Parameter(name="--object", help="Only of this object: TYPE/NAME, or TYPE/NAMESPACE/NAME.")
    ] = "",
    verb: Annotated[str, Parameter(help="Only this: create, update, patch, delete or deletecollection.")] = "",
    since: Annotated[str, Parameter(help="Only what is younger than a duration like 5m or 24h (default: all).")] = "",
    namespace: Annotated[
        str, Parameter(name=["--namespace", "-n"], help="Only in this namespace (default: in all).")
    ] = "",
    limit: Annotated[int, Parameter(help="At most so many records, the newest.")] = 100,
    output: Annotated[str, Parameter(name=["--output", "-o"], help="json, wide or name.")] = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """Tell who changed what: the newest last, with the fields that were changed."""
    check_output(output, *_OUTPUTS)
    if limit < 1:
        raise UsageError(f"--limit {limit} must be at least 1")
    seconds = max(round(duration(since, "--since")), 1) if since else 0
    plane = access(kubeconfig, karmada_context)
    selector = {"user": user, "verb": verb}
    records = told(plane, lambda client: _asked(client, plane.namespace, object_, namespace, selector, seconds, limit))
    records.reverse()
    if output == "json":
        import orjson

        print(orjson.dumps(records, option=orjson.OPT_INDENT_2).decode())
    elif output == "name":
        print("\n".join(dict.fromkeys(f"{safe(r['resource'])}/{safe(r.get('objectName') or '')}" for r in records)))
    else:
        print("\n".join(lines(records, output == "wide")))


async def _asked(
    client: MemberClient, own: str, named: str, namespace: str, selector: dict[str, str], seconds: int, limit: int
) -> list[Object]:
    """``own``: the namespace of the kubeconfig."""
    where = namespace
    if named:
        where, of_object = await _object(client, named, namespace, own or "default")
        selector = {**selector, **of_object}
    text = ",".join(f"{name}={_escaped(value)}" for name, value in selector.items() if value)
    return await _read(client, _Wanted(where, text, seconds), limit)


def _escaped(value: str) -> str:
    """Of a field selector."""
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


async def _object(client: MemberClient, named: str, namespace: str, default: str) -> tuple[str, dict[str, str]]:
    """The namespace and the fields of ``TYPE/NAME`` or ``TYPE/NAMESPACE/NAME``. Raises CommandError, StatusError, Unreachable."""
    kind, *rest = named.split("/")
    if not kind or not 1 <= len(rest) <= 2 or not all(rest):
        raise UsageError("--object must be TYPE/NAME or TYPE/NAMESPACE/NAME, e.g. deployments/team-a/web")
    if len(rest) == 2 and namespace and rest[0] != namespace:
        raise UsageError(f"--namespace {namespace} and --object {named} are not of one namespace")
    resource = await resource_named(client, kind)
    group = resource.api_version.rpartition("/")[0]
    plural = f"{resource.name}.{group}" if group else resource.name
    if len(rest) == 2 and not resource.namespaced:
        raise UsageError(f"--object {named}: {plural} lie in no namespace")
    where = "" if not resource.namespaced else rest[0] if len(rest) == 2 else namespace or default
    return where, {"resource": plural, "objectName": rest[-1]}


async def _read(client: MemberClient, wanted: _Wanted, limit: int) -> list[Object]:
    """Newest first. Raises StatusError, Unreachable."""
    import orjson

    from kafila.members.answers import status_error
    from kafila.members.client import resource_path

    path = resource_path(_API, "auditrecords", wanted.namespace)
    query = {"fieldSelector": wanted.selector} if wanted.selector else {}
    if wanted.since:
        query["sinceSeconds"] = str(wanted.since)
    found: list[Object] = []
    while True:
        query["limit"] = str(min(limit - len(found), _PAGE))
        status, body = await client.request("GET", path, query=query)
        if status != 200:
            raise status_error(status, body)
        page = orjson.loads(body)
        found += page["items"]
        token = page["metadata"].get("continue") or ""
        if len(found) >= limit or not token:
            return found[:limit]
        query["continue"] = token


def lines(records: Sequence[Object], wide: bool) -> Iterator[str]:
    """The table, with the changed fields of each record below it. What strangers chose moves nobody's cursor."""
    if not records:
        yield "No records found."
        return
    rows = table([(*_HEADERS, *(_WIDE if wide else ())), *(_row(record, wide) for record in records)]).splitlines()
    yield rows[0]
    for record, row in zip(records, rows[1:], strict=True):
        yield row
        changes = record.get("changes") or ()
        shown = changes if wide else changes[:_FEW]
        for change in shown:
            yield f"    {safe(change['path'])}: {_value(change, 'from')} → {_value(change, 'to')}"
        more = len(changes) - len(shown)
        if more or record.get("moreChanges"):
            yield f"    and {more or ''}{' ' if more else ''}more"


def _row(record: Object, wide: bool) -> list[str]:
    who = safe(record["user"])
    if acting := record.get("impersonatedUser"):
        who += f" as {safe(acting)}"
    what = "/".join(
        safe(part)
        for part in (record["resource"], record["metadata"].get("namespace"), record.get("objectName"))
        if part
    )
    if record.get("subresource"):
        path = f"/{record['path']}" if record.get("path") else ""
        what += f" ({safe(record['subresource'] + path)})"
    row = [record["time"], who, record["verb"], what, str(record["code"])]
    return [*row, safe(record.get("source") or "-"), safe(record.get("userAgent") or "-")] if wide else row


def _value(change: Object, side: str) -> str:
    return safe(change[side]) if side in change else "-"


def safe(text: str) -> str:
    """As it is, or in quotes where a terminal would act on it."""
    from kafila.core.quoting import quoted

    return text if text.isprintable() else quoted(text)
