"""Wait until a cluster that was started can serve, and show what is waited for."""

import time
from collections.abc import Callable, Iterable
from functools import partial

from rich.console import Console

from rabbitlab import cluster
from rabbitlab.errors import Mendable
from rabbitlab.nodes import ADMIN, HOST, LOAD_BALANCER_PORT, NODES, PROFILES

console = Console(highlight=False, markup=False)


def wait(within: float, clock: Callable[[], float] = time.monotonic, profiles: Iterable[str] = ()) -> None:
    """Return when each stage holds: the nodes run; their metadata store has a leader, and a message goes through the load balancer.

    Args:
        within: Seconds for all of it.
        profiles: Compose profiles whose services must be healthy, too.
        clock: Monotonic clock, in seconds; tests pass their own.

    Raises:
        Mendable: with what was seen last and the log of the node at fault, when time is up or a node has ended.
    """
    began = clock()
    asked_for = {profile: cluster.services_of(profile) for profile in profiles}
    needed = [*cluster.SERVICES, *(service for services in asked_for.values() for service in services)]
    stages = [*STAGES, *((f"Healthy: {', '.join(services)}", partial(services_missing, services)) for services in asked_for.values())]
    for done, missing in stages:
        with console.status("Waiting") as line:
            while seen := missing():
                line.update(f"Waiting: {seen} ({clock() - began:.0f} s)")
                _services_still_there(seen, needed)
                if clock() - began > within:
                    raise Mendable(_too_late(seen, within))
                time.sleep(0.2)
        console.print(f"{done} ({clock() - began:.1f} s)", soft_wrap=True)


def nodes_missing() -> str:
    """Which nodes do not run yet, or nothing."""
    from rabbitlab import broker

    try:
        # A node without figures has not reported to the management API yet, so the API would not show it whole.
        running = [node["name"].partition("@")[2] for node in broker.api("nodes") if node.get("running") and "mem_used" in node]
    except (Mendable, ValueError) as error:
        return str(error) if "Another RabbitMQ" in str(error) else "no node answers yet"
    missing = [node.name for node in NODES if node.name not in running]
    return f"{len(running)} of {len(NODES)} nodes run; not yet: {', '.join(missing)}" if missing else ""


def message_missing() -> str:
    """What keeps a message from going through the load balancer and back, or nothing.

    Its queue is written to the metadata store, which takes that from a majority with a leader only. (The management API's check of
    that store answers "ok" on a node that is left alone.)
    """
    import pika
    from pika.adapters.utils.connection_workflow import AMQPConnectorException

    parameters = pika.ConnectionParameters(
        host=HOST,
        port=LOAD_BALANCER_PORT,
        credentials=pika.PlainCredentials(*ADMIN),
        socket_timeout=3,
        stack_timeout=3,
        blocked_connection_timeout=3,
        heartbeat=10,
    )
    try:
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            queue = channel.queue_declare(queue="", exclusive=True).method.queue
            channel.basic_publish(exchange="", routing_key=queue, body=b"ready?", mandatory=True)
            _, _, body = channel.basic_get(queue=queue, auto_ack=True)
    except pika.exceptions.ConnectionBlockedTimeout:
        return "publishers are blocked by a memory or disk alarm (./lab doctor)"
    except pika.exceptions.ConnectionClosedByBroker as error:
        if error.reply_code == 541:
            return "the metadata store has no leader yet"
        return f"the broker closes the connection ({error.reply_code} {error.reply_text})"
    except (pika.exceptions.AMQPError, AMQPConnectorException, OSError) as error:
        return f"no message through the load balancer yet ({type(error).__name__})"
    return "" if body == b"ready?" else "a message through the load balancer did not come back"


def services_missing(services: Iterable[str]) -> str:
    """Which of these services are not healthy yet, or nothing."""
    found = cluster.containers()
    waiting = [service for service in services if service not in found or not found[service].healthy]
    return f"not healthy yet: {', '.join(waiting)}" if waiting else ""


def has_majority(running: int) -> bool:
    """Whether so many nodes can agree on anything; below that, a declare waits for 30 s and is refused."""
    return running > len(NODES) // 2


STAGES: tuple[tuple[str, Callable[[], str]], ...] = (
    (f"{len(NODES)} nodes run", nodes_missing),
    (f"The metadata store has a leader; a message went through the load balancer, port {LOAD_BALANCER_PORT}", message_missing),
)


def _services_still_there(seen: str, needed: Iterable[str]) -> None:
    """A container that has ended will not become ready: no need to wait for the deadline."""
    found = cluster.containers()
    ended = [service for service in needed if service not in found or found[service].state in ("exited", "dead")]
    if ended:
        raise Mendable(
            f"{ended[0]} has ended ({seen}). The end of its log:\n{cluster.log_tail(ended[0])}\nAll of it: ./lab logs {ended[0]}"
        )


def _too_late(seen: str, within: float) -> str:
    """The message when time is up, with the log of the node that is named in what was seen last."""
    services = (*cluster.SERVICES, *(service for services in PROFILES.values() for service in services))
    at_fault = next((service for service in services if service in seen), "haproxy" if "load balancer" in seen else NODES[0].name)
    return (
        f"The cluster was not ready within {within:.0f} s. Seen last: {seen}.\n"
        f"The end of the log of {at_fault}:\n{cluster.log_tail(at_fault)}\n"
        f"All of it: ./lab logs {at_fault}. To begin again: ./lab down, then ./lab up"
    )
