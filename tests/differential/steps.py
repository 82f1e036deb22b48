"""What a script is made of: cases of steps. A case has a namespace of its own and is played in order, on either server alike."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from kafila.machinery import mergepatch

from .servers import Answer

JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

# <<step:path.to.field>> in a path or a body: something that this server answered to an earlier step
_REFERENCE = re.compile(r"<<([\w -]+):([\w.-]+)>>")


class Stored(NamedTuple):
    """A body: what this server answered to ``step``, with ``merge`` merged in."""

    step: str
    merge: dict[str, Any] | None = None


class Until(NamedTuple):
    """What an answer shows once the server has taken note of an earlier step: texts of its body or its warnings."""

    has: str = ""
    lacks: str = ""

    def met(self, answer: Answer) -> bool:
        said = "\n".join([answer.body.decode("utf-8", "replace"), *answer.headers.get("warning", ())])
        return self.has in said and not (self.lacks and self.lacks in said)


@dataclass(frozen=True)
class Step:
    """``until``: the step is asked again until its answer is so (kube-apiserver learns of policies, among others, a while after
    they were written). What is compared is the last answer."""

    name: str
    method: str
    path: str
    body: Any = None  # dict or list (JSON), bytes, Stored, None
    headers: Mapping[str, str] = field(default_factory=dict)
    until: Until | None = None

    def request(self, answers: Mapping[str, Any]) -> tuple[str, bytes | None, dict[str, str]]:
        """Path, body and headers, with what earlier steps were answered."""

        def value(match: re.Match[str]) -> str:
            found: Any = answers.get(match[1])
            for part in match[2].split("."):
                found = found.get(part) if isinstance(found, dict) else None
            return str(found)

        body = self.body
        if isinstance(body, Stored):
            body = mergepatch.apply(answers.get(body.step) or {}, body.merge or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body)
        if isinstance(body, str):
            body = _REFERENCE.sub(value, body).encode()
        headers = {name: _REFERENCE.sub(value, given) for name, given in self.headers.items()}
        return _REFERENCE.sub(value, self.path), body, headers


@dataclass
class Case:
    area: str
    name: str
    kind: str = ""
    namespace: str = ""  # made before the first step when it is not ""
    steps: list[Step] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.area}/{self.name}"

    def ask(
        self,
        name: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = "",
        accept: str = "",
        headers: Mapping[str, str] | None = None,
        until: Until | None = None,
        **query: Any,
    ) -> Case:
        """Adds a step. ``{ns}`` in the path is the case's namespace; ``query``: fieldManager="x", dry_run is not special."""
        if any(step.name == name for step in self.steps):
            raise ValueError(f"{self.id}: two steps {name}")
        path = path.replace("{ns}", self.namespace)
        if query:
            path += ("&" if "?" in path else "?") + urlencode(query)
        given = {"Content-Type": content or JSON} if body is not None else {}
        if accept:
            given["Accept"] = accept
        self.steps.append(Step(name, method, path, body, {**given, **(headers or {})}, until))
        return self


Script = Callable[[], list[Case]]
