"""Ask the broker about queues, bindings, connections and nodes; :func:`forget` alone changes something.

Most pages of the management API show statistics: what a queue or connection told its node, collected at intervals (five seconds by
default, one second each in docker/rabbitmq/rabbitmq.conf, so two in all). Nothing here takes those for the present: each function asks
the queue itself, or waits until the figure is newer than the call, and says how. What a client has sent without waiting for an answer
(an acknowledgement, a rejection) is on its way for some milliseconds after its call returned, so a figure counts once it has stayed
the same for :data:`CALM`.

The questions are asked as the lab's own administrator (:data:`rabbitlab.nodes.ADMIN`), in any virtual host.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from rabbitlab import management
from rabbitlab.errors import Mendable
from rabbitlab.management import PATIENCE, api, path
from rabbitlab.nodes import ADMIN, HOST, NODES, Node

CALM = 0.05  # seconds; of 100 first readings right after an acknowledgement 6 were old, after this none
TRACKING = 0.3  # seconds; a connection that was closed stood in the list of connections for 0.16 s at most
REPORT = 8  # seconds: a quorum queue reports its counts every 5 s, statistics are collected every 1 to 5 s; and some grace
STATISTICS = 1.2  # seconds: collect_statistics_interval of docker/rabbitmq/rabbitmq.conf, and some grace

_Value = TypeVar("_Value")


class NoSuchQueue(LookupError):
    """No queue of this name in this virtual host."""


@dataclass(frozen=True)
class Counts:
    """What a queue holds.

    Attributes:
        ready: Messages waiting for a consumer.
        unacked: Messages delivered to a consumer and not acknowledged yet.
        consumers: Consumers subscribed to it.
    """

    ready: int
    unacked: int
    consumers: int


def depth(queue: str, *, vhost: str = "/") -> int:
    """The number of messages ready in *queue*, exact; of a stream, what its node has counted last, which may be seconds ago.

    A classic queue is asked through the management API with ``disable_stats=true&enable_queue_totals=true``, which asks the
    queue's own process; a quorum queue or a stream by a passive declare, which the quorum queue answers itself. Where that has no leader,
    RabbitMQ answers 0 in its place, so this waits for one.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
        TimeoutError: when a quorum queue has no leader for eight seconds.
        Mendable: when no node answers.
    """
    _totals(queue, vhost)
    return _exact([queue], vhost, attached=False)[queue].ready


def unacked(queue: str, *, vhost: str = "/") -> int:
    """The number of messages delivered from *queue* and not acknowledged yet, exact.

    A classic queue is asked as for :func:`depth`. A quorum queue reports this count to its node every five seconds
    (``quorum_tick_interval``), and nothing can ask it in between: so this waits for the next report.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
        TimeoutError: when a quorum queue reports nothing, as when it has no leader.
        Mendable: when no node answers.
    """
    if _totals(queue, vhost)["type"] == "quorum":
        return _next_report([queue], vhost)[queue]
    return _settled(lambda: _read([queue], vhost, attached=False))[queue].unacked


def consumers(queue: str, *, vhost: str = "/") -> int:
    """The number of consumers of *queue*, exact: by a passive declare.

    Another connection's exclusive queue refuses that. Its consumers are read from statistics, once these have not changed for as long
    as they take to be collected, about a second.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
        Mendable: when no node answers.
    """
    _totals(queue, vhost)
    reading = _exact([queue], vhost)[queue]
    return _attached(queue, reading, vhost, fresh=True)


def counts(names: Iterable[str], *, vhost: str = "/", fresh: bool = True) -> dict[str, Counts]:
    """Ready, unacknowledged and consumers of several queues, asked together.

    Args:
        names: The queues; one that does not exist (any more) is left out.
        vhost: Their virtual host.
        fresh: Whether to wait for what is not exact at once: see :func:`unacked` and :func:`consumers`. A picture that is redrawn
            soon need not.
    """
    names = list(names)
    found = _exact(names, vhost) if fresh else _read(names, vhost)
    if fresh and (late := [name for name, reading in found.items() if reading.type == "quorum"]):
        for name, reported in _next_report(late, vhost).items():
            found[name] = replace(found[name], unacked=reported)
    return {name: Counts(reading.ready, reading.unacked, _attached(name, reading, vhost, fresh)) for name, reading in found.items()}


def wait_until(condition: Callable[[], object], within: float = 10, what: str = "", *, seen: Callable[[], object] | None = None) -> None:
    """Wait until *condition* holds, asking often at first (every 20 ms) and less often later (every 200 ms).

    Args:
        condition: Asked again and again; holds when what it returns is true.
        within: Seconds to wait at most.
        what: What is waited for, for the error: ``"3 messages are ready"``.
        seen: Asked once when time is up, for the error; without it the error shows what *condition* returned last.

    Raises:
        TimeoutError: says what was waited for and what was seen last. An exception of *condition* passes through.
    """
    deadline = time.monotonic() + within
    pause = 0.02
    while not (last := condition()):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"Waited {within:g} s for: {what or 'a condition'}. Seen last: {seen() if seen else last!r}.")
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.2)


def forget(*queues: str, vhost: str = "/") -> None:
    """Delete *queues*, there or not, with what is in them, so that they can be declared anew at once, on any node; see :func:`until_gone`.

    Raises:
        Mendable: when no node answers.
        TimeoutError: when a node still has something of a queue after ten seconds, and which.
    """
    for name in queues:
        with suppress(LookupError):
            api(path("queues", vhost, name), "DELETE")
    until_gone(*queues, vhost=vhost)


def until_gone(*queues: str, vhost: str = "/") -> None:
    """Wait until all of *queues*, which have just been deleted, is gone from every node that answers.

    The deletion of a quorum queue is answered when its leader has ended, and its other nodes follow in their own time. Declared anew at
    once, about one in fifty is refused: with 541, and a member too few, while an old member still ends; or, on another node, with 404 in
    the next call, where that node took the old queue for the new one.

    Raises:
        TimeoutError: when a node still has something of a queue after ten seconds, and which.
    """
    if queues:
        wait_until(lambda: not _left(queues, vhost), what=f"no node has {', '.join(queues)}", seen=lambda: _left(queues, vhost))


def _left(names: Iterable[str], vhost: str) -> dict[str, list[str]]:
    """Which of these queues which node still knows, or runs a member of."""
    found: dict[str, list[str]] = {}
    for node in NODES:
        members = management.metrics(node, "ra_metrics", vhost, within=PATIENCE[0])
        for name in names:
            if name in members or management.knows(node, path("queues", vhost, name)):
                found.setdefault(node.name, []).append(name)
    return found


def queue(queue: str, *, vhost: str = "/") -> dict | None:
    """Everything the management API knows about *queue*, or None where there is no such queue.

    Its counts are statistics, seconds old, and missing until first collected; :func:`depth`, :func:`unacked` and :func:`consumers`
    are exact.
    """
    try:
        return api(path("queues", vhost, queue))
    except LookupError:
        return None


def queues(*, vhost: str = "/") -> list[str]:
    """The names of the queues in *vhost*, in alphabetical order.

    Raises:
        LookupError: when there is no such virtual host.
    """
    return sorted(found["name"] for found in listed("queues", vhost=vhost))


def listed(what: str, *, vhost: str = "/") -> list[dict]:
    """The ``queues``, ``exchanges`` or ``bindings`` that are declared in *vhost*, as the management API lists them, without statistics.

    Raises:
        LookupError: when there is no such virtual host.
    """
    try:
        return api(path(what, vhost) + "?disable_stats=true")
    except LookupError:
        raise LookupError(f"There is no virtual host {vhost!r}. There are: {', '.join(vhosts())}.") from None


def vhosts() -> list[str]:
    """The names of the virtual hosts that there are; one that is being deleted stands in the management API's list without a name."""
    return sorted(found["name"] for found in api("vhosts?columns=name") if "name" in found)


