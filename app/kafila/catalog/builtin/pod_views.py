"""Subresources of pods that change a part of the spec which the pod itself does not let go: ephemeral containers and resources."""

from __future__ import annotations

from kafila.core.values import Object, copy_json

from .prepare import qos_class
from .validation.common import Found, forbidden, invalid, same

_RESIZABLE = ("cpu", "memory")


def only_ephemeral_containers(new: Object, old: Object) -> None:
    """Everything else of the pod stays as it was."""
    spec = copy_json(old.get("spec") or {})
    given = (new.get("spec") or {}).get("ephemeralContainers")
    if given is None:
        spec.pop("ephemeralContainers", None)
    else:
        spec["ephemeralContainers"] = given
    _take_over(new, old, spec)


def validate_ephemeral_containers(new: Object, old: Object) -> Found:
    found: Found = []
    path = "spec.ephemeralContainers"
    now = {c.get("name"): c for c in (new.get("spec") or {}).get("ephemeralContainers") or ()}
    for container in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name = container.get("name")
        if name not in now:
            found.append(forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif not same(now[name], container):
            found.append(forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n'))
    return found


def only_resources(new: Object, old: Object) -> None:
    """Resources and their resize policies of containers that stay where they are."""
    spec = copy_json(old.get("spec") or {})
    for field in ("containers", "initContainers"):
        given = (new.get("spec") or {}).get(field) or []
        if len(given) != len(spec.get(field) or ()):
            continue
        for container, wanted in zip(spec.get(field) or (), given, strict=True):
            if container.get("name") != wanted.get("name"):
                continue
            if field == "initContainers" and container.get("restartPolicy") != "Always":
                continue
            for part in ("resources", "resizePolicy"):
                if part in wanted:
                    container[part] = wanted[part]
                else:
                    container.pop(part, None)
    _take_over(new, old, spec)


def validate_resize(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    before = (old.get("status") or {}).get("qosClass", qos_class(was))
    if qos_class(spec) != before:
        found.append(invalid("spec", before, "Pod QOS Class may not change as a result of resizing"))
    bare, bare_before = copy_json(spec), copy_json(was)
    for one in (bare, bare_before):
        for field in ("containers", "initContainers"):
            for container in one.get(field) or ():
                _drop_resizable(container)
    for field in ("containers", "initContainers"):
        for i, (container, before) in enumerate(zip(spec.get(field) or (), was.get(field) or (), strict=False)):
            for part in ("limits", "requests"):
                missing = set((before.get("resources") or {}).get(part) or ()) - set(
                    (container.get("resources") or {}).get(part) or ()
                )
                if missing & set(_RESIZABLE):
                    text = f"resource {part} cannot be removed"
                    found.append(forbidden(f"spec.{field}[{i}].resources.{part}", text))
    if not same(bare, bare_before):
        found.append(forbidden("spec", "only cpu and memory resources are mutable"))
    return found


def _drop_resizable(container: Object) -> None:
    resources = container.get("resources") or {}
    for part in ("limits", "requests"):
        for name in _RESIZABLE:
            (resources.get(part) or {}).pop(name, None)
    container.pop("resizePolicy", None)


def _take_over(new: Object, old: Object, spec: Object) -> None:
    sent = new["metadata"]
    new["metadata"] = dict(old["metadata"])
    for field in ("resourceVersion", "uid", "managedFields"):
        if field in sent:
            new["metadata"][field] = sent[field]
    new["spec"] = spec
    if "status" in old:
        new["status"] = old["status"]
