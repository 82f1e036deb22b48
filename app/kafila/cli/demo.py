"""``kafila demo``: a control plane with simulated members, and the nginx example propagated to them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kafila.core.conditions import conditions_of, is_true
from kafila.core.values import Object

from . import CommandError, UsageError

if TYPE_CHECKING:
    from kafila.catalog.kind import Kind
    from kafila.registry import Registry
    from kafila.settings.settings import Settings
    from kafila.workers.process import Process

_IN_WHEEL = Path(__file__).parents[1] / "examples" / "nginx"
EXAMPLE = _IN_WHEEL if _IN_WHEEL.exists() else Path(__file__).parents[3] / "examples" / "nginx"
MEMBERS = ("member1", "member2", "member3")
_SIMULATED = ".simulation.internal"
_TIMEOUT = 30.0  # seconds for the members to become ready, and for the example's status to be aggregated


def demo(
    *,
    exit: Annotated[bool, Parameter(help="End after showing what happened, instead of staying up.")] = False,
    data_dir: Annotated[
        Path | None, Parameter(help="Folder to use (default: kafila/demo among this user's data).")
    ] = None,
    bind: Annotated[str, Parameter(help="HOST:PORT to serve on.")] = "127.0.0.1:5443",
    example: Annotated[Path, Parameter(help="Folder of manifests to apply.")] = EXAMPLE,
) -> None:
    """Start everything with simulated members and propagate an example."""
    from kafila.telemetry.logs import configure
    from kafila.workers.serve import run_guarded

    from .starting import listen, settings_of, starting

    manifests = read_manifests(example)
    folder = data_dir or own_folder()
    said: dict[str, Any] = {"data_dir": folder, "bind": bind, "cluster_status_frequency": 2.0}
    if "KAFILA_CONTROLLERS" not in os.environ:
        said["controllers"] = "*,sql-views"  # what is tried first is not looked for in vain
    settings = settings_of(said)
    configure("warning")
    with starting(settings):
        listeners = listen(settings)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # as root the embedded PostgreSQL runs as another user
        try:
            run_guarded(_demo(settings, listeners, example, manifests, exit))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def own_folder() -> Path:
    """Always the same one, where the embedded PostgreSQL may go: root's home is often closed to its user."""
    if os.geteuid() == 0:
        return Path("/var/lib/kafila/demo")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "kafila/demo"


async def _demo(
    settings: Settings, listeners: Sequence[socket.socket], example: Path, manifests: list[Object], leave: bool
) -> None:
    """Ends at SIGTERM or SIGINT, wherever it is: what it waits for then is given up, and the process is stopped in order."""
    from kafila.catalog.catalog import load_catalog
    from kafila.members.transport import ASGITransport
    from kafila.registry import SYSTEM_ADMIN
    from kafila.simulation import SimulatedCluster
    from kafila.workers.process import Process
    from kafila.workers.serve import open_data

    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    started = time.monotonic()
    catalog = load_catalog()
    members = {name: SimulatedCluster(name, catalog) for name in MEMBERS}

    def transport_for(cluster: Object) -> ASGITransport | None:
        member = members.get(cluster["metadata"]["name"])
        return ASGITransport(member.app, {"user": SYSTEM_ADMIN}) if member is not None else None

    async with AsyncExitStack() as stack:
        for member in members.values():
            await member.start()
            stack.push_async_callback(member.stop)
        store, at_rest = await open_data(settings)
        process = Process(settings, store, transport_for, listeners=listeners, at_rest=at_rest)
        serving = asyncio.create_task(process.run())
        stack.push_async_callback(_stop, process, serving)
        ready = asyncio.create_task(process.started.wait())
        await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            return  # with its error
        refuse_real_clusters(process.registry, settings)
        print(
            f"The control plane serves on {process.server_url} after {time.monotonic() - started:.1f} s.\n", flush=True
        )
        await _show(process.registry, example, manifests)
        if not leave:
            kubeconfig = settings.data_dir / "kubeconfig"
            print(f"\n    export KUBECONFIG={kubeconfig}\n    kubectl get clusters\n\nCtrl-C ends it.", flush=True)
            with suppress(asyncio.CancelledError):  # now it is the way to end, not a failure
                await asyncio.shield(serving)


