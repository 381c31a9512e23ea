"""Ask the broker: read-only questions about queues, bindings, connections and nodes.

Most pages of the management API show statistics that a node collects every five seconds. Nothing here reads those where a lesson
would notice: each function asks the queue itself, or waits until the figure is newer than the call. Each says how.

The questions are asked as the lab's own administrator (:data:`rabbitlab.nodes.ADMIN`), so they work in every virtual host, and
with no permission of the reader's.
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from rabbitlab.errors import Mendable
from rabbitlab.nodes import ADMIN, HOST, NODES, Node

TICK = 8  # seconds: a quorum queue reports its counts every 5 s, a node its new connections too; and some grace
STATISTICS = 1.2  # seconds: collect_statistics_interval of docker/rabbitmq/rabbitmq.conf, and some grace
PATIENCE = (0.8, 8.0)  # seconds for an answer: little at first, so that a node that is silent costs little; then more


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
    """The number of messages ready in *queue*, exact at the moment of the call.

    A classic queue is asked through the management API with ``disable_stats=true&enable_queue_totals=true``, which asks the
    queue's own process; a quorum queue or a stream with a passive declare. Neither figure is a statistic.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
        Mendable: when no node answers.
    """
    found = _totals(queue, vhost)
    if found["type"] == "classic":
        return found["messages_ready"]
    declared = _declare_passively([queue], vhost)[queue]
    return found.get("messages_ready", 0) if declared is None else declared[0]


def unacked(queue: str, *, vhost: str = "/") -> int:
    """The number of messages delivered from *queue* and not acknowledged yet.

    A classic queue answers at once and exactly. A quorum queue reports this count to its node every few seconds
    (``quorum_tick_interval``), and nothing asks it in between: then this waits for the next report, 5 s at most.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
        TimeoutError: when a quorum queue reports nothing, as when it has no leader.
    """
    found = _totals(queue, vhost)
    if found["type"] != "quorum":
        return found.get("messages_unacknowledged", 0)
    return _next_report([queue], vhost)[queue]


def consumers(queue: str, *, vhost: str = "/") -> int:
    """The number of consumers of *queue*, exact at the moment of the call (from a passive declare).

    Another connection's exclusive queue refuses that; then the node's statistics are read until they have not changed for as long as
    they take to be collected (about a second).

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
    """
    return _consumers(_totals(queue, vhost), fresh=True)


def counts(names: Iterable[str], *, vhost: str = "/", fresh: bool = True) -> dict[str, Counts]:
    """Ready, unacknowledged and consumers of several queues, asked together.

    Args:
        names: The queues; one that does not exist (any more) is left out.
        vhost: Their virtual host.
        fresh: Whether to wait for what is not exact at once (see :func:`unacked` and :func:`consumers`). A picture that is redrawn
            anyway need not.
    """
    totals = {name: found for name in names if (found := _lookup(name, vhost))}
    declared = _declare_passively(list(totals), vhost)
    late = [name for name, found in totals.items() if found["type"] == "quorum"]
    reported = _next_report(late, vhost) if fresh and late else {}
    result = {}
    for name, found in totals.items():
        ready, attached = declared[name] or (found.get("messages_ready", 0), None)
        if attached is None:
            attached = _consumers(found, fresh=fresh, refused=True)
        ready = found["messages_ready"] if found["type"] == "classic" and "messages_ready" in found else ready
        result[name] = Counts(ready, reported.get(name, found.get("messages_unacknowledged", 0)), attached)
    return result


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
            raise TimeoutError(f"Waited {within:g} s for: {what or 'the condition'}. Seen last: {seen() if seen else last!r}.")
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.2)


def queue(queue: str, *, vhost: str = "/") -> dict | None:
    """Everything the management API knows about *queue*, or None where there is no such queue.

    Its counts are statistics, up to five seconds old, and absent until collected once; :func:`depth`, :func:`unacked` and
    :func:`consumers` are exact.
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
    return sorted(found["name"] for found in api(path("queues", vhost) + "?disable_stats=true"))


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

    The names hold ports, so print how many there are, not which. The list itself comes from the nodes' connection tracking, which is
    up to date. The connections by which this module asks are not in it.

    Args:
        name: Only those whose client calls itself so, with
            ``pika.ConnectionParameters(client_properties={"connection_name": "till"})``. That name is a statistic: for a connection
            opened in the last five seconds this waits until it is known.
        vhost: The virtual host they are connected to.
    """
    if name is None:
        return sorted(_tracked(vhost))
    return sorted(broker_name for broker_name, given in named_connections(vhost=vhost).items() if given == name)


def named_connections(*, vhost: str = "/") -> dict[str, str | None]:
    """The open connections to *vhost*: the broker's name of each, and the name that its client gave it, if any.

    Waits until both are known for every connection that is open, five seconds at most.

    Raises:
        TimeoutError: when that takes longer.
    """
    given: dict[str, str | None] = {}

    def unknown() -> set[str]:
        given.update(_given_names(vhost))
        return set(_tracked(vhost)) - given.keys()

    wait_until(lambda: not unknown(), within=TICK, what="the names of all connections", seen=lambda: f"{len(unknown())} without")
    open_now = _tracked(vhost)
    return {broker_name: given.get(broker_name) for broker_name in open_now}


def leader(queue: str, *, vhost: str = "/") -> str | None:
    """The node that leads *queue* (``"rabbit1"``), or None while it has no leader. A classic queue's is the node that it lives on.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
    """
    found = _totals(queue, vhost)
    name = found.get("leader") or (found.get("node") if found["type"] == "classic" else None)
    return _short(name) if name else None


def members(queue: str, *, vhost: str = "/") -> list[str]:
    """The nodes that hold a copy of *queue*, sorted; for a classic queue the one node that it lives on.

    Raises:
        NoSuchQueue: a LookupError, with the names of the queues that there are.
    """
    found = _totals(queue, vhost)
    return sorted(_short(name) for name in found.get("members") or [found["node"]] if name)


def running_nodes() -> list[str]:
    """The nodes that run, as the node that answers sees them: ``["rabbit1", "rabbit2", "rabbit3"]``."""
    return sorted(_short(node["name"]) for node in api("nodes?columns=name,running") if node.get("running"))


def version() -> str:
    """The version of RabbitMQ on the node that answers: ``"4.3.6"``."""
    return api("overview?columns=rabbitmq_version")["rabbitmq_version"]


def path(*parts: str) -> str:
    """A path of the management API with each part quoted: ``path("queues", "/", "orders")`` is ``"queues/%2F/orders"``."""
    return "/".join(quote(part, safe="") for part in parts)


def api(path: str, method: str = "GET", json: object = None):
    """Call the management API on the first node that answers.

    Args:
        path: Below ``/api/``, quoted, with its query if any; see :func:`path`.
        method: ``GET`` by default.
        json: What to send as the body.

    Returns:
        The answer's JSON, or None where the answer has no body.

    Raises:
        LookupError: the API says 404.
        ValueError: the API refuses otherwise; says why.
        Mendable: no node answers.
    """
    return _call(path, method, json)[0]


def _call(path: str, method: str = "GET", json: object = None) -> tuple[object, Node]:
    """As :func:`api`, with the node that answered."""
    answer, node = _first_answer(path, method, json)
    if answer.status_code == 404:
        raise LookupError(f"The management API knows no {path}.")
    if answer.status_code == 401:
        raise Mendable(f"Another RabbitMQ than the course's answers on port {node.management}. Run ./lab doctor to see which.")
    if answer.is_error:
        raise ValueError(f"{method} {path}: {answer.status_code} {answer.text.strip()}")
    return (answer.json() if answer.content else None), node


def _first_answer(path: str, method: str, json: object) -> tuple[httpx.Response, Node]:
    """Ask the nodes in turn, the one that answered last before the others."""
    global _answered
    for patience in PATIENCE:
        for node in sorted(NODES, key=lambda node: node is not _answered):
            url = f"http://{HOST}:{node.management}/api/{path}"
            try:
                answer = _client().request(method, url, json=json, timeout=httpx.Timeout(patience, connect=0.5))
            except httpx.TransportError as failure:
                if method == "POST" and not isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout):
                    raise  # it may have been done: a second one could do it twice
                continue
            if answer.status_code not in (500, 503):
                _answered = node
                return answer, node
    ports = ", ".join(str(node.management) for node in NODES)
    raise Mendable(f"No node of the cluster answers on {HOST}, ports {ports}. Start it with ./lab up")


_answered: Node = NODES[0]
_clients: dict[int, httpx.Client] = {}


def _client() -> httpx.Client:
    """The connections that are kept open, for this process alone: a forked one must not write into its parent's."""
    if os.getpid() not in _clients:
        _clients.clear()
        _clients[os.getpid()] = httpx.Client(auth=ADMIN, trust_env=False, verify=False)
    return _clients[os.getpid()]