def exists(queue: str, *, vhost: str = "/") -> bool:
    """Whether *queue* is declared in *vhost*."""
    return _lookup(queue, vhost) is not None


def bindings(queue: str, *, vhost: str = "/") -> list[tuple[str, str]]:
    """The bindings of *queue* as (exchange, routing key), sorted; the default exchange is ``""`` and binds each queue by its name.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
    """
    _totals(queue, vhost)
    return sorted((found["source"], found["routing_key"]) for found in api(path("queues", vhost, queue, "bindings")))


def connections(name: str | None = None, *, vhost: str = "/") -> list[str]:
    """The open client connections to *vhost*, as the broker calls them (``"172.18.0.1:40000 -> 172.18.0.2:5672"``), sorted.

    The names hold ports, so print how many there are, not which. The list comes from the nodes' connection tracking, which is up to
    date; a connection is in it until its client has answered the close. The connections by which this module asks are left out, and
    so are those that this process has closed with :mod:`rabbitlab.faults`.

    Args:
        name: Only those whose client calls itself so, with
            ``pika.ConnectionParameters(client_properties={"connection_name": "till"})``. That name is a statistic: this waits until
            it is known for every connection that is open now, a second or so after it was opened.
        vhost: The virtual host they are connected to.
    """
    if name is None:
        return _settled(lambda: _tracked(vhost), TRACKING)
    return [connection for connection, given in named_connections(vhost=vhost).items() if given == name]


