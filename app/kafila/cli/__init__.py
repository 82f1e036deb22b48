"""The program: ``kafila COMMAND``, and the same as kubectl plugin (``kubectl kafila COMMAND``).

Commands are named by path and imported when they are called, so that starting is quick.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from cyclopts import App


_BY_SIGNAL: Final = 128


# kubectl's commands, in members: it reads their command lines
KUBECTLS: Final = {
    "logs": "Print the logs of a container, in the cluster that it runs in.",
    "exec": "Execute a command in a container, in the cluster that it runs in.",
    "attach": "Attach to a container, in the cluster that it runs in.",
    "cp": "Copy files to and from a container, in the cluster that it runs in.",
    "port-forward": "Forward local ports to a pod, in the cluster that it runs in.",
}

# names of the parameters that stand on the command line, whatever their value
given: ContextVar[frozenset[str]] = ContextVar("given", default=frozenset())


class CommandError(Exception):
    """What a command prints in one line before it ends with ``code``."""

    code = 1


class UsageError(CommandError):
    """The command line is wrong: nothing was started."""

    code = 2


def program() -> App:
    from cyclopts import App, Parameter

    called = os.path.basename(sys.argv[0])
    app = App(
        name="kubectl kafila" if called.startswith("kubectl") else "kafila",
        help="The control plane of many Kubernetes clusters, over PostgreSQL.",
        version=_version,
        help_format="plaintext",
        # --dry-run has no --no-dry-run, as with every kubectl
        default_parameter=Parameter(negative=(), show_default=False),
        print_error=False,
        exit_on_error=False,
        result_action="return_value",
    )
    app.command("kafila.cli.serve:serve", name="serve", help="Serve the control plane.")
    app.command("kafila.cli.demo:demo", name="demo", help="Start everything with simulated members and an example.")
    for name, does in KUBECTLS.items():
        app.command("kafila.cli.inside:described", name=name, help=does)
    app.command("kafila.cli.kubeconfig:kubeconfig", name="kubeconfig", help="Print a kubeconfig of the members.")
    app.command(
        "kafila.cli.membership:join", name="join", help="Register a cluster to the control plane with Push mode."
    )
    app.command("kafila.cli.membership:unjoin", name="unjoin", help="Remove a cluster from the control plane.")
    app.command("kafila.cli.clusters:clusters", name="clusters", help="List the clusters, and what is wrong with them.")
    top = App(name="top", help="Show the CPU and memory that pods and nodes use, in all clusters.")
    top.command("kafila.cli.top:pods", name=["pods", "pod", "po"], help="Show what pods use.")
    top.command("kafila.cli.top:nodes", name=["nodes", "node", "no"], help="Show what nodes use.")
    app.command(top)
    app.command(
        "kafila.cli.register:register", name="register", help="Register a cluster to the control plane with Pull mode."
    )
    app.command(
        "kafila.cli.register:unregister",
        name="unregister",
        help="Remove a cluster in Pull mode from the control plane.",
    )
    app.command("kafila.cli.agent:agent", name="agent", help="Run the agent of a cluster in Pull mode.")
    token = App(name="token", help="Create, list and delete bootstrap tokens, with which clusters register.")
    token.command("kafila.cli.token:create", name="create", help="Create a bootstrap token.")
    token.command("kafila.cli.token:list_tokens", name="list", help="List the bootstrap tokens.")
    token.command("kafila.cli.token:delete", name="delete", help="Delete bootstrap tokens.")
    app.command(token)
    app.command("kafila.cli.why:why", name="why", help="Explain why an object is, or is not, in the clusters.")
    app.command(
        "kafila.cli.approve:approve", name="approve", help="List changes that wait for an approval, or give it to one."
    )
    rollout = App(name="rollout", help="Follow staged rollouts, and say how they go on.")
    rollout.command("kafila.cli.rollout:status", name="status", help="Show which cluster has which revision.")
    rollout.command("kafila.cli.rollout:approve", name="approve", help="Let the stage that waits begin.")
    rollout.command("kafila.cli.rollout:pause", name="pause", help="Let no further cluster have the new revision.")
    rollout.command("kafila.cli.rollout:resume", name="resume", help="Go on after a pause, a failure or a rollback.")
    rollout.command("kafila.cli.rollout:undo", name="undo", help="Give all clusters the revision before it back.")
    app.command(rollout)
    app.command("kafila.cli.audit:audit", name="audit", help="Tell who changed what, and how.")
    app.command("kafila.cli.sql:sql", name="sql", help="Ask SQL of everything that the control plane knows.")
    app.command("kafila.cli.init:init", name="init", help="Install a control plane in a cluster.")
    app.command("kafila.cli.init:deinit", name="deinit", help="Remove what init made in a cluster.")
    app.command("kafila.cli.migrate:migrate", name="migrate", help="Bring a database to this program's schema.")
    app.command("kafila.cli.backup:backup", name="backup", help="Write everything that is stored into one file.")
    app.command("kafila.cli.backup:restore", name="restore", help="Make a database from a backup.")
    app.command("kafila.cli.check:check", name="check", help="Compare the control plane with what its members hold.")
    certs = App(name="certs", help="Look at the certificates of a control plane, and renew them.")
    certs.command("kafila.cli.certs:list_certificates", name="list", help="List the certificates that are in use.")
    certs.command("kafila.cli.certs:renew", name="renew", help="Renew our own certificates, while they are served.")
    certs.command(
        "kafila.cli.rotation:rotate_ca", name="rotate-ca", help="Exchange the certificate authority; nobody is cut off."
    )
    certs.command(
        "kafila.cli.rotation:rotate_service_account_key",
        name="rotate-service-account-key",
        help="Exchange the key of service account tokens; no token ends before its time.",
    )
    app.command(certs)
    encrypt = App(name="encrypt", help="Look at what is stored encrypted, and encrypt it anew.")
    encrypt.command("kafila.cli.encrypt:rewrite", name="rewrite", help="Encrypt what is stored with the first key.")
    encrypt.command("kafila.cli.encrypt:forget", name="forget", help="Remove an object that cannot be decrypted.")
    app.command(encrypt)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Ends the process: 0, or 1 (2: a wrong command line) with one line on stderr; by a signal, as a shell counts it."""
    try:
        from cyclopts import CycloptsError

        try:
            words = sys.argv[1:] if arguments is None else arguments
            if _is_kubectls(words):
                from .inside import run

                run(words[0], words[1:])
            with _uncollected():
                command, bound, _ = program().parse_args(words)
            given.set(frozenset(bound.arguments))
            code = command(*bound.args, **bound.kwargs)
            sys.stdout.flush()
        except CycloptsError as error:
            _fail(" ".join(str(error).split()), UsageError.code)
        except CommandError as error:
            _fail(str(error), error.code)
    except KeyboardInterrupt:
        sys.exit(_BY_SIGNAL + signal.SIGINT)
    except BrokenPipeError:  # who read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        sys.exit(_BY_SIGNAL + signal.SIGPIPE)
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _uncollected() -> Iterator[None]:
    """What is loaded stays: nobody goes through it meanwhile."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _is_kubectls(words: list[str]) -> bool:
    """Whether the command line is one that kubectl reads: what stands behind ``--`` is a command of a container."""
    before = words[: words.index("--")] if "--" in words else words
    return bool(words) and words[0] in KUBECTLS and not {"--help", "-h"} & set(before)


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def _version() -> str:
    try:
        return version("kafila")
    except PackageNotFoundError:
        return "unknown"
