"""Which policy places the object, and why not the others; or why none does."""

from __future__ import annotations

from app.core import selectors
from app.placement.binding import claimed_by
from app.placement.match import choose_policy, explicit_priority, selectors_match, why_others_lost
from app.placement.objects import Object, labels_of, name, namespace, spec
from app.placement.why.report import Evidence, Report

_MOST = 10  # policies that are told about


def tell_policy(evidence: Evidence, report: Report) -> Object | None:
    template = evidence.template
    assert template is not None
    own = [p for p in evidence.policies if namespace(p) == evidence.namespace]
    claimed = _claiming(evidence, template)
    winner = claimed or choose_policy(template, own, evidence.cluster_policies).policy
    if winner is None:
        _tell_near_misses(evidence, template, report)
        return None
    report.policy = policy_text(winner)
    report.policy_why = _why_it_won(template, winner, claimed is not None)
    lost = why_others_lost(template, winner, own, evidence.cluster_policies, claimed=claimed is not None)
    report.lost = [(_by_name(reference), reason) for reference, reason in lost[:_MOST]]
    if len(lost) > _MOST:
        report.lost.append((f"and {len(lost) - _MOST} more", ""))
    return winner


def policy_text(policy: Object) -> str:
    where = namespace(policy)
    return f"PropagationPolicy {where}/{name(policy)}" if where else f"ClusterPropagationPolicy {name(policy)}"


def _by_name(reference: str) -> str:
    kind = "PropagationPolicy" if "/" in reference else "ClusterPropagationPolicy"
    return f"{kind} {reference}"


def _claiming(evidence: Evidence, template: Object) -> Object | None:
    claim = claimed_by(template)
    if claim is None:
        return None
    where, called, _ = claim
    for policy in evidence.policies if where else evidence.cluster_policies:
        if (namespace(policy), name(policy)) == (where, called):
            return policy if selectors_match(template, spec(policy).get("resourceSelectors")) else None
    return None


def _why_it_won(template: Object, policy: Object, claimed: bool) -> str:
    selector = next(s for s in spec(policy)["resourceSelectors"] if selectors_match(template, [s]))
    how = "by name" if selector.get("name") else "by label" if selector.get("labelSelector") is not None else "by kind"
    return f"selects it {how}, priority {explicit_priority(policy)}" + (", has claimed it" if claimed else "")


def _tell_near_misses(evidence: Evidence, template: Object, report: Report) -> None:
    report.policy = "none"
    report.policy_why = "no PropagationPolicy or ClusterPropagationPolicy selects it"
    missed = []
    for policy in (*evidence.policies, *evidence.cluster_policies):
        for selector in spec(policy).get("resourceSelectors") or ():
            if (selector.get("kind") or "").lower() == evidence.kind.lower():
                missed.append((policy_text(policy), _why_missed(template, policy, selector)))
    missed.sort(key=lambda found: found[1].count(";"))  # what needs one change comes first
    report.lost = missed[:_MOST]
    if len(missed) > _MOST:
        report.lost.append((f"and {len(missed) - _MOST} more", ""))
    selector = f"{{apiVersion: {template['apiVersion']}, kind: {template['kind']}, name: {name(template)}}}"
    kinds = "a PropagationPolicy of its namespace or a ClusterPropagationPolicy"
    if not evidence.namespace:
        kinds = "a ClusterPropagationPolicy"
    report.advise(
        "No policy selects it, so it stays in the control plane.",
        f"Add to the resourceSelectors of {kinds}:\n{selector}",
    )


def _why_missed(template: Object, policy: Object, selector: Object) -> str:
    """Everything that keeps the selector from matching."""
    found = []
    where = namespace(policy)
    if where and not namespace(template):
        found.append("a PropagationPolicy does not select cluster-scoped objects")
    elif where and where != namespace(template):
        found.append(f"a PropagationPolicy selects in its own namespace only, which is {where}")
    if selector.get("kind") != template.get("kind"):
        found.append(f"selects kind {selector.get('kind')!r}, it is {template.get('kind')!r}")
    if selector.get("apiVersion") != template.get("apiVersion"):
        found.append(f"selects apiVersion {selector.get('apiVersion')}, it has {template.get('apiVersion')}")
    if selector.get("namespace") and selector["namespace"] != namespace(template):
        found.append(f"selects namespace {selector['namespace']}")
    if selector.get("name"):
        if selector["name"] != name(template):
            found.append(f"selects the name {selector['name']}")
    elif selector.get("labelSelector") is not None:
        found += _why_labels_missed(template, selector["labelSelector"])
    if (policy["metadata"]).get("deletionTimestamp"):
        found.append("is being deleted")
    return "; ".join(found)


def _why_labels_missed(template: Object, label_selector: Object) -> list[str]:
    try:
        selector = selectors.from_object(label_selector)
    except selectors.SelectorError as error:
        return [f"its label selector is not valid: {error}"]
    return [] if selector.matches(labels_of(template)) else [f"selects labels {selector}"]
