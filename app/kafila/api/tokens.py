"""``serviceaccounts/NAME/token``: a token for a service account."""

from __future__ import annotations

import orjson

from kafila.catalog.kind import Kind
from kafila.catalog.protobuf import codec
from kafila.catalog.tables import schema_of
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.resources import GroupVersionKind
from kafila.core.values import Object
from kafila.machinery import protobuf
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.registry import Registry
from kafila.registry.unstored import track

from .admitting import admitted
from .bodies import decode_json, decode_protobuf, decode_yaml, read_in_thread
from .negotiation import PROTOBUF, accepted, without
from .request import Request, Target
from .responses import Response

TOKEN_REQUEST = GroupVersionKind("authentication.k8s.io", "v1", "TokenRequest")
DEFINITION = "io.k8s.api.authentication.v1.TokenRequest"
AN_HOUR = 3600
SHORTEST, LONGEST = 600, 1 << 32  # seconds


async def token_request(registry: Registry, kind: Kind, request: Request) -> Response:
    target, tokens = request.target, request.tokens
    assert target is not None
    if tokens is None:
        raise errors.page_not_found()
    accept = accepted(without(request.header(b"accept"), "Table"), True)
    asked = await read_in_thread(request, lambda: _decoded(request))
    shown = {"kind": TOKEN_REQUEST.kind, "apiVersion": TOKEN_REQUEST.api_version, **asked}
    asked = await admitted(registry, kind, request, shown)
    metadata = asked["metadata"]
    _check_names(metadata, target.name, target.namespace)
    await registry.wait_for_consistent_read()
    account = registry.entry(kind, target.namespace, target.name)
    uid = account.meta.uid
    if metadata.get("uid") and metadata["uid"] != uid:
        why = f"the UID in the token request ({metadata['uid']}) does not match the UID of the service account ({uid})"
        raise errors.conflict("authentication.k8s.io", "TokenRequest", target.name, why)
    metadata |= {"name": target.name, "namespace": target.namespace, "uid": uid, "creationTimestamp": rfc3339()}
    spec = asked.setdefault("spec", {})
    seconds = spec["expirationSeconds"] = spec.get("expirationSeconds") or AN_HOUR
    _check_duration(seconds)
    if tokens.longest and seconds > tokens.longest:
        request.warnings.append(f"requested expiration of {seconds} seconds shortened to {tokens.longest} seconds")
        seconds = spec["expirationSeconds"] = tokens.longest
    audiences = spec.get("audiences") or list(tokens.audiences)
    bound = _bound(registry, target, spec.get("boundObjectRef"))
    track(asked, TOKEN_REQUEST.api_version, schema_of(DEFINITION), request.options(), "token")
    token, ends = tokens.issue(target.namespace, target.name, uid, audiences, seconds, bound)
    spec["audiences"] = audiences
    answer = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": metadata,
        "spec": spec,
        "status": {"token": token, "expirationTimestamp": rfc3339(ends)},
    }
    if accept.encoding == "protobuf" and not accept.form:
        found = codec(*TOKEN_REQUEST)
        assert found is not None
        raw = found.encode(answer)
        return Response(201, protobuf.envelope("authentication.k8s.io/v1", "TokenRequest", raw), accept.content_type)
    return Response(201, orjson.dumps(answer) + b"\n")


def _decoded(request: Request) -> Object:
    if request.media_type == PROTOBUF:
        document = decode_protobuf(request.body, TOKEN_REQUEST)
    elif request.media_type == "application/yaml":
        document = decode_yaml(request.body, TOKEN_REQUEST).value
    else:
        document = decode_json(request.body, TOKEN_REQUEST, False).value
    try:
        asked = compile_decoder(schema_of(DEFINITION))(document or {})[0]
    except DecodeError as error:
        why = f'TokenRequest in version "v1" cannot be handled as a TokenRequest: {error}'
        raise errors.bad_request(why) from error
    asked["metadata"] = asked.get("metadata") or {}
    return asked


def _check_duration(seconds: int) -> None:
    if seconds < SHORTEST:
        why = "may not specify a duration less than 10 minutes"
    elif seconds > LONGEST:
        why = "may not specify a duration larger than 2^32 seconds"
    else:
        return
    found = [errors.FieldError.invalid("spec.expirationSeconds", seconds, why)]
    raise errors.invalid("authentication.k8s.io", "TokenRequest", "", found)


def _check_names(metadata: Object, name: str, namespace: str) -> None:
    for field, wanted in (("name", name), ("namespace", namespace)):
        if metadata.get(field) not in (None, "", wanted):
            why = f"must match the service account {field} if specified"
            found = [errors.FieldError.invalid(f"metadata.{field}", metadata[field], why)]
            raise errors.invalid("authentication.k8s.io", "TokenRequest", name, found)


def _bound(registry: Registry, target: Target, reference: Object | None) -> Object | None:
    """Claims about the object that a token shall not outlive. Raises StatusError 400, 404, 409."""
    if not reference:
        return None
    known = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}
    resource = known.get(reference.get("kind", ""))
    if resource is None:
        group, _, version = (reference.get("apiVersion") or "").rpartition("/")
        shown = f"{group}/{version}, Kind={reference.get('kind', '')}"
        raise errors.bad_request(f"cannot bind token to object of type {shown}")
    name = reference.get("name", "")
    entry = registry.cache.get(resource, "" if resource == "nodes" else target.namespace, name)
    if entry is None:
        raise errors.not_found("", resource, name)
    if resource == "pods" and (entry.decode().get("spec") or {}).get("serviceAccountName") != target.name:
        why = "to pod running with different serviceaccount name."
        raise errors.bad_request(f'cannot bind token for serviceaccount "{target.name}" {why}')
    if reference.get("uid") and reference["uid"] != entry.meta.uid:
        why = (
            f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict("", resource, name, why)
    claims = {reference["kind"].lower(): {"name": name, "uid": entry.meta.uid}}
    node = (entry.decode().get("spec") or {}).get("nodeName") if resource == "pods" else ""
    if node and (runs_on := registry.cache.get("nodes", "", node)) is not None:
        claims["node"] = {"name": node, "uid": runs_on.meta.uid}
    return claims