def _lookup(queue: str, vhost: str) -> dict | None:
    """A queue with its totals: asked of the queue's process if it is classic, as last reported if not."""
    try:
        return api(path("queues", vhost, queue) + "?disable_stats=true&enable_queue_totals=true")
    except LookupError:
        return None


def _totals(queue: str, vhost: str) -> dict:
    found = _lookup(queue, vhost)
    if found is None:
        there = ", ".join(queues(vhost=vhost)) or "none"
        raise NoSuchQueue(f"There is no queue {queue!r} in the virtual host {vhost!r}. Queues there: {there}.")
    return found


def _declare_passively(names: list[str], vhost: str) -> dict[str, tuple[int, int] | None]:
    """(ready, consumers) of each queue, by passive declares on one connection; None where that is refused or the queue is gone."""
    import pika

    result: dict[str, tuple[int, int] | None] = dict.fromkeys(names)
    if not names:
        return result
    _, node = _call("whoami")  # a node that answers: pika would log each one that does not
    _permit(vhost)
    parameters = pika.ConnectionParameters(
        host=HOST,
        port=node.amqp,
        virtual_host=vhost,
        credentials=pika.PlainCredentials(*ADMIN),
        socket_timeout=5,
        stack_timeout=5,
        client_properties={"connection_name": "rabbitlab.broker"},
    )
    with pika.BlockingConnection(parameters) as connection:
        for name in names:
            channel = connection.channel()
            try:
                declared = channel.queue_declare(queue=name, passive=True).method
                result[name] = (declared.message_count, declared.consumer_count)
                channel.close()
            except pika.exceptions.ChannelClosedByBroker:
                continue
    return result


