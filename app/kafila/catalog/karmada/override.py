"""policy.karmada.io/v1alpha1: override policies, which change objects on their way to a cluster."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .model import Model, Raw
from .policy import ClusterAffinity, ResourceSelector

Operator = Literal["add", "remove", "replace"]


class PlaintextOverrider(Model):
    path: str = Field(description="JSON pointer to the field.")
    operator: Operator = Field(description="What to do with it.")
    value: Raw | None = Field(None, description="The new value.")


class ImagePredicate(Model):
    path: str = Field(description="JSON pointer to the image.")


class ImageOverrider(Model):
    predicate: ImagePredicate | None = Field(None, description="Which image; all of known kinds when not set.")
    component: Literal["Registry", "Repository", "Tag"] = Field(description="Part of the image's name.")
    operator: Operator = Field(description="What to do with it.")
    value: str | None = Field(None, description="The new part.")


class CommandArgsOverrider(Model):
    container_name: str = Field(description="Name of the container.")
    operator: Literal["add", "remove"] = Field(description="What to do with the values.")
    value: list[str] | None = Field(None, description="Words of the command line.")


class LabelAnnotationOverrider(Model):
    operator: Operator = Field(description="What to do with the pairs.")
    value: dict[str, str] = Field(description="Keys and values.")


class PatchOperation(Model):
    sub_path: str = Field(description="JSON pointer inside the field's document.")
    operator: Operator = Field(description="What to do there.")
    value: Raw | None = Field(None, description="The new value.")


class FieldOverrider(Model):
    field_path: str = Field(description="JSON pointer to a field that holds a document as text.")
    json_: list[PatchOperation] | None = Field(None, alias="json", description="Changes to a JSON document.")
    yaml: list[PatchOperation] | None = Field(None, description="Changes to a YAML document.")


class Overriders(Model):
    plaintext: list[PlaintextOverrider] | None = Field(None, description="Changes to any field.")
    image_overrider: list[ImageOverrider] | None = Field(None, description="Changes to images.")
    command_overrider: list[CommandArgsOverrider] | None = Field(None, description="Changes to commands.")
    args_overrider: list[CommandArgsOverrider] | None = Field(None, description="Changes to arguments.")
    labels_overrider: list[LabelAnnotationOverrider] | None = Field(None, description="Changes to labels.")
    annotations_overrider: list[LabelAnnotationOverrider] | None = Field(None, description="Changes to annotations.")
    field_overrider: list[FieldOverrider] | None = Field(None, description="Changes inside documents kept as text.")


class RuleWithCluster(Model):
    target_cluster: ClusterAffinity | None = Field(None, description="Clusters the rule is for, all when not set.")
    overriders: Overriders = Field(description="The changes.")


class OverrideSpec(Model):
    resource_selectors: list[ResourceSelector] | None = Field(None, description="Objects it is for, all when empty.")
    override_rules: list[RuleWithCluster] | None = Field(None, description="Changes per group of clusters.")
    target_cluster: ClusterAffinity | None = Field(None, description="Deprecated, use overrideRules.")
    overriders: Overriders | None = Field(None, description="Deprecated, use overrideRules.")


class OverridePolicy(Model):
    """Changes objects of its namespace per cluster."""

    spec: OverrideSpec = Field(description="Desired behaviour.")


class ClusterOverridePolicy(Model):
    """Changes objects per cluster, of any namespace or of none."""

    spec: OverrideSpec = Field(description="Desired behaviour.")