async def _stop(process: Process, serving: asyncio.Task[None]) -> None:
    process.stop()
    await serving


def refuse_real_clusters(registry: Registry, settings: Settings) -> None:
    """Simulated members in place of real ones would take their workloads from them."""
    for cluster in _objects(registry, "Cluster"):
        name, endpoint = cluster["metadata"]["name"], (cluster.get("spec") or {}).get("apiEndpoint") or ""
        if not endpoint.endswith(_SIMULATED):
            raise CommandError(
                f"--data-dir {settings.data_dir} belongs to a control plane with real clusters ({name}): give another folder"
            )


def read_manifests(path: Path) -> list[Object]:
    """Raises UsageError for what is no folder or file of Kubernetes manifests."""
    from kafila.machinery.yaml import YAMLError, load

    if not path.exists():
        raise UsageError(f"--example {path} does not exist: give a folder of manifests, e.g. examples/nginx")
    files = (
        sorted(file for end in ("*.yaml", "*.yml", "*.json") for file in path.glob(end)) if path.is_dir() else [path]
    )
    objects: list[Object] = []
    for file in files:
        try:
            parts = re.split(rb"^---(?=\s|$)", file.read_bytes(), flags=re.M)  # as kubectl takes files apart
            found = [obj for part in parts if (obj := load(part)[0]) is not None]
        except (OSError, YAMLError) as error:
            raise UsageError(f"--example {path}: {file.name}: {' '.join(str(error).split())}") from None
        for obj in found:
            if not _is_manifest(obj):
                raise UsageError(
                    f"--example {path}: {file.name}: no apiVersion, kind or metadata.name: this is no Kubernetes manifest"
                )
        objects += found
    if not objects:
        raise UsageError(f"--example {path}: no manifests (*.yaml, *.yml, *.json) in it")
    return objects


def _is_manifest(obj: Any) -> bool:
    return (
        isinstance(obj, dict)
        and isinstance(obj.get("apiVersion"), str)
        and isinstance(obj.get("kind"), str)
        and isinstance(obj.get("metadata"), dict)
        and isinstance(obj["metadata"].get("name"), str)
    )


async def _show(registry: Registry, example: Path, manifests: list[Object]) -> None:
    for name in MEMBERS:
        spec = {"syncMode": "Push", "apiEndpoint": f"https://{name}{_SIMULATED}"}
        await _create(
            registry,
            {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}, "spec": spec},
        )
    if not await _until(lambda: _are_ready(registry)):
        raise CommandError(f"the simulated members are not ready after {_TIMEOUT:.0f} s")
    _print_table(registry, "Cluster", "$ kubectl get clusters")
    began = time.monotonic()
    for obj in manifests:
        await _create(registry, await _applied(registry, obj))
    aggregated = await _until(lambda: _is_aggregated(registry, manifests))
    took = f"propagated, status back after {(time.monotonic() - began) * 1000:.0f} ms"
    if not aggregated:
        took = f"not in the clusters after {_TIMEOUT:.0f} s: ask kafila why TYPE/NAME"
    print(f"\n$ kubectl apply -f {_shown(example)}    # {took}")
    for kind, title in (("Deployment", "deployments"), ("ResourceBinding", "resourcebindings"), ("Work", "works -A")):
        _print_table(registry, kind, f"\n$ kubectl get {title}")
    for binding in _objects(registry, "ResourceBinding"):
        placed = ", ".join(
            f"{c['name']}" + (f": {c['replicas']} replicas" if "replicas" in c else "")
            for c in binding["spec"].get("clusters") or ()
        )
        print(f"\n{binding['metadata']['name']} is placed on {placed or 'no cluster'}")


def _are_ready(registry: Registry) -> bool:
    ours = [cluster for cluster in _objects(registry, "Cluster") if cluster["metadata"]["name"] in MEMBERS]
    return all(is_true(conditions_of(cluster), "Ready") for cluster in ours)


