"""placement.kafila.io/v1alpha1: ours, not Karmada's. Revisions of templates that a staged rollout goes from and to."""

from __future__ import annotations

from pydantic import Field

from .karmada.kinds import Row, custom_kind
from .karmada.model import Model, RawObject
from .karmada.schemas import Builder
from .kind import Kind
from .tables import schema_of


class TemplateRevision(Model):
    """A template as it was, kept as long as a cluster has it, or may get it back."""

    revision: str = Field(max_length=63, description="What tells its content from that of other revisions.")
    template: RawObject = Field(description="The template.")


class ClusterTemplateRevision(TemplateRevision):
    """The same of a template without a namespace."""


_COLUMNS = (
    ("KIND", "string", ".template.kind"),
    ("TEMPLATE", "string", ".template.metadata.name"),
    ("REVISION", "string", ".revision"),
)


def kinds() -> list[Kind]:
    build, group = Builder(schema_of), "placement.kafila.io"
    rows = (
        Row(group, "TemplateRevision", "templaterevisions", TemplateRevision, status=False, columns=_COLUMNS),
        Row(
            group,
            "ClusterTemplateRevision",
            "clustertemplaterevisions",
            ClusterTemplateRevision,
            namespaced=False,
            status=False,
            columns=_COLUMNS,
        ),
    )
    return [custom_kind(row._replace(categories=()), build) for row in rows]
