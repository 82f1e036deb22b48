"""What webhooks are asked and answer: ResourceInterpreterContext of config.karmada.io/v1alpha1."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from kafila.core.resources import gvk_of
from kafila.core.values import Object
from kafila.machinery import jsonpatch
from kafila.placement.interpreter import answers
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.operations import Operation
from kafila.placement.objects import name, namespace

VERSION: Final = "v1alpha1"
_LINE_ENDS: Final = re.compile(r"[\r\n]")  # Go reads base64 over them
_API: Final = {"apiVersion": f"config.karmada.io/{VERSION}", "kind": "ResourceInterpreterContext"}


def review(uid: str, operation: Operation, arguments: Sequence[Any]) -> Object:
    obj, gvk = arguments[0], gvk_of(arguments[0])
    request: Object = {
        "uid": uid,
        "kind": {"group": gvk.group, "version": gvk.version, "kind": gvk.kind},
        "name": name(obj),
        "operation": operation.value,
        "object": obj,
        "replicas": arguments[1] if operation is Operation.REVISE_REPLICA else 0,
    }
    if namespace(obj):
        request["namespace"] = namespace(obj)
    if operation is Operation.RETAIN:
        request["observedObject"] = arguments[1]
    if operation is Operation.AGGREGATE_STATUS and arguments[1]:
        request["aggregatedStatus"] = arguments[1]
    return {**_API, "request": request}


def answer_of(uid: str, operation: Operation, arguments: Sequence[Any], answer: Any) -> Any:
    """What ``CustomizedInterpreter`` hands on. Raises InterpretError."""
    response = _invalid_unless(_response, uid, answer)
    if not response.get("successful"):
        status = response.get("status")
        if not isinstance(status, dict):
            raise _invalid("webhook require response.status when response.successful is false")
        code, message = status.get("code") or 0, status.get("message") or ""
        raise InterpretError(f"webhook call failed, get status code: {code}, msg: {message}")
    return _invalid_unless(_READERS[operation], response, arguments)


def _invalid(text: str) -> InterpretError:
    return InterpretError(f"received invalid webhook response: {text}")


def _invalid_unless(read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except InterpretError as error:
        raise _invalid(str(error)) from None


def _response(uid: str, answer: Any) -> Object:
    # who answers may leave out what it is: Karmada's own library does, and Karmada reads into the type that it expects
    if not isinstance(answer, dict) or any((answer.get(field) or value) != value for field, value in _API.items()):
        raise InterpretError("it is no ResourceInterpreterContext of config.karmada.io/v1alpha1")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise InterpretError("webhook response was absent")
    if response.get("uid") != uid:
        raise InterpretError(f'expected response.uid "{uid}", got "{response.get("uid") or ""}"')
    return response


def _needed(response: Object, field: str, word: str = "nil") -> Any:
    if response.get(field) is None:
        raise InterpretError(f"webhook returned {word} response.{field}")
    return response[field]


def _replicas(response: Object, arguments: Sequence[Any]) -> tuple[int, Any]:
    replicas = answers.int32(_needed(response, "replicas"), "response.replicas")
    return replicas, answers.requirements(response.get("replicaRequirements"), "response.replicaRequirements")


def _patched(response: Object, arguments: Sequence[Any]) -> Object:
    obj: Object = arguments[0]
    patch, kind = response.get("patch"), response.get("patchType")
    if not patch and kind is None:
        return obj
    if kind is None:
        raise InterpretError("webhook returned nil response.patchType")
    if not patch:
        raise InterpretError("webhook returned empty response.patch")
    if kind != "JSONPatch":
        raise InterpretError(f'webhook returned invalid response.patchType of "{kind}"')
    try:
        made = jsonpatch.apply(obj, orjson.loads(base64.b64decode(_LINE_ENDS.sub("", patch), validate=True)))
    except (binascii.Error, TypeError, ValueError) as error:
        raise InterpretError(f"response.patch cannot be applied: {error}") from None
    if not isinstance(made, dict):
        raise InterpretError("response.patch leaves no object")
    return made


def _status(response: Object, arguments: Sequence[Any]) -> Any:
    return answers.status(_needed(response, "rawStatus", "nill"), "response.rawStatus")


def _healthy(response: Object, arguments: Sequence[Any]) -> bool:
    healthy = _needed(response, "healthy")
    if not isinstance(healthy, bool):
        raise InterpretError(f"response.healthy is {healthy!r}, no boolean")
    return healthy


def _dependencies(response: Object, arguments: Sequence[Any]) -> Any:
    if response.get("dependencies") is None:
        return None
    return answers.dependencies(response["dependencies"])


_READERS: Final[dict[Operation, Callable[[Object, Sequence[Any]], Any]]] = {
    Operation.REPLICA: _replicas,
    Operation.COMPONENT: lambda response, arguments: answers.components(response.get("components")),
    Operation.REVISE_REPLICA: _patched,
    Operation.RETAIN: _patched,
    Operation.AGGREGATE_STATUS: _patched,
    Operation.REFLECT_STATUS: _status,
    Operation.HEALTH: _healthy,
    Operation.DEPENDENCY: _dependencies,
}
