"""What ./lab status shows: nodes, load balancer, users, images."""

import contextlib

from rich.console import Console
from rich.table import Table

from rabbitlab import broker, cluster, engine, images, readiness
from rabbitlab.errors import Mendable
from rabbitlab.nodes import LOAD_BALANCER_PORT, NODES, PROFILES, Node

console = Console(highlight=False, markup=False)


def show() -> int:
    """Print the state of the cluster.

    Returns:
        0 when every node runs and the load balancer passes a message on, else 1.
    """
    found = cluster.containers()
    if not any(container.state in ("running", "paused") for container in found.values()):
        problem = engine.state()
        console.print(f"Docker does not answer: {problem}. Run: ./lab doctor" if problem else cluster.NOT_RUNNING, soft_wrap=True)
        return 1
    known = _known_nodes()
    console.print(_table(found, known))
    running = sum(_runs(node, known) for node in NODES)
    trouble = readiness.message_missing() if readiness.has_majority(running) else f"not tried, {running} of {len(NODES)} nodes run"
    console.print(f"Load balancer, AMQP port {LOAD_BALANCER_PORT}: {trouble or 'serves'}", soft_wrap=True)
    for line in _on_request(found):
        console.print(line, soft_wrap=True)
    if known:
        console.print(f"Users: {_users()}", soft_wrap=True)
    with contextlib.suppress(Mendable):
        console.print(f"Images: {images.source()}", soft_wrap=True)
    return 0 if not trouble and running == len(NODES) else 1


def _on_request(found: dict[str, cluster.Container]) -> list[str]:
    """A line for each service of a compose profile that has a container."""
    services = {service: ports for of_profile in PROFILES.values() for service, ports in of_profile.items() if service in found}
    return [
        f"{service}, port{'s' if len(ports) > 1 else ''} {', '.join(map(str, ports))}: "
        f"{'serves' if found[service].healthy else found[service].status or found[service].state}"
        for service, ports in services.items()
    ]


def _known_nodes() -> dict[str, dict]:
    """What the management API says of each node, by service name; empty when no node answers."""
    try:
        return {node["name"].partition("@")[2]: node for node in broker.api("nodes")}
    except (Mendable, ValueError):
        return {}


def _table(found: dict[str, cluster.Container], known: dict[str, dict]) -> Table:
    table = Table("Node", "State", "Version", "AMQP", "Management", "Metrics", "Memory", box=None, pad_edge=False, header_style="bold")
    for node in NODES:
        facts = known.get(node.name, {})
        container = found[node.name].state if node.name in found else "no container"
        state = (
            "running" if _runs(node, known) and container == "running" else container if container != "running" else "not in the cluster"
        )
        table.add_row(node.name, state, _version(facts), str(node.amqp), str(node.management), str(node.metrics), _memory(facts))
    return table


def _runs(node: Node, known: dict[str, dict]) -> bool:
    return bool(known.get(node.name, {}).get("running"))


def _version(facts: dict) -> str:
    return next((part["version"] for part in facts.get("applications", []) if part["name"] == "rabbit"), "")


def _memory(facts: dict) -> str:
    if "mem_used" not in facts:
        return ""
    alarms = " (alarm)" if facts.get("mem_alarm") or facts.get("disk_free_alarm") else ""
    return f"{facts['mem_used'] / 2**20:.0f} of {facts['mem_limit'] / 2**20:.0f} MiB{alarms}"


def _users() -> str:
    users = broker.api("users?columns=name,tags")
    return ", ".join(f"{user['name']} ({', '.join(user['tags']) or 'no tags'})" for user in sorted(users, key=lambda user: user["name"]))
