"""The priorities that kube-apiserver gives its own groups and versions (api_services.json): where discovery has them, and what the
APIServices that it makes for them say. Facts only: group/version -> groupPriorityMinimum and versionPriority."""

from __future__ import annotations

import json
import re

from .modules import KUBERNETES, TABLES, directory, reference

SOURCES = ("pkg/controlplane/apiserver/aggregator.go", "cmd/kube-apiserver/app/aggregator.go")
ROW = re.compile(r'\{Group: "([^"]*)", Version: "(\w+)"\}:\s+\{Group: (\d+), Version: (\d+)\}')


def main() -> None:
    served = {
        (group["name"], version["version"])
        for group in json.loads((TABLES / "kinds.json").read_text())["groups"]
        for version in group["versions"]
    }
    found: dict[str, list[int]] = {}
    for source in SOURCES:
        for group, version, *priorities in ROW.findall((directory(KUBERNETES) / source).read_text()):
            if (group, version) in served:
                found[f"{group}/{version}".lstrip("/")] = list(map(int, priorities))
    data = {"source": f"{reference(KUBERNETES)} {' '.join(SOURCES)}", "priorities": found}
    lines = [f"  {json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found)]
    head = json.dumps({"source": data["source"]}, indent=1).rstrip("}").rstrip()
    (TABLES / "api_services.json").write_text(f'{head},\n "priorities": {{\n' + ",\n".join(lines) + "\n }\n}\n")


if __name__ == "__main__":
    main()
