"""``kafila init`` and ``kafila deinit``: a control plane in a host cluster, without Helm."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from . import CommandError, UsageError
from .durations import duration
from .flags import DryRun

if TYPE_CHECKING:
    from kafila.installation.manifests import Wanted
    from kafila.members.client import MemberClient
    from kafila.members.kubeconfig import Access

HostKubeconfig = Annotated[str, Parameter(help="kubeconfig of the host cluster (default: kubectl's).")]
HostContext = Annotated[str, Parameter(help="Context of the host cluster in it (default: the current).")]
Namespace = Annotated[str, Parameter(name=["--namespace", "-n"], help="Namespace in the host cluster.")]
KarmadaKubeconfig = Annotated[
    Path | None, Parameter(help="The kubeconfig that init writes (default: ~/.kube/karmada.config).")
]


def init(
    *,
    kubeconfig: HostKubeconfig = "",
    context: HostContext = "",
    namespace: Namespace = "karmada-system",
    image: Annotated[str, Parameter(help="Image of kafila (default: kafila:VERSION of this program).")] = "",
    database_url: Annotated[
        str,
        Parameter(
            help="postgresql://… as the host cluster reaches it; stored in a Secret (default: KAFILA_DATABASE_URL)."
        ),
    ] = "",
    database_secret: Annotated[
        str, Parameter(help="Or NAME or NAME/KEY of a Secret in the namespace that has the URL (key: uri).")
    ] = "",
    cloudnative_pg: Annotated[bool, Parameter(help="Or a Cluster of CloudNativePG, whose operator is there.")] = False,
    advertise: Annotated[
        str, Parameter(help="HOST or HOST:PORT that clients use (default: a node's address and the node port).")
    ] = "",
    service_type: Annotated[
        Literal["NodePort", "LoadBalancer", "ClusterIP"], Parameter(help="How clients reach the API server.")
    ] = "NodePort",
    node_port: Annotated[int, Parameter(help="Of the Service, on every node.")] = 32443,
    api_replicas: Annotated[int, Parameter(help="API processes at least.")] = 2,
    workers_replicas: Annotated[int, Parameter(help="Processes for the controllers, of which one leads.")] = 2,
    karmada_kubeconfig: KarmadaKubeconfig = None,
    wait: Annotated[str, Parameter(help="How long to wait for all of it, as 90s or 5m.")] = "5m",
    dry_run: DryRun = False,
) -> None:
    """Install a control plane in a cluster, or bring one in line. Writes a kubeconfig with the contexts karmada-apiserver and karmada-host."""
    from kafila import __version__
    from kafila.installation.contexts import check, stored
    from kafila.installation.install import Plan, install, stored_kubeconfig
    from kafila.installation.manifests import DATABASE_KEY, DATABASE_SECRET, Wanted

    url = database_url or ("" if database_secret or cloudnative_pg else os.environ.get("KAFILA_DATABASE_URL", ""))
    if sum(map(bool, (url, database_secret, cloudnative_pg))) != 1:
        raise UsageError("give one of --database-url, --database-secret and --cloudnative-pg: where the data are kept")
    name, _, key = database_secret.partition("/")
    wanted = Wanted(
        namespace=namespace,
        image=image or f"kafila:{__version__}",
        advertise=advertise,
        run=secrets.token_hex(4),
        database_secret=DATABASE_SECRET if url else name,
        database_key=(key or DATABASE_KEY) if name else DATABASE_KEY,
        service_type=service_type,
        node_port=node_port,
        api_replicas=api_replicas,
        workers_replicas=workers_replicas,
    )
    plan = Plan(_checked(wanted, url), url, duration(wait), dry_run)
    access, file = _access(kubeconfig, context), karmada_kubeconfig or Path.home() / ".kube/karmada.config"

    async def work(host: MemberClient) -> None:
        check(stored(file), host.endpoint, namespace, file, _parsed(await stored_kubeconfig(host, namespace)))
        if written := await install(host, plan, _say):
            _write(file, kubeconfig, access, namespace, written)
            await _look(file)

    _run(access, work)


def deinit(
    *,
    kubeconfig: HostKubeconfig = "",
    context: HostContext = "",
    namespace: Namespace = "karmada-system",
    karmada_kubeconfig: KarmadaKubeconfig = None,
    purge_data: Annotated[bool, Parameter(help="Delete the Cluster of CloudNativePG, too: all data are gone.")] = False,
    purge_namespace: Annotated[
        bool, Parameter(help="Delete the namespace, too, if init made it and nothing else runs there.")
    ] = False,
    wait: Annotated[str, Parameter(help="How long to wait until all is gone.")] = "2m",
    dry_run: DryRun = False,
) -> None:
    """Remove what kafila init made in a cluster. A database of yours, and member clusters, are left as they are."""
    from kafila.installation.install import stored_kubeconfig
    from kafila.installation.remove import remove

    file = karmada_kubeconfig or Path.home() / ".kube/karmada.config"
    seconds, access = duration(wait), _access(kubeconfig, context)

    async def work(host: MemberClient) -> None:
        options: dict[str, Any] = {"purge_data": purge_data, "purge_namespace": purge_namespace, "dry_run": dry_run}
        written = await stored_kubeconfig(host, namespace)
        if not await remove(host, namespace, wait=seconds, report=_say, **options):
            _say(f"namespace {namespace} has nothing that kafila init made")
        _forget(file, host.endpoint, namespace, written, dry_run)  # also when somebody else was faster with the rest

    _run(access, work)


def _checked(wanted: Wanted, url: str) -> Wanted:
    """With a port to every address. Raises UsageError."""
    from kafila.core.names import dns1123_label, dns1123_subdomain
    from kafila.installation.install import PORT
    from kafila.installation.manifests import is_image
    from kafila.settings.checks import check_advertise, check_database_url, host_and_port

    if problems := dns1123_label(wanted.namespace):
        raise UsageError(f"invalid value '{wanted.namespace}' for --namespace: {problems[0]}")
    if not is_image(wanted.image):
        raise UsageError(f"invalid value '{wanted.image}' for --image: must be as registry.example.org/kafila:1.0")
    if wanted.database_secret and (problems := dns1123_subdomain(wanted.database_secret)):
        raise UsageError(f"invalid value '{wanted.database_secret}' for --database-secret: {problems[0]}")
    for flag, number, most in (
        ("--node-port", wanted.node_port, 65535),
        ("--api-replicas", wanted.api_replicas, 100),
        ("--workers-replicas", wanted.workers_replicas, 100),
    ):
        if not 1 <= number <= most:
            raise UsageError(f"invalid value '{number}' for {flag}: must be from 1 to {most}")
    try:
        check_advertise(wanted.advertise)
    except ValueError as error:
        raise UsageError(f"invalid value '{wanted.advertise}' for --advertise: {error}") from None
    if url:
        try:
            check_database_url(url)
        except ValueError as error:
            raise UsageError(f"--database-url: {error}") from None
    if wanted.advertise:
        host, port = host_and_port(wanted.advertise)
        port = port or (wanted.node_port if wanted.service_type == "NodePort" else PORT)
        return wanted._replace(advertise=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    if wanted.service_type == "LoadBalancer":
        raise UsageError("--service-type LoadBalancer needs --advertise: the name or address that it will have")
    if wanted.service_type == "ClusterIP":
        return wanted._replace(advertise=f"kafila.{wanted.namespace}.svc:{PORT}")
    return wanted


def _access(kubeconfig: str, context: str) -> Access:
    from .membership import access

    return access(kubeconfig, context)


def _say(line: str) -> None:
    print(line, flush=True)


def _run(access: Access, work: Callable[[MemberClient], Awaitable[None]]) -> None:
    from kafila.core.errors import StatusError
    from kafila.installation.host import InstallationError
    from kafila.members.kubeconfig import KubeconfigError
    from kafila.members.transport import Unreachable

    async def session() -> None:
        host = access.client(timeout=60.0)
        try:
            await work(host)
        except (InstallationError, KubeconfigError, StatusError, Unreachable, OSError) as error:
            where = f"cannot reach {host.endpoint}: " if isinstance(error, Unreachable) else ""
            raise CommandError(where + " ".join(str(error).split())) from None
        finally:
            await host.close()

    try:
        asyncio.run(session())
    except ValueError as error:  # an endpoint or a proxy that we cannot use
        raise CommandError(str(error)) from None


def _parsed(written: str) -> dict[str, Any]:
    """The kubeconfig that the control plane wrote; {} for ""."""
    from kafila.machinery import yaml

    return yaml.load(written)[0] if written else {}


def _write(file: Path, kubeconfig: str, access: Access, namespace: str, written: str) -> None:
    """Beside what others have in the file. Raises KubeconfigError and OSError."""
    from kafila.installation.contexts import CONTROL_PLANE, added, both, check, stored
    from kafila.members.kubeconfig import default_files, merged, write

    own = _parsed(written)
    host = merged([Path(kubeconfig).expanduser()] if kubeconfig else default_files())
    before = stored(file)
    check(before, access.endpoint, namespace, file, own)
    config = added(before, both(host, access.context, own), access.endpoint, namespace)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(file.resolve(), config)  # what a link leads to
    _say(f"{file} has the contexts karmada-apiserver and karmada-host: export KUBECONFIG={file}")
    if config["current-context"] != CONTROL_PLANE:
        _say(
            f"{config['current-context']} is its current context as before: kubectl config use-context karmada-apiserver"
        )


def _forget(file: Path, endpoint: str, namespace: str, written: str, dry_run: bool) -> None:
    """Our entries; the file, too, where it has no others. ``written``: the kubeconfig that the control plane wrote, "" where it is gone.
    Raises OSError."""
    from kafila.installation.contexts import is_empty, stored, without
    from kafila.members.kubeconfig import KubeconfigError, write

    try:
        left = without(stored(file), endpoint, namespace, _parsed(written))
    except KubeconfigError:
        return
    if left is None:
        return
    path = file.resolve()  # what a link leads to
    if is_empty(left):
        if not dry_run:
            path.unlink(missing_ok=True)
        _say(f"{file} {'would be deleted (dry run)' if dry_run else 'deleted'}")
        return
    if not dry_run:
        write(path, left)
    _say(f"karmada-apiserver and karmada-host {'would be removed (dry run)' if dry_run else 'removed'} from {file}")


async def _look(file: Path) -> None:
    """Whether the control plane can be reached from here; where it cannot, the installation is as good."""
    from kafila.core.errors import StatusError
    from kafila.installation.contexts import CONTROL_PLANE
    from kafila.members.kubeconfig import load
    from kafila.members.transport import Unreachable

    plane = load(file, CONTROL_PLANE).client(timeout=10.0)
    try:
        version = (await plane.get("/version")).get("gitVersion", "")
    except (StatusError, Unreachable) as error:
        _say(f"warning: {plane.endpoint} does not answer from here: {' '.join(str(error).split())}")
    else:
        _say(f"{plane.endpoint} serves Kubernetes {version}")
    finally:
        await plane.close()
