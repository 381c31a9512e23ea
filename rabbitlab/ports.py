"""Ports of this machine: which are taken, and by whom."""

import errno
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from rabbitlab.nodes import HOST, LOAD_BALANCER_PORT, NODES, PROFILES


@dataclass(frozen=True)
class Holder:
    """Who listens on a port.

    Attributes:
        what: A description: ``beam.smp (process 812)``, ``the container shop-mq-1``.
        mend: The command that ends it.
    """

    what: str
    mend: str


def of_the_cluster(profiles: Iterable[str] = ()) -> dict[int, str]:
    """The ports that the cluster publishes, and the service that each belongs to.

    Args:
        profiles: Also those of these compose profiles, ``tls`` or ``monitoring``.
    """
    ports = {port: node.name for node in NODES for port in (node.amqp, node.management, node.metrics)}
    ports |= {port: service for profile in profiles for service, theirs in PROFILES[profile].items() for port in theirs}
    return {**ports, LOAD_BALANCER_PORT: "haproxy"}


def taken(port: int) -> bool:
    """Whether something listens on *port* of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def free_from(port: int) -> int:
    """The first free port, beginning with *port*.

    Raises:
        OSError: when the next hundred are taken, too.
    """
    for candidate in range(port, port + 100):
        if not taken(candidate):
            return candidate
    raise OSError(f"no free port from {port} to {port + 99}")


def holder(port: int) -> Holder:
    """Who listens on *port*, as far as this user may know."""
    container = _container(port)
    if container:
        return Holder(f"the container {container}", f"docker stop {container}")
    import psutil

    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS shows them to root only
        connections = []
    pids = [c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid]
    if not pids:
        return Holder("a process of another user", f"sudo lsof -nP -iTCP:{port} -sTCP:LISTEN  (shows which)")
    return _describe(pids[0])


def _describe(pid: int) -> Holder:
    import psutil

    try:
        process = psutil.Process(pid)
        name, words = process.name(), " ".join(process.cmdline())
    except psutil.Error:
        return Holder(f"process {pid}", f"kill {pid}")
    if "rabbit" in words and name in ("beam.smp", "rabbitmq-server"):
        return Holder(f"another RabbitMQ (process {pid})", "sudo systemctl stop rabbitmq-server  (macOS: brew services stop rabbitmq)")
    return Holder(f"{name} (process {pid})", f"kill {pid}")


def _container(port: int) -> str | None:
    try:
        command = ["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"]
        names = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return names[0] if names else None
