"""What the server hands out: addresses and ports of Services, tokens of service accounts, places of pods."""

from __future__ import annotations

import asyncio
from typing import Any

import jwt
import pytest

from kafila.identity.certificates import new_signing_key
from kafila.identity.tokens import InvalidToken, Tokens

from .conftest import Api, failure

NAMESPACE = "/api/v1/namespaces/default"
SERVICES = f"{NAMESPACE}/services"


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


async def test_addresses_are_given_once(api: Api) -> None:
    made = await asyncio.gather(*(api.made(SERVICES, service(f"s-{i}")) for i in range(50)))
    addresses = {s["spec"]["clusterIP"] for s in made}
    assert len(addresses) == 50
    assert all(s["spec"]["clusterIPs"] == [s["spec"]["clusterIP"]] for s in made)
    listed = (await api.get("/apis/networking.k8s.io/v1/ipaddresses")).json()["items"]
    assert {i["metadata"]["name"] for i in listed} == addresses | {"10.96.0.1"}


async def test_an_address_can_be_asked_for(api: Api) -> None:
    await api.made(SERVICES, service("a", clusterIP="10.96.7.7"))
    status = failure(await api.post(SERVICES, service("b", clusterIP="10.96.7.7")), 422, "Invalid")
    assert "provided IP is already allocated" in status["message"]
    failure(await api.post(SERVICES, service("b", clusterIP="1.2.3.4")), 422, "Invalid")
    failure(await api.post(SERVICES, service("b", clusterIP="nonsense")), 422, "Invalid")
    changed = {"spec": {"clusterIP": "10.96.7.8", "clusterIPs": ["10.96.7.8"]}}
    assert "may not change once set" in failure(await api.patch(f"{SERVICES}/a", changed), 422, "Invalid")["message"]
    await api.delete(f"{SERVICES}/a")
    assert (await api.made(SERVICES, service("b", clusterIP="10.96.7.7")))["spec"]["clusterIP"] == "10.96.7.7"


async def test_an_update_keeps_the_address(api: Api) -> None:
    made = await api.made(SERVICES, service("a"))
    new = (await api.put(f"{SERVICES}/a", service("a", selector={"x": "y"}))).json()
    assert new["spec"]["clusterIP"] == made["spec"]["clusterIP"]


async def test_dry_run_takes_nothing(api: Api) -> None:
    before = (await api.get("/apis/networking.k8s.io/v1/ipaddresses")).json()["items"]
    assert (await api.post(f"{SERVICES}?dryRun=All", service("a"))).json()["spec"]["clusterIP"]
    assert (await api.get("/apis/networking.k8s.io/v1/ipaddresses")).json()["items"] == before


async def test_node_ports(api: Api) -> None:
    made = await api.made(SERVICES, service("a", type="NodePort"))
    port = made["spec"]["ports"][0]["nodePort"]
    assert port in range(30000, 32768)
    taken = service("b", type="NodePort", ports=[{"port": 80, "nodePort": port}])
    assert "already allocated" in failure(await api.post(SERVICES, taken), 422, "Invalid")["message"]
    low = service("b", type="NodePort", ports=[{"port": 80, "nodePort": 80}])
    assert "30000-32767" in failure(await api.post(SERVICES, low), 422, "Invalid")["message"]
    assert (await api.patch(f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}})).status_code == 200
    assert (await api.post(SERVICES, taken)).status_code == 201


