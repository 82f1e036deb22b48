"""What a user sees who starts it wrongly: one line that names the flag and says what would be right, and nothing was started."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import psycopg
import pytest

from kafila.catalog.catalog import load_catalog
from kafila.cli import main
from kafila.identity.certificates import issue, new_authority
from kafila.registry import Registry
from kafila.registry.allocation import ServiceAllocator
from kafila.registry.bootstrap import bootstrap
from kafila.settings.checks import host_and_port
from kafila.settings.controllers import CONTROLLERS
from kafila.settings.settings import Settings
from kafila.store.memory import MemoryStore
from kafila.watch import Cache
from kafila.watch.definitions import Definitions
from kafila.workers.controllers import Controllers
from kafila.workers.process import Process

KAFILA = Path(sys.executable).with_name("kafila")

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KAFILA, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
    )


def refused(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """Its one line."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line.removeprefix("error: ")


WRONG = [
    ("--bind=127.0.0.1:99999", "the port must be a number from 0 to 65535"),
    ("--bind=127.0.0.1:-1", "the port must be a number from 0 to 65535"),
    ("--bind=somewhere", "must be HOST:PORT, e.g. 127.0.0.1:5443"),
    ("--bind=a b:1", "must be HOST or HOST:PORT without a scheme or a path, e.g. kafila.example.org:5443"),
    (
        "--advertise=kafila.example.org/x",
        "must be HOST or HOST:PORT without a scheme or a path, e.g. kafila.example.org:5443",
    ),
    (
        "--advertise=kafila..org",
        "must be HOST or HOST:PORT without a scheme or a path, e.g. kafila.example.org:5443",
    ),
    ("--advertise=kafila.example.org:0", "the port must be a number from 1 to 65535"),
    ("--tls-cert-file=/nowhere/x", "cannot be read: No such file or directory"),
    ("--tls-sni-cert-key=/nowhere/x", "'/nowhere/x' must be CERT,KEY or CERT,KEY:DOMAIN,DOMAIN"),
    ("--tls-sni-cert-key=/nowhere/x,/nowhere/y", "/nowhere/x cannot be read: No such file or directory"),
    (
        "--tls-sni-cert-key=x,y:a.*.org",
        "'a.*.org' is no name of a server: a wildcard may only be its first label, e.g. *.example.org",
    ),
    ("--tls-sni-cert-key=x,y:", "'x,y:' has a colon and no domain behind it"),
    ("--database-url=mysql://db/kafila", "must begin with postgresql://, e.g. postgresql://user@host:5432/kafila"),
    ("--database-url=postgresql://db:70000/kafila", "the port must be a number from 1 to 65535"),
    ("--service-cidr=10.0.0.1/8", "must name the first address and the mask: 10.0.0.0/8"),
    ("--service-cidr=fd00::/108", "must be a range of IPv4 addresses, e.g. 10.96.0.0/12"),
    ("--service-cidr=10.0.0.0/30", "must have at least 8 IP addresses"),
    (
        "--skipped-propagating-namespaces=(",
        "is no regular expression: missing ), unterminated subpattern at position 0",
    ),
    ("--feature-gates=Failure=true", "unrecognized feature gate: Failure"),
    ("--plugins=-mine", "'mine' is not in the list of known plugins that are installed (there are none)"),
    ("--watch-history=59", "must be greater than or equal to 60"),
    ("--watch-history=nan", "must be a finite number"),
    ("--watch-history=1e300", "must be less than or equal to 1000000000"),
    ("--cluster-status-frequency=0", "must be greater than 0"),
    ("--resource-eviction-rate=-1", "must be greater than or equal to 0"),
    ("--scheduler-estimator-port=0", "must be greater than 0"),
    ("--scheduler-estimator-ca-file=/nowhere", "cannot be read: No such file or directory"),
    ("--data-dir=/dev/null", "/dev/null is a file: give a folder"),
    ("--data-dir=/dev/null/data", "/dev/null is a file: give a folder"),
]


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a wrong command line gets, in this process."""

    def refusal(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        shown = capsys.readouterr()
        assert (ended.value.code, shown.out) == (2, "")
        (line,) = shown.err.splitlines()
        return line.removeprefix("error: ")

    return refusal


@pytest.mark.parametrize(("argument", "reason"), WRONG, ids=[argument for argument, _ in WRONG])
def test_a_wrong_value_names_its_flag(argument: str, reason: str, refusal: Callable[..., str]) -> None:
    flag, _, value = argument.partition("=")
    line = refusal("serve", argument)
    assert line.startswith("invalid value '")
    assert line.endswith(f"' for {flag}: {reason}")
    assert value in line or float(value) == float(line.split("'")[1]) or value == "nan"


def test_what_the_parser_refuses_is_one_line_too(refusal: Callable[..., str]) -> None:
    assert refusal("serve", "--watch-history=long").startswith(
        'Invalid value for --watch-history: unable to convert "long"'
    )
    assert refusal("serve", "--role=chief").startswith('Invalid value "chief" for --role')
    assert "Unknown option" in refusal("serve", "--histroy=60")


def test_unknown_controllers_are_refused_with_the_names_of_the_known_ones(refusal: Callable[..., str]) -> None:
    line = refusal("serve", "--controllers=*,-clusters")
    assert "'clusters' is not in the list of known controllers (agentcsrapproving, " in line


def test_the_known_controllers_are_those_that_there_are() -> None:
    """With every gate and option on."""
    gates = "AllAlpha=true,AllBeta=true"
    settings = Settings(feature_gates=gates, enable_no_execute_taint_eviction=True)
    catalog, store = load_catalog(), MemoryStore()
    cache = Cache(store)
    built = Controllers(Registry(catalog, store, cache), Definitions(catalog, cache), settings, lambda cluster: None)
    assert built.names == CONTROLLERS


def test_a_value_of_the_environment_is_named_as_such(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFILA_BIND", "nowhere")
    line = refusal("serve")
    assert line == "invalid value 'nowhere' for KAFILA_BIND in the environment: must be HOST:PORT, e.g. 127.0.0.1:5443"


def test_the_flag_wins_also_with_its_default(refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFILA_BIND", "nowhere")
    assert refusal("serve", "--bind=127.0.0.1:5443", "--watch-history=1").startswith(
        "invalid value '1.0' for --watch-history"
    )


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"bind": "[::1]:5443"}, "https://[::1]:5443"),
        ({"bind": "127.0.0.1:5443", "advertise": "fd00::1"}, "https://[fd00::1]:5443"),
        ({"advertise": "[fd00::1]:443"}, "https://[fd00::1]:443"),
        ({"advertise": "kafila.example.org"}, "https://kafila.example.org:5443"),
        ({"advertise": "kafila.example.org:443"}, "https://kafila.example.org:443"),
    ],
)
def test_where_clients_reach_it(settings: dict[str, str], url: str) -> None:
    assert Process(Settings.model_validate(settings), MemoryStore()).server_url == url


@pytest.mark.parametrize("advertise", ["KAFILA.example.org:5443", "[::ffff:192.0.2.1]:5443", "fd00::1", "kafila"])
async def test_every_address_that_is_taken_can_be_written_of(advertise: str) -> None:
    """What is behind the Service ``kubernetes`` is an object that is validated as others are."""
    settings = Settings(advertise=advertise)
    catalog, store = load_catalog(), MemoryStore()
    await store.open()
    cache = Cache(store)
    await cache.load()
    host, port = host_and_port(settings.advertise)
    await bootstrap(Registry(catalog, store, cache), host, port or 5443)
    await store.close()


@pytest.mark.parametrize("cidr", ["10.0.0.0/29", "10.0.0.0/27", "10.0.0.0/24", "10.0.0.0/23"])
def test_every_range_of_services_that_is_taken_has_addresses(cidr: str) -> None:
    allocator = ServiceAllocator(Cache(MemoryStore()), cidr)
    service = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"ports": []}}
    allocator.allocate(service, None)
    address = ip_address(service["spec"]["clusterIP"])
    network = ip_network(cidr)
    assert address in network
    assert address not in (network[0], network[1], network[-1])


def test_passwords_are_not_shown() -> None:
    for url in ("postgresql://user:secret@db:70000/kafila", "postgresql://user:secret@127.0.0.1:1/kafila"):
        done = run("serve", f"--database-url={url}", "--bind=127.0.0.1:0")
        assert "secret" not in done.stderr
        assert "user:***@" in refused(done, done.returncode)


def test_a_database_that_is_not_there() -> None:
    line = refused(run("serve", "--database-url=postgresql://user@127.0.0.1:1/kafila", "--bind=127.0.0.1:0"), 1)
    assert line == "--database-url postgresql://user@127.0.0.1:1/kafila: connection refused"


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_port_in_use_starts_nothing(command: str, taken: str, server_folder: Path) -> None:
    folder = server_folder / "data"
    line = refused(run(command, "--data-dir", folder, "--bind", taken))
    assert line == (
        f"cannot listen on --bind {taken}: address already in use: give another HOST:PORT; port 0 takes a free one"
    )
    assert not folder.exists()


def test_newer_data(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    line = refused(run("serve", "--database-url", postgres_dsn, "--bind=127.0.0.1:0"), 1)
    assert "the database was written by a newer kafila (schema 9999): use that version" in line


def test_a_database_that_refuses_us(postgres_dsn: str) -> None:
    other = postgres_dsn.replace("/test_", "/none_")
    line = refused(run("serve", "--database-url", other, "--bind=127.0.0.1:0"), 1)
    assert line.endswith("does not exist")


def test_workers_say_that_they_serve_nothing(server_folder: Path) -> None:
    with subprocess.Popen(
        [KAFILA, "serve", "--role=workers", "--data-dir", server_folder], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if '"ready"' in line)
            assert "serves" in line
            assert "https://" not in line
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
    assert process.returncode == 0
    assert not (server_folder / "kubeconfig").exists()


@pytest.mark.parametrize(
    ("flag", "content", "said"),
    [
        ("--client-ca-file", "nonsense", "has no certificates in PEM form"),
        ("--requestheader-client-ca-file", "", "has no certificates in PEM form"),
        ("--token-auth-file", "a,b", "line 1: must have token, user and uid, and may have groups"),
        ("--service-account-key-file", "x", "has no key in PEM form"),
        ("--service-account-signing-key-file", "x", "has no private key in PEM form"),
        ("--authentication-config", "apiVersion: v1\n", "line 1: apiVersion: apiVersion must be apiserver.config"),
        ("--authentication-token-webhook-config-file", "a: [", "kubeconfig"),
        ("--authentication-token-webhook-config-file", "{}", "no current context"),
    ],
)
def test_a_file_of_authentication_that_cannot_be_used(tmp_path: Path, flag: str, content: str, said: str) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    data = tmp_path / "data"
    line = refused(run("serve", f"{flag}={file}", f"--data-dir={data}", "--bind=127.0.0.1:0"))
    assert line.startswith(f"invalid value '{file}' for {flag}: ")
    assert said in line
    assert not data.exists()


@pytest.mark.parametrize(
    ("flags", "content", "said"),
    [
        (["--audit-policy-file=FILE", "--audit-log-path=-"], "kind: x", "FILE' for --audit-policy-file: line 1: apiVersion"),
        (["--audit-table=none", "--audit-policy-file=FILE"], "", "FILE' for --audit-policy-file: needs --audit-log-path, --audit-w"),
        (["--audit-log-path=-"], "", "'-' for --audit-log-path: needs --audit-policy-file"),
        (["--audit-policy-file=FILE.not", "--audit-log-path=-"], "", "FILE.not' for --audit-policy-file: cannot be read"),
        (["--audit-policy-file=FILE", "--audit-log-path=/nowhere/a"], POLICY, "--audit-log-path: cannot be written to"),
        (["--admission-control-config-file=FILE"], "kind: x", "FILE' for --admission-control-config-file: line 1: apiVersion"),
        (["--audit-policy-file=FILE", "--audit-webhook-config-file=FILE"], POLICY, "--audit-webhook-config-file: kubeconfig FILE has no current context"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded(tmp_path: Path, flags: list[str], content: str, said: str) -> None:
    file, data = tmp_path / "file", tmp_path / "data"
    file.write_text(content)
    given = [flag.replace("FILE", str(file)) for flag in flags]
    line = refused(run("serve", *given, f"--data-dir={data}", "--bind=127.0.0.1:0"))
    assert said.replace("FILE", str(file)) in line
    assert not data.exists()


def test_what_cannot_be_served_with(tmp_path: Path) -> None:
    data = tmp_path / "data"
    authority = new_authority("users")
    one, other, past = (
        issue(authority, "x", hosts=["localhost"], now=datetime.now(UTC) - timedelta(days=days)) for days in (0, 0, 400)
    )
    for name, content in (
        ("one.crt", one.certificate),
        ("other.key", other.key),
        ("past.crt", past.certificate),
        ("past.key", past.key),
    ):
        (tmp_path / name).write_bytes(content)
    files = {name: str(tmp_path / name) for name in ("one.crt", "other.key", "past.crt", "past.key")}
    wrong = [
        ([f"--tls-cert-file={files['one.crt']}"], "--tls-cert-file: needs --tls-private-key-file"),
        (
            [f"--tls-cert-file={files['one.crt']}", f"--tls-private-key-file={files['other.key']}"],
            "--tls-cert-file: the private key does not belong to the certificate",
        ),
        (
            [f"--tls-sni-cert-key={files['past.crt']},{files['past.key']}:example.org"],
            "--tls-sni-cert-key: the certificate has expired: it was valid until ",
        ),
    ]
    for flags, said in wrong:
        assert said in refused(run("serve", *flags, f"--data-dir={data}", "--bind=127.0.0.1:0"))
    assert not data.exists()


def test_anonymous_requests_are_spoken_of_once(tmp_path: Path) -> None:
    file = tmp_path / "authentication.yaml"
    kind = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"
    file.write_text(kind + "anonymous: {enabled: true, conditions: [{path: /livez}]}\n")
    line = refused(run("serve", f"--authentication-config={file}", "--anonymous-auth=false", "--bind=127.0.0.1:0"))
    assert "leave one of them out" in line
