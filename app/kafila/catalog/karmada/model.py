"""What the models are written with: a base class and the wire types that Python's own types do not tell apart.

Models are never instantiated by the server. ``compiling`` walks their fields once and derives a Schema, a function that
fills in defaults and a function that validates plain dicts.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
CORE = "io.k8s.api.core.v1."


class Wire(NamedTuple):
    """The form on the wire of an annotated type: a Schema kind and its format."""

    kind: str
    format: str = ""
    pattern: str = ""


class Ref(NamedTuple):
    """A Kubernetes definition, by its name in the OpenAPI document."""

    definition: str


class ListMap(NamedTuple):
    """x-kubernetes-list-type: map, keyed by these fields of the elements."""

    keys: tuple[str, ...]


class OneOf(NamedTuple):
    """An enum with an order of its own: Python takes Literals of the same words for one type."""

    words: tuple[str, ...]


class Atomic(NamedTuple):
    """x-kubernetes-map-type: atomic."""


class Always(NamedTuple):
    """The field is on the wire even when it was not given (a Go struct without pointer in a typed API)."""

    zero: Any


QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

Int32 = Annotated[int, Wire("integer", "int32")]
Int64 = Annotated[int, Wire("integer", "int64")]
Time = Annotated[str, Wire("time", "date-time")]
Bytes = Annotated[str, Wire("bytes", "byte")]
# A CustomResourceDefinition keeps a quantity as it was written; only typed APIs print its canonical form.
Quantity = Annotated[str | int, Wire("int-or-string", "", QUANTITY)]
CanonicalQuantity = Annotated[str | int, Wire("quantity")]
Raw = Annotated[Any, Wire("any")]
RawObject = Annotated[dict[str, Any], Wire("any", "object")]

ResourceList = dict[str, Quantity]
CanonicalResourceList = dict[str, CanonicalQuantity]
LabelSelector = Annotated[dict[str, Any], Ref(META + "LabelSelector")]
NodeSelectorRequirement = Annotated[dict[str, Any], Ref(CORE + "NodeSelectorRequirement")]
NodeSelector = Annotated[dict[str, Any], Ref(CORE + "NodeSelector")]
Toleration = Annotated[dict[str, Any], Ref(CORE + "Toleration")]


class Model(BaseModel):
    """Wire names are the fields' names in camelCase. Validators are never built: ``defer_build`` keeps them out of memory."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, defer_build=True)


CONDITION_TYPE = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
)
REASON = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"


class Condition(Model):
    """metav1.Condition with the limits a CustomResourceDefinition puts on it."""

    last_transition_time: Time = Field(description="When the status last changed.")
    message: str = Field(max_length=32768, description="Explanation for people; may be empty.")
    observed_generation: Int64 | None = Field(
        None, ge=0, description="Generation of the object the condition is about."
    )
    reason: str = Field(
        min_length=1, max_length=1024, pattern=REASON, description="Cause of the last change, CamelCase."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    type: str = Field(max_length=316, pattern=CONDITION_TYPE, description="Name of the condition, CamelCase.")


Conditions = Annotated[list[Condition], ListMap(("type",))]
PlainConditions = list[Condition]  # where the CRD leaves the list atomic