def named_connections(*, vhost: str = "/") -> dict[str, str | None]:
    """The connections to *vhost* that are open now: the broker's name of each, and the name that its client gave it, if any.

    Raises:
        TimeoutError: when the names are not known after :data:`REPORT` seconds.
    """
    open_now = _settled(lambda: _tracked(vhost), TRACKING)
    given: dict[str, str | None] = {}

    def unknown() -> list[str]:
        given.update(_given_names(vhost))
        missing = set(open_now) - given.keys()
        return sorted(missing & set(_tracked(vhost))) if missing else []

    wait_until(lambda: not unknown(), REPORT, "the names that clients gave their connections", seen=lambda: f"{len(unknown())} unknown")
    return {connection: given[connection] for connection in open_now if connection in given}


def leader(queue: str, *, vhost: str = "/") -> str | None:
    """The node that leads *queue* (``"rabbit1"``), or None while it has none. A classic queue's is the node that it lives on.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
    """
    found = _placed(queue, vhost)
    name = found.get("node") if found["type"] == "classic" else found.get("leader")
    return _short(name) if name else None


def is_led(queue: str, *, vhost: str = "/") -> bool:
    """Whether the members of this quorum queue have a leader at this moment, and RabbitMQ knows it. One that is gone waits for none."""
    try:
        told = api(path("queues", "quorum", vhost, queue, "status"))
        return leader(queue, vhost=vhost) in {_short(member["Node Name"]) for member in told if member["Raft State"] == "leader"}
    except LookupError:
        return True


def members(queue: str, *, vhost: str = "/") -> list[str]:
    """The nodes that hold a copy of *queue*, sorted; for a classic queue the one node that it lives on.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
    """
    found = _placed(queue, vhost)
    return sorted(_short(name) for name in found.get("members") or [found.get("node")] if name)


def running_nodes() -> list[str]:
    """The nodes that run, as the node that answers sees them: ``["rabbit1", "rabbit2", "rabbit3"]``."""
    return sorted(_short(node["name"]) for node in api("nodes?columns=name,running") if node.get("running"))


def version() -> str:
    """The version of RabbitMQ on the node that answers: ``"4.3.6"``."""
    return api("overview?columns=rabbitmq_version")["rabbitmq_version"]


