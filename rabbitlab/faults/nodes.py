"""Nodes that are killed, paused or stopped."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rabbitlab import containers, readiness, wholeness
from rabbitlab.faults.fault import Fault, made
from rabbitlab.healing import menders
from rabbitlab.nodes import BY_NAME, HOST, NODES

PAUSED_WITHIN = 10  # seconds


@contextmanager
def killed(*nodes: str) -> Iterator[Fault]:
    """Kill nodes with signal 9, as a crash or a power cut does; inside, the nodes that are left have noticed.

    Afterwards they are started again, with what they had on disk.

    Args:
        nodes: ``"rabbit1"``, ``"rabbit2"``, ``"rabbit3"``; several are killed at once.

    Raises:
        Mendable: an unknown node, one that does not run, or a Docker engine that refuses; names the command that mends it.
    """
    with _ended("killed", nodes, lambda container: container.kill()) as fault:
        yield fault


@contextmanager
def stopped(*nodes: str) -> Iterator[Fault]:
    """Stop nodes as an administrator does: they are asked to end, and do so in order. Afterwards they are started again.

    Args:
        nodes: As of :func:`killed`.

    Raises:
        Mendable: as :func:`killed`.
    """
    with _ended("stopped", nodes, lambda container: container.stop()) as fault:
        yield fault


@contextmanager
def paused(*nodes: str) -> Iterator[Fault]:
    """Freeze nodes: their processes get no processor time, yet their ports still take connections, on which nobody answers.

    A node that is silent for less than a minute is still a member that runs to the others (``net_ticktime``). Afterwards the nodes go
    on as if nothing had been.

    Args:
        nodes: As of :func:`killed`.

    Raises:
        Mendable: as :func:`killed`.
    """
    names = containers.known(nodes)

    def seen() -> str:
        return next((f"{name} is {state}" for name in names if (state := containers.state(name)) != "paused"), "")

    with made(
        _titled(names, "paused"), names, lambda: _to_each(names, _pause), lambda: _to_each(names, menders.wake), seen, lambda: silent(names)
    ) as fault:
        yield fault


@contextmanager
def _ended(word: str, nodes: tuple[str, ...], end: Callable) -> Iterator[Fault]:
    names = containers.known(nodes)

    def seen() -> str:
        for name in names:
            if (state := containers.state(name)) != "exited":
                return f"{name} is {state}"
            if takes_connections(name):
                return f"the port of {name} takes connections"
        return next((f"{left.name} still sees {name} run" for left in _left(names) for name in names if sees(left, name)), "")

    with made(
        _titled(names, word), names, lambda: _to_each(names, end), lambda: _to_each(names, menders.wake), seen, lambda: silent(names)
    ) as fault:
        yield fault


def _pause(container) -> None:
    """The kernel may be too busy to freeze every process at once; then Docker gives up and says so."""
    import docker.errors

    deadline = time.monotonic() + PAUSED_WITHIN
    while True:
        try:
            return container.pause()
        except docker.errors.APIError:
            container.reload()
            if container.status == "paused":
                return None
            if container.status != "running" or time.monotonic() > deadline:
                raise


def takes_connections(name: str) -> bool:
    """Whether the AMQP port of a node takes a connection."""
    port = BY_NAME[name].amqp
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def silent(names: tuple[str, ...]) -> str:
    """Which of the nodes does not answer, as long as enough nodes run for one to start at all."""
    there = containers.all_of_them()
    running = [node for node in NODES if node.name in there and there[node.name].status == "running"]
    if not readiness.has_majority(len(running)):
        return ""
    return next((f"{node.name} does not answer" for node in running if node.name in names and wholeness.view(node) is None), "")


def _titled(names: tuple[str, ...], word: str) -> str:
    return f"{', '.join(names)} {word}"


def _left(names: tuple[str, ...]):
    """The nodes that can be asked: not meant by this fault, and neither dead nor frozen by another."""
    there = containers.all_of_them()
    return [node for node in NODES if node.name not in names and node.name in there and there[node.name].status == "running"]


def sees(node, name: str) -> bool:
    """Whether *node* still takes *name* for running; one that does not answer, as without a majority, takes nobody for anything."""
    return bool((wholeness.view(node) or {}).get(name, {}).get("running"))


def _to_each(names: tuple[str, ...], act: Callable) -> None:
    """Do *act* to the containers of *names* at once."""
    there = containers.all_of_them()
    with containers.speaking_plainly():
        containers.each(lambda name: act(there[name]), [name for name in names if name in there])
