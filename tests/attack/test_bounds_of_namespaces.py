"""What reads every quota and limit range of a namespace is bounded by how many it may have."""

from __future__ import annotations

import pytest

from kafila.admission import Admission
from kafila.admission.plugins.attributes import Lookups
from kafila.admission.plugins.others import MOST_BOUNDS
from kafila.catalog.catalog import builtin_kinds
from kafila.core.errors import StatusError
from kafila.core.values import Object


@pytest.mark.parametrize("resource", ["resourcequotas", "limitranges"])
def test_a_namespace_has_a_bounded_number_of_them(resource: str) -> None:
    kind = next(kind for kind in builtin_kinds() if kind.resource == resource)
    there: list[Object] = [{"metadata": {"name": str(n), "namespace": "ns"}} for n in range(MOST_BOUNDS)]
    admission = Admission(look=Lookups(lambda _: there, lambda *_: there, lambda *_: None), plugins=())
    with pytest.raises(StatusError) as refused:
        admission.admit(kind, "CREATE", {"metadata": {"name": "more", "namespace": "ns"}}, None, None)
    assert (refused.value.code, refused.value.message) == (
        403,
        f'{resource} "more" is forbidden: a namespace has at most 100 {resource}',
    )
    admission.admit(kind, "UPDATE", there[0], there[0], None)
    del there[0]
    admission.admit(kind, "CREATE", {"metadata": {"name": "more", "namespace": "ns"}}, None, None)
