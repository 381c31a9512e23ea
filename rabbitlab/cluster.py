"""Start and stop the three nodes and their load balancer, and say how they are."""

import selectors
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rabbitlab.errors import Mendable
from rabbitlab.nodes import HOST, LOAD_BALANCER_PORT, NODES, PROFILES
from rabbitlab.units import ROOT

PROJECT = "rabbitmq-by-doing"
NOT_RUNNING = "The cluster is not running. Start it with: ./lab up"
SERVICES = (*(node.name for node in NODES), "haproxy")
READY_WITHIN = 120  # seconds


@dataclass(frozen=True)
class Container:
    """A container of the cluster.

    Attributes:
        service: ``rabbit1``, ``haproxy``.
        state: Docker's word for it: ``running``, ``exited``, ``paused``.
        folder: The copy of the course that started it.
        status: What Docker says of it in words: ``Up 4 minutes (healthy)``.
    """

    service: str
    state: str
    folder: Path
    status: str = ""

    @property
    def healthy(self) -> bool:
        """Whether its health check has passed."""
        return self.status.endswith("(healthy)")

    @property
    def ours(self) -> bool:
        """Whether this copy of the course started it; another copy's mounts that copy's files."""
        return self.folder.resolve() == ROOT


def up(yes: bool = False, profiles: Iterable[str] = ()) -> None:
    """Start the cluster and return when it can serve: three nodes run, a message went through the load balancer.

    Run twice, it only looks. Gets the Docker engine, the images and the certificates of the TLS node first where they are missing.

    Args:
        yes: Install what is missing, and take the cluster over from another copy of the course, without asking.
        profiles: Also start the services of these compose profiles, ``tls`` or ``monitoring``, and wait until they are healthy.

    Raises:
        Mendable: with what stands in the way, and the command that removes it.
    """
    from rabbitlab import engine, images, readiness

    engine.ensure(yes)
    _take_over(yes)
    _need_ports(profiles)
    images.ensure(yes, profiles)
    if "tls" in profiles:
        _bring_certificates()
    began = time.monotonic()
    _mend()
    _start_containers(profiles)
    readiness.wait(within=READY_WITHIN - (time.monotonic() - began), profiles=profiles)
    status()


def chosen(profiles: Iterable[str]) -> list[str]:
    """The options by which docker compose takes up *profiles*."""
    return [word for profile in profiles for word in ("--profile", profile)]


def services_of(profile: str) -> list[str]:
    """The services that a compose profile starts; without Grafana where it cannot be had, see :mod:`rabbitlab.images`."""
    listed = compose(*chosen([profile]), "config", "--services", capture=True, check=True).stdout.split()
    return [service for service in PROFILES[profile] if service in listed]


def down(volumes: bool = False, yes: bool = False) -> None:
    """Remove the containers. Messages stay in the named volumes unless *volumes* is true.

    Args:
        volumes: Also delete the volumes, after saying which queues and messages are in them.
        yes: Delete without asking.
    """
    from rabbitlab import engine

    problem = engine.state()
    if problem:
        raise Mendable(f"Docker does not answer, so there is nothing to stop. ({problem})")
    if volumes:
        from rabbitlab import consent

        consent.ask(_what_is_lost(), yes=yes, command="./lab down --volumes --yes")
    options = ["--volumes"] if volumes else []
    if not (containers() or volumes):
        print("The cluster was not running.")
        return
    # Every profile: what monitoring and TLS have started is removed, too.
    compose("--profile", "*", "down", *options, capture=True, check=True)
    print(
        "Removed the cluster and what it kept." if volumes else "Removed the cluster. What it has on disk stays; ./lab up brings it back."
    )


def status() -> int:
    """Print the nodes, the load balancer, the users and where the images come from.

    Returns:
        0 when all of it runs, else 1.
    """
    from rabbitlab import overview

    return overview.show()


