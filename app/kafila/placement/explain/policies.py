"""Which policy places the object, and why not the others; or why none does."""

from __future__ import annotations

from collections.abc import Sequence

from kafila.core import selectors
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.detector.binding import claimed_by, is_claimed_otherwise
from kafila.placement.detector.match import choose_policy, explicit_priority, selectors_match, why_others_lost
from kafila.placement.explain.report import Evidence, OtherPolicy, Reference, Report
from kafila.placement.objects import annotations_of, labels_of, name, namespace, spec
from kafila.placement.spec import existing_clusters
from kafila.placement.types import PropagationPolicy
from kafila.placement.withdrawal import waiting

CLUSTER_POLICIES = "clusterpropagationpolicies"
_MOST = 10  # policies that are listed


def explain_policy(evidence: Evidence, report: Report) -> PropagationPolicy | None:
    template = evidence.template
    assert template is not None
    _explain_overrides(evidence, template, report)
    own = [p for p in evidence.policies if namespace(p) == evidence.namespace]
    if is_claimed_otherwise(template):
        _explain_other_claim(template, [*own, *evidence.cluster_policies], report)
        return None
    claiming = _claiming(evidence, template)
    selects = claiming is not None and selectors_match(template, spec(claiming).get("resourceSelectors"))
    winner = claiming if selects else choose_policy(template, own, evidence.cluster_policies).policy
    if winner is None and claiming is not None and evidence.binding is not None:
        _explain_former(evidence, template, claiming, report)
        return claiming
    if winner is None and CLUSTER_POLICIES in evidence.withheld and (claim := claimed_by(template)) is not None:
        report.policy = Reference(_kind_of(bool(claim[0])), claim[0], claim[1])
        report.policy_why = "has claimed it; you may not read it"
        return None
    if winner is None:
        _explain_near_misses(evidence, template, report)
        return None
    report.policy = reference_of(winner)
    if what := waiting(winner):
        command = f"kafila approve {_type_of(winner)} {name(winner)}" + (
            f" -n {where}" if (where := namespace(winner)) else ""
        )
        report.advise(
            f"The policy's last edit waits for an approval: {what}. Objects keep the placement that they had.",
            f"{command}, or take the edit back.",
        )
    report.policy_why = _why_it_won(template, winner, selects)
    lost = why_others_lost(template, winner, own, evidence.cluster_policies, claimed=selects)
    report.lost = [OtherPolicy(_by_name(reference), reason) for reference, reason in lost[:_MOST]]
    report.more_lost = max(len(lost) - _MOST, 0)
    return winner


def _type_of(policy: PropagationPolicy) -> str:
    """As the command line has it."""
    return "propagationpolicy" if namespace(policy) else "clusterpropagationpolicy"


def _explain_other_claim(template: Object, policies: Sequence[PropagationPolicy], report: Report) -> None:
    """What a MultiClusterService is in charge of is no policy's."""
    annotations = annotations_of(template)
    kind = labels_of(template)[constants.CLAIMED_BY]
    where, called = annotations.get(constants.MCS_NAMESPACE, ""), annotations.get(constants.MCS_NAME, "")
    report.policy = Reference(kind, where, called) if called else None
    report.policy_why = (
        "has claimed it: it says where it goes, and no policy does" if called else f"{kind} has claimed it"
    )
    selecting = [each for each in policies if selectors_match(template, each["spec"].get("resourceSelectors"))]
    lost = "selects it, and does not get it as long as it is claimed"
    report.lost = [OtherPolicy(reference_of(each), lost) for each in selecting[:_MOST]]
    report.more_lost = max(len(selecting) - _MOST, 0)


def reference_of(policy: AnyObject) -> Reference:
    return Reference(policy.get("kind") or _kind_of(bool(namespace(policy))), namespace(policy), name(policy))


def _kind_of(namespaced: bool) -> str:
    return "PropagationPolicy" if namespaced else "ClusterPropagationPolicy"


def _by_name(reference: str) -> Reference:
    where, slash, called = reference.rpartition("/")
    return Reference(_kind_of(bool(slash)), where, called)


def _claiming(evidence: Evidence, template: Object) -> PropagationPolicy | None:
    """The policy that has claimed it, whether or not it selects it still."""
    claim = claimed_by(template)
    if claim is None:
        return None
    where, called, _ = claim
    for policy in evidence.policies if where else evidence.cluster_policies:
        if (namespace(policy), name(policy)) == (where, called):
            return policy
    return None


