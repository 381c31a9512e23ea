"""The site and JupyterLab in the background: they go on when the shell has gone, and are found again."""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from rabbitlab import cluster, debian, ports
from rabbitlab.errors import Mendable
from rabbitlab.lessons import figures
from rabbitlab.nodes import HOST, NODES
from rabbitlab.units import ROOT, STATE

RECORD = STATE / "servers.json"
CONFIG = ROOT / "jupyter" / "jupyter_lab_config.py"
READY_WITHIN = 60  # seconds
console = Console(highlight=False, markup=False)


@dataclass(frozen=True)
class Server:
    """A server that was started in the background.

    Attributes:
        name: ``site`` or ``jupyter``; its log is ``.lab/<name>.log``.
        pid: Its process.
        started: When the process began, in seconds since 1970, so that another with the same id is not taken for it.
        port: On 127.0.0.1.
        token: What JupyterLab asks for; empty for the site.
    """

    name: str
    pid: int
    started: float
    port: int
    token: str = ""

    @property
    def url(self) -> str:
        """The address to open, with the token where there is one."""
        return f"http://{HOST}:{self.port}/" + (f"?token={self.token}" if self.token else "")


def start(yes: bool = False, browser: bool = True) -> None:
    """Start cluster, site and JupyterLab, and print their addresses. Run twice, it prints them.

    Args:
        yes: Install what is missing without asking.
        browser: Open the site, where there is a browser to open it in.

    Raises:
        Mendable: when one of them does not come up, with the end of its log.
    """
    known = running()
    fresh = {name: _spawn(name) for name in COMMANDS if name not in known}
    figures.prepare(wait=False)
    try:
        if not cluster.is_whole():
            cluster.up(yes=yes)
        for server in fresh.values():
            _wait_for(server)
    except BaseException:
        _end(*fresh.values())
        raise
    found = {**known, **fresh}
    _record(found)
    console.print(_addresses(found))
    if browser and fresh and _has_browser():
        webbrowser.open(found["site"].url)


def stop() -> None:
    """Stop site and JupyterLab; the cluster stays. Says what was stopped."""
    found = running()
    _end(*found.values())
    RECORD.unlink(missing_ok=True)
    console.print(f"Stopped: {', '.join(found)}." if found else "Neither site nor JupyterLab was running.")


def down(volumes: bool = False, yes: bool = False) -> None:
    """Stop site and JupyterLab, and remove the cluster.

    Args:
        volumes: Also delete what the queues hold.
        yes: Delete without asking.
    """
    cluster.down(volumes=volumes, yes=yes)  # first: it may ask
    if running():
        stop()


def running() -> dict[str, Server]:
    """The servers of this copy of the course that still run, by name."""
    try:
        written = json.loads(RECORD.read_text())
        found = [Server(**fields) for fields in written]
    except (OSError, ValueError, TypeError):
        return {}
    return {server.name: server for server in found if _is_ours(server)}


def _site(port: int) -> list[str]:
    return ["mkdocs", "serve", "--livereload", "--config-file", str(ROOT / "mkdocs.yml"), "--dev-addr", f"{HOST}:{port}"]


def _jupyter(port: int) -> list[str]:
    config = [f"--config={CONFIG}"] if CONFIG.exists() else ["--LabApp.default_url=/lab/tree/notebooks/welcome.ipynb"]
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    own = [f"--ServerApp.root_dir={ROOT}", f"--ServerApp.ip={HOST}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    return ["jupyterlab", *config, "--no-browser", *as_root, *own]


# What each server runs, given its port, and the port that it has where nobody else does.
COMMANDS: dict[str, tuple[Callable[[int], list[str]], int]] = {"site": (_site, 8000), "jupyter": (_jupyter, 8888)}


def _spawn(name: str) -> Server:
    """Start a server in a session of its own and write down where it is."""
    import psutil

    command, usual = COMMANDS[name]
    port = ports.free_from(usual)
    token = secrets.token_urlsafe(15) if name == "jupyter" else ""
    STATE.mkdir(exist_ok=True)
    with _log(name).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command(port)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "JUPYTER_TOKEN": token},  # the command line could be read by every user
        )
    server = Server(name, process.pid, psutil.Process(process.pid).create_time(), port, token)
    _record({**running(), name: server})
    return server


def _wait_for(server: Server) -> None:
    """Return when the server answers a request.

    Raises:
        Mendable: when it ends, or time is up.
    """
    deadline = time.monotonic() + READY_WITHIN
    with console.status(f"Waiting for: {server.name} on port {server.port}"):
        while not _answers(server):
            if not _is_ours(server) or time.monotonic() > deadline:
                end = debian.tail(_log(server.name), 15)
                raise Mendable(f"{server.name} does not answer on port {server.port}. The end of {_log(server.name)}:\n{end}")
            time.sleep(0.3)


def _answers(server: Server) -> bool:
    try:
        with _DIRECT.open(server.url, timeout=5):
            return True
    except urllib.error.HTTPError as answer:
        return answer.code < 500  # a page that is missing is for the site's own tests
    except OSError:
        return False


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine's own ports


def _is_ours(server: Server) -> bool:
    """Whether the process still runs and is the one that was started: same beginning, same program."""
    import psutil

    try:
        process = psutil.Process(server.pid)
        if process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - server.started) > 1:
            return False
        return COMMANDS[server.name][0](server.port)[0] in " ".join(process.cmdline())
    except (psutil.Error, KeyError):
        return False


def _end(*servers: Server) -> None:
    """End servers, and what they have started (JupyterLab its kernels): politely, then not."""
    import psutil

    family = []
    for server in servers:
        with contextlib.suppress(psutil.Error):
            if _is_ours(server):
                process = psutil.Process(server.pid)
                family += [process, *process.children(recursive=True)]
                process.terminate()
    _, alive = psutil.wait_procs(family, timeout=5)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _record(servers: dict[str, Server]) -> None:
    """Write down what runs; nobody else may read the token."""
    STATE.mkdir(exist_ok=True)
    fresh = RECORD.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump([asdict(server) for server in servers.values()], file, indent=2)
    fresh.replace(RECORD)


def _log(name: str):
    return STATE / f"{name}.log"


def _addresses(servers: dict[str, Server]) -> Table:
    table = Table("The course runs", "", box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"  # an address that is cut is of no use
    table.add_row("Read", servers["site"].url)
    table.add_row("Run", servers["jupyter"].url)
    table.add_row("Look inside", f"http://{HOST}:{NODES[0].management}/ (user guest, password guest)")
    table.add_row("Stop", "./lab stop, or ./lab down for the cluster, too")
    return table


def _has_browser() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
