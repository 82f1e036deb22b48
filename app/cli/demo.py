"""``kafila demo``: a control plane with simulated members, and the nginx example propagated to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from app.core.conditions import conditions_of, is_true

if TYPE_CHECKING:
    from app.registry import Registry

_IN_WHEEL = Path(__file__).parents[1] / "examples" / "nginx"
EXAMPLE = _IN_WHEEL if _IN_WHEEL.exists() else Path(__file__).parents[2] / "examples" / "nginx"
MEMBERS = ("member1", "member2", "member3")
Object = dict[str, Any]


def demo(
    *,
    exit: Annotated[bool, Parameter(help="End after showing what happened, instead of staying up.")] = False,
    data_dir: Annotated[Path | None, Parameter(help="Folder to use; a new temporary one by default.")] = None,
    bind: Annotated[str, Parameter(help="HOST:PORT to serve on.")] = "127.0.0.1:0",
    example: Annotated[Path, Parameter(help="Folder of manifests to apply.")] = EXAMPLE,
) -> None:
    """Start everything with simulated members and propagate an example."""
    import uvloop

    from app.telemetry.logs import configure

    configure("warning")
    folder = data_dir or Path(tempfile.mkdtemp(prefix="kafila-demo-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        folder.chmod(0o711)  # as root the embedded PostgreSQL runs as another user
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_demo(folder, bind, example, exit))


async def _demo(folder: Path, bind: str, example: Path, leave: bool) -> None:
    from app.catalog.catalog import load_catalog
    from app.members.transport import ASGITransport
    from app.registry import SYSTEM_ADMIN
    from app.settings.settings import Settings
    from app.simulation import SimulatedCluster
    from app.workers.process import Process
    from app.workers.serve import open_data

    started = time.monotonic()
    catalog = load_catalog()
    members = {name: SimulatedCluster(name, catalog) for name in MEMBERS}
    for member in members.values():
        await member.start()

    def transport_for(cluster: Object) -> ASGITransport | None:
        member = members.get(cluster["metadata"]["name"])
        return ASGITransport(member.app, {"user": SYSTEM_ADMIN}) if member is not None else None

    settings = Settings(data_dir=folder, bind=bind, cluster_status_frequency=2.0)
    process = Process(settings, await open_data(settings), transport_for)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, process.stop)
    serving = asyncio.create_task(process.run())
    ready = asyncio.create_task(process.started.wait())
    await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
        return
    try:
        print(f"The control plane serves on {process.server_url} after {time.monotonic() - started:.1f} s.\n")
        await _show(process.registry, example)
        if not leave:
            print(
                f"\n    export KUBECONFIG={folder / 'kubeconfig'}\n    kubectl get clusters\n\nCtrl-C ends it.",
                flush=True,
            )
            await serving
    finally:
        process.stop()
        await serving
        for member in members.values():
            await member.stop()


async def _show(registry: Registry, example: Path) -> None:
    for name in MEMBERS:
        spec = {"syncMode": "Push", "apiEndpoint": f"https://{name}.simulation.internal"}
        await _create(
            registry,
            {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}, "spec": spec},
        )
    await _until(lambda: all(is_true(conditions_of(c), "Ready") for c in _objects(registry, "Cluster")))
    _print_table(registry, "Cluster", "$ kubectl get clusters")
    began = time.monotonic()
    for obj in _manifests(example):
        await _create(registry, _applied(registry, obj))
    await _until(lambda: _is_summed(registry))
    took = time.monotonic() - began
    print(f"\n$ kubectl apply -f {_shown(example)}    # propagated and summed after {took * 1000:.0f} ms")
    for kind, title in (("Deployment", "deployments"), ("ResourceBinding", "resourcebindings"), ("Work", "works -A")):
        _print_table(registry, kind, f"\n$ kubectl get {title}")
    for binding in _objects(registry, "ResourceBinding"):
        placed = ", ".join(
            f"{c['name']}" + (f": {c['replicas']} replicas" if "replicas" in c else "")
            for c in binding["spec"]["clusters"]
        )
        print(f"\n{binding['metadata']['name']} is placed on {placed}")


def _shown(example: Path) -> str:
    """As it is written in the repository's folder."""
    return f"examples/{example.name}/" if example == EXAMPLE else str(example)


def _applied(registry: Registry, obj: Object) -> Object:
    """As kubectl apply creates it: with what kubectl compares with when the same files are applied again."""
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = registry.catalog.by_kind(group, version, obj["kind"])
    metadata = {"annotations": {}, **obj["metadata"]}
    if kind is not None and kind.namespaced:
        metadata.setdefault("namespace", "default")
    last = json.dumps({**obj, "metadata": metadata}, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    annotations = {**metadata["annotations"], "kubectl.kubernetes.io/last-applied-configuration": last}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


async def _create(registry: Registry, obj: Object) -> None:
    from app.core.errors import StatusError
    from app.registry import Options
    from app.registry.decoding import decode_object

    options = Options(manager="kubectl-client-side-apply")
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = registry.catalog.by_kind(group, version, obj["kind"])
    assert kind is not None
    try:
        await registry.create(kind, "default" if kind.namespaced else "", decode_object(kind, obj, options), options)
    except StatusError as error:
        if not error.is_already_exists:
            raise


def _manifests(folder: Path) -> list[Object]:
    import yaml

    files = sorted(folder.glob("*.yaml"))
    return [obj for file in files for obj in yaml.safe_load_all(file.read_text()) if obj]


def _kind(registry: Registry, name: str) -> Any:
    return next(
        kind for kind in registry.catalog if kind.kind == name and registry.catalog.storage_kind(kind.resource) is kind
    )


def _objects(registry: Registry, kind: str) -> list[Object]:
    from app.registry.codec import decode_entry

    found = _kind(registry, kind)
    return [decode_entry(found, entry) for entry in registry.cache.resource(found.resource).entries()]


def _is_summed(registry: Registry) -> bool:
    bindings = _objects(registry, "ResourceBinding")
    if not bindings or not all(is_true(conditions_of(b), "FullyApplied") for b in bindings):
        return False
    deployments = _objects(registry, "Deployment")
    ready = [(d.get("status") or {}).get("readyReplicas", 0) for d in deployments]
    placed = [
        sum(c.get("replicas", 0) for c in b["spec"]["clusters"])
        for b in bindings
        if b["spec"]["resource"]["kind"] == "Deployment"
    ]
    return sum(ready) == sum(placed)


async def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def _print_table(registry: Registry, name: str, title: str) -> None:
    """What kubectl would print."""
    kind = _kind(registry, name)
    columns = [(i, c.name.upper()) for i, c in enumerate(kind.columns) if c.priority == 0]
    everywhere = title.endswith(" -A")
    rows = [["NAMESPACE"] * everywhere + [title for _, title in columns]]
    for obj in _objects(registry, name):
        cells = kind.cells(obj, time.time())
        rows.append([str(cells[i]) for i, _ in columns])
        if everywhere:
            rows[-1].insert(0, obj["metadata"]["namespace"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print(title)
    for row in rows:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
