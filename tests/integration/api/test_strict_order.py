"""What strict decoding finds, in the order of the document, and forms that an answer cannot have: as kube-apiserver 1.36 answered."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Api, failure

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
METADATA = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
ONLY = (
    "only the following media types are accepted: application/json, application/yaml, "
    "application/vnd.kubernetes.protobuf"
)
CONFIGS, SERVICES = "/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/services"
CASES = [
    (
        CONFIGS,
        '{"apiVersion":"v1","kind":"ConfigMap","bogus":1,"metadata":{"name":"a","name":"a","odd":2},"data":{"a":"1","a":"2"},"last":1}',
        ["unknown bogus", "duplicate metadata.name", "unknown metadata.odd", "duplicate data.a", "unknown last"],
    ),
    (
        CONFIGS,
        '{"metadata":{"name":"a","name":"a"},"bogus":1,"data":{"a":"1","a":"2"}}',
        ["duplicate metadata.name", "unknown bogus", "duplicate data.a"],
    ),
    # nothing within what is unknown is looked at, and it is told once
    (
        CONFIGS,
        '{"bogus":{"a":1,"a":2},"bogus":3,"metadata":{"name":"a","name":"b"}}',
        ["unknown bogus", "duplicate metadata.name"],
    ),
    # what has no type is kept as it is
    (
        "/apis/apps/v1/namespaces/default/controllerrevisions",
        '{"odd":1,"metadata":{"name":"a","name":"a"},"data":{"x":1,"x":2},"revision":1}',
        ["unknown odd", "duplicate metadata.name"],
    ),
    # every value of what is set twice is decoded
    (
        SERVICES,
        '{"metadata":{"name":"a"},"spec":{"x":1,"ports":[{"port":1,"port":2,"y":1},{"z":1,"port":3,"port":4}]},'
        '"spec":{"q":1,"type":"ClusterIP","type":"ClusterIP"}}',
        [
            "unknown spec.x",
            "duplicate spec.ports[0].port",
            "unknown spec.ports[0].y",
            "unknown spec.ports[1].z",
            "duplicate spec.ports[1].port",
            "duplicate spec",
            "unknown spec.q",
            "duplicate spec.type",
        ],
    ),
]


@pytest.mark.parametrize(("path", "body", "found"), CASES)
async def test_errors_come_in_the_order_of_the_document(api: Api, path: str, body: str, found: list[str]) -> None:
    texts = [f'{what} field "{field}"' for what, field in map(str.split, found)]
    refused = await api.post(f"{path}?fieldValidation=Strict", body.encode())
    message = failure(refused, 400, "BadRequest")["message"]
    assert message.endswith("strict decoding error: " + ", ".join(texts))
    warned = await api.post(f"{path}?fieldValidation=Warn&dryRun=All", body.encode())
    shown = [text.replace('"', '\\"') for text in texts]
    assert warned.headers.get_list("warning") == [f'299 - "{text}"' for text in shown]


REVIEWS = [
    ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"resourceAttributes": {"verb": "get"}}),
    ("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"namespace": "default"}),
    ("/apis/authentication.k8s.io/v1/tokenreviews", {"token": "x"}),
    ("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}),
]


@pytest.mark.parametrize(("path", "spec"), REVIEWS)
async def test_a_review_is_no_table(api: Api, path: str, spec: Any) -> None:
    body = {"spec": spec} if spec else {}
    assert failure(await api.post(path, body, headers=TABLE), 406, "NotAcceptable")["message"] == ONLY
    both = {"Accept": f"{TABLE['Accept']},application/json"}
    assert (await api.post(path, body, headers=both)).status_code == 201


async def test_what_has_no_table_is_not_done(api: Api) -> None:
    pod = {"metadata": {"name": "it"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await api.made("/api/v1/namespaces/default/pods", pod)
    path = "/api/v1/namespaces/default/pods/it"
    evicted = await api.post(f"{path}/eviction", {"metadata": {"name": "it"}}, headers=TABLE)
    failure(evicted, 406, "NotAcceptable")
    bound = await api.post(f"{path}/binding", {"target": {"kind": "Node", "name": "n"}}, headers=TABLE)
    failure(bound, 406, "NotAcceptable")
    failure(await api.get(f"{path}/log", headers=TABLE), 406, "NotAcceptable")
    kept = (await api.get(path)).json()
    assert "deletionTimestamp" not in kept["metadata"]
    assert "nodeName" not in kept["spec"]


@pytest.mark.parametrize("path", ["/apis", "/apis/apps", "/apis/apps/v1"])
@pytest.mark.parametrize("accept", [TABLE, METADATA])
async def test_discovery_has_one_form(api: Api, path: str, accept: dict[str, str]) -> None:
    assert failure(await api.get(path, headers=accept), 406, "NotAcceptable")["message"] == ONLY


async def test_what_a_json_patch_has_too_much(api: Api) -> None:
    await api.made(CONFIGS, {"metadata": {"name": "it"}})
    patch = b'[{"op":"add","path":"/data","value":{"a":"1","a":"2"},"odd":1}]'
    refused = await api.patch(f"{CONFIGS}/it?fieldValidation=Strict", patch, type="application/json-patch+json")
    message = failure(refused, 422, "Invalid")["message"]
    assert message.endswith('json patch duplicate field "[0].value.a", json patch unknown field "[0].odd"')