async def test_tokens_of_service_accounts(api: Api) -> None:
    api.app.tokens = tokens = Tokens(new_signing_key())
    account = await api.made(f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "robot"}})
    path = f"{NAMESPACE}/serviceaccounts/robot/token"
    answer = await api.post(path, {"spec": {"expirationSeconds": 600}})
    assert answer.status_code == 201
    token = answer.json()["status"]["token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["sub"] == "system:serviceaccount:default:robot"
    assert claims["kubernetes.io"]["serviceaccount"] == {"name": "robot", "uid": account["metadata"]["uid"]}
    assert claims["exp"] - claims["iat"] == 600
    assert tokens.verify(token) is not None
    for verifying, audience in ((tokens, ["elsewhere"]), (Tokens(new_signing_key()), [])):
        with pytest.raises(InvalidToken):
            verifying.verify(token, audience)

    failure(await api.post(path, {"spec": {"expirationSeconds": 60}}), 422, "Invalid")
    failure(await api.post(f"{NAMESPACE}/serviceaccounts/nope/token", {}), 404, "NotFound")
    failure(await api.get(path), 405, "MethodNotAllowed")

    async def asked(value: str) -> Any:
        """Without a certificate: who calls is said by the header."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [(b"authorization", value.encode())]
        scope = {
            "type": "http",
            "method": "GET",
            "path": SERVICES,
            "query_string": b"",
            "headers": headers,
            "state": {},
        }
        await api.app(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]

    code, body = await asked(f"Bearer {token}")
    assert code == 403
    assert b"system:serviceaccount:default:robot" in body
    for bad in ("Bearer nonsense", f"Bearer {token}x"):
        assert (await asked(bad))[0] == 401
    for other in ("Basic eDp5", ""):  # no token: as with kube-apiserver that is nobody
        assert b"system:anonymous" in (await asked(other))[1]
    await api.delete(f"{NAMESPACE}/serviceaccounts/robot")
    assert (await asked(f"Bearer {token}"))[0] == 401


async def test_pods_that_run_nowhere(api: Api) -> None:
    pods = f"{NAMESPACE}/pods"
    await api.made(pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    assert (await api.get(f"{pods}/p/log")).status_code == 204
    for sub in ("exec", "attach", "portforward"):
        status = failure(await api.post(f"{pods}/p/{sub}", {}), 400, "BadRequest")
        assert status["message"] == "pod p does not have a host assigned"
    failure(await api.get(f"{pods}/nope/log"), 404, "NotFound")
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    assert (await api.post(f"{pods}/p/binding", binding)).status_code == 201
    pod = (await api.get(f"{pods}/p")).json()
    assert pod["spec"]["nodeName"] == "n1"
    assert pod["status"]["conditions"][0]["type"] == "PodScheduled"
    failure(await api.post(f"{pods}/p/binding", binding), 409, "Conflict")
    graceful = (await api.delete(f"{pods}/p")).json()
    assert graceful["metadata"]["deletionGracePeriodSeconds"] == 30
    now = await api.delete(f"{pods}/p?gracePeriodSeconds=0")
    assert now.status_code == 200
    failure(await api.get(f"{pods}/p"), 404, "NotFound")


async def test_an_evicted_pod_is_gone(api: Api) -> None:
    pods = f"{NAMESPACE}/pods"
    await api.made(pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    assert (await api.post(f"{pods}/p/eviction", {"metadata": {"name": "p"}})).json()["status"] == "Success"
    failure(await api.get(f"{pods}/p"), 404, "NotFound")


async def test_a_pod_that_ends_by_an_eviction_says_so(api: Api) -> None:
    """One that is on a node stays until that has ended it. Whoever is refused changes nothing."""
    pods = f"{NAMESPACE}/pods"
    spec = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
    await api.made(pods, {"metadata": {"name": "p"}, "spec": spec})
    before = (await api.get(f"{pods}/p")).json()
    eviction = {"metadata": {"name": "p"}, "deleteOptions": {"preconditions": {"uid": "other"}}}
    assert (await api.post(f"{pods}/p/eviction", eviction)).status_code == 409
    eviction["deleteOptions"] = {"dryRun": ["All"]}
    assert (await api.post(f"{pods}/p/eviction", eviction)).status_code == 201
    assert (await api.get(f"{pods}/p")).json() == before
    eviction["deleteOptions"] = {"preconditions": {"resourceVersion": before["metadata"]["resourceVersion"]}}
    assert (await api.post(f"{pods}/p/eviction", eviction)).status_code == 201
    after = (await api.get(f"{pods}/p")).json()
    assert after["metadata"]["deletionTimestamp"]
    assert after["metadata"]["managedFields"] == before["metadata"]["managedFields"]
    [condition] = [each for each in after["status"]["conditions"] if each["type"] == "DisruptionTarget"]
    assert condition.pop("lastTransitionTime")
    wanted = {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting", "lastProbeTime": None}
    assert condition == {"type": "DisruptionTarget", "status": "True", **wanted}


async def test_the_last_disruption_that_a_budget_allows(api: Api) -> None:
    pods, budget = f"{NAMESPACE}/pods", "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    for name in ("one", "two"):
        metadata = {"name": name, "labels": {"app": "web"}}
        await api.made(pods, {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}]}})
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        assert (await api.patch(f"{pods}/{name}/status", {"status": ready})).status_code == 200
    await api.made(budget, {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}})
    counts = {
        "currentHealthy": 2,
        "desiredHealthy": 1,
        "expectedPods": 2,
        "disruptionsAllowed": 1,
        "observedGeneration": 1,
    }
    assert (await api.patch(f"{budget}/b/status", {"status": counts})).status_code == 200
    assert (await api.post(f"{pods}/one/eviction", {"metadata": {"name": "one"}})).status_code == 201
    status = (await api.get(f"{budget}/b")).json()["status"]
    assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (0, ["one"])
    [condition] = status["conditions"]
    del condition["lastTransitionTime"]
    wanted = {"status": "False", "reason": "InsufficientPods", "message": "", "observedGeneration": 1}
    assert condition == {"type": "DisruptionAllowed", **wanted}
    failure(await api.post(f"{pods}/two/eviction", {"metadata": {"name": "two"}}), 429, "TooManyRequests")


async def test_leases_are_made_by_an_update(api: Api) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    assert (await api.put(path, lease)).status_code == 201
    status = failure(await api.put(path, lease), 422, "Invalid")
    assert "must be specified for an update" in status["message"]


async def test_an_emptied_address_is_the_one_that_was_given(api: Api) -> None:
    services = "/api/v1/namespaces/default/services"
    for name, address in (("headless", "None"), ("plain", "")):
        spec = {"ports": [{"port": 80}], **({"clusterIP": address} if address else {})}
        made = await api.made(services, {"metadata": {"name": name}, "spec": spec})
        answer = await api.patch(f"{services}/{name}", {"spec": {"clusterIP": ""}})
        assert answer.status_code == 200
        assert answer.json()["spec"]["clusterIPs"] == made["spec"]["clusterIPs"]
