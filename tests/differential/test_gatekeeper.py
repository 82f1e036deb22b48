"""Gatekeeper, unmodified, beside kube-apiserver and beside kafila: its controllers, its webhooks, and the policies that it makes of templates."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from clusters.harness import LOOPBACK, Process

from differential.compare import Difference, compare
from differential.normalise import normalised
from differential.programs import (
    APPLY,
    CALLER,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Ask,
    CallerOfWebhooks,
    Side,
    ask,
    free_port,
)
from differential.servers import Answer

pytestmark = [pytest.mark.clusters, pytest.mark.timeout(900)]
Object = dict[str, Any]
VERSION: Final = "3.23.1"
OWN: Final = "/api/v1/namespaces/gatekeeper-system"
HERE: Final = "/api/v1/namespaces/guarded"
ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
TEMPLATES: Final = "/apis/templates.gatekeeper.sh/v1/constrainttemplates"
CONSTRAINTS: Final = "/apis/constraints.gatekeeper.sh/v1beta1"
MUTATIONS: Final = "/apis/mutations.gatekeeper.sh/v1"
DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

CEL: Final = {
    "failurePolicy": "Fail",
    "generateVAP": True,
    "validations": [
        {
            "expression": "!has(object.spec.containers) || object.spec.containers.all(c, c.image.startsWith(variables.params.registry))",
            "messageExpression": "'images come from ' + variables.params.registry",
        }
    ],
}


def template(name: str, properties: Object, **how: Any) -> Object:
    """``name``: of the kind of constraints that it makes."""
    schema = {"type": "object", "properties": properties}
    return {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {"name": name.lower()},
        "spec": {
            "crd": {"spec": {"names": {"kind": name}, "validation": {"openAPIV3Schema": schema}}},
            "targets": [{"target": "admission.k8s.gatekeeper.sh", **how}],
        },
    }


def constraint(kind: str, name: str, parameters: Object, kinds: tuple[str, ...] = ("Pod",), **spec: Any) -> Object:
    match = {"kinds": [{"apiGroups": ["*"], "kinds": list(kinds)}], "namespaces": ["guarded"]}
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"match": match, "parameters": parameters, **spec},
    }


def pod(name: str, image: str = "ours/it", **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}


EXAMPLE: Final = Path(__file__).parents[2] / "examples/gatekeeper"
LABELS: Final = yaml.safe_load((EXAMPLE / "template.yaml").read_text())
REGO: Final = LABELS["spec"]["targets"][0]["rego"]
IMAGES: Final = template(
    "ImagesFrom", {"registry": {"type": "string"}}, code=[{"engine": "K8sNativeValidation", "source": CEL}]
)
OWNED: Final = yaml.safe_load((EXAMPLE / "constraint.yaml").read_text())
WARNED: Final = constraint("NeedsLabels", "warned", {"labels": ["owner"]}, ("ConfigMap",), enforcementAction="warn")
OURS: Final = constraint("ImagesFrom", "ours", {"registry": "ours/"})
MUTATED: Final = {
    "apiVersion": "mutations.gatekeeper.sh/v1",
    "kind": "AssignMetadata",
    "metadata": {"name": "tiers"},
    "spec": {
        "match": {"scope": "Namespaced", "namespaces": ["guarded"], "kinds": [{"apiGroups": ["*"], "kinds": ["Pod"]}]},
        "location": "metadata.labels.tier",
        "parameters": {"assign": {"value": "one"}},
    },
}
CONTAINERS: Final = {
    "applyTo": [{"groups": [""], "kinds": ["Pod"], "versions": ["v1"]}],
    "match": {"scope": "Namespaced", "namespaces": ["guarded"]},
}
PULLED: Final = {
    "apiVersion": "mutations.gatekeeper.sh/v1",
    "kind": "Assign",
    "metadata": {"name": "pulled"},
    "spec": {
        **CONTAINERS,
        "location": "spec.containers[name:*].imagePullPolicy",
        "parameters": {"assign": {"value": "Always"}},
    },
}
ARGUED: Final = {
    "apiVersion": "mutations.gatekeeper.sh/v1",
    "kind": "ModifySet",
    "metadata": {"name": "argued"},
    "spec": {
        **CONTAINERS,
        "location": "spec.containers[name: *].args",
        "parameters": {"operation": "merge", "values": {"fromList": ["--quiet"]}},
    },
}
MUTATORS: Final = (("assignmetadata", MUTATED), ("assign", PULLED), ("modifyset", ARGUED))
DEPLOYMENTS: Final = "/apis/apps/v1/namespaces/guarded/deployments"


def deployment(name: str, **labels: str) -> Object:
    spec = {"containers": [{"name": "c", "image": "ours/it"}]}
    template = {"metadata": {"labels": {"app": name, **labels}}, "spec": spec}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, "template": template}}


def applied(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", **pod(name, **labels)}


POLICY: Final = f"{ADMISSION}/validatingadmissionpolicies/gatekeeper-imagesfrom"
BINDING: Final = f"{ADMISSION}/validatingadmissionpolicybindings/gatekeeper-imagesfrom-ours"

# what is there before it: the audit finds it
BEFORE: Final = (
    Ask("POST", "/api/v1/namespaces", {"metadata": {"name": "guarded"}}),
    Ask("POST", f"{HERE}/pods", pod("early", owned="no")),
)
ASKS: Final = (
    Ask("POST", f"{HERE}/pods", pod("bare")),
    Ask("POST", f"{HERE}/pods", pod("it", owner="me")),
    Ask("POST", f"{HERE}/pods", pod("other", image="theirs/it", owner="me")),
    Ask("POST", f"{HERE}/pods?dryRun=All", pod("dry")),
    Ask("PATCH", f"{HERE}/pods/it", {"metadata": {"labels": {"owner": None}}}, MERGE),
    Ask("PATCH", f"{HERE}/pods/it", {"metadata": {"labels": {"tier": None}}}, MERGE),
    Ask("POST", f"{HERE}/configmaps", {"metadata": {"name": "c"}, "data": {"a": "b"}}),
    Ask("POST", f"{HERE}/configmaps", {"metadata": {"name": "d", "labels": {"owner": "me"}}}),
    Ask(
        "POST",
        "/api/v1/namespaces",
        {"metadata": {"name": "free", "labels": {"admission.gatekeeper.sh/ignore": "yes"}}},
    ),
    Ask("POST", TEMPLATES, template("Broken", {}, rego="package broken\nviolation[{")),
    Ask("POST", TEMPLATES, template("Twice", {}, rego="package twice\nallow { true }")),
    Ask("POST", TEMPLATES, template("Odd", {"labels": {"type": "unheard of"}}, rego=REGO)),
    Ask("POST", f"{CONSTRAINTS}/needslabels", constraint("NeedsLabels", "bad", {"labels": "owner"})),
    Ask("POST", f"{CONSTRAINTS}/needslabels", constraint("NeedsLabels", "odd", {}, enforcementAction="think")),
    Ask(
        "POST", f"{MUTATIONS}/assignmetadata", {**MUTATED, "metadata": {"name": "bad"}, "spec": {"location": "spec.x"}}
    ),
    Ask("POST", DEPLOYMENTS, deployment("owned", owner="me")),
    Ask("PATCH", f"{DEPLOYMENTS}/owned/scale", {"spec": {"replicas": 2}}, MERGE),
    Ask("PATCH", f"{DEPLOYMENTS}/owned", {"spec": {"template": {"metadata": {"labels": {"owner": None}}}}}, MERGE),
    Ask("PATCH", f"{HERE}/pods/applied?fieldManager=me", applied("applied"), APPLY),
    Ask("PATCH", f"{HERE}/pods/applied?fieldManager=me", applied("applied", owner="me"), APPLY),
    Ask("PATCH", f"{HERE}/pods/applied?fieldManager=me", applied("applied", owner="me"), APPLY),
    Ask("PATCH", f"{HERE}/pods/applied?fieldManager=you", applied("applied", owner="you"), APPLY),
    Ask("PATCH", f"{HERE}/pods/applied?fieldManager=you", applied("applied", owner="me", tier="two"), APPLY),
    Ask("PATCH", f"{HERE}/pods/applied", [{"op": "remove", "path": "/metadata/labels/owner"}], JSON_PATCH),
    Ask("PATCH", f"{HERE}/pods/applied", {"metadata": {"labels": {"owner": None, "x": "y"}}}, STRATEGIC),
    Ask(
        "POST",
        f"{HERE}/pods",
        {**pod("x", owner="me"), "metadata": {"generateName": "gen-a-", "labels": {"owner": "me"}}},
    ),
    Ask("POST", f"{HERE}/pods", {**pod("x"), "metadata": {"generateName": "gen-b-"}}),
    Ask(
        "POST",
        f"{HERE}/pods/applied/binding",
        {"metadata": {"name": "applied"}, "target": {"kind": "Node", "name": "n"}},
    ),
    Ask("POST", f"{HERE}/pods/applied/eviction", {"metadata": {"name": "applied"}}),
    Ask(
        "PATCH",
        "/api/v1/namespaces/guarded",
        {"metadata": {"labels": {"admission.gatekeeper.sh/ignore": "yes"}}},
        MERGE,
    ),
    Ask("DELETE", f"{HERE}/configmaps?fieldSelector=metadata.name%3Dc"),
    Ask("DELETE", f"{HERE}/pods/it"),
    Ask("GET", f"{HERE}/pods?labelSelector=owner"),
)
#: with the kinds that it has made
MADE: Final = (
    Ask("GET", f"{TEMPLATES}/needslabels"),
    Ask("GET", f"{DEFINITIONS}/needslabels.constraints.gatekeeper.sh"),
    Ask("GET", f"{DEFINITIONS}/imagesfrom.constraints.gatekeeper.sh"),
    Ask("GET", POLICY),
    Ask("GET", BINDING),
    Ask("GET", f"{CONSTRAINTS}/needslabels"),
    Ask("GET", f"{MUTATIONS}/assignmetadata/tiers"),
)


def started(side: Side, callers: CallerOfWebhooks) -> Process:
    """By its manifest, but that it runs beside the server."""
    port, certificates = free_port(), side.folder / "certificates"
    documents = list(yaml.safe_load_all((side.root / f"webhooks/gatekeeper-{VERSION}.yaml").read_text()))
    for document in documents:
        if document["kind"] == "Service":
            document["spec"] = {"type": "ExternalName", "externalName": "localhost"}
        for hook in document.get("webhooks", ()):
            hook["clientConfig"]["service"]["port"] = port
    side.run("kubectl", "create", "-f", "-", stdin=yaml.safe_dump_all(documents))
    certificates.mkdir()
    (side.folder / "audit").mkdir()
    (certificates / "callers.crt").write_bytes(callers.authority.read_bytes())
    flags = {
        "host": LOOPBACK,
        "port": port,
        "cert-dir": certificates,
        "client-ca-name": "callers.crt",
        "client-cn-name": CALLER,
        "health-addr": "0",
        "metrics-backend": "opentelemetry",  # prometheus' would listen
        "otlp-endpoint": f"{LOOPBACK}:1",
        "debug-use-fake-pod": "true",  # it has none here
        "exempt-namespace": "gatekeeper-system",
        "audit-interval": "1",
        "api-cache-dir": side.folder / "audit",
        "default-wait-for-vapb-generation": "1",
        "shutdown-delay": "0",
    }
    return side.start(
        "gatekeeper",
        f"gatekeeper-{VERSION}",
        *(f"--{name}={value}" for name, value in flags.items()),
        KUBECONFIG=str(side.server.kubeconfig),
        POD_NAMESPACE="gatekeeper-system",
        NAMESPACE="gatekeeper-system",
    )


def ready(side: Side, process: Process) -> None:
    """The certificate that it makes is handed to it, as a kubelet would."""
    secret = side.wait(
        "certificates", f"{OWN}/secrets/gatekeeper-webhook-server-cert", lambda found: found.get("data"), process
    )
    for name, value in secret["data"].items():
        (side.folder / "certificates" / name).write_bytes(base64.b64decode(value))
    for kind in ("mutating", "validating"):
        side.wait(
            f"the CA in the {kind} configuration",
            f"{ADMISSION}/{kind}webhookconfigurations/gatekeeper-{kind}-webhook-configuration",
            lambda found: all(hook["clientConfig"].get("caBundle") for hook in found["webhooks"]),
            process,
        )
    known = b"webhook config stored/updated in cache"  # a policy that it makes before that is changed afterwards
    side.until("its configuration to be known to it", lambda: known in process.log.read_bytes(), process)


def guarded(side: Side, process: Process) -> list[Answer]:
    """Templates, then constraints of the kinds that are made of them; returns when all of them count, with what was answered."""
    answers = [ask(side, Ask("POST", TEMPLATES, each)) for each in (LABELS, IMAGES)]
    for kind in ("needslabels", "imagesfrom"):
        side.wait(f"{kind} to be served", f"{CONSTRAINTS}/{kind}", lambda found: True, process)
    made = (("needslabels", OWNED), ("needslabels", WARNED), ("imagesfrom", OURS))
    answers += [ask(side, Ask("POST", f"{CONSTRAINTS}/{plural}", each)) for plural, each in made]
    answers += [ask(side, Ask("POST", f"{MUTATIONS}/{plural}", each)) for plural, each in MUTATORS]
    for plural, each in made:
        path = f"{CONSTRAINTS}/{plural}/{each['metadata']['name']}"
        side.wait(f"{path} to count", path, enforced, process)
    for path in (POLICY, BINDING):
        side.wait(path, path, lambda found: True, process)
    side.wait(
        "the audit",
        f"{CONSTRAINTS}/needslabels/owned",
        lambda found: found.get("status", {}).get("violations"),
        process,
    )
    refused = Ask("POST", f"{HERE}/pods?dryRun=All", pod("probe", image="theirs/it", owner="me"))
    side.until("the policy", lambda: b"ValidatingAdmissionPolicy" in ask(side, refused).body, process)
    changed = Ask("POST", f"{HERE}/pods?dryRun=All", pod("probe", owner="me"))
    marks = (b'"tier":"one"', b'"imagePullPolicy":"Always"', b"--quiet")
    side.until("the mutations", lambda: all(mark in ask(side, changed).body for mark in marks), process)
    return answers


def enforced(found: Object) -> bool:
    return any(each.get("enforced") for each in found.get("status", {}).get("byPod") or ())


def played(side: Side, process: Process) -> list[Answer]:
    ready(side, process)
    return [*guarded(side, process), *(ask(side, each) for each in (*ASKS, *MADE))]


def test_the_same_answers(third_parties: tuple[Side, Side], callers: CallerOfWebhooks) -> None:
    before = [[ask(side, each) for each in BEFORE] for side in third_parties]
    processes = [started(side, callers) for side in third_parties]
    with ThreadPoolExecutor(len(processes)) as threads:
        after = list(threads.map(played, third_parties, processes))
    answers = [first + then for first, then in zip(before, after, strict=True)]
    cases = [*(f"before {n}" for n in range(len(BEFORE))), *(f"made {n}" for n in range(8))]
    cases += [f"{each.method} {each.path}" for each in (*ASKS, *MADE)]
    differences: list[Difference] = []
    for case, expected, found in zip(cases, *answers, strict=True):
        differences += compare(case, "answer", normalised(expected), normalised(found))
    assert not differences, "\n".join(map(str, differences))
    assert {answer.status for answer in answers[0]} >= {200, 201, 403, 422}
