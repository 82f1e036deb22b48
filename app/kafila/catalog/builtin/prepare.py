"""What the server sets or keeps on its own when an object is created or changed."""

from __future__ import annotations

from kafila.core.clock import rfc3339
from kafila.core.conditions import condition, with_condition
from kafila.core.names import new_uid
from kafila.core.values import Object

from .validation.common import Found, same
from .validation.security import APPARMOR, check_apparmor_profile

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_JOB_NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
_JOB_UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
_QOS_RESOURCES = ("cpu", "memory")
_LOCALHOST = "localhost/"
_PROFILES = {"unconfined": "Unconfined", "runtime/default": "RuntimeDefault"}


def _labels(holder: Object) -> dict[str, str]:
    metadata = holder.get("metadata")
    if metadata is None:
        metadata = holder["metadata"] = {}
    labels = metadata.get("labels")
    if labels is None:
        labels = metadata["labels"] = {}
    return labels


def _raise_generation(new: Object, old: Object) -> None:
    new["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1


# -- core ------------------------------------------------------------------------------------------------------------------


def create_namespace(obj: Object) -> None:
    obj["status"] = {"phase": "Active"}
    spec = obj.get("spec")
    if spec is None:
        spec = obj["spec"] = {}
    finalizers = spec.get("finalizers") or []
    if "kubernetes" not in finalizers:
        spec["finalizers"] = [*finalizers, "kubernetes"]
    _labels(obj)["kubernetes.io/metadata.name"] = obj["metadata"].get("name") or ""


def name_limit_range(obj: Object) -> None:
    if not obj["metadata"].get("name"):
        obj["metadata"]["name"] = new_uid()


def update_namespace(new: Object, old: Object) -> None:
    if "spec" in old:  # finalizers only change through /finalize
        new["spec"] = old["spec"]


def keep_pod_qos(new: Object, old: Object) -> None:
    """It is set for good when the pod is created; some kubelets leave it out of the statuses that they write."""
    was = (old.get("status") or {}).get("qosClass")
    if was and not (new.get("status") or {}).get("qosClass"):
        new["status"] = {**(new.get("status") or {}), "qosClass": was}


def create_pod(obj: Object) -> None:
    spec = obj.get("spec") or {}
    _profiles_from_annotations(obj["metadata"].get("annotations") or {}, spec)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    obj["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}
    if (obj.get("spec") or {}).get("schedulingGates"):
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": rfc3339(),
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }
        obj["status"]["conditions"] = [condition]


def _profiles_from_annotations(annotations: Object, spec: Object) -> None:
    """AppArmor profiles were annotations before 1.30; a container that has none of its own gets a field for it (KEP-24)."""
    if (spec.get("os") or {}).get("name") == "windows":
        return
    for_all = (spec.get("securityContext") or {}).get("appArmorProfile")
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            annotation = annotations.get(f"{APPARMOR}{container.get('name', '')}")
            context = container.get("securityContext") or {}
            profile = _profile_of(annotation or "")
            if context.get("appArmorProfile") is None and profile is not None and profile != for_all:
                container["securityContext"] = {**context, "appArmorProfile": profile}


def _profile_of(annotation: str) -> Object | None:
    if annotation in _PROFILES:
        return {"type": _PROFILES[annotation]}
    if not annotation.startswith(_LOCALHOST):
        return None
    profile = {"type": "Localhost", "localhostProfile": annotation.removeprefix(_LOCALHOST)}
    wrong: Found = []
    check_apparmor_profile(profile, "", wrong)
    return None if wrong else profile


def qos_class(spec: Object) -> str:
    """Guaranteed when every container has equal requests and limits of cpu and memory, BestEffort when none has any."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    if spec.get("resources"):
        containers = [spec]  # asked for the pod as a whole
    some = False
    guaranteed = bool(containers)
    for container in containers:
        resources = container.get("resources") or {}
        requests = {k: v for k, v in (resources.get("requests") or {}).items() if k in _QOS_RESOURCES and v != "0"}
        limits = {k: v for k, v in (resources.get("limits") or {}).items() if k in _QOS_RESOURCES and v != "0"}
        some = some or bool(requests or limits)
        if len(limits) < 2 or any(requests.get(k, v) != v for k, v in limits.items()):
            guaranteed = False
    if not some:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def create_node(obj: Object) -> None:
    (obj.get("spec") or {}).pop("configSource", None)


def keep_node_status(new: Object, old: Object) -> None:
    # a Node may be created with a status, which is why the kind itself does not count as having one
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def create_persistent_volume(obj: Object) -> None:
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": rfc3339()}


def create_claim(obj: Object) -> None:
    obj["status"] = {"phase": "Pending"}
    _link_data_sources(obj.get("spec") or {})


def update_claim(new: Object, old: Object) -> None:
    _link_data_sources(new.get("spec") or {})


def _link_data_sources(spec: Object) -> None:
    """dataSource is the older twin of dataSourceRef; what it never supported is dropped in silence."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if reference is not None and reference.get("namespace"):  # sources in other namespaces are off by default
        del spec["dataSourceRef"]
        reference = None
    if reference is None and source is not None:
        kinds = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))
        if (source.get("apiGroup") or "", source.get("kind")) in kinds:
            spec["dataSourceRef"] = dict(source)
        else:
            del spec["dataSource"]
    elif reference is not None and source is None:
        spec["dataSource"] = {k: v for k, v in reference.items() if k != "namespace"}


