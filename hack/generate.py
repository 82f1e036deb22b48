"""``make generate``: everything that is derived from Kubernetes, at the version in ``app/kafila/catalog/version.py``. Needs Go."""

from __future__ import annotations

import subprocess
import sys

from . import catalog, columns, expressions, modules, protobuf


def main() -> None:
    modules.require()
    catalog.main()
    columns.main()
    protobuf.main()
    expressions.main()
    # in a process of its own: it reads the tables that were just written
    subprocess.run([sys.executable, modules.ROOT / "hack" / "export_openapi.py", modules.ROOT / "openapi"], check=True)


if __name__ == "__main__":
    main()
