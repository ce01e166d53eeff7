"""What the bench measures side by side, and how each is started, watched and stopped.

Every target is a process group of its own on one core, relays to the same provider and is stopped in the end by
its group, whatever happens. All addresses are 127.0.0.1.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from bench.payloads import MODELS, DialectName

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LOAD_CPU = 0
TARGET_CPU = 1
_READY_SECONDS = 120.0
_STOP_SECONDS = 60.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to put load on."""

    name: str
    argv: tuple[str, ...]
    port: int
    prefixes: Mapping[DialectName, str]
    """Base path of each wire format, before `/v1/...`."""

    ready_path: str = "/"
    environ: Mapping[str, str] = {}
    patience: float = 1.0
    """How many times longer it is measured than the others: slow targets need it for enough answers."""

    data_dir: Path | None = None
    """Where it records, for targets that do."""


class Running(msgspec.Struct, kw_only=True):
    """A started target."""

    target: Target
    process: subprocess.Popen[bytes]
    log: Path
    ready_s: float
    """From spawn to the first answer on `ready_path`, seconds."""

    @property
    def exchanges(self) -> Path:
        """Where the load generator notes which exchanges it saw whole."""
        return self.log.with_suffix(".exchanges")

    def log_tail(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


class NotReady(RuntimeError):
    """A target did not come up."""


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def started(target: Target, scratch: Path, *, cpu: int | None) -> Iterator[Running]:
    """Start a target on one core, wait until it answers, stop its whole group at the end."""
    log = scratch / f"{target.name}.log"
    before = _affinity(cpu)
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            target.argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, cwd=scratch,
            env={**os.environ, **target.environ},
        )  # fmt: skip
    _restore(before)
    try:
        wait_ready(target, process, log, began)
        yield Running(target=target, process=process, log=log, ready_s=time.monotonic() - began)
    finally:
        stop(process)


def _affinity(cpu: int | None) -> set[int] | None:
    """Move to the target's core for the moment of spawning: the child inherits it."""
    if cpu is None or cpu >= (os.cpu_count() or 1):
        return None
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    return before


def _restore(before: set[int] | None) -> None:
    if before is not None:
        os.sched_setaffinity(0, before)


def wait_ready(target: Target, process: subprocess.Popen[bytes], log: Path, began: float) -> None:
    """Poll until the target answers at all (2xx or 4xx); raises `NotReady`."""
    while time.monotonic() - began < _READY_SECONDS:
        if process.poll() is not None:
            tail = log.read_text(errors="replace")[-1500:]
            raise NotReady(f"{target.name} ended with code {process.returncode}:\n{tail}")
        if get_status(target.port, target.ready_path) in range(200, 500):
            return
        time.sleep(0.01)
    raise NotReady(f"{target.name} did not answer in {_READY_SECONDS:.0f} s: {log}")


def get_status(port: int, path: str) -> int | None:
    """Status of one GET, None where nobody answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def stop(process: subprocess.Popen[bytes], *, wait_s: float = _STOP_SECONDS) -> int | None:
    """SIGTERM to the leader, then SIGKILL to what is left of its group. Returns the exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    return process.returncode


_BOTH: dict[DialectName, str] = {"openai": "", "anthropic": ""}
_OURS = {"PYTHONPATH": str(ROOT)}


def upstream() -> Target:
    """The provider; as a target it is the direct path."""
    port = free_port()
    argv = (sys.executable, "-m", "bench.upstream", "--port", str(port))
    return Target(name="direct", argv=argv, port=port, prefixes=_BOTH, ready_path="/count", environ=_OURS)


def echo() -> Target:
    """A bare ASGI function on uvicorn that answers by itself."""
    port = free_port()
    argv = (sys.executable, "-m", "bench.echo", "--port", str(port))
    return Target(name="echo", argv=argv, port=port, prefixes=_BOTH, environ=_OURS)


def nginx(upstream_port: int, scratch: Path) -> Target:
    """A plain `proxy_pass`, one worker, keep-alive on both legs, no access log, from a folder of its own."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise NotReady("nginx is not installed: apt-get install -y nginx")
    port = free_port()
    home = scratch / "nginx"
    home.mkdir(exist_ok=True)
    user = "user root;" if os.geteuid() == 0 else ""
    config = home / "nginx.conf"
    config.write_text(_NGINX.format(user=user, home=home, port=port, upstream=upstream_port))
    argv = (program, "-p", str(home), "-e", str(home / "error.log"), "-c", str(config))
    return Target(name="nginx", argv=argv, port=port, prefixes=_BOTH, ready_path="/count")


_NGINX = """\
{user}
worker_processes 1;
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    client_max_body_size 64m;
    client_body_buffer_size 256k;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    upstream provider {{
        server 127.0.0.1:{upstream};
        keepalive 512;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


def stepwarden(upstream_port: int, scratch: Path, *, workers: int = 1, name: str = "stepwarden") -> Target:
    """The gateway with its default configuration: full recording, sealed content. Only the providers point here."""
    port = free_port()
    data = scratch / f"{name}-data"
    config = scratch / f"{name}.toml"
    config.write_text(
        textwrap.dedent(f"""\
        [provider.openai]
        base_url = "http://127.0.0.1:{upstream_port}"

        [provider.anthropic]
        base_url = "http://127.0.0.1:{upstream_port}"
        """)
    )
    argv = (
        str(Path(sys.executable).with_name("stepwarden")), "serve", "--config", str(config), "--port", str(port),
        "--workers", str(workers), "--data-dir", str(data),
    )  # fmt: skip
    prefixes: dict[DialectName, str] = {"openai": "/openai", "anthropic": "/anthropic"}
    return Target(name=name, argv=argv, port=port, prefixes=prefixes, ready_path="/readyz", data_dir=data)


def litellm(upstream_port: int, scratch: Path) -> Target:
    """LiteLLM's proxy, one worker, no database, local price map, log level ERROR: as fast as its settings make it."""
    program = ROOT / ".venvs" / "bench-litellm" / "bin" / "litellm"
    if not program.exists():
        raise NotReady("LiteLLM has no environment yet: bench/litellm_env.sh")
    port = free_port()
    config = scratch / "litellm.yaml"
    config.write_text(
        textwrap.dedent(f"""\
        model_list:
          - model_name: {MODELS["openai"]}
            litellm_params:
              model: openai/{MODELS["openai"]}
              api_base: http://127.0.0.1:{upstream_port}/v1
              api_key: sk-bench
          - model_name: {MODELS["anthropic"]}
            litellm_params:
              model: anthropic/{MODELS["anthropic"]}
              api_base: http://127.0.0.1:{upstream_port}
              api_key: sk-bench
        litellm_settings:
          num_retries: 0
          request_timeout: 120
          telemetry: false
        """)
    )
    environ = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "PATH": f"{program.parent}:{os.environ.get('PATH', '')}",
    }
    argv = (
        str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1",
    )  # fmt: skip
    return Target(
        name="litellm",
        argv=argv,
        port=port,
        prefixes=_BOTH,
        ready_path="/health/liveliness",
        environ=environ,
        patience=3.0,
    )