def _shown(example: Path) -> str:
    """As it is written in the repository's folder."""
    return f"examples/{example.name}/" if example == EXAMPLE else str(example)


async def _applied(registry: Registry, obj: Object) -> Object:
    """As kubectl apply creates it: with what kubectl compares with when the same files are applied again."""
    kind = await _kind_of(registry, obj)
    metadata = {"annotations": {}, **obj["metadata"]}
    if kind.namespaced:
        metadata.setdefault("namespace", "default")
    last = json.dumps({**obj, "metadata": metadata}, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    annotations = {**(metadata["annotations"] or {}), "kubectl.kubernetes.io/last-applied-configuration": last}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


async def _kind_of(registry: Registry, obj: Object) -> Kind:
    """Waits for the kind of a definition that was applied just before. Raises CommandError, in kubectl's words."""
    group, _, version = obj["apiVersion"].rpartition("/")
    if not await _until(lambda: registry.catalog.by_kind(group, version, obj["kind"]) is not None, 3.0):
        raise CommandError(f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"')
    kind = registry.catalog.by_kind(group, version, obj["kind"])
    assert kind is not None
    return kind


async def _create(registry: Registry, obj: Object) -> None:
    from kafila.core.errors import StatusError
    from kafila.registry import Options
    from kafila.registry.decoding import decode_object

    options = Options(manager="kubectl-client-side-apply")
    kind = await _kind_of(registry, obj)
    namespace = (obj["metadata"].get("namespace") or "default") if kind.namespaced else ""
    try:
        await registry.create(kind, namespace, decode_object(kind, obj, options), options)
    except StatusError as error:
        if not error.is_already_exists:
            raise CommandError(f"{obj['kind']} {obj['metadata']['name']}: {error.message}") from None


def _kind(registry: Registry, name: str) -> Any:
    return next(
        kind for kind in registry.catalog if kind.kind == name and registry.catalog.storage_kind(kind.resource) is kind
    )


def _objects(registry: Registry, kind: str) -> list[Object]:
    from kafila.registry.codec import decode_entry

    found = _kind(registry, kind)
    return [decode_entry(found, entry) for entry in registry.cache.resource(found.resource).entries()]


def _is_aggregated(registry: Registry, manifests: list[Object]) -> bool:
    """Whether the example is where it shall be; what an older folder holds besides does not matter."""
    templates = selected(manifests)
    names = {(obj["kind"], obj["metadata"]["name"]) for obj in templates}
    bindings = [
        binding
        for binding in (*_objects(registry, "ResourceBinding"), *_objects(registry, "ClusterResourceBinding"))
        if (binding["spec"]["resource"]["kind"], binding["spec"]["resource"]["name"]) in names
    ]
    if len(bindings) < len(names) or not all(is_true(conditions_of(b), "FullyApplied") for b in bindings):
        return False
    deployments = [d for d in _objects(registry, "Deployment") if ("Deployment", d["metadata"]["name"]) in names]
    ready = [(d.get("status") or {}).get("readyReplicas", 0) for d in deployments]
    placed = [
        sum(c.get("replicas", 0) for c in b["spec"].get("clusters") or ())
        for b in bindings
        if b["spec"]["resource"]["kind"] == "Deployment"
    ]
    return sum(ready) == sum(placed)


def selected(manifests: list[Object]) -> list[Object]:
    """The manifests that a policy beside them selects: each of them gets a binding."""
    from kafila.placement.detector.match import selectors_match

    selectors = [
        selector
        for obj in manifests
        if obj["kind"] in ("PropagationPolicy", "ClusterPropagationPolicy")
        for selector in (obj.get("spec") or {}).get("resourceSelectors") or ()
    ]
    return [obj for obj in manifests if selectors_match(obj, [{**s, "namespace": ""} for s in selectors])]


async def _until(condition: Callable[[], bool], seconds: float = _TIMEOUT) -> bool:
    """Whether it came true in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)
    return condition()


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