def _settled(read: Callable[[], _Value], calm: float = CALM, within: float = 1.0) -> _Value:
    """Read until the value has stayed the same for *calm* seconds, or for *within* seconds where it does not come to rest.

    A reading that takes long says nothing about the time after it, so at least one more is asked for.
    """
    started = time.monotonic()
    value, since = read(), time.monotonic()
    while True:
        time.sleep(calm / 4)
        again, now = read(), time.monotonic()
        if again != value:
            value, since = again, now
        elif now - since >= calm:
            return value
        if now - started >= within:
            return value


@dataclass(frozen=True)
class _Reading:
    """One look at a queue; *consumers* is None where a passive declare was refused."""

    type: str
    node: str
    ready: int
    unacked: int
    consumers: int | None


def _exact(names: list[str], vhost: str, *, attached: bool = True) -> dict[str, _Reading]:
    """What :func:`_read` finds once it has settled; where RabbitMQ may have said 0 for want of a leader, once there is one."""
    found = _settled(lambda: _read(names, vhost, attached=attached))
    doubtful = [name for name, seen in found.items() if seen.type == "quorum" and seen.ready == 0 and not seen.consumers]
    for name in doubtful:
        wait_until(lambda name=name: is_led(name, vhost=vhost), REPORT, f"the quorum queue {name} to have a leader")
    return found | (_read(doubtful, vhost, attached=attached) if doubtful else {})


def _read(names: list[str], vhost: str, *, attached: bool = True) -> dict[str, _Reading]:
    """Look at each queue that there is, once. The unacknowledged count of a quorum queue is as old as its last report.

    Args:
        names: The queues.
        vhost: Their virtual host.
        attached: Whether to count consumers, too; without, a classic queue needs no AMQP connection.
    """
    totals = {name: found for name in names if (found := _lookup(name, vhost))}
    declared = _declare_passively([name for name, found in totals.items() if attached or found["type"] != "classic"], vhost)
    result = {}
    for name, found in totals.items():
        ready, consumers = declared.get(name) or (None, None)
        if ready is None or found["type"] == "classic":
            ready = found.get("messages_ready", 0)
        node = found.get("leader") or found.get("node") or ""
        result[name] = _Reading(found["type"], node, ready, found.get("messages_unacknowledged", 0), consumers)
    return result


def _lookup(queue: str, vhost: str) -> dict | None:
    """A queue with its totals: asked of the queue's process if it is classic, as last reported if not."""
    try:
        return api(path("queues", vhost, queue) + "?disable_stats=true&enable_queue_totals=true")
    except LookupError:
        return None


def _totals(queue: str, vhost: str) -> dict:
    found = _lookup(queue, vhost)
    if found is None:
        raise no_such_queue(queue, vhost)
    return found


def _placed(queue: str, vhost: str) -> dict:
    """A queue with the nodes that it is on, which of a stream only statistics know."""
    found = _totals(queue, vhost)
    if found["type"] == "stream":
        wait_until(
            lambda: "members" in found or found.update(api(path("queues", vhost, queue))), REPORT, f"the nodes of the stream {queue}"
        )
    return found


def no_such_queue(queue: str, vhost: str) -> NoSuchQueue:
    """The error that says which queues there are instead."""
    there = ", ".join(queues(vhost=vhost)) or "none"
    return NoSuchQueue(f"There is no queue {queue!r} in the virtual host {vhost!r}. Queues there: {there}.")


def _declare_passively(names: list[str], vhost: str) -> dict[str, tuple[int, int]]:
    """(ready, consumers) of each queue, by passive declares on one connection; without those that are refused or gone."""
    import pika

    result = {}
    if names:
        with _connection(vhost) as connection:
            channel = connection.channel()
            for name in names:
                try:
                    declared = channel.queue_declare(queue=name, passive=True).method
                    result[name] = (declared.message_count, declared.consumer_count)
                except pika.exceptions.ChannelClosedByBroker:
                    channel = connection.channel()
    return result