def logs(node: str | None = None, follow: bool = False, search: str = "", level: str | None = None) -> int:
    """Print the log of one node, or those of the three nodes merged by time.

    Args:
        node: ``rabbit1``, ``rabbit2``, ``rabbit3``, ``haproxy``, or a service of a compose profile; None for the three nodes.
        follow: Go on as lines arrive, until Ctrl-C.
        search: Only lines that contain this text.
        level: Only lines of at least this level: ``warning``.

    Returns:
        The exit status: 1 when there is no such line.

    Raises:
        Mendable: no such node or level, or nothing was ever started.
    """
    from rabbitlab import logs

    services = [node] if node else list(logs.ALL_NODES)
    _have_logs(services)
    if level and level not in logs.LEVELS:
        raise Mendable(f"There is no level {level}. Levels: {', '.join(logs.LEVELS)}.")
    found = 0
    try:
        for line in logs.follow(services) if follow else logs.read(services):
            if logs.matches(line, search, level):
                found += 1
                print(line.shown(), flush=follow)
    except (KeyboardInterrupt, BrokenPipeError):  # the latter: ./lab logs | head
        return 0
    return 0 if found or follow else 1


def _have_logs(services: list[str]) -> None:
    """Raises Mendable for a service that does not exist, or has no container."""
    there = containers()
    for service in services:
        profile = next((profile for profile, theirs in PROFILES.items() if service in theirs), None)
        if service not in SERVICES and not profile:
            on_request = [service for services in PROFILES.values() for service in services]
            raise Mendable(f"There is no node {service}. Nodes: {', '.join(SERVICES)}; on request: {', '.join(on_request)}.")
        if service not in there:
            raise Mendable(f"{service} has no container, so no log. Start it with: ./lab up{f' --{profile}' if profile else ''}")


def is_running(within: float = 1.0) -> bool:
    """Whether something speaks AMQP on one of the cluster's ports. A few milliseconds, running or not.

    Args:
        within: Seconds to wait for nodes that take a connection and say nothing, as a paused one does.
    """
    deadline = time.monotonic() + within
    with _greeted([LOAD_BALANCER_PORT, *(node.amqp for node in NODES)]) as waiting:
        while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                if _starts_amqp(key.fileobj):
                    return True
                waiting.unregister(key.fileobj)
    return False


def is_whole(profiles: Iterable[str] = ()) -> bool:
    """Whether every container of this copy's cluster runs, and AMQP is spoken: then there is nothing to start.

    Args:
        profiles: Whether the services of these compose profiles do, too, and are healthy.
    """
    found = containers()
    ours = {service: container for service, container in found.items() if container.ours}
    nodes_run = all(service in ours and ours[service].state == "running" for service in SERVICES)
    return nodes_run and is_running() and all(s in ours and ours[s].healthy for profile in profiles for s in services_of(profile))