def clean_service_account(obj: Object, old: Object | None = None) -> None:
    """References to secrets are names and nothing else."""
    if obj.get("secrets"):
        obj["secrets"] = [{"name": ref["name"]} if ref.get("name") else {} for ref in obj["secrets"]]


# -- apps and batch --------------------------------------------------------------------------------------------------------


def update_deployment(new: Object, old: Object) -> None:
    """Annotations count as a change too (the controller copies them to ReplicaSets)."""
    if (new["metadata"].get("annotations") or {}) != (old["metadata"].get("annotations") or {}):
        _raise_generation(new, old)


def _template_generation(obj: Object) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _set_template_generation(obj: Object, value: int) -> None:
    annotations = obj["metadata"].get("annotations")
    if annotations is None:
        annotations = obj["metadata"]["annotations"] = {}
    annotations[TEMPLATE_GENERATION] = str(value)


def create_daemon_set(obj: Object) -> None:
    _set_template_generation(obj, max(_template_generation(obj), 1))


def update_daemon_set(new: Object, old: Object) -> None:
    changed = (new.get("spec") or {}).get("template") != (old.get("spec") or {}).get("template")
    _set_template_generation(new, _template_generation(old) + changed)


def create_job(obj: Object) -> None:
    """Selector and labels that no other Job's pods can have. Needs metadata.uid."""
    spec = obj.get("spec") or {}
    if spec.get("manualSelector"):
        return
    template = spec.get("template")
    if template is None:
        template = spec["template"] = {}
    labels = _labels(template)
    name, uid = obj["metadata"].get("name") or "", obj["metadata"].get("uid") or ""
    for key in _JOB_NAME_LABELS:
        labels.setdefault(key, name)
    for key in _JOB_UID_LABELS:
        labels.setdefault(key, uid)
    selector = spec.get("selector")
    if selector is None:
        selector = spec["selector"] = {}
    if selector.get("matchLabels") is None:
        selector["matchLabels"] = {}
    selector["matchLabels"].setdefault("batch.kubernetes.io/controller-uid", uid)
    if not obj["metadata"].get("labels"):  # whoever reads the Job gets this default
        obj["metadata"]["labels"] = dict(labels)


# -- others ----------------------------------------------------------------------------------------------------------------


def update_endpoint_slice(new: Object, old: Object) -> None:
    if (new["metadata"].get("labels") or {}) != (old["metadata"].get("labels") or {}):
        _raise_generation(new, old)


def update_csi_driver(new: Object, old: Object) -> None:
    if not same(new.get("spec"), old.get("spec")):  # starts without a generation
        _raise_generation(new, old)


def update_csr(new: Object, old: Object) -> None:
    new["spec"] = old.get("spec") or {}


def _stored_versions(obj: Object, before: list[str]) -> None:
    storage = next((v.get("name") or "" for v in (obj.get("spec") or {}).get("versions") or () if v.get("storage")), "")
    if storage and storage not in before:
        status = dict(obj.get("status") or {})
        status["storedVersions"] = [*before, storage]
        obj["status"] = status


def create_crd(obj: Object) -> None:
    obj["status"] = {**(obj.get("status") or {}), "conditions": []}
    _stored_versions(obj, [])


def created_crd(body: bytes) -> bytes:
    """kube-apiserver has null in place of conditions until its controller comes by. Whoever waits would give up at that
    (kubernetes/kubernetes#66439), so that only the answer to who made it has it, as there."""
    before, empty, after = body.rpartition(b'"conditions":[]')
    return before + b'"conditions":null' + after if empty else body


def update_crd(new: Object, old: Object) -> None:
    _stored_versions(new, list((old.get("status") or {}).get("storedVersions") or ()))


def create_api_service(obj: Object) -> None:
    """One that is served here is available at once."""
    obj["status"] = {}
    if not (obj.get("spec") or {}).get("service"):
        local = condition("Available", "True", "Local", "Local APIServices are always available")
        obj["status"] = {"conditions": with_condition(None, local)}


def create_csr(obj: Object) -> None:
    obj["status"] = {}
