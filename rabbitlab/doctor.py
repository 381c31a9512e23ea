"""Name each thing that is wrong with this machine or the cluster, and the command that mends it."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rabbitlab import broker, cluster, engine, images, ports, readiness, servers, wholeness
from rabbitlab.errors import Mendable
from rabbitlab.nodes import HOST, NODES, PROFILES
from rabbitlab.units import ROOT

GIB = 2**30
MEMORY_NEEDED = 4 * GIB  # for the engine; each of three nodes may take 768 MB
DISK_NEEDED = 5 * GIB
console = Console(highlight=False, markup=False)


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        what: The state of the thing, good or bad, in a few words.
        mend: The command that mends it; None when nothing is wrong.
    """

    what: str
    mend: str | None = None


class Skipped(Exception):
    """The check has no sense here, for instance because the cluster does not run."""


def run() -> int:
    """Run every check and print what is wrong.

    Returns:
        0 when nothing is, else 1.
    """
    wrong = 0
    for name, check in CHECKS.items():
        try:
            finding = check()
        except Skipped as reason:
            console.print(f"  --  {name}: not checked, {reason}", style="dim", soft_wrap=True)
            continue
        except Mendable as error:
            finding = Finding(str(error), "as said above")
        if finding.mend is None:
            console.print(f"  ok  {name}: {finding.what}", soft_wrap=True)
        else:
            wrong += 1
            console.print(f"WRONG {name}: {finding.what}\n      Mend it: {finding.mend}", style="red", soft_wrap=True)
    console.print(f"\n{wrong} of {len(CHECKS)} checks found something wrong." if wrong else "\nNothing is wrong.")
    return 1 if wrong else 0


def environment() -> Finding:
    """Python, .venv, and requirements.lock in step."""
    wrong = [
        f"{name} {_installed(name) or 'missing'} instead of {version}" for name, version in _locked().items() if _installed(name) != version
    ]
    if wrong:
        return Finding(
            f"not as requirements.lock says: {', '.join(wrong[:5])}{' ...' if wrong[5:] else ''}", "rm -rf .venv && ./lab doctor"
        )
    return Finding(f"Python {sys.version.split()[0]}, packages as requirements.lock says")


def place() -> Finding:
    """A Windows disk seen from WSL brings no file events and is slow."""
    if _in_wsl() and ROOT.parts[:2] == ("/", "mnt"):
        return Finding(f"{ROOT} is on a Windows disk: changes are not noticed when you save", "cp -r the course below ~ and go on there")
    return Finding(str(ROOT))


def docker_engine() -> Finding:
    """An engine answers."""
    problem = engine.state()
    return Finding(problem, "./lab up --yes") if problem else Finding("answers")


def docker_compose() -> Finding:
    """Compose is new enough."""
    command = engine.compose_command()
    if not command:
        return Finding(f"Docker Compose {'.'.join(map(str, engine.MINIMUM_COMPOSE))} or newer is missing", "./lab up --yes")
    return Finding(f"{' '.join(command)} {'.'.join(map(str, engine.compose_version(command) or ()))}")


def memory() -> Finding:
    """The engine has enough for three nodes."""
    total = _engine_memory()
    if total < 0.9 * MEMORY_NEEDED:  # what a kernel keeps for itself is not shown
        return Finding(
            f"Docker has {total / GIB:.1f} GiB, and the course wants 4", "give Docker more (Docker Desktop: Settings, Resources)"
        )
    available = _available_memory()
    if not cluster.is_running() and available < MEMORY_NEEDED / 2:
        return Finding(f"only {available / GIB:.1f} GiB are available", "close other programs; the three nodes take up to 2.3 GB")
    return Finding(f"{total / GIB:.1f} GiB, {available / GIB:.1f} available")


def disk() -> Finding:
    """Room for images, volumes and the environment."""
    free = shutil.disk_usage(ROOT).free
    if free < DISK_NEEDED:
        return Finding(f"{free / GIB:.1f} GiB are free below {ROOT}, and the course wants {DISK_NEEDED / GIB:.0f}", "docker system prune")
    return Finding(f"{free / GIB:.0f} GiB free")


def our_ports() -> Finding:
    """Nobody else has the cluster's ports."""
    running = {service for service, container in cluster.containers().items() if container.state in ("running", "paused")}
    wanted = {port: service for port, service in ports.of_the_cluster(_profiles_in_use()).items() if service not in running}
    taken = {port: ports.holder(port) for port in wanted if ports.taken(port)}
    if taken:
        what = "; ".join(f"port {port} is taken by {found.what}" for port, found in taken.items())
        return Finding(what, " && ".join(dict.fromkeys(found.mend for found in taken.values())))
    return Finding("free" if not running else "the cluster's own")


def image_source() -> Finding:
    """Where the nodes' image comes from, and whether it is as its recipe says."""
    _need_engine()
    source = images.source()
    ours = images.HOME_MADE["RABBITMQ_IMAGE"]
    if source.startswith("home-made") and images.present(ours) and not images.up_to_date(ours):
        return Finding("home-made by an older recipe", f"sudo docker/debian/build.sh {' '.join(images.HOME_MADE.values())} && ./lab up")
    hint = "; for the official ones delete the lines with _IMAGE and GRAFANA_PROFILE from .env" if source.startswith("home-made") else ""
    return Finding(source + hint)