def containers() -> dict[str, Container]:
    """The cluster's containers by service, those that have stopped included; empty without an engine."""
    fields = '{{.Label "com.docker.compose.service"}}\t{{.State}}\t{{.Label "com.docker.compose.project.working_dir"}}\t{{.Status}}'
    command = ["docker", "ps", "--all", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format", fields]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = [line.split("\t") for line in lines]
    return {service: Container(service, state, Path(folder), status) for service, state, folder, status in rows}


def compose(*arguments: str, capture: bool = False, check: bool = False) -> subprocess.CompletedProcess:
    """Run docker compose on the course's file.

    Args:
        arguments: What follows ``docker compose``.
        capture: Keep the output (as text) instead of showing it.
        check: Raise when it fails.

    Raises:
        Mendable: compose is missing, or failed where *check* was asked for.
    """
    done = subprocess.run([*_compose_command(), *arguments], cwd=ROOT, text=True, capture_output=capture)
    if check and done.returncode != 0:
        said = f":\n{done.stderr.strip()}" if capture else "."
        raise Mendable(f"docker compose {' '.join(arguments)} failed{said}\nRun ./lab doctor to see what is wrong.")
    return done


@contextmanager
def composing(*arguments: str) -> Iterator[subprocess.Popen]:
    """Run docker compose beside us, to read its output line by line; ended with the ``with``.

    Args:
        arguments: What follows ``docker compose``.
    """
    process = subprocess.Popen([*_compose_command(), *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def log_tail(service: str, lines: int = 12) -> str:
    """The last lines that a service has logged."""
    from rabbitlab import logs

    return "\n".join(line.shown() for line in logs.read([service], tail=lines))


def _compose_command() -> list[str]:
    from rabbitlab import engine

    command = engine.compose_command()
    if not command:
        raise Mendable("Docker Compose 2.23 or newer is missing. Run: ./lab doctor")
    return command


def _bring_certificates() -> None:
    """Certificates for the TLS node. One that runs with others is removed, so that it starts with these."""
    from rabbitlab import certificates

    if certificates.ensure():
        print("Made the certificates of the TLS node (./lab certs).")
    if certificates.stale():
        compose("--profile", "tls", "rm", "--stop", "--force", certificates.SERVICE, capture=True, check=True)


def _mend() -> None:
    """Put right a cluster that is there and broken: compose neither lets go on what is paused nor unites what was parted."""
    from rabbitlab import wholeness
    from rabbitlab.healing import screen

    there = containers()
    if there and (any(container.state == "paused" for container in there.values()) or wholeness.missing()):
        screen.show()


def _start_containers(profiles: Iterable[str] = ()) -> None:
    done = compose(*chosen(profiles), "up", "--detach", capture=True)
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise Mendable(f"docker compose up failed:\n{last}\nRun ./lab doctor to see what is wrong.")


def _take_over(yes: bool) -> None:
    """Containers that mount another copy's files are made again from this one, if that is wanted."""
    from rabbitlab import consent

    strangers = {c.folder for c in containers().values() if c.state == "running" and not c.ours}
    if strangers:
        other = strangers.pop()
        consent.ask(
            f"The cluster was started by another copy of the course, {other}. "
            f"Its containers will be replaced by this copy's; queues and messages stay, both copies share them.",
            yes=yes,
            command=f"./lab up --yes, or go on in the other copy, or stop it: {other}/lab down",
        )


def _need_ports(profiles: Iterable[str] = ()) -> None:
    """Raises Mendable when a port of a service that does not run yet is taken, with every such port and its holder."""
    from rabbitlab import ports

    ours = {service for service, container in containers().items() if container.state in ("running", "paused")}
    wanted = ports.of_the_cluster(profiles)
    taken = {port: ports.holder(port) for port, service in wanted.items() if service not in ours and ports.taken(port)}
    if taken:
        lines = "\n".join(f"  port {port}: {found.what}. End it with: {found.mend}" for port, found in taken.items())
        raise Mendable(f"The cluster needs ports that are taken:\n{lines}\nThen run ./lab up again.")


def _what_is_lost() -> str:
    """What ``down --volumes`` deletes, as far as a running cluster can say."""
    from rabbitlab import broker

    if not is_running():
        return "This deletes what the three nodes keep: all queues, messages, users and virtual hosts. (To see them first: ./lab up)"
    queues = broker.api("queues?columns=vhost,name,messages")
    held = sorted(((q.get("messages", 0), q["vhost"], q["name"]) for q in queues), reverse=True)
    lines = [f"  {count} in {name}" + (f" (virtual host {vhost})" if vhost != "/" else "") for count, vhost, name in held[:15]]
    more = [f"  and {len(held) - 15} more queues"] if len(held) > 15 else []
    total = sum(count for count, _, _ in held)
    return "\n".join([f"This deletes {len(held)} queues with {total} messages, and all users and virtual hosts.", *lines, *more])


@contextmanager
def _greeted(ports: list[int]) -> Iterator[selectors.BaseSelector]:
    """Connections to *ports* on which an AMQP protocol header was sent; ports that refuse are left out."""
    opened = []
    with selectors.DefaultSelector() as waiting:
        try:
            for port in ports:
                try:
                    connection = socket.create_connection((HOST, port), timeout=0.2)
                    opened.append(connection)
                    connection.sendall(b"AMQP\x00\x00\x09\x01")
                    waiting.register(connection, selectors.EVENT_READ)
                except OSError:
                    continue
            yield waiting
        finally:
            for connection in opened:
                connection.close()


def _starts_amqp(connection: socket.socket) -> bool:
    """Whether the first frame is a method frame on channel 0: Connection.Start."""
    try:
        return connection.recv(3) == b"\x01\x00\x00"
    except OSError:
        return False