def _connection(vhost: str):
    """A connection to the node whose management API answers: pika would log each one that does not."""
    import pika
    from pika.adapters.utils.connection_workflow import AMQPConnectorException

    node = _permit(vhost)
    parameters = pika.ConnectionParameters(
        host=HOST,
        port=node.amqp,
        virtual_host=vhost,
        credentials=pika.PlainCredentials(*ADMIN),
        socket_timeout=PATIENCE[-1],
        stack_timeout=PATIENCE[-1],
        blocked_connection_timeout=PATIENCE[-1],
        client_properties={"connection_name": "rabbitlab.broker"},
    )
    try:
        return pika.BlockingConnection(parameters)
    except (pika.exceptions.AMQPError, AMQPConnectorException, OSError) as error:
        raise Mendable(f"{node.name} takes no AMQP connection on port {node.amqp}. To see why, run ./lab status") from error


def _permit(vhost: str) -> Node:
    """Let the lab's administrator into a virtual host that somebody else made; the node that answered."""
    user = ADMIN[0]
    found, node = management.call(path("vhosts", vhost, "permissions"))
    if not any(permission["user"] == user for permission in found):
        api(path("permissions", vhost, user), "PUT", {"configure": ".*", "write": ".*", "read": ".*"})
    return node


def _attached(name: str, reading: _Reading, vhost: str, fresh: bool) -> int:
    """The consumers of a queue: as declared, or where that was refused, from statistics."""
    if reading.consumers is not None:
        return reading.consumers

    def read() -> int:
        return management.metrics(_node(reading.node), "queue_consumer_count", vhost).get(name, {}).get("queue_consumers", 0)

    return _settled(read, STATISTICS, within=3 * STATISTICS) if fresh else read()


def _next_report(names: list[str], vhost: str) -> dict[str, int]:
    """The unacknowledged counts of quorum queues from their next report, whose sign is that the leader's process has worked."""

    def read(name: str) -> tuple[str, int, int] | None:
        leading = (_lookup(name, vhost) or {}).get("leader")
        told = management.metrics(_node(leading), "queue_coarse_metrics", vhost).get(name, {}) if leading else {}
        figures = told.get("queue_process_reductions_total"), told.get("queue_messages_unacked")
        return None if None in figures else (leading, *figures)  # a queue that has just come to this node has some figures before others

    before = {name: read(name) for name in names}
    told: dict[str, int] = {}

    def all_told() -> bool:
        for name in names:
            now = read(name) if name not in told else None
            if now and before[name] and now[0] == before[name][0]:
                if now[1] != before[name][1]:
                    told[name] = now[2]
            elif now:
                before[name] = now  # the first figure of this leader may be old
        return len(told) == len(names)

    wait_until(all_told, REPORT, "each quorum queue's next report", seen=lambda: f"{len(told)} of {len(names)} reported")
    return told


closed_here: set[str] = set()  # closed by faults, though connection tracking lists them until their clients have answered


def _tracked(vhost: str) -> list[str]:
    """The open connections to *vhost* as the broker calls them, of all users but the lab's own, sorted."""
    users = [user["name"] for user in api("users?columns=name") if user["name"] != ADMIN[0]]
    found = [connection for user in users for connection in api(path("connections", "username", user))]
    closed_here.intersection_update(connection["name"] for connection in found)
    return sorted(connection["name"] for connection in found if connection["vhost"] == vhost and connection["name"] not in closed_here)


def _given_names(vhost: str) -> dict[str, str | None]:
    """The name that each client gave its connection, as far as statistics know by now."""
    found = api(path("vhosts", vhost, "connections") + "?columns=name,client_properties")
    return {one["name"]: (one.get("client_properties") or {}).get("connection_name") for one in found if "client_properties" in one}


def _node(erlang_name: str) -> Node:
    return next(node for node in NODES if node.erlang_name == erlang_name)


def _short(erlang_name: str) -> str:
    return erlang_name.partition("@")[2]
