"""Lists that members answer, as parts of one: objects, their metadata, or rows of a Table. Each part says which cluster it is from."""

from __future__ import annotations

from typing import Any, Final, final

from kafila.core.values import Object
from kafila.members.shapes import check_object, items_of
from kafila.members.transport import UnusableAnswer
from kafila.placement.constants import CACHED_FROM_CLUSTER

COLUMN: Final[Object] = {
    "name": "Cluster",
    "type": "string",
    "format": "",
    "description": "The member cluster that has the object.",
    "priority": 0,
}


def is_table(answer: Object) -> bool:
    return answer.get("kind") == "Table"


def content_of(answer: Object, what: str) -> list[Object]:
    """Items, or rows. Raises UnusableAnswer."""
    if not is_table(answer):
        return items_of(answer, what)
    items_of({**answer, "items": []}, what)
    rows = [] if answer.get("rows") is None else answer["rows"]
    columns = [] if answer.get("columnDefinitions") is None else answer["columnDefinitions"]
    if not (_all_objects(columns) and _all_objects(rows) and all(isinstance(row.get("cells"), list) for row in rows)):
        raise UnusableAnswer(f"the answer to {what} is no Table")
    for row in rows:
        if row.get("object") is not None:
            check_object(row["object"], what)
    return rows


def _all_objects(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, dict) for value in values)


def marked(answer: Object, items: list[Object], cluster: str) -> None:
    """Says of each item which cluster it is from."""
    if not is_table(answer):
        for item in items:
            _annotate(item, cluster)
        return
    at = _place(answer.get("columnDefinitions") or [])
    for row in items:
        row["cells"].insert(at, cluster)
        if row.get("object") is not None:
            _annotate(row["object"], cluster)


def _annotate(obj: Object, cluster: str) -> None:
    metadata = obj["metadata"] = obj.get("metadata") or {}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), CACHED_FROM_CLUSTER: cluster}


def _place(columns: list[Object]) -> int:
    """Behind the name."""
    return next((number + 1 for number, column in enumerate(columns) if column.get("name") == "Name"), 0)


def head_of(answer: Object) -> Object:
    """A list without its items, and without how it goes on."""
    head = {name: value for name, value in answer.items() if name not in ("items", "rows")}
    metadata = answer.get("metadata") or {}
    left_out = ("continue", "remainingItemCount")
    head["metadata"] = {name: value for name, value in metadata.items() if name not in left_out}
    if is_table(answer):
        head["columnDefinitions"] = with_column(answer.get("columnDefinitions") or [])
    return head


def with_column(columns: list[Object]) -> list[Object]:
    at = _place(columns)
    return [*columns[:at], COLUMN, *columns[at:]]


@final
class Unlike:
    """What cannot stand in one list with the ``first``: another kind of list, or a Table with other columns."""

    def __init__(self, first: Object) -> None:
        self.field = "rows" if is_table(first) else "items"
        self._form = _form_of(first)

    def differs(self, head: Object) -> bool:
        return _form_of(head) != self._form


def _form_of(head: Object) -> object:
    if not is_table(head):
        return is_table(head)
    return [column.get("name") for column in head["columnDefinitions"]]
