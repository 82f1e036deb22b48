"""What kube-apiserver's CEL answers to the expressions of tests/unit/cel/answers.jsonl: types, costs, values and messages.

Asked is cel-go with Kubernetes' libraries (``cel/``), at the version of ``modules``. Answers must not depend on the order of a
map, which Go makes up anew each time.
"""

from __future__ import annotations

import json
import subprocess

from .modules import CEL, ROOT

ANSWERS = ROOT / "tests" / "unit" / "cel" / "answers.jsonl"


def main() -> None:
    expressions = [json.loads(line)["expression"] for line in ANSWERS.read_text().splitlines()]
    asked = "".join(json.dumps(expression) + "\n" for expression in expressions)
    command = ["go", "run", "."]
    output = subprocess.run(command, cwd=CEL, check=True, capture_output=True, text=True, input=asked).stdout
    rows = [json.loads(line) for line in output.splitlines()]
    ANSWERS.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


if __name__ == "__main__":
    main()
