"""What messages look like: the parsed form of the table that hack/protobuf.py writes (see there for its text).

Nothing is parsed or compiled before a message is first used: of 1200 messages a server needs about a tenth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kafila.machinery.protobuf_scalars import SCALARS, Scalar


class Field(NamedTuple):
    number: int
    name: str  # JSON name; "" when the fields of the message stand in the parent's JSON object
    label: str  # "", "[]" or "{}" (map with string keys)
    type: str | Scalar | Message  # one of "silbyd" (string, int32, int64, bool, bytes, double), or what is known of it
    drop_zero: bool  # Go's JSON leaves the zero value out


class Message:
    """A message type. ``readers`` and ``writers`` are filled by protobuf_decode and protobuf_encode when first needed."""

    __slots__ = ("inlined", "name", "numbers", "readers", "repeated", "table", "text", "union", "writers")

    def __init__(self, name: str, text: str, table: MessageTable) -> None:
        self.name = name
        self.text = text
        self.table = table
        self.union = UNIONS.get(name.rpartition(".")[2])
        self.repeated = text.startswith("1 - []")  # its JSON form is a list
        self.readers: dict[int, tuple[int, str, Any]] | None = None
        self.writers: dict[str, tuple[int, bytes, Any]] | None = None
        self.numbers: frozenset[int] = frozenset()
        self.inlined: tuple[tuple[bytes, Message], ...] = ()

    def fields(self) -> list[Field]:
        package = self.name.rpartition(".")[0]
        return [self._field(package, *part.split(" ")) for part in self.text.split(";") if part]

    def _field(self, package: str, number: str, name: str, type_: str, zero: str = "") -> Field:
        label = type_[:2] if type_[:2] in ("[]", "{}") else ""
        type_ = type_.removeprefix(label)
        resolved: str | Scalar | Message = type_
        if len(type_) > 1:
            full = type_ if "." in type_ else f"{package}.{type_}"
            resolved = SCALARS.get(full) or self.table.message(full)
        return Field(int(number), "" if name == "-" else name, label, resolved, zero == "z")

    def __repr__(self) -> str:
        return f"<Message {self.name}>"


class MessageTable:
    """All messages by full name, e.g. ``k8s.io.api.apps.v1.Deployment``."""

    def __init__(self, packages: Mapping[str, Mapping[str, str]]) -> None:
        self._packages = packages
        self._messages: dict[str, Message] = {}

    def message(self, name: str) -> Message:
        """Raises KeyError when the table has no such message."""
        found = self._messages.get(name)
        if found is None:
            package, _, local = name.rpartition(".")
            found = self._messages[name] = Message(name, self._packages[package][local], self)
        return found


class Union(NamedTuple):
    """A message of which JSON shows only the member that is set."""

    unwrap: Callable[[dict[str, Any]], Any]
    wrap: Callable[[Any], dict[str, Any]]


def _schema_or_bool(members: dict[str, Any]) -> Any:
    return members["schema"] if "schema" in members else members.get("allows", False)


def _bool_or_schema(value: Any) -> dict[str, Any]:
    return {"allows": value} if isinstance(value, bool) else {"allows": True, "schema": value}


# Types of apiextensions' JSONSchemaProps, by the names that v1 and v1beta1 share.
UNIONS = {
    "JSONSchemaPropsOrArray": Union(
        lambda members: members.get("jSONSchemas") or members.get("schema"),
        lambda value: {"jSONSchemas": value} if isinstance(value, list) else {"schema": value},
    ),
    "JSONSchemaPropsOrBool": Union(_schema_or_bool, _bool_or_schema),
    "JSONSchemaPropsOrStringArray": Union(
        lambda members: members.get("property") or members.get("schema"),
        lambda value: {"property": value} if isinstance(value, list) else {"schema": value},
    ),
}