def whole_cluster() -> Finding:
    """Every container runs, from this copy of the course, and every node is in the cluster."""
    found = cluster.containers()
    if not any(container.state in ("running", "paused") for container in found.values()):
        raise Skipped("it does not run (./lab up)")
    strangers = {str(container.folder) for container in found.values() if not container.ours}
    if strangers:
        return Finding(f"started by another copy of the course, {strangers.pop()}", "./lab up --yes")
    stopped = [service for service in cluster.SERVICES if service not in found or found[service].state != "running"]
    missing = stopped or [node.name for node in NODES if node.name not in broker.running_nodes()]
    if missing:
        return Finding(f"not in the cluster: {', '.join(missing)}", "./lab heal")
    lacks = next((seen for look in wholeness.OF_THE_NODES if (seen := look())), "")
    return Finding(lacks, "./lab heal") if lacks else Finding(f"{len(NODES)} nodes run")


def load_balancer() -> Finding:
    """A message goes through the load balancer."""
    _need_cluster()
    if not readiness.has_majority(len(broker.running_nodes())):
        raise Skipped("too few nodes run (./lab up)")
    trouble = readiness.message_missing()
    return Finding(trouble, "./lab heal, and if that does not help: ./lab logs haproxy") if trouble else Finding("a message went through")


def on_request() -> Finding:
    """The services of the profiles that were started are healthy, and the TLS node shows the certificates that are on disk."""
    from rabbitlab import certificates

    found = cluster.containers()
    profiles = _profiles_in_use()
    if not profiles:
        raise Skipped("none was started (./lab up --tls --monitoring)")
    again = f"./lab up {' '.join(f'--{profile}' for profile in profiles)}"
    ill = [service for profile in profiles for service in PROFILES[profile] if service in found and not found[service].healthy]
    if ill:
        return Finding(
            f"not healthy: {', '.join(f'{service} ({found[service].status})' for service in ill)}", f"{again}; ./lab logs {ill[0]}"
        )
    if "tls" in profiles and certificates.problem():
        return Finding(certificates.problem(), f"./lab certs, then {again}")
    if "tls" in profiles and certificates.stale():
        return Finding("rabbit-tls was started before its certificates were renewed", again)
    return Finding(f"{', '.join(service for profile in profiles for service in PROFILES[profile] if service in found)}: healthy")


def _profiles_in_use() -> list[str]:
    """The compose profiles of which something has a container."""
    found = cluster.containers()
    return [profile for profile, services in PROFILES.items() if any(service in found for service in services)]


def server_version() -> Finding:
    """The nodes run the version that docker-compose.yml names."""
    _need_cluster()
    runs, named = broker.version(), images.course_version()
    if runs.split(".")[:2] != named.split(".")[:2]:
        return Finding(f"RabbitMQ {runs} runs, and the course is written for {named}", "./lab down, then ./lab up")
    return Finding(runs if runs == named else f"{runs} (the course was recorded with {named})")


def guest() -> Finding:
    """The lessons up to 4.5 connect as guest."""
    _need_cluster()
    if _status_of("whoami", ("guest", "guest")) == 200:
        return Finding("can log in")
    return Finding("cannot log in (lesson 4.5 deletes this user)", "./lab heal")


def alarms() -> Finding:
    """No node blocks its publishers."""
    _need_cluster()
    raised = [node["name"] for node in broker.api("nodes") if node.get("mem_alarm") or node.get("disk_free_alarm")]
    if raised:
        return Finding(f"memory or disk alarm on {', '.join(raised)}: publishers are blocked", _CALM)
    return Finding("none")


def state_files() -> Finding:
    """What .lab says of site and JupyterLab is true."""
    if servers.RECORD.exists() and not servers.running():
        return Finding(f"{servers.RECORD} names servers that do not run any more", "./lab stop")
    return Finding(", ".join(servers.running()) + " running" if servers.running() else "neither site nor JupyterLab runs")


_CALM = (
    "./lab heal, which takes back a limit that an experiment has set; if the alarm stays: "
    "docker compose exec rabbit1 rabbitmqctl list_queues name messages, then purge_queue NAME for the fullest"
)
# Printed in this order: what the others need comes first.
CHECKS: dict[str, Callable[[], Finding]] = {
    "Python environment": environment,
    "Place": place,
    "Disk": disk,
    "Docker engine": docker_engine,
    "Docker Compose": docker_compose,
    "Memory": memory,
    "Ports": our_ports,
    "Images": image_source,
    "Cluster": whole_cluster,
    "Load balancer": load_balancer,
    "On request": on_request,
    "RabbitMQ version": server_version,
    "guest": guest,
    "Alarms": alarms,
    "Background servers": state_files,
}


def _need_engine() -> None:
    if engine.state():
        raise Skipped("Docker does not answer")


def _need_cluster() -> None:
    if not cluster.is_running():
        raise Skipped("the cluster does not run (./lab up)")


def _locked() -> dict[str, str]:
    """The packages that every machine has, and their versions; those for one system only are left out."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+) \\$", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _in_wsl() -> bool:
    release = Path("/proc/sys/kernel/osrelease")
    return "WSL_DISTRO_NAME" in os.environ or (release.exists() and "microsoft" in release.read_text().lower())


def _engine_memory() -> int:
    """Bytes that the engine's machine has; on macOS that is a virtual one."""
    _need_engine()
    done = subprocess.run(["docker", "info", "--format", "{{.MemTotal}}"], capture_output=True, text=True)
    return int(done.stdout.strip() or 0)


def _available_memory() -> int:
    import psutil

    return psutil.virtual_memory().available


def _status_of(path: str, login: tuple[str, str]) -> int:
    """The HTTP status with which a node answers this login."""
    import httpx

    for node in NODES:
        try:
            return httpx.get(f"http://{HOST}:{node.management}/api/{path}", auth=login, timeout=5, trust_env=False).status_code
        except httpx.TransportError:
            continue
    return 0
