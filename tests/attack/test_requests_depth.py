"""Values without end, wherever a reader calls itself or counts digits: refused in Kubernetes' form, and the server goes on.

In a process of its own, which a crash of the interpreter would end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.parse import quote

from tests.integration.api.conftest import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Api
from tests.integration.conftest import ROOT

DEPTH = 10_000
MAPS = "/api/v1/namespaces/default/configmaps"
WORKS = "/apis/work.karmada.io/v1alpha1/namespaces/default/works"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def around(head: str, deep: str, tail: str) -> bytes:
    return f"{head}{deep}{tail}".encode()


def bodies(depth: int) -> dict[str, str]:
    return {
        "lists": "[" * depth + "]" * depth,
        "maps": '{"a":' * depth + "1" + "}" * depth,
        "open lists": "[" * depth,
        "open maps": '{"a":' * depth,
        "digits": "9" * depth,
        "fraction": "0." + "9" * depth,
        "exponent": "1e" + "9" * depth,
        "escapes": '"' + "\\u00e9" * depth + '"',
    }


def work(deep: str) -> bytes:
    head = '{"apiVersion":"work.karmada.io/v1alpha1","kind":"Work","metadata":{"name":"deep"},"spec":{"workload":{"manifests":['
    return around(head + '{"apiVersion":"v1","kind":"A","metadata":{"name":"x"},"z":', deep, "}]}}}")


def definition(schema: str, column: str = ".spec") -> bytes:
    columns = [{"name": "c", "type": "string", "jsonPath": column}]
    version = f'{{"name":"v1","served":true,"storage":true,"additionalPrinterColumns":{json.dumps(columns)},"schema":{{"openAPIV3Schema":{schema}}}}}'
    head = '{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"foos.x.y"},'
    spec = (
        f'"spec":{{"group":"x.y","scope":"Cluster","names":{{"plural":"foos","kind":"Foo"}},"versions":[{version}]}}}}'
    )
    return (head + spec).encode()


def policy(expression: str) -> bytes:
    spec = {
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
            ]
        },
        "validations": [{"expression": expression}],
    }
    obj = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy"}
    return json.dumps({**obj, "metadata": {"name": "x"}, "spec": spec}).encode()


def requests(depth: int) -> list[tuple[str, str, bytes | None, dict[str, Any]]]:
    out: list[tuple[str, str, bytes | None, dict[str, Any]]] = []
    for deep in bodies(depth).values():
        out.append(("POST", WORKS, work(deep), {}))
        out.append(("POST", MAPS, deep.encode(), {}))
        for media_type in (MERGE_PATCH, STRATEGIC_PATCH, JSON_PATCH, APPLY_PATCH):
            where = f"{MAPS}/one?fieldManager=x"
            out.append(("PATCH", where, around('{"data":', deep, "}"), {"type": media_type}))
        test = f'[{{"op":"test","path":"/data","value":{deep}}}]'.encode()
        out.append(("PATCH", f"{MAPS}/one", test, {"type": JSON_PATCH}))
        fields = (
            '"managedFields":[{"manager":"x","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":'
        )
        head = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"x",'
        out.append(("POST", MAPS, around(head + fields, deep, "}]}}"), {}))
        out.append(("DELETE", f"{MAPS}/none", around('{"preconditions":', deep, "}"), {}))
    for quantity in ("1" * depth, "0." + "0" * depth, "1e" + "9" * depth):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "x"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": quantity}}}]},
        }
        out.append(("POST", "/api/v1/namespaces/default/pods", json.dumps(pod).encode(), {}))
    few = depth // 50
    schema = '{"type":"object","properties":{"a":' * few + '{"type":"string"}' + "}}" * few
    out.append(("POST", DEFINITIONS, definition(schema), {}))
    out.append(("POST", DEFINITIONS, definition('{"allOf":[' * few + "{}" + "]}" * few), {}))
    out.append(("POST", DEFINITIONS, definition('{"type":"object"}', "." + "a[" * depth), {}))
    out.append(("POST", DEFINITIONS, definition('{"type":"object"}', ".a" * depth), {}))
    for expression in (
        "(" * depth,
        "!" * depth + "true",
        "[" * depth,
        "a." * depth + "a",
        "-" * depth + "1",
        "a?b:" * depth,
    ):
        out.append(("POST", POLICIES, policy(expression), {}))
    for selector in ("(" * 1200, "a in (" * 1200, "a," * 1200 + "a", "!" * 1200):
        out.append(("GET", f"{MAPS}?labelSelector={quote(selector)}&fieldSelector={quote(selector)}", None, {}))
    return out


async def main() -> None:
    api = await Api().open()
    await api.made(MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}})
    for depth in (DEPTH, 300):  # beyond all limits, and between those of the parser and of the encoder
        for method, path, body, options in requests(depth):
            answer = await api.ask(method, path, body, **options)
            if answer.status_code >= 500:
                print(depth, method, path[:100], (body or b"")[:120], answer.status_code, answer.text[:200])
        assert (await api.get("/livez")).status_code == 200
    await api.close()
    print("done")


def test_nothing_without_end_ends_the_process_or_fails_in_it() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import asyncio; from tests.attack.test_requests_depth import main; asyncio.run(main())",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stdout[-3000:] + done.stderr[-3000:]
