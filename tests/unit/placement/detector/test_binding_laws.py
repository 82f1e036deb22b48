"""What holds for every binding, whatever policies come and go: it has one owner, and at most one policy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafila.core.values import Object
from kafila.placement.detector.binding import OwnerMismatch, build_binding, claim, claimed_by, unclaim
from tests.unit.placement.objects import deployment, policy, selector

PP_MARKS = {
    "propagationpolicy.karmada.io/permanent-id",
    "propagationpolicy.karmada.io/namespace",
    "propagationpolicy.karmada.io/name",
}
CPP_MARKS = {"clusterpropagationpolicy.karmada.io/permanent-id", "clusterpropagationpolicy.karmada.io/name"}
POLICIES = [
    policy(name, where, resourceSelectors=[selector()], placement={}) for where in ("default", "") for name in "ab"
]
TEMPLATES = [deployment(), {**deployment(), "metadata": {**deployment()["metadata"], "uid": "its-successor"}}]


def marks(obj: Object) -> set[str]:
    metadata = obj["metadata"]
    return ({*(metadata.get("labels") or {})} | {*(metadata.get("annotations") or {})}) & (PP_MARKS | CPP_MARKS)


@given(st.lists(st.one_of(st.sampled_from(POLICIES), st.none()), max_size=6))
def test_a_template_and_its_binding_never_have_two_policies(coming: list[Object | None]) -> None:
    template, binding = TEMPLATES[0], None
    for wanted in coming:
        if wanted is None:
            template, binding = unclaim(template), unclaim(binding) if binding is not None else None
        else:
            template = claim(template, wanted)
            binding = build_binding(template, wanted, binding)
        for obj in filter(None, (template, binding)):
            place = (wanted or {}).get("metadata", {})
            assert marks(obj) == (set() if wanted is None else PP_MARKS if place.get("namespace") else CPP_MARKS)
            claimed = claimed_by(obj)
            assert (
                claimed is None
                if wanted is None
                else claimed
                == (
                    place.get("namespace", ""),
                    place["name"],
                    f"id-of-{place['name']}",
                )
            )


@given(st.lists(st.tuples(st.sampled_from(TEMPLATES), st.sampled_from(POLICIES)), min_size=1, max_size=6))
def test_a_binding_keeps_its_owner_until_it_is_gone(coming: list[tuple[Object, Object]]) -> None:
    """A template that is made anew under the same name waits for the end of the old one's binding."""
    first, _ = coming[0]
    binding: Object | None = None
    for template, wanted in coming:
        try:
            binding = build_binding(template, wanted, binding)
        except OwnerMismatch:
            assert template is not first
        else:
            assert template is first
        assert binding is not None
        owners = [owner for owner in binding["metadata"]["ownerReferences"] if owner["controller"]]
        assert [owner["uid"] for owner in owners] == [first["metadata"]["uid"]]