def _permit(vhost: str) -> None:
    """Let the lab's administrator into a virtual host that somebody else made."""
    user = ADMIN[0]
    if not any(found["user"] == user for found in api(path("vhosts", vhost, "permissions"))):
        api(path("permissions", vhost, user), "PUT", {"configure": ".*", "write": ".*", "read": ".*"})


def _consumers(found: dict, *, fresh: bool, refused: bool = False) -> int:
    """The consumers of a queue: by a passive declare, or where that is refused, from statistics that have settled."""
    name, vhost = found["name"], found["vhost"]
    declared = None if refused or found["exclusive"] else _declare_passively([name], vhost)[name]
    if declared is not None:
        return declared[1]
    node = _node(found["node"])

    def read() -> int:
        return _metrics(node, "queue_consumer_count", "queue_consumers", vhost).get(name, 0)

    since, value = time.monotonic(), read()
    while fresh and time.monotonic() - since < STATISTICS:
        time.sleep(0.1)
        if (now := read()) != value:
            since, value = time.monotonic(), now
    return value


def _next_report(names: list[str], vhost: str) -> dict[str, int]:
    """The unacknowledged counts of quorum queues from their next report: its sign is that the leader's process has worked."""

    def read(name: str) -> tuple[str, int, int] | None:
        leading = (_lookup(name, vhost) or {}).get("leader")
        if not leading:
            return None
        work = _metrics(_node(leading), "queue_coarse_metrics", "queue_process_reductions_total", vhost)
        held = _metrics(_node(leading), "queue_coarse_metrics", "queue_messages_unacked", vhost)
        return (leading, work[name], held[name]) if name in work and name in held else None

    before = {name: read(name) for name in names}
    result: dict[str, int] = {}

    def reported() -> bool:
        for name in names:
            now = None if name in result else read(name)
            if now and before[name] and now[:2] != before[name][:2] and now[0] == before[name][0]:
                result[name] = now[2]
            elif now and (not before[name] or now[0] != before[name][0]):
                before[name] = now  # another leader: its first figure may be old
        return len(result) == len(names)

    wait_until(reported, within=TICK, what="the next report of each quorum queue", seen=lambda: f"{len(result)} of {len(names)}")
    return result


_METRIC = re.compile(r'^rabbitmq_detailed_(\w+)\{.*?queue="((?:[^"\\]|\\.)*)".*\} (\d+)$', re.MULTILINE)


def _metrics(node: Node, family: str, metric: str, vhost: str) -> dict[str, int]:
    """A metric of each queue that lives on *node*, from its Prometheus endpoint, which reads what the queues reported last."""
    url = f"http://{HOST}:{node.metrics}/metrics/detailed"
    text = _client().get(url, params={"family": family, "vhost": vhost}, timeout=PATIENCE[-1]).text
    return {_unescape(name): int(value) for found, name, value in _METRIC.findall(text) if found == metric}


def _unescape(label: str) -> str:
    return re.sub(r"\\(.)", lambda hit: "\n" if hit[1] == "n" else hit[1], label)


def _tracked(vhost: str) -> list[str]:
    """The open connections to *vhost* as the broker calls them, from connection tracking, of all users but the lab's own."""
    users = [user["name"] for user in api("users?columns=name") if user["name"] != ADMIN[0]]
    found = [api(path("connections", "username", user)) for user in users]
    return [connection["name"] for connections in found for connection in connections if connection["vhost"] == vhost]


def _given_names(vhost: str) -> dict[str, str | None]:
    """The name that each client gave its connection, as far as statistics know by now."""
    found = api(path("vhosts", vhost, "connections") + "?columns=name,client_properties")
    return {one["name"]: (one.get("client_properties") or {}).get("connection_name") for one in found if "client_properties" in one}


def _node(erlang_name: str) -> Node:
    return next(node for node in NODES if node.erlang_name == erlang_name)


def _short(erlang_name: str) -> str:
    return erlang_name.partition("@")[2]
