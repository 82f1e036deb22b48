"""``make generate``: everything that is derived from Kubernetes, at the version in ``app/kafila/catalog/version.py``. Needs Go."""

from __future__ import annotations

import subprocess
import sys

from . import catalog, columns, expressions, modules, priorities, protobuf


def main() -> None:
    modules.require()
    catalog.main()
    priorities.main()
    columns.main()
    protobuf.main()
    expressions.main()
    # in processes of their own: they read the tables that were just written
    subprocess.run([sys.executable, modules.ROOT / "hack" / "export_openapi.py", modules.ROOT / "openapi"], check=True)
    subprocess.run([sys.executable, "-m", "hack.typed_dicts"], cwd=modules.ROOT, check=True)


if __name__ == "__main__":
    main()
