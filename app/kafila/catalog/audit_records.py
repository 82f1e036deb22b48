"""audit.kafila.io/v1alpha1: ours. Who changed what, for ``kafila audit``: listed from a table of the database, stored by nobody."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from .karmada.kinds import Row, custom_kind
from .karmada.model import Int32, Model, Time
from .karmada.schemas import Builder
from .kind import Kind
from .tables import schema_of

GROUP = "audit.kafila.io"
KIND = "AuditRecord"


class ChangedField(Model):
    """A field that was changed, added or removed."""

    path: str = Field(description="Where it is, as spec.template.spec.containers[web].image.")
    from_: str | None = Field(None, alias="from", description="Its value before, as JSON; none where it was added.")
    to: str | None = Field(None, description="Its value after; none where it was removed. Of a Secret: (secret).")


class AuditRecord(Model):
    """A write that somebody asked for, or a controller made, and what became of it."""

    time: Time = Field(description="When it was asked for.")
    user: str = Field(description="Who asked for it; of a controller system:controller:NAME.")
    impersonated_user: str | None = Field(None, description="As whom he acted.")
    verb: str = Field(description="create, update, patch, delete or deletecollection.")
    resource: str = Field(description="Resource and group, as deployments.apps.")
    subresource: str | None = Field(None, description="Subresource that was written.")
    object_name: str | None = Field(None, description="Name of the object; its namespace is that of the record.")
    path: str | None = Field(None, description="What was asked of a member, through clusters/NAME/proxy.")
    code: Int32 = Field(description="Code of the answer; 0 where nobody was there to be answered.")
    source: str | None = Field(None, description="Address that the request came from.")
    user_agent: str | None = Field(None, description="What the client says that it is.")
    outcome: str | None = Field(None, description="created, changed or deleted; none where nothing was changed.")
    objects: Int32 | None = Field(None, description="How many objects the request changed, where not all are recorded.")
    changes: list[ChangedField] | None = Field(None, description="What was changed of an object that was there before.")
    more_changes: bool | None = Field(None, description="Whether more was changed than is listed.")


_COLUMNS = (
    ("USER", "string", ".user"),
    ("VERB", "string", ".verb"),
    ("RESOURCE", "string", ".resource"),
    ("OBJECT", "string", ".objectName"),
    ("CODE", "integer", ".code"),
    ("TIME", "date", ".time"),
)


def kinds() -> list[Kind]:
    row = Row(GROUP, KIND, "auditrecords", AuditRecord, categories=(), status=False, columns=_COLUMNS)
    return [replace(custom_kind(row, Builder(schema_of)), verbs=("list",))]