def _why_it_won(template: Object, policy: PropagationPolicy, claimed: bool) -> str:
    selector = next(s for s in policy["spec"]["resourceSelectors"] if selectors_match(template, [s]))
    how = "by name" if selector.get("name") else "by label" if selector.get("labelSelector") is not None else "by kind"
    return f"selects it {how}, priority {explicit_priority(policy)}" + (", has claimed it" if claimed else "")


def _explain_former(evidence: Evidence, template: Object, policy: PropagationPolicy, report: Report) -> None:
    """It was placed by a policy that does not select it any more: Karmada leaves it where it is."""
    report.policy = reference_of(policy)
    nearest = min((_missed(template, policy, each) for each in policy["spec"].get("resourceSelectors") or ()), key=len)
    why = f" ({'; '.join(nearest)})" if nearest else ""
    report.policy_why = f"has placed it and does not select it any more{why}; what it placed stays"
    _advise_about_copies(
        evidence, f"{report.policy} does not select it any more; its copies stay where they are.", report
    )


def _advise_about_copies(evidence: Evidence, problem: str, report: Report) -> None:
    binding = evidence.binding
    assert binding is not None
    where = f" -n {namespace(binding)}" if namespace(binding) else ""
    plural = "resourcebinding" if where else "clusterresourcebinding"
    report.advise(
        problem,
        "To keep it in step let a policy select it again; to take it out of the clusters delete its binding:\n"
        f"kubectl delete {plural}{where} {name(binding)}",
    )


def _explain_near_misses(evidence: Evidence, template: Object, report: Report) -> None:
    report.policy_why = "no PropagationPolicy or ClusterPropagationPolicy selects it"
    if CLUSTER_POLICIES in evidence.withheld:
        report.policy_why = "no PropagationPolicy selects it; you may not read ClusterPropagationPolicies"
    missed = []
    for policy in (*evidence.policies, *evidence.cluster_policies):
        for selector in policy["spec"].get("resourceSelectors") or ():
            if (selector.get("kind") or "").lower() == evidence.kind.lower():
                missed.append((reference_of(policy), _missed(template, policy, selector)))
    missed.sort(key=lambda found: len(found[1]))  # what needs one change comes first
    report.lost = [OtherPolicy(policy, "; ".join(reasons)) for policy, reasons in missed[:_MOST]]
    report.more_lost = max(len(missed) - _MOST, 0)
    if evidence.binding is not None and existing_clusters(evidence.binding["spec"]):
        if not evidence.binding["spec"].get("requiredBy"):
            _advise_about_copies(evidence, "No policy selects it any more; its copies stay where they are.", report)
        return
    needed = f"{{apiVersion: {template['apiVersion']}, kind: {template['kind']}, name: {name(template)}}}"
    kinds = "a PropagationPolicy of its namespace or a ClusterPropagationPolicy"
    if not evidence.namespace:
        kinds = "a ClusterPropagationPolicy"
    report.advise(
        "No policy selects it, so it stays in the control plane.",
        f"Add to the resourceSelectors of {kinds}:\n{needed}",
    )


def _explain_overrides(evidence: Evidence, template: Object, report: Report) -> None:
    """Those that apply, and those that mean this object and miss it: by another version of its kind, for instance."""
    for policy in evidence.overrides:
        if namespace(policy) and namespace(policy) != evidence.namespace:
            continue
        kind = "OverridePolicy" if namespace(policy) else "ClusterOverridePolicy"
        reference = Reference(kind, namespace(policy), name(policy))
        wanted = policy["spec"].get("resourceSelectors")
        if not wanted or selectors_match(template, wanted):
            report.overrides.append(OtherPolicy(reference, "applies to it", applies=True))
            continue
        for selector in wanted:
            named = selector.get("name") in (None, "", name(template))
            if (selector.get("kind") or "").lower() != evidence.kind.lower() or not named:
                continue
            reasons = _missed(template, policy, selector)
            report.overrides.append(OtherPolicy(reference, f"does not apply: {'; '.join(reasons)}"))
            if selector.get("apiVersion") != template.get("apiVersion"):
                report.advise(
                    f"{reference} does not apply to it: {'; '.join(reasons)}.",
                    f"Selectors name one version exactly: write apiVersion: {template.get('apiVersion')} in its resourceSelectors.",
                )
            break


def _missed(template: Object, policy: AnyObject, selector: AnyObject) -> list[str]:
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
    return found


def _why_labels_missed(template: Object, label_selector: AnyObject) -> list[str]:
    try:
        selector = selectors.from_object(label_selector)
    except selectors.SelectorError as error:
        return [f"its label selector is not valid: {error}"]
    return [] if selector.matches(labels_of(template)) else [f"selects labels {selector}"]
