"""A node cut off from the network, and a network that falls apart between the nodes only."""

from collections.abc import Iterator
from contextlib import contextmanager

from rabbitlab import containers, wholeness
from rabbitlab.faults.fault import Fault, made
from rabbitlab.faults.nodes import sees, silent, takes_connections
from rabbitlab.healing import menders
from rabbitlab.nodes import BY_NAME, NODES, Node


@contextmanager
def cut_off(node: str) -> Iterator[Fault]:
    """Pull a node's network cable: neither the other nodes nor any client reaches it, and nobody is told.

    The node goes on by itself. That it is gone the others notice by its silence: a quorum queue whose leader it was elects another one
    after some seconds, and as a running node they list it for up to a minute (``net_ticktime``). Afterwards it is connected again.

    Args:
        node: ``"rabbit1"``, ``"rabbit2"`` or ``"rabbit3"``.

    Raises:
        Mendable: an unknown node, one that does not run, or a Docker engine that refuses; names the command that mends it.
    """
    (name,) = containers.known([node])

    def disconnect() -> None:
        container = containers.of(name)
        with containers.speaking_plainly():
            for network in containers.networks_of(container):
                network.disconnect(container, force=True)

    def seen() -> str:
        if networks := containers.networks_of(containers.of(name)):
            return f"{name} is still on the network {networks[0].name}"
        return f"the port of {name} takes connections" if takes_connections(name) else ""

    with made(f"{name} cut off", (name,), disconnect, lambda: containers.reconnect(name), seen, lambda: silent((name,))) as fault:
        yield fault


@contextmanager
def partitioned(node: str) -> Iterator[Fault]:
    """Part the cluster: this node alone on one side, the others on the other. Clients still reach all of them.

    The connections among the nodes are refused by a wrong Erlang cookie, so both sides know at once. Afterwards they are one again.

    Args:
        node: The one that is left alone.

    Raises:
        Mendable: as :func:`cut_off`.
    """
    (name,) = containers.known([node])
    alone = BY_NAME[name]
    others = [known for known in NODES if known is not alone]

    def part() -> None:
        peers = menders.erlang_list(others)
        containers.run(name, *menders.EVAL, f"[begin erlang:set_cookie(P, cut), erlang:disconnect_node(P) end || P <- {peers}].")

    def seen() -> str:
        for here, there in [*((alone, other) for other in others), *((other, alone) for other in others)]:
            if containers.state(here.name) == "running" and _is_seen(here, there):
                return f"{here.name} still sees {there.name} run"
        return ""

    with made(f"{name} partitioned", (name,), part, lambda: menders.reunite([alone]), seen, lambda: silent((name,))) as fault:
        yield fault


def _is_seen(here: Node, there: Node) -> bool:
    """Whether *here* takes *there* for running, or does not answer, which it may for a moment when the others go."""
    return wholeness.view(here) is None or sees(here, there.name)
